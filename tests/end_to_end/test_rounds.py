"""Four rounds in which a site leaves and a validator is killed, and in which nobody but its owner sees an update."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedledger.agents.participant import Contribution, Participant
from fedledger.audit.sources import verify_network
from fedledger.cli import participant
from fedledger.cli.session import Session, connected
from fedledger.errors import FedledgerError
from fedledger.ledger import LedgerEvent, TaskLedger
from fedledger.secure_aggregation import SealingKey, disclosable, encode_update
from fedledger_chaincode.messages.round import SignedManifest
from fedledger_chaincode.messages.views import MemberView, RoundView, SubmissionResult
from fedledger_chaincode.rules.field import MODULUS
from fedledger_network.embedded import running
from fedledger_network.embedded.processes import ChildProcess

from .hospitals import TASK, Hospitals, hospitals
from .search import encodings, holds_numbers, places_of

ROUNDS = 4
LEAVES, LAST_ROUND = "long_beach_va", 2
KILLED, KILLED_IN = "switzerland", 2
DOUBLED = "hungary"
"""Two processes with one key take part in round 1, until one is told."""
LATE = "cleveland"
"""Comes when both have sent, so that the round is still open for the second."""


@dataclass
class Story:
    """What happened, and what was to be seen on the way."""

    rounds: dict[int, RoundView] = field(default_factory=dict, repr=False)
    members: tuple[MemberView, ...] = ()
    task_state: str = ""
    audit_ok: bool = False
    updates: dict[tuple[str, int], np.ndarray] = field(default_factory=dict, repr=False)
    """float32[d] by site and round, from the participants' own mouths."""
    integers: dict[tuple[str, int], np.ndarray] = field(default_factory=dict, repr=False)
    """The same as the fixed-point integers that are shared."""
    share_plaintexts: list[bytes] = field(default_factory=list, repr=False)
    records: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    """Features of each site's training records."""
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    """Every file below the network's folder, blocks and logs among them; stores and journals as they were whenever an
    update had been delivered, for sealed shares are erased."""
    stopped: list[str] = field(default_factory=list)
    """Code of the error with which a participant ended."""
    processes_searched: tuple[str, ...] = ()
    """The node, the contract and the validators, while the last round but one was on."""
    memories_with_an_update: tuple[str, ...] = ()
    restarted: threading.Event = field(default_factory=threading.Event, repr=False)
    """Whether the killed validator works again."""
    own_memory_found: bool = False
    """Whether the same search finds the updates in the participants' own process."""


@dataclass
class AtOnce:
    """A ledger as two processes have it that send in the same moment: the first update waits for the other."""

    ledger: TaskLedger
    both: threading.Barrier

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def submit_updates(self, updates: Sequence[SignedManifest]) -> tuple[SubmissionResult, ...]:
        if updates[0].manifest.round == 1:
            self.both.wait(120)
        return self.ledger.submit_updates(updates)


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Story:
    told = Story()
    with hospitals(
        tmp_path_factory.mktemp("hospitals"),
        training__rounds=str(ROUNDS),
        deadlines__updates="120",
        deadlines__attestations="8",
        deadlines__aggregates="8",
    ) as together:
        together.agree()
        _run(together, told)
        with together.acting("cleveland-auditor") as opened:
            told.rounds = {number: opened.ledger.round(TASK, number) for number in range(1, ROUNDS + 1)}
            told.members = opened.ledger.members(TASK)
            told.task_state = opened.ledger.task(TASK).record.state
            told.audit_ok = verify_network(opened.network).ok
        _see_files(together, told, "**/*")
    return told


def _run(together: Hospitals, told: Story) -> None:
    validators = {o.name: _validator(together, o.name) for o in together.organisations}
    lock = threading.Lock()
    with ExitStack() as sessions:
        threads = {}
        journals = {o.name: together.profile(f"{o.name}-participant").participant for o in together.organisations}
        journals["twin"] = together.folder / "twin"
        both = threading.Barrier(2)
        for name, journal in journals.items():
            site = DOUBLED if name == "twin" else name
            profile = replace(together.profile(f"{site}-participant"), participant=journal)
            opened = sessions.enter_context(connected(profile))
            agent = participant.build(opened, TASK, str(together.package), site)
            if site == DOUBLED:
                agent.ledger = AtOnce(agent.ledger, both)
            told.records[site] = agent.data.train.x
            stop = threading.Event()
            agent.on_contribution = _listener(together, told, agent, opened, stop, lock, validators)
            threads[name] = threading.Thread(target=_take_part, args=(agent, stop, told), daemon=True)
        watching = sessions.enter_context(together.acting("cleveland-auditor"))
        events = watching.ledger.decoded_events(start_block=0)
        for name, thread in threads.items():
            if name != LATE:
                thread.start()
        for event in events:
            _interfere(together, told, validators, event)
            if event.name == "EquivocationProven":
                threads[LATE].start()
            if event.name == "ModelPublished" and event.fields["version"] == ROUNDS:
                break
        events.close()
        for thread in threads.values():
            thread.join(60)
            assert not thread.is_alive()
    for process in validators.values():
        assert process.wait(30) == 0
        process.stop()


def _take_part(agent: Participant, stop: threading.Event, told: Story) -> None:
    try:
        agent.run(stop)
    except FedledgerError as error:
        told.stopped.append(error.code)


def _validator(together: Hospitals, name: str) -> ChildProcess:
    command = [sys.executable, "-m", "fedledger", "--verbose", "validator", "run", TASK, "--patience", "0.3"]
    command += ["--package", str(together.package), "--config", str(together.network.profiles)]
    command += ["--profile", f"{name}-validator"]
    return ChildProcess(command, together.network.path / f"{name}-validator.log")


def _interfere(together: Hospitals, told: Story, validators: dict[str, ChildProcess], event: LedgerEvent) -> None:
    """Kill a validator when its round opens, and start it again when it is over."""
    if event.name == "RoundOpened" and event.fields["round"] == KILLED_IN:
        os.kill(validators[KILLED].pid, signal.SIGKILL)
        validators[KILLED].stop()
    if event.name == "ModelPublished" and event.fields["version"] == KILLED_IN:
        validators[KILLED] = _validator(together, KILLED)
        told.restarted.set()


def _listener(together, told, agent: Participant, opened: Session, stop, lock, validators):
    def contributed(contribution: Contribution) -> None:
        assert contribution.result is not None
        key = (agent.site, contribution.round)
        with lock:
            spec = opened.ledger.task(TASK).record.spec
            told.updates[key] = contribution.result.update
            told.integers[key] = encode_update(
                contribution.result.update, spec.aggregation.clip_norm / 1e6, spec.aggregation.quantised_norm
            )
            told.share_plaintexts += _shares_in_the_clear(together, agent, contribution.round)
            # All else only grows and is looked at in the end.
            _see_files(together, told, "organisations/*/store/**/*")
            _see_files(together, told, "organisations/*/participant/**/*")
            if contribution.round == ROUNDS - 1 and not told.processes_searched:
                assert told.restarted.wait(60)
                _search_memories(told, _others(together, validators))
        if agent.site == LEAVES and contribution.round == LAST_ROUND:
            opened.ledger.leave_task(TASK)
            stop.set()

    return contributed


def _shares_in_the_clear(together: Hospitals, agent: Participant, number: int) -> list[bytes]:
    """As only the validators can open them, all four together, which nobody is."""
    pending = agent.journal.read(TASK, number)
    assert pending is not None
    shares = []
    for point, (organisation, sealed) in enumerate(zip(together.organisations, pending.sealed, strict=True), start=1):
        file = together.profile(f"{organisation.name}-validator").sealing_key
        assert file is not None
        opened = disclosable(sealed, pending.signed.manifest, point, SealingKey.from_pem(file.read_bytes()))
        assert opened is not None
        shares.append(opened)
    return shares


def _see_files(together: Hospitals, told: Story, pattern: str) -> None:
    root = together.network.path
    for path in root.glob(pattern):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue  # a share that was erased in this moment
        told.files[f"{path.relative_to(root)} {hashlib.sha256(content).hexdigest()}"] = content


def _others(together: Hospitals, validators: dict[str, ChildProcess]) -> dict[str, int]:
    """Process ids of everybody but the participants."""
    node = running.status(together.network)
    assert node is not None
    children = [
        int(pid)
        for thread in Path(f"/proc/{node.pid}/task").iterdir()
        for pid in (thread / "children").read_text().split()
    ]
    return (
        {"node": node.pid}
        | {f"contract {pid}": pid for pid in children}
        | {f"{name} validator": process.pid for name, process in validators.items()}
    )


def _search_memories(told: Story, processes: dict[str, int]) -> None:
    stretches = []
    for (site, number), update in list(told.updates.items()):
        if number == 1:
            place = int(np.argmax(np.abs(update[:-3])))
            integers = told.integers[site, number][place : place + 3]
            stretches += [update[place : place + 3], integers, (integers % MODULUS).astype("<u8")]
    told.memories_with_an_update = tuple(name for name, pid in processes.items() if holds_numbers(pid, stretches))
    told.processes_searched = tuple(processes)
    told.own_memory_found = holds_numbers(os.getpid(), stretches)


def test_rounds_go_on_when_a_site_leaves(story):
    assert story.task_state == "completed"
    for number, view in story.rounds.items():
        assert view.record.state == "finalised"
        accepted = {update.msp for update in view.settlement.updates if update.verdict == "accepted"}
        expected = {"ClevelandMSP", "HungaryMSP", "LongBeachVaMSP", "SwitzerlandMSP"}
        assert accepted == expected - ({"HungaryMSP"} if number == 1 else set()) - (
            {"LongBeachVaMSP"} if number > LAST_ROUND else set()
        )


def test_two_processes_with_one_key_are_found_out_and_both_manifests_are_kept(story):
    (found,) = story.rounds[1].equivocations
    assert story.stopped == ["EQUIVOCATION"]
    assert found.first.manifest != found.second.manifest
    assert found.first.manifest.participant == found.second.manifest.participant
    verdicts = {update.msp: update.verdict for update in story.rounds[1].settlement.updates}
    assert verdicts["HungaryMSP"] == "refused: equivocation"


def test_who_left_keeps_what_it_earned_and_the_epsilon_that_it_spent(story):
    gone = next(member for member in story.members if member.member.msp == "LongBeachVaMSP")
    stayed = next(member for member in story.members if member.member.msp == "ClevelandMSP")
    assert gone.standing.contributions == LAST_ROUND
    assert 0 < gone.standing.epsilon < stayed.standing.epsilon
    assert 0 < gone.balance < stayed.balance


def test_a_round_ends_without_a_validator_that_was_killed_and_with_it_when_it_is_back(story):
    def attested(number: int) -> set[str]:
        return {record.validator for record in story.rounds[number].attestations}

    assert attested(KILLED_IN) == {"ClevelandMSP", "HungaryMSP", "LongBeachVaMSP"}
    assert "SwitzerlandMSP" in attested(KILLED_IN + 1) | attested(ROUNDS)


def test_the_audit_finds_nothing_wrong(story):
    assert story.audit_ok


def test_no_artifact_block_or_log_holds_an_update_in_the_clear(story):
    assert len(story.updates) == 4 * LAST_ROUND + 3 * (ROUNDS - LAST_ROUND)
    needles: set[bytes] = set()
    for key, update in story.updates.items():
        integers = story.integers[key]
        needles |= encodings(update) | encodings(integers) | encodings((integers % MODULUS).astype(np.uint64))
    assert places_of(needles, story.files) == []


def test_no_artifact_block_or_log_holds_a_share_in_the_clear(story):
    assert len(story.share_plaintexts) == 4 * len(story.updates)
    needles = {plaintext[len(plaintext) // 2 :][:24] for plaintext in story.share_plaintexts}
    assert places_of(needles, story.files) == []


def test_no_artifact_block_or_log_holds_a_record(story):
    needles = {raw for features in story.records.values() for row in features[:50] for raw in encodings_of_row(row)}
    assert places_of(needles, story.files) == []


def encodings_of_row(row: np.ndarray) -> set[bytes]:
    """The first six features, which are the measured numbers, in binary."""
    return {row[:6].astype(kind).tobytes() for kind in ("<f4", "<f8")}


def test_no_memory_of_node_contract_or_validators_holds_an_update(story):
    assert len(story.processes_searched) == 6
    assert story.memories_with_an_update == ()
    assert story.own_memory_found


def test_the_search_finds_what_is_there(story):
    (site, number), update = next(iter(story.updates.items()))
    integers = story.integers[site, number]
    for content in (
        b"x" + update.tobytes(),
        b"xy" + integers.astype(">i8").tobytes(),
        ("[" + ", ".join(repr(value.item()) for value in update) + "]").encode(),
        base64.b64encode(b"12" + update.tobytes()),
    ):
        assert places_of(encodings(update) | encodings(integers), {"file": content}) == ["file"]
    shares = [name for name in story.files if "/shares/" in name]
    assert shares, "sealed shares were there to be searched while their round was on"
