"""Members that keep submitting while programs are killed: every task they propose is theirs alone, so none conflict."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fedledger.errors import FedledgerError
from fedledger.gateway import Deadlines, GatewayError
from fedledger.ledger import TaskLedger
from fedledger_network.fabric import FabricNetwork
from tests.fabric.ledger import channel
from tests.unit.contract.ledger import task_spec

PAUSE_SECONDS = 0.1
PATIENCE_SECONDS = 240.0
"""No measure of speed: SmartBFT doubles its wait with each leader it tries, and one orderer that is still catching up
when another stops leaves the channel without a quorum until it has."""
ONE_SUBMISSION_SECONDS = sum((Deadlines.endorse, Deadlines.submit, Deadlines.commit_status)) + 15.0
"""What a submission may take that is under way when the load ends, and some more."""


@dataclass
class Load:
    """What was submitted so far: by name, the tasks that are committed, and what failed before it was repeated."""

    committed: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    bugs: list[BaseException] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def goes_on(self, submissions: int = 5) -> None:
        """Return when that many further submissions are committed."""
        wanted = len(self.committed) + submissions
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.committed) < wanted:
            assert not self.bugs, self.bugs
            assert time.monotonic() < deadline, f"submissions stopped; the last failures: {self.failures[-3:]}"
            time.sleep(0.05)

    def propose(self, ledger: TaskLedger) -> None:
        """Propose tasks until stopped; a failed submission is repeated as it is, which the contract allows for."""
        try:
            while not self.stopped.is_set():
                task = f"load-{secrets.token_hex(5)}"
                while not self.stopped.is_set():
                    try:
                        ledger.propose_task(task_spec(task=task))
                        self.committed.append(task)
                        break
                    except GatewayError as error:
                        self.failures.append(str(error))
                        self.stopped.wait(PAUSE_SECONDS)
                self.stopped.wait(PAUSE_SECONDS)
        except FedledgerError as error:
            self.bugs.append(error)


@contextmanager
def under_load(network: FabricNetwork, *organisations: str, anywhere: bool = False) -> Iterator[Load]:
    """Load through the peers of ``organisations``, or with ``anywhere`` any others, while the context lasts."""
    load = Load()

    def run(organisation: str) -> None:
        with channel(network, f"{organisation}-governor", anywhere=anywhere) as opened:
            load.propose(TaskLedger(opened, "fedledger"))

    threads = [threading.Thread(target=run, args=(each,), daemon=True) for each in organisations]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stopped.set()
        for thread in threads:
            thread.join(ONE_SUBMISSION_SECONDS)
    assert not any(thread.is_alive() for thread in threads)


def missing(network: FabricNetwork, load: Load) -> list[str]:
    """What was reported committed and some organisation's peer does not know."""
    lost = []
    for organisation in network.config.consortium.organisations:
        with channel(network, f"{organisation.name}-auditor") as opened:
            known = {task.task for task in TaskLedger(opened, "fedledger").tasks()}
        lost += [f"{organisation.name}: {task}" for task in load.committed if task not in known]
    return lost
