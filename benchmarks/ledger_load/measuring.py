"""How long a part of the load takes and which processes spend how much CPU time on it; what it would be apart."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import machine

from ledger_load.engines import Engine

LOAD = "load"
"""This process: clients that sign, serialise and wait."""
CHAINCODE = "chaincode"


@dataclass
class Phase:
    """One part of the load."""

    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by process, named as ``kind.organisation``, and of ``load``."""

    def by_kind(self) -> dict[str, float]:
        """CPU seconds by kind of process."""
        kinds: dict[str, float] = {}
        for name, seconds in self.cpu.items():
            kind = name.partition(".")[0]
            kinds[kind] = kinds.get(kind, 0.0) + seconds
        return kinds

    def by_organisation(self, kind: str | None = None) -> dict[str, float]:
        """CPU seconds by organisation, of all its processes or of those of one kind."""
        organisations: dict[str, float] = {}
        for name, seconds in self.cpu.items():
            its_kind, _, organisation = name.partition(".")
            if organisation and kind in (None, its_kind):
                organisations[organisation] = organisations.get(organisation, 0.0) + seconds
        return organisations


@contextmanager
def measured(engine: Engine) -> Iterator[Phase]:
    """Measure until the context is left."""
    phase = Phase()
    pids = engine.pids()
    before, own, start = _used(pids), time.process_time(), time.monotonic()
    yield phase
    phase.seconds = time.monotonic() - start
    after = _used(pids)
    phase.cpu = {name: after[name] - before[name] for name in pids} | {LOAD: time.process_time() - own}


def tell_cpu(engine: Engine, phase: Phase, units: int) -> None:
    """Print where the time went, and, for Fabric, what follows for organisations on machines of their own."""
    total = sum(phase.cpu.values())
    kinds = sorted(phase.by_kind().items(), key=lambda each: -each[1])
    spent = ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in kinds)
    print(f"  CPU seconds: {spent}; {total / phase.seconds:.1f} of {os.cpu_count()} cores busy")
    if engine.name == "fabric" and units:
        tell_apart(phase, units)


def tell_apart(phase: Phase, units: int) -> None:
    """Print the rate that CPU time allows when every organisation has a machine like this one for its processes.

    The organisation that works most bounds it: by all cores of its machine, or by its contract's service, which is
    one Python process and uses one core at most. Networks between the machines and waiting are left out.
    """
    cores = os.cpu_count() or 1
    most = max(phase.by_organisation().values())
    service = max(phase.by_organisation(CHAINCODE).values())
    by_machine, by_service = units * cores / most, units / service if service else float("inf")
    bound = "the contract's service, one Python process" if by_service < by_machine else "its machine's cores"
    print(
        f"  by calculation, each organisation on {cores} such cores of its own: "
        f"{min(by_machine, by_service):.0f} a second, bound by {bound}"
    )


def tell_memory(engine: Engine) -> None:
    """Print the resident memory of every process."""
    used = {name: machine.resident_bytes(pid) >> 20 for name, pid in sorted(engine.pids().items())}
    used[LOAD] = machine.resident_bytes(os.getpid()) >> 20
    print("Memory after the load, MiB: " + ", ".join(f"{name} {size}" for name, size in used.items()))


def _used(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: machine.cpu_seconds(pid) for name, pid in pids.items()}
