"""A task without training, and its validators: as threads, or as a process of its own that can be killed.

``python -m tests.scenarios.agents PROFILES NAME TASK`` runs the validator of one profile and says when it does.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fabric_protos.peer import transaction_pb2

from fedledger.agents.stores import ValidatorStore
from fedledger.agents.validator import Validator
from fedledger.cli.running import stopped_by_signals
from fedledger.cli.session import connected
from fedledger.cli.validator import sealing_key
from fedledger.gateway.blocks import validation_codes
from fedledger.identity.profile import Profile, load_profile
from fedledger.ledger import TaskLedger
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView
from tests.attacks.conftest import NAMES, ORGANISATIONS, Game, zero_model
from tests.fabric.ledger import height
from tests.scenarios.engines import Engine

ROLES = ("governor", "participant", "validator", "auditor")
_RUNS = "runs"


def validator(profile: Profile, ledger: TaskLedger, task: str) -> Validator:
    """The validator of a profile; its sealing key lies where the profile says."""
    assert profile.sealing_key is not None
    store = ValidatorStore(str(Path(profile.store) / task))
    key = sealing_key(profile.sealing_key)
    return Validator(ledger, task, profile.msp_id, store, key, patience=0.3, initial_model=zero_model())


@dataclass
class Play(Game):
    """Participants that send whatever they are told, and validators that work by themselves."""

    engine: Engine | None = None

    def await_round(self, number: int, *states: str, seconds: float = 120.0) -> RoundView:
        """Return when the round is in one of the states."""
        auditor = self.ledger("cleveland", "auditor")
        deadline = time.monotonic() + seconds
        while True:
            head = auditor.task(self.spec.task).head
            if head is not None and head.round >= number:
                view = auditor.round(self.spec.task, number)
                if view.record.state in states:
                    return view
            assert time.monotonic() < deadline, f"round {number} is not {states}: {head}"
            time.sleep(0.05)

    def contribute(self, number: int, *organisations: str) -> None:
        """Let participants send their updates of a round, which is open."""
        assert self.engine is not None
        self.await_round(number, "open")
        self.rounds = number
        self.engine.settle()
        with ThreadPoolExecutor(max(1, len(organisations))) as pool:
            list(pool.map(lambda each: self.send(each, self.honest(each)), organisations))


@contextmanager
def agreed(engine: Engine, spec: TaskSpec) -> Iterator[Play]:
    """The task, with all validators registered and all participants in it."""
    with ExitStack() as opened:
        profiles = {f"{o}-{r}": engine.profile(o, r) for o in ORGANISATIONS for r in ROLES}
        ledgers = {name: opened.enter_context(connected(profile)).ledger for name, profile in profiles.items()}
        for organisation in ORGANISATIONS:
            ledgers[f"{organisation}-governor"].propose_task(spec)
            ledgers[f"{organisation}-governor"].approve_task(spec.task, spec.sha256())
            engine.settle()
        validators = {}
        for organisation in ORGANISATIONS:
            name = f"{organisation}-validator"
            validators[organisation] = validator(profiles[name], ledgers[name], spec.task)
            validators[organisation].register()
            ledgers[f"{organisation}-participant"].join_task(spec.task)
        engine.settle()
        keys = {o: profiles[f"{o}-participant"].credentials().key for o in ORGANISATIONS}
        yield Play(spec, ledgers, keys, validators, NAMES, engine=engine)


@contextmanager
def working(*validators: Validator) -> Iterator[None]:
    """Let validators work as threads of this process while the context lasts."""
    stop = threading.Event()
    threads = [threading.Thread(target=each.run, args=(stop,), daemon=True) for each in validators]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


@contextmanager
def process_of(engine: Engine, organisation: str, task: str) -> Iterator[subprocess.Popen[str]]:
    """The organisation's validator as a process, once it works; killed at the end (SIGKILL)."""
    arguments = [
        sys.executable,
        "-m",
        "tests.scenarios.agents",
        str(engine.profiles),
        f"{organisation}-validator",
        task,
    ]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == _RUNS
        yield process
    finally:
        process.kill()
        process.communicate()


def refused_updates(engine: Engine) -> list[str]:
    """Validation codes other than VALID of all transactions so far that hand in updates."""
    with engine.member(ORGANISATIONS[0], "auditor") as auditor:
        newest = height(auditor.network) - 1
        with auditor.network.block_events(start_block=1, end_block=newest) as blocks:
            found = [each for block in blocks for each in zip(block.data.data, validation_codes(block), strict=True)]
    return [
        transaction_pb2.TxValidationCode.Name(code)
        for envelope, code in found
        if b"SubmitUpdates" in envelope and code != transaction_pb2.VALID
    ]


def attesting(view: RoundView) -> set[str]:
    """The organisations whose validators attested."""
    return {name for name in ORGANISATIONS if NAMES[name] in {record.validator for record in view.attestations}}


def main() -> None:
    profiles, name, task = sys.argv[1:]
    with connected(load_profile(Path(profiles), name)) as opened, stopped_by_signals() as stop:
        agent = validator(opened.profile, opened.ledger, task)
        sys.stdout.write(f"{_RUNS}\n")
        sys.stdout.flush()
        agent.run(stop)


if __name__ == "__main__":
    main()
