"""What a demo shows of its rounds, read from the ledger alone: events say when, records say what."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from fedledger.cli.demo.fates import Books, Fate, ValidatorFate, participant_fates, validator_fates
from fedledger.gateway import ChaincodeEvent, CloseableIterator
from fedledger.ledger import LedgerEvent
from fedledger.ledger.patient import GivenUp, PatientLedger
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView


@dataclass(frozen=True)
class RoundRow:
    """One round that has ended."""

    round: int
    state: str
    """``finalised`` or ``aborted``."""
    reason: str
    """Why it was aborted."""
    version: int | None
    accepted: tuple[str, ...]
    """Sites."""
    refused: Mapping[str, str]
    """Verdict by site."""
    absent: tuple[str, ...]
    epsilon: Mapping[str, float]
    """Cumulative epsilon by site, of those that have contributed so far."""
    auc: Mapping[str, float]
    """AUC of the new model by site, on the site's own held-out records, as published."""
    participants: tuple[Fate, ...]
    validators: tuple[ValidatorFate, ...]
    """Those that did not do their duty."""
    seconds: float | None
    """From opening to end; None when this process did not see it."""
    block: int
    transaction: str

    def document(self) -> dict[str, Any]:
        """The row as JSON."""
        return {
            "round": self.round,
            "state": self.state,
            "reason": self.reason,
            "accepted": list(self.accepted),
            "refused": dict(self.refused),
            "absent": list(self.absent),
            "epsilon": dict(self.epsilon),
            "auc": dict(self.auc),
            "participants": [asdict(fate) for fate in self.participants],
            "validators": [asdict(fate) for fate in self.validators],
            "seconds": self.seconds,
            "block": self.block,
            "tx": self.transaction,
        }


@dataclass
class RoundWatch:
    """Turns the events of one task into rows; each row is complete when all sites have judged its model."""

    ledger: PatientLedger
    task: str
    sites: Mapping[str, str]
    """Site by MSP id."""
    on_row: Callable[[RoundRow], None]
    on_progress: Callable[[str], None]
    on_news: Callable[[str], None] = lambda _: None
    """Of rounds that have been told already: what became of disputes."""
    silent: Collection[str] = ()
    """Sites of which no figures are expected: they have fewer held-out records than are told of."""
    started_at: int = field(default_factory=lambda: int(time.time()))
    """Seconds since the epoch."""
    rows: list[RoundRow] = field(default_factory=list)
    _opened: dict[int, float] = field(default_factory=dict)
    _ended: dict[int, LedgerEvent] = field(default_factory=dict)
    _took: dict[int, float | None] = field(default_factory=dict)
    _contributions: dict[str, int] = field(default_factory=dict)
    """By site: rounds whose fixed set held an update of it."""
    _ruled: set[tuple[int, str, str]] = field(default_factory=set)
    """Rulings heard of: round, participant, accused validator."""
    _events: CloseableIterator[ChaincodeEvent] | None = None
    _given_up: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._books = Books(self.task)

    @cached_property
    def _spec(self) -> TaskSpec:
        return self.ledger.task(self.task).record.spec

    def follow(self) -> None:
        """Read events from the first block until the task has ended and its last row is complete, or ``give_up``.

        A peer that goes away is waited for, or another one is asked, where the profile names any.
        """
        with suppress(GivenUp), closing(self.ledger.events(start_block=0)) as events:
            self._events = events
            if self._given_up.is_set():
                return
            for raw in events:
                event = LedgerEvent.decode(raw)
                if event.task == self.task:
                    self._note(event)
                    if self._is_over():
                        return

    def give_up(self) -> None:
        """Let ``follow`` return; from any thread."""
        self._given_up.set()
        self.ledger.give_up()
        if self._events is not None:
            self._events.close()

    def _note(self, event: LedgerEvent) -> None:
        number = event.fields.get("round", 0)
        self._books.note(event)
        match event.name:
            case "RoundOpened":
                self._opened[number] = time.monotonic()
                self._complete_older(number)
                self.on_progress(f"round {number}: waiting for updates")
            case "UpdateReceived":
                self.on_progress(f"round {number}: {self._sites_of(event)} delivered")
            case "ClaimedLate":
                self.on_progress(f"round {number}: {event.fields['phase']} are late, says {self._site(event)}")
            case "SharesDisclosed" | "DealingJudged":
                self._note_rulings(event)
            case "RoundClosed":
                self._end_if_aborted(event)
                self.on_progress(f"round {number}: validators check {event.fields['updates']} updates")
            case "RoundSettled":
                self._end_if_aborted(event)
                self.on_progress(f"round {number}: {event.fields['accepted']} accepted; adding shares")
            case "ModelPublished":
                self._end(event)
                self.on_progress(f"round {number}: model {event.fields['version']} is published; sites judge it")
            case "RoundAborted":
                self._end(event)
            case "ModelEvaluated":
                self._complete(event.fields["version"])

    def _sites_of(self, event: LedgerEvent) -> str:
        msps = {view.member.participant: view.member.msp for view in self.ledger.members(self.task)}
        names = (msps.get(participant, participant[:16]) for participant in event.fields["participants"])
        return ", ".join(self.sites.get(name, name) for name in names)

    def _site(self, event: LedgerEvent) -> str:
        msp = event.fields["validator"]
        return self.sites.get(msp, msp)

    def _note_rulings(self, event: LedgerEvent) -> None:
        """Tell rulings, and correct what was told of stakes in their round and since."""
        number, rulings = event.fields["round"], event.fields["rulings"]
        self._ruled |= {(number, ruling["participant"], ruling["validator"]) for ruling in rulings}
        for msp, ruling in dict.fromkeys((each["validator"], each["ruling"]) for each in rulings):
            said = "did not lie: it was dealt a false share" if ruling == "confirms" else "is convicted"
            self.on_news(f"round {number}: the validator of {self.sites.get(msp, msp)} {said}")
        for place, row in enumerate(self.rows):
            if row.round >= number:
                view = self.ledger.round(self.task, row.round)
                self.rows[place] = replace(row, **self._fates(view, row.version))

    def _fates(self, view: RoundView, version: int | None) -> dict[str, Any]:
        """What became of participants and validators, as far as that is known."""
        liars = self.ledger.model(self.task, version).liars if version is not None else ()
        return {
            "participants": participant_fates(self._spec, view, self._books, self.sites),
            "validators": validator_fates(self._spec, view, self._books, self.sites, liars),
        }

    def _end_if_aborted(self, event: LedgerEvent) -> None:
        if event.fields["state"] == "aborted":
            self._end(event)

    def _end(self, event: LedgerEvent) -> None:
        number = event.fields["round"]
        self._took[number] = self._seconds(number)
        self._ended[number] = event
        if event.name != "ModelPublished" or not self._awaited(number, event.fields["version"]):
            self._print(number)

    def _seconds(self, number: int) -> float | None:
        """How long the round took; None when it ended before this process began to watch."""
        if self.ledger.round(self.task, number).record.opened_at < self.started_at:
            return None
        return time.monotonic() - self._opened[number]

    def _complete(self, version: int) -> None:
        """Print the round of a version once everybody has judged it."""
        for number, event in list(self._ended.items()):
            if event.fields.get("version") == version:
                told = {evaluation.participant for evaluation in self.ledger.evaluations(self.task, version)}
                if self._awaited(number, version) <= told:
                    self._print(number)

    def _awaited(self, number: int, version: int) -> set[str]:
        """Participants of a round that will tell the area under the curve which its row shows."""
        terms = self._spec.agreement.evaluations
        if terms.published != "rounded" or version % terms.every:
            return set()
        cohort = self.ledger.round(self.task, number).cohort.participants
        return {entry.participant for entry in cohort if self.sites.get(entry.msp) not in self.silent}

    def _complete_older(self, number: int) -> None:
        """Print rounds two before the new one although somebody has not judged their model."""
        for older in [ended for ended in self._ended if ended < number - 1]:
            self._print(older)

    def _print(self, number: int) -> None:
        """Print a round, and before it every older one that was still waited for."""
        for older in sorted(ended for ended in self._ended if ended < number):
            self._print(older)
        event = self._ended.pop(number)
        row = self._row(self.ledger.round(self.task, number), event)
        self.rows.append(row)
        self.on_row(row)

    def _row(self, view: RoundView, event: LedgerEvent) -> RoundRow:
        version = event.fields.get("version")
        site_of = {entry.participant: self.sites.get(entry.msp, entry.msp) for entry in view.cohort.participants}
        verdicts = {site_of[u.participant]: u.verdict for u in view.settlement.updates} if view.settlement else {}
        msp_of = {entry.participant: entry.msp for entry in view.cohort.participants}
        for update in view.fixed.updates if view.fixed else ():
            msp = msp_of[update.participant]
            self._contributions[msp] = self._contributions.get(msp, 0) + 1
        judged = self.ledger.evaluations(self.task, version) if version is not None else ()
        return RoundRow(
            round=view.record.round,
            state=view.record.state,
            reason=view.record.reason,
            version=version,
            accepted=tuple(site for site, verdict in verdicts.items() if verdict == "accepted"),
            refused={s: verdict for s, verdict in verdicts.items() if verdict not in ("accepted", "absent")},
            absent=tuple(site for site in site_of.values() if verdicts.get(site, "absent") == "absent"),
            epsilon={
                self.sites.get(msp, msp): self._spec.privacy_of(msp).epsilon_after(count) / MICRO
                for msp, count in self._contributions.items()
            },
            auc={self.sites.get(e.msp, e.msp): e.report.auc / MICRO for e in judged if e.report.auc is not None},
            **self._fates(view, version),
            seconds=self._took.get(view.record.round),
            block=event.block_number,
            transaction=event.transaction_id,
        )

    def _is_over(self) -> bool:
        """Whether the task has ended, all its rounds are told and nothing is disputed in any of them; it may have ended
        before this began to watch."""
        if self._ended:
            return False
        view = self.ledger.task(self.task)
        if view.record.state not in ("completed", "stopped") or view.head is None:
            return False
        rounds = view.head.round if view.head.round_state in ("finalised", "aborted") else view.head.round - 1
        return len(self.rows) >= rounds and self._accused() <= self._ruled

    def _accused(self) -> set[tuple[int, str, str]]:
        """All accusations in the rounds that were told, as rulings name them."""
        views = (self.ledger.round(self.task, row.round) for row in self.rows)
        return {
            (view.record.round, each.participant, each.validator)
            for view in views
            if view.dispute is not None
            for each in view.dispute.accusations
        }
