"""Four hospitals on an embedded ledger inside a test, with a task whose deadlines are short."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fl_tasks.heart_disease
from fedledger.cli import participant, validator
from fedledger.cli.engines import DEMO_ORGANISATIONS
from fedledger.cli.session import Session, connected
from fedledger.identity.profile import Profile, load_profile
from fedledger.training import TaskDefinition, load_task
from fedledger_network.consortium import Consortium, Organisation
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder

TASK = "heart-disease"


def task_variant(folder: Path, **changes: str) -> Path:
    """A copy of the heart-disease task; each change is ``table__key = "the value as TOML"``."""
    source = Path(fl_tasks.heart_disease.__file__).parent
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
                opened.ledger.approve_task(TASK, record.spec_hash)
        for organisation in self.organisations:
            with self.acting(f"{organisation.name}-validator") as opened:
                validator.build(opened, TASK, str(self.package)).register()
            with self.acting(f"{organisation.name}-participant") as opened:
                participant.build(opened, TASK, str(self.package), organisation.name).join()


@contextmanager
def hospitals(folder: Path, **changes: str) -> Iterator[Hospitals]:
    """A consortium of the four hospitals in ``folder``, until the context is left."""
    network = NetworkFolder.create(folder / "network", Consortium.of_names(*DEMO_ORGANISATIONS))
    process = running.launch(network, attached=True)
    try:
        yield Hospitals(folder, network, task_variant(folder, **changes))
    finally:
        process.stop()
