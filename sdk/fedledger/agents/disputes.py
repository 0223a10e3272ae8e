"""A validator's part in disputes about dealing: to show its share when it is accused, to judge others' that are shown.

docs/protocol/secure-aggregation.md, section 11. Disputes decide about stakes alone and hold up no round, so that those
of older rounds go on beside the newest one, and after a task's end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from fedledger.agents.stopwatch import Stopwatch
from fedledger.agents.stores import Areas, ValidatorStore, find_artifact
from fedledger.ledger import TaskLedger
from fedledger.secure_aggregation import AggregateError, Parameters, SealingKey, disclosable, judge_disclosure
from fedledger.store import StoreError
from fedledger_chaincode.messages.round import (
    DealingVote,
    DealingVotes,
    DisclosedShare,
    Disclosure,
    Manifest,
    Opening,
    UpdateFinding,
)
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.disputes import Vote

_log = structlog.get_logger(__name__)
_PHASE = "dispute"
_MOST_PAUSES = 4
"""Of the time for a dispute one part in so many is the longest pause between two tries to fetch something."""
_REST = 4
"""Parts of time that a slow store leaves to everything else, for one that it takes."""
_Key = tuple[int, str, str]
"""Round, participant, accused validator."""


@dataclass(frozen=True)
class Case:
    """An accusation on which nothing is ruled, as one of its judges sees it."""

    participant: str
    validator: str
    shown: DisclosedShare | None
    """What the accused has disclosed."""
    said: Vote | None
    """The judge's own vote so far."""


def doubted(view: TaskView, current: RoundView, msp: str) -> tuple[str, ...]:
    """Participants of whose updates the validator of ``msp`` has to show its share, and has not yet."""
    shown = {
        share.participant
        for record in current.disclosures
        if record.validator == msp
        for share in record.disclosure.shares
    }
    return tuple(
        each.participant
        for each in view.accusations
        if (each.round, each.validator) == (current.record.round, msp) and each.participant not in shown
    )


def cases(view: TaskView, current: RoundView, msp: str) -> tuple[Case, ...]:
    """Accusations of other validators that ``msp`` has not confirmed."""
    shown = {
        (share.participant, record.validator): share
        for record in current.disclosures
        for share in record.disclosure.shares
    }
    said = {
        (vote.participant, vote.validator): vote.vote
        for record in current.votes
        if record.judge == msp
        for vote in record.votes.votes
    }
    found = []
    for each in view.accusations:
        key = (each.participant, each.validator)
        if each.round == current.record.round and each.validator != msp and said.get(key) != "confirms":
            found.append(Case(*key, shown=shown.get(key), said=said.get(key)))
    return tuple(found)


def manifests_of(current: RoundView) -> dict[str, Manifest]:
    """By participant; of a round of protocol 1, in which nothing is left to do, none."""
    manifests = (update.signed.manifest for update in current.updates)
    return {manifest.participant: manifest for manifest in manifests if isinstance(manifest, Manifest)}


def posted_opening(current: RoundView, participant: str, msp: str) -> Opening | None:
    """What the validator of ``msp`` attested of an update; None when it attested nothing."""
    for record in current.attestations:
        if record.validator == msp:
            for finding in record.attestation.findings:
                if finding.participant == participant and isinstance(finding, UpdateFinding):
                    return finding.opening
    return None


@dataclass
class Disputes:
    """What one validator does about accusations in one task."""

    ledger: TaskLedger
    task: str
    msp: str
    store: ValidatorStore
    sealing_key: SealingKey = field(repr=False)
    stopwatch: Stopwatch
    patience: float
    """Seconds."""
    areas: Areas
    _judged: dict[_Key, Vote] = field(default_factory=dict, repr=False)
    """What was fetched and judged: it does not change."""
    _next_try: dict[_Key, tuple[float, float]] = field(default_factory=dict, repr=False)
    """When to try again to fetch something, by the stopwatch's own seconds, and how long the pause was."""

    def disclose(self, view: TaskView, current: RoundView) -> None:
        """Show the shares that others doubt, all at once.

        A share is one of the secrets that protect an update: one that would not confirm what was told is kept.

        Raises:
            StoreError: the own store cannot be used now.
            AggregateError: ``SHARE_LOST``, one is not to be shown; all others are.
        """
        spec, number = view.record.spec, current.record.round
        point = spec.aggregation.validators.index(self.msp) + 1
        shares, lost = [], []
        for participant in doubted(view, current, self.msp):
            plaintext = self._plaintext(current, participant, Parameters.of_task(spec), point)
            if plaintext is None:
                lost.append(participant[:16])
                continue
            digest = self.store.artifacts.put(plaintext)
            shares.append(DisclosedShare(participant=participant, digest=digest, size=len(plaintext)))
        if shares:
            self.ledger.disclose_shares(Disclosure(task=self.task, round=number, shares=tuple(shares)))
        if lost:
            raise AggregateError(
                "SHARE_LOST",
                f"Shares of the updates of {', '.join(lost)} are doubted, and what is left of them confirms nothing.",
                "Restore the validator's sealing key and its artifact store.",
            )

    def _plaintext(self, current: RoundView, participant: str, parameters: Parameters, point: int) -> bytes | None:
        """What was sealed to this validator; None when it is lost, or yields other values than it has told."""
        manifest, number = manifests_of(current)[participant], current.record.round
        posted = posted_opening(current, participant, self.msp)
        try:
            sealed = self.store.shares_of(self.ledger.channel, self.task, number).get(
                manifest.shares[point - 1].digest, parameters.sealed_bytes
            )
        except StoreError as reason:
            if reason.code == "STORE_UNAVAILABLE":
                raise
            return None
        plaintext = disclosable(sealed, manifest, point, self.sealing_key)
        if plaintext is None or posted is None:
            return None
        confirms = judge_disclosure(plaintext, posted, manifest, parameters, point) == "confirms"
        return plaintext if confirms else None

    def judge(self, view: TaskView, current: RoundView) -> tuple[bool, float]:
        """Vote on all accusations of a round on which there is something new to say.

        Returns:
            Whether a vote was cast, and after how many seconds there may be more to say.
        """
        number, seconds = current.record.round, view.record.spec.deadlines.disputes
        left = seconds - self.stopwatch.waited(number, _PHASE)
        votes, waits = [], []
        for case in cases(view, current, self.msp):
            vote, again = self._found(view, current, case)
            if vote is None and left <= 0:
                vote = "denies"
            if vote is not None and vote != case.said:
                votes.append(DealingVote(participant=case.participant, validator=case.validator, vote=vote))
            waits += [again] if left <= 0 else [again, left]
        if votes:
            self.ledger.vote_dealing(DealingVotes(task=self.task, round=number, votes=tuple(votes)))
        return bool(votes), min(waits, default=float(seconds))

    def forget(self, pending: Mapping[int, RoundView]) -> None:
        """Forget rounds in which nothing is disputed any more."""
        self.stopwatch.keep(pending)
        self._judged = {key: vote for key, vote in self._judged.items() if key[0] in pending}
        self._next_try = {key: when for key, when in self._next_try.items() if key[0] in pending}

    def _found(self, view: TaskView, current: RoundView, case: Case) -> tuple[Vote | None, float]:
        """What the disclosed bytes say, None while they are not to be had, and when to look again."""
        spec, number = view.record.spec, current.record.round
        longest = max(self.patience, spec.deadlines.disputes / _MOST_PAUSES)
        key = (number, case.participant, case.validator)
        if key in self._judged:
            return self._judged[key], longest
        posted = posted_opening(current, case.participant, case.validator)
        manifest = manifests_of(current).get(case.participant)
        if case.shown is None or posted is None or manifest is None:
            return None, longest
        now = self.stopwatch.now()
        due, pause = self._next_try.get(key, (now, self.patience / 2))
        if now < due:
            return None, due - now
        parameters = Parameters.of_task(spec)
        try:
            plaintext = find_artifact(self.areas(view), case.shown.digest, parameters.plaintext_bytes)
        except StoreError as reason:
            if key not in self._next_try:
                _log.warning("a share is not to be had", round=number, validator=case.validator, reason=str(reason))
            took = self.stopwatch.now() - now
            pause = max(min(2 * pause, longest), _REST * took)
            self._next_try[key] = (now + took + pause, pause)
            return None, pause
        point = spec.aggregation.validators.index(case.validator) + 1
        self._judged[key] = judge_disclosure(plaintext, posted, manifest, parameters, point)
        return self._judged[key], longest
