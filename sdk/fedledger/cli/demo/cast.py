"""Everybody in a demo: governors who agree on the task, validators and participants who work on it.

Each acts through its own profile, as it would on its own machine; here they are threads or processes of one.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fedledger.cli import participant, validator
from fedledger.cli.demo.attacks import Attack, corrupted_participant, corrupted_validator
from fedledger.cli.session import Session, connected
from fedledger.errors import FedledgerError
from fedledger.identity.profile import FurtherGateway, Profile, load_profile
from fedledger.training import TaskDefinition
from fedledger_network.consortium import Organisation
from fedledger_network.embedded.processes import ChildProcess

_JOIN_SECONDS = 15.0
ATTACKER = 2
"""Which organisation misbehaves in an attack, counted from 0."""


@dataclass(frozen=True)
class Cast:
    """The organisations of a demo by the site whose records they hold, and where their profiles are."""

    profiles: Path
    organisations: tuple[Organisation, ...]
    attack: Attack | None = None
    """What the attacker's agents do instead of what they should."""

    @property
    def attacker(self) -> Organisation:
        """Whose agents misbehave in an attack."""
        return self.organisations[ATTACKER]

    @property
    def sites(self) -> Mapping[str, str]:
        """Site by MSP id."""
        return {organisation.msp_id: organisation.name for organisation in self.organisations}

    def profile(self, organisation: Organisation, role: str) -> Profile:
        """Somebody's profile."""
        return load_profile(self.profiles, f"{organisation.name}-{role}")

    def onlooker(self) -> Profile:
        """The first organisation's auditor; while its own gateway is gone it asks at those of all others."""
        own, *others = (self.profile(organisation, "auditor") for organisation in self.organisations)
        further = tuple(FurtherGateway(p.gateway, p.tls_roots) for p in others if p.gateway != own.gateway)
        return replace(own, further_gateways=own.further_gateways or further)

    def agree(self, definition: TaskDefinition) -> str:
        """Propose the task and approve it in every organisation's name; returns its name. May be repeated."""
        spec = definition.to_spec(organisations=sorted(organisation.msp_id for organisation in self.organisations))
        for organisation in self.organisations:
            with connected(self.profile(organisation, "governor")) as opened:
                record = opened.ledger.propose_task(spec)
                if record.state in ("proposed", "active"):
                    opened.ledger.approve_task(spec.task, record.spec_hash)
        return spec.task

    def enlist(self, task: str) -> None:
        """Register every validator and join every participant. May be repeated."""
        for organisation in self.organisations:
            with connected(self.profile(organisation, "validator")) as opened:
                if opened.ledger.task(task).record.state == "active":
                    validator.build(opened, task, None).register()
            with connected(self.profile(organisation, "participant")) as opened:
                if opened.ledger.task(task).record.state == "active":
                    opened.ledger.join_task(task)


@contextmanager
def threads(cast: Cast, task: str, on_failure: Callable[[str, Exception], None]) -> Iterator[None]:
    """All agents as threads of this process, until the context is left."""
    stop = threading.Event()
    running: list[threading.Thread] = []
    with ExitStack() as sessions:
        for organisation in cast.organisations:
            for role in ("validator", "participant"):
                opened = sessions.enter_context(connected(cast.profile(organisation, role)))
                attack = cast.attack if organisation == cast.attacker else None
                work = _work(opened, task, organisation, role, stop, on_failure, attack)
                running.append(threading.Thread(target=work, name=f"{organisation.name} {role}", daemon=True))
        for thread in running:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in running:
                thread.join(_JOIN_SECONDS)


def _work(
    opened: Session,
    task: str,
    organisation: Organisation,
    role: str,
    stop: threading.Event,
    on_failure: Callable[[str, Exception], None],
    attack: Attack | None,
) -> Callable[[], None]:
    def work() -> None:
        try:
            if role == "validator":
                checking = validator.build(opened, task, None)
                with validator.held(opened.profile, task):
                    validator.get_ready(checking)
                    (corrupted_validator(checking, attack) if attack else checking).run(stop)
            else:
                training = participant.build(opened, task, None, organisation.name)
                with training.journal.held(task):
                    (corrupted_participant(training, attack) if attack else training).run(stop)
        except Exception as error:
            on_failure(f"{organisation.name} {role}", error)

    return work


@contextmanager
def processes(cast: Cast, task: str, logs: Path, on_failure: Callable[[str, Exception], None]) -> Iterator[None]:
    """All agents as processes of their own, by the commands that people type; they end with this one."""
    logs.mkdir(exist_ok=True)
    running: dict[str, ChildProcess] = {}
    stop = threading.Event()
    for organisation in cast.organisations:
        for role in ("validator", "participant"):
            name = f"{organisation.name}-{role}"
            arguments = [sys.executable, "-m", "fedledger", role, "run", task, "--config", str(cast.profiles)]
            arguments += ["--profile", name]
            arguments += ["--data", organisation.name] if role == "participant" else []
            running[name] = ChildProcess(arguments, logs / f"{name}.log")
    watcher = threading.Thread(target=_watch, args=(running, stop, on_failure), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
        for process in running.values():
            process.stop()


def _watch(
    running: Mapping[str, ChildProcess], stop: threading.Event, on_failure: Callable[[str, Exception], None]
) -> None:
    while not stop.wait(0.5):
        for name, process in running.items():
            if process.exit_code:
                reason = f"It ended with code {process.exit_code}: {process.last_lines(5)}"
                on_failure(name, FedledgerError("AGENT_ENDED", reason, f"Its log is {process.log}."))
                return
