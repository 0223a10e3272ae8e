"""What the commands of ``fedledger network`` share: where the network is, and how its steps and programs are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from fedledger.cli.output import say, table, working
from fedledger_network.fabric.network import ProgramStatus

DirOption = Annotated[Path, typer.Option("--dir", help="The network's folder.")]
DEFAULT_DIR = Path("run/network")


@contextmanager
def shown_steps(first: str) -> Iterator[Callable[[str], None]]:
    """What says the steps of something long, on stderr, beside a sign that it goes on."""
    with working(first) as progress:

        def show_step(text: str) -> None:
            say(f"{text[:1].upper()}{text[1:]}...")
            progress(text)

        yield show_step


def programs_document(programs: Iterable[ProgramStatus]) -> dict[str, Any]:
    """Programs by name, as JSON."""
    return {
        program.name: {
            "pid": program.pid,
            "ports": list(program.ports),
            "memory": program.memory,
            "log": str(program.log),
        }
        for program in programs
    }


def programs_table(programs: Mapping[str, Any]) -> Table:
    """Programs as ``programs_document`` has them, for people."""
    rows = [
        (
            name,
            program["pid"] or "does not run",
            ", ".join(map(str, program["ports"])),
            f"{program['memory'] / 2**20:.0f} MiB" if program["memory"] else "",
            program["log"],
        )
        for name, program in programs.items()
    ]
    return table("Programs", ["program", "pid", "ports", ">memory", "log"], rows)
