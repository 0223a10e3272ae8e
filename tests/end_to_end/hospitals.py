"""Four hospitals, or the sites of another task, on an embedded ledger inside a test, with a task that it changes."""

from __future__ import annotations

import shutil
import threading
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedledger.agents.participant import Participant
from fedledger.agents.validator import Validator
from fedledger.cli import participant, validator
from fedledger.cli.engines import DEMO_ORGANISATIONS
from fedledger.cli.session import Session, connected
from fedledger.identity.profile import Profile, load_profile
from fedledger.training import TaskDefinition, load_task
from fedledger_network.consortium import Consortium, Organisation
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder

TASK = "heart-disease"


def task_variant(folder: Path, name: str, **changes: str) -> Path:
    """A copy of a task; each change is ``table__key = "the value as TOML"``."""
    source = load_task(name).folder
    target = folder / "task"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    text = (target / "task.toml").read_text()
    for name, value in changes.items():
        table, key = name.split("__")
        text = _with_value(text, table, key, value)
    tomllib.loads(text)
    (target / "task.toml").write_text(text)
    return target


def _with_value(text: str, table: str, key: str, value: str) -> str:
    lines = text.splitlines()
    start = lines.index(f"[{table}]")
    for number in range(start + 1, len(lines)):
        if lines[number].split("=")[0].strip() == key:
            lines[number] = f"{key} = {value}"
            return "\n".join(lines) + "\n"
        if lines[number].startswith("["):
            break
    return "\n".join([*lines[: start + 1], f"{key} = {value}", *lines[start + 1 :]]) + "\n"


@dataclass(frozen=True)
class Hospitals:
    """A running ledger and everybody's profiles."""

    folder: Path
    network: NetworkFolder
    package: Path

    @property
    def organisations(self) -> Sequence[Organisation]:
        """In the order of the consortium."""
        return self.network.consortium().organisations

    @property
    def definition(self) -> TaskDefinition:
        """The task at hand."""
        return load_task(self.package)

    def profile(self, name: str) -> Profile:
        """Such as ``cleveland-participant``."""
        return load_profile(self.network.profiles, name)

    @contextmanager
    def acting(self, name: str) -> Iterator[Session]:
        """A connection as somebody."""
        with connected(self.profile(name)) as opened:
            yield opened

    def agree(self) -> None:
        """Propose, approve, register and join, everybody through its own profile."""
        spec = self.definition.to_spec(organisations=sorted(o.msp_id for o in self.organisations))
        for organisation in self.organisations:
            with self.acting(f"{organisation.name}-governor") as opened:
                record = opened.ledger.propose_task(spec)
                opened.ledger.approve_task(spec.task, record.spec_hash)
        for organisation in self.organisations:
            with self.acting(f"{organisation.name}-validator") as opened:
                validator.build(opened, spec.task, str(self.package)).register()
            with self.acting(f"{organisation.name}-participant") as opened:
                participant.build(opened, spec.task, str(self.package), organisation.name).join()

    @contextmanager
    def agents(self) -> Iterator[dict[str, Participant | Validator]]:
        """Everybody's agents by profile; they are not started. Connections end with the context."""
        task, package = self.definition.name, str(self.package)
        with ExitStack() as stack:
            found: dict[str, Participant | Validator] = {}
            for organisation in self.organisations:
                name = f"{organisation.name}-validator"
                found[name] = validator.build(stack.enter_context(self.acting(name)), task, package)
                name = f"{organisation.name}-participant"
                opened = stack.enter_context(self.acting(name))
                found[name] = participant.build(opened, task, package, organisation.name)
            yield found


def run_until_the_end(agents: Iterable[Participant | Validator], seconds: float = 180.0) -> None:
    """Let agents work, each in a thread, until the task has ended."""
    stop = threading.Event()
    threads = [threading.Thread(target=agent.run, args=(stop,), daemon=True) for agent in agents]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    ended = not any(thread.is_alive() for thread in threads)
    stop.set()
    assert ended, "the task goes on"


@contextmanager
def hospitals(
    folder: Path, task: str = TASK, names: Sequence[str] = DEMO_ORGANISATIONS, **changes: str
) -> Iterator[Hospitals]:
    """A consortium of these sites in ``folder``, until the context is left; ``task`` is installed."""
    network = NetworkFolder.create(folder / "network", Consortium.of_names(*names))
    process = running.launch(network, attached=True)
    try:
        yield Hospitals(folder, network, task_variant(folder, task, **changes))
    finally:
        process.stop()
