"""The journal: what was prepared is sent again after a crash, whatever is killed when, and by one process at a time."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedledger.agents.journal import Journal, KeptEvaluation, PendingUpdate
from fedledger.agents.lock import only_one
from fedledger.errors import FedledgerError
from fedledger_chaincode.messages.round import EvaluationReport, SealedShareReference, SignedManifest
from tests.unit.contract.ledger import CHANNEL, MSPS, Consortium

SEALED = tuple(f"sealed share of {msp}".encode() for msp in MSPS)


@pytest.fixture(scope="module")
def pending() -> PendingUpdate:
    consortium = Consortium.active()
    consortium.open(1)
    shares = tuple(SealedShareReference(digest=hashlib.sha256(each).hexdigest(), size=len(each)) for each in SEALED)
    manifest = consortium.manifest(MSPS[0], 1, shares=shares)
    signed = SignedManifest(manifest=manifest, signature=base64.b64encode(b"signature").decode())
    return PendingUpdate(signed, SEALED)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path, CHANNEL)


def test_what_was_written_is_read_again(journal: Journal, pending: PendingUpdate) -> None:
    assert journal.read("study", 1) is None
    journal.write("study", 1, pending)
    assert journal.read("study", 1) == pending


def evaluation(version: int) -> EvaluationReport:
    return EvaluationReport(task="study", version=version, examples=10, auc=None, accuracy=700_000, loss=300_000)


def test_what_is_told_of_a_version_is_kept_until_another_is_told_of(journal: Journal) -> None:
    assert journal.evaluation("study", 1) is None
    journal.keep_evaluation("study", 1, evaluation(1))
    assert journal.evaluation("study", 1) == KeptEvaluation(evaluation(1))
    assert journal.evaluation("study", 2) is None
    journal.keep_evaluation("study", 2, evaluation(2))
    assert journal.evaluation("study", 1) is None
    journal.forget_before("study", 9)
    assert journal.evaluation("study", 2) == KeptEvaluation(evaluation(2))


def test_that_nothing_is_told_is_kept_as_well(journal: Journal) -> None:
    # Noise that leaves no record is not drawn again until it does.
    journal.keep_evaluation("study", 3, None)
    assert journal.evaluation("study", 3) == KeptEvaluation(None)


@pytest.mark.parametrize("damage", [b"", b"3", b"three\n", b"3\n{}"])
def test_an_evaluation_that_something_else_has_changed_is_refused(journal: Journal, damage: bytes) -> None:
    journal.keep_evaluation("study", 3, evaluation(3))
    (place,) = journal._folder.rglob("evaluation*")
    place.write_bytes(damage)
    with pytest.raises(FedledgerError, match="JOURNAL_DAMAGED"):
        journal.evaluation("study", 3)


def test_nobody_else_can_read_it(journal: Journal, pending: PendingUpdate, tmp_path: Path) -> None:
    journal.write("study", 1, pending)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and all(path.stat().st_mode & 0o777 == 0o600 for path in files)


def test_shares_are_not_in_what_is_printed_of_an_update(pending: PendingUpdate) -> None:
    assert "sealed share" not in repr(pending)


def test_earlier_rounds_are_forgotten_and_no_others(journal: Journal, pending: PendingUpdate, tmp_path: Path) -> None:
    others = [
        (journal, "study", 5),
        (journal, "study", 10_000_000),
        (journal, "study-0", 1),
        (journal, "study-0000001", 1),
        (journal, "study--b", 2),
        (Journal(tmp_path, "other"), "study", 1),
    ]
    for each, task, number in [*others, (journal, "study", 1), (journal, "study", 4)]:
        each.write(task, number, pending)
    journal.forget_before("study", 5)
    assert journal.read("study", 1) is None
    assert journal.read("study", 4) is None
    assert all(each.read(task, number) == pending for each, task, number in others)


def test_an_update_is_never_replaced_by_another_of_its_round(journal: Journal, pending: PendingUpdate) -> None:
    journal.write("study", 1, pending)
    other = PendingUpdate(pending.signed.model_copy(update={"signature": "AAAA"}), SEALED)
    with pytest.raises(FedledgerError, match="UNWRITABLE_FILE"):
        journal.write("study", 1, other)
    assert journal.read("study", 1) == pending


@pytest.mark.parametrize("name", ["share-1", "share-4", "manifest.json"])
@pytest.mark.parametrize("damage", [b"", b"damaged", None])
def test_a_damaged_update_is_never_sent(
    journal: Journal, pending: PendingUpdate, tmp_path: Path, name: str, damage: bytes | None
) -> None:
    journal.write("study", 1, pending)
    (file,) = tmp_path.rglob(name)
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    with pytest.raises(FedledgerError, match="JOURNAL_DAMAGED"):
        journal.read("study", 1)


@pytest.mark.parametrize("task", ["..", "../study", "", ".", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(journal: Journal, tmp_path: Path, task: str) -> None:
    for use in (lambda: journal.read(task, 1), lambda: journal.forget_before(task, 1), lambda: journal.held(task)):
        with pytest.raises(ValueError, match="name"):
            use()
    with pytest.raises(ValueError, match="name"):
        Journal(tmp_path, task)


class TestKilledAtAnyMoment:
    """A process that writes is killed at each change of a file or folder in turn, until it gets through."""

    WRITES = """
import os, signal, sys
from pathlib import Path
from fedledger.agents.journal import Journal, KeptEvaluation, PendingUpdate
from fedledger_chaincode.messages.round import SignedManifest

pending = PendingUpdate(
    SignedManifest.decode(bytes.fromhex(sys.argv[2])), tuple(bytes.fromhex(each) for each in sys.argv[3:])
)

def write(folder, left):
    def count(event, arguments):
        nonlocal left
        is_change = event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir") or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if is_change and str(arguments[0]).startswith(str(folder)):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    Journal(folder, "fedledger").write("study", 1, pending)

moment, status = 0, None
while status != 0:
    child = os.fork()
    if not child:
        write(Path(sys.argv[1], str(moment)), moment)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    moment += 1
"""

    def test_it_holds_the_whole_update_or_none(self, tmp_path: Path, pending: PendingUpdate) -> None:
        shares = [each.hex() for each in SEALED]
        arguments = [str(tmp_path), pending.signed.canonical().hex(), *shares]
        subprocess.run([sys.executable, "-c", self.WRITES, *arguments], check=True)
        found = {}
        for folder in sorted(tmp_path.iterdir(), key=lambda each: int(each.name)):
            journal = Journal(folder, CHANNEL)
            found[folder.name] = journal.read("study", 1)
            if found[folder.name] is None:
                journal.write("study", 1, pending)
                assert journal.read("study", 1) == pending
            journal.forget_before("study", 2)
            assert not [path for path in folder.rglob("*") if path.is_file()]
        assert len(found) > 10
        assert next(iter(found.values())) is None
        assert list(found.values())[-1] == pending
        assert set(map(type, found.values())) == {type(None), PendingUpdate}


HOLDS = """
import sys, time
from pathlib import Path
from fedledger.agents.journal import Journal

with Journal(Path(sys.argv[1]), "fedledger").held("study"):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the journal of task ``study``; killed at the end."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "held"
        yield process
    finally:
        process.kill()
        process.communicate()


class TestASecondProcess:
    def test_is_told_which_one_runs(self, journal: Journal, tmp_path: Path) -> None:
        with another_process(tmp_path) as first:
            with pytest.raises(FedledgerError, match="AGENT_RUNS") as refusal, journal.held("study"):
                pass
            assert str(first.pid) in refusal.value.message
            assert "study" in refusal.value.message

    def test_may_work_on_another_task_and_another_channel(self, journal: Journal, tmp_path: Path) -> None:
        with another_process(tmp_path), journal.held("study-0"), Journal(tmp_path, "other").held("study"):
            pass

    def test_takes_over_from_one_that_was_killed(self, journal: Journal, tmp_path: Path) -> None:
        with another_process(tmp_path) as first:
            first.kill()
            first.wait()
            with journal.held("study"):
                pass

    def test_takes_over_although_a_living_process_has_the_number_of_the_dead_one(
        self, journal: Journal, tmp_path: Path
    ) -> None:
        with journal.held("study"):
            pass
        (lock,) = tmp_path.rglob("lock")
        lock.write_text(f"{os.getppid()}\n")
        with journal.held("study"):
            assert lock.read_text() == f"{os.getpid()}\n"

    def test_is_kept_out_by_a_thread_as_well(self, journal: Journal) -> None:
        refusals = []

        def second() -> None:
            try:
                with journal.held("study"):
                    pass
            except FedledgerError as error:
                refusals.append(error.code)

        with journal.held("study"):
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
        second()
        assert refusals == ["AGENT_RUNS"]

    def test_finds_no_lock_that_a_child_of_the_first_still_holds(self, journal: Journal) -> None:
        with journal.held("study"):
            child = subprocess.Popen(["sleep", "600"], close_fds=False)
        try:
            with journal.held("study"):
                pass
        finally:
            child.kill()
            child.wait()


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FedledgerError, match="UNWRITABLE_FILE"), only_one(tmp_path / "lock", "agent"):
        pass
    assert not (tmp_path / "elsewhere").exists()
