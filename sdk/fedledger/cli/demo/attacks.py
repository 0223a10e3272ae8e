"""Participants and validators that misbehave, for ``fedledger demo --attack``: to show what happens to them.

Each differs from the honest agent in one thing. What is done about it is done by the honest ones and the ledger.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from enum import StrEnum
from functools import partial
from typing import get_args

import numpy as np

from fedledger.agents.disputes import doubted
from fedledger.agents.duties import Duty
from fedledger.agents.participant import Participant
from fedledger.agents.reference import ReferenceUpdate
from fedledger.agents.steps import Step
from fedledger.agents.validator import Validator
from fedledger.cli.demo.ahead import LedgerAhead
from fedledger.cli.demo.cheating import cheat
from fedledger.ledger import LedgerRefusal, TaskLedger
from fedledger.secure_aggregation import Parameters, PreparedUpdate, UpdateContext, encode_direction
from fedledger.secure_aggregation.encoding import Integers
from fedledger.secure_aggregation.opening import element_hex
from fedledger.training import LocalResult, Split
from fedledger.training.weights import Float32Array
from fedledger_chaincode.messages.round import (
    AbortRequest,
    DisclosedShare,
    Disclosure,
    LateClaim,
    Manifest,
    NormOpening,
    Phase,
    SealedShareReference,
    UpdateFinding,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.field import MODULUS

SCALE = 10
"""How many times as long as allowed a scaled update is."""
SIGN_FACTOR = 4
"""How many times as long as the honest update its opposite is (Li et al. 2019, RSA)."""
DROPOUT_AFTER = 2
"""The last round in which those who drop out take part."""
AHEAD_SECONDS = 280
"""How far the clock of whoever is in a hurry is ahead: Fabric takes transactions with clocks that are a little off."""
TILT_DEGREES = 18
FALSE_TURN = 2
"""The round in which the attacker's reference direction is first in the row."""


class Attack(StrEnum):
    """What goes wrong in a demo."""

    LABEL_FLIP = "label-flip"
    SIGN_FLIP = "sign-flip"
    SCALE = "scale"
    FREE_RIDE = "free-ride"
    UNREADABLE = "unreadable"
    LYING_VALIDATOR = "lying-validator"
    BOGUS_REVEAL = "bogus-reveal"
    EARLY_CLOSE = "early-close"
    WITHHELD_REFERENCE = "withheld-reference"
    DROPOUT = "dropout"


EXPLAINED: Mapping[Attack, str] = {
    Attack.LABEL_FLIP: "One site trains on records whose labels are all wrong. Its update is well-formed and within "
    "the clip norm, so nothing is proven and no stake is taken. It goes against what training on the reference data "
    "gives: it counts nothing, its reputation falls, and quarantine follows.",
    Attack.SIGN_FLIP: f"One site sends the opposite of its update, {SIGN_FACTOR} times as long, clipped to the norm "
    "that is allowed. It goes against the reference direction: it counts nothing, and its reputation falls.",
    Attack.SCALE: f"One site trains on wrong labels, stretches its update to {SCALE} times the clip norm and proves "
    "falsely. The ledger refuses it and takes part of the stake: the proof's values are consistent and wrong.",
    Attack.FREE_RIDE: "One site sends an update of zeros instead of training. It is well-formed, but zeros agree with "
    "no direction: it counts nothing, earns nothing, and its reputation falls.",
    Attack.UNREADABLE: f"One site stretches its update to {SCALE} times the clip norm, seals nonsense to one honest "
    "validator, so that a voice is missing, and has its own validator help: in odd rounds that one tells false "
    "values of it. Then too few values belong together, and the update is refused without proof against anybody. In "
    "even rounds its validator tells the truth, and the update is refused with proof and costs stake. It never counts.",
    Attack.LYING_VALIDATOR: "One validator attests false values of one site's update. The others' values outvote it "
    "at once: the update counts in the same round. Then it is asked to show its share, shows nothing, for its true "
    "share proves the lie, is convicted by the others and loses part of its stake.",
    Attack.BOGUS_REVEAL: "One validator attests false values of all other sites' updates and, when it is asked to "
    "show its shares, names files that no store holds. No update is refused for that. The others look for the files "
    "as long as the task allows and convict it; no round waits for them.",
    Attack.EARLY_CLOSE: "One validator says at once that everything is late, and tries to close and abort every round "
    f"and to end the task, by a clock that is {AHEAD_SECONDS} s ahead. One voice is not enough for any of that, and "
    "the ledger looks at nobody's clock: nothing happens, and every update counts.",
    Attack.WITHHELD_REFERENCE: f"One validator gives a reference direction that is {TILT_DEGREES} degrees off when it "
    "is its turn, and later commits to one and keeps it back. The others reject the first: that round is weighed by "
    "reputation. Its turn is lost: from then on another's direction counts, and what it keeps back is waited for and "
    "not missed.",
    Attack.DROPOUT: f"After round {DROPOUT_AFTER} one site has left and its validator is gone without a word. Rounds "
    "go on: each waits for the validator until enough others say that it is late, and no longer.",
}
DEADLINES: Mapping[Attack, Mapping[str, int]] = {
    Attack.LYING_VALIDATOR: {"disputes": 3},
    Attack.BOGUS_REVEAL: {"disputes": 3},
    Attack.WITHHELD_REFERENCE: {"attestations": 10},
    Attack.DROPOUT: {"attestations": 10},
}
"""Seconds, where somebody is waited for in vain in every round: a demo should still end soon."""


def flipped(data: Split) -> Split:
    """The same records with every binary training label inverted."""
    return replace(data, train=replace(data.train, y=(1 - data.train.y).astype(np.int32)))


def poisoned(data: Split, attack: Attack | None) -> Split:
    """What an attacker trains on."""
    return flipped(data) if attack in (Attack.LABEL_FLIP, Attack.SCALE, Attack.UNREADABLE) else data


def altered(update: Float32Array, attack: Attack | None) -> Float32Array:
    """What an attacker makes of its update, before anything is clipped."""
    match attack:
        case Attack.SIGN_FLIP:
            return update * np.float32(-SIGN_FACTOR)
        case Attack.FREE_RIDE:
            return np.zeros_like(update)
        case Attack.SCALE | Attack.UNREADABLE:
            return update * np.float32(SCALE)
        case _:
            return update


class AlteringParticipant(Participant):
    """Sends the opposite of its update, or zeros, well-formed."""

    attack: Attack

    def _train(self, view: TaskView, current: RoundView) -> LocalResult:
        result = super()._train(view, current)
        return replace(result, update=altered(result.update, self.attack))


class LeavingParticipant(Participant):
    """Leaves when it has delivered its update of some round."""

    def step(self) -> float | None:
        waiting = super().step()
        head = self.ledger.task(self.task).head
        if head is None or head.round < DROPOUT_AFTER or self._is_wanted(self.ledger.round(self.task, head.round)):
            return waiting
        self.leave()
        return None


class ScalingParticipant(Participant):
    """Sends an update beyond the clip norm, with the best false proof that fits the format."""

    def _share(
        self, spec: TaskSpec, context: UpdateContext, result: LocalResult, keys: Sequence[str]
    ) -> PreparedUpdate:
        allowed = encode_direction(result.update, spec.aggregation.quantised_norm)
        stretched = [0] * len(result.update) if allowed is None else [SCALE * int(value) for value in allowed]
        return cheat(Parameters.of_task(spec), keys, context, stretched)


class VanishingValidator(Validator):
    """Is gone after some rounds, without a word."""

    def step(self) -> float | None:
        head = self.ledger.task(self.task).head
        return None if head is not None and head.round > DROPOUT_AFTER else super().step()


class HalfUnreadableParticipant(ScalingParticipant):
    """Sends an update beyond the clip norm, of which one honest validator gets nonsense."""

    def _share(
        self, spec: TaskSpec, context: UpdateContext, result: LocalResult, keys: Sequence[str]
    ) -> PreparedUpdate:
        prepared = super()._share(spec, context, result, keys)
        nonsense = os.urandom(len(prepared.sealed[0]))
        named = SealedShareReference(digest=hashlib.sha256(nonsense).hexdigest(), size=len(nonsense))
        return replace(prepared, shares=(named, *prepared.shares[1:]), sealed=(nonsense, *prepared.sealed[1:]))


class LyingValidator(Validator):
    """Attests false values of the first update of each round; its share would confirm nothing, so it shows none."""

    def _finding(self, view: TaskView, manifest: Manifest, reference: Integers | None) -> UpdateFinding:
        finding = super()._finding(view, manifest, reference)
        current = self.ledger.round(self.task, manifest.round)
        return falsified(finding) if self._is_lied_about(current, manifest) else finding

    def _is_lied_about(self, current: RoundView, manifest: Manifest) -> bool:
        return current.fixed is not None and manifest.participant == current.fixed.updates[0].participant


class HelpingValidator(LyingValidator):
    """Attests false values of its own organisation's updates in odd rounds, to hide what they are."""

    def _is_lied_about(self, current: RoundView, manifest: Manifest) -> bool:
        return bool(manifest.round % 2) and self.msp == _owner(current, manifest)


class BogusValidator(LyingValidator):
    """Attests false values of all others' updates, and shows files that nobody has."""

    def _is_lied_about(self, current: RoundView, manifest: Manifest) -> bool:
        return self.msp != _owner(current, manifest)

    def _dispute(self, view: TaskView, current: RoundView) -> list[float]:
        participants = doubted(view, current, self.msp)
        if participants:
            size = Parameters.of_task(view.record.spec).plaintext_bytes
            shares = tuple(
                DisclosedShare(participant=participant, digest=hashlib.sha256(os.urandom(32)).hexdigest(), size=size)
                for participant in participants
            )
            self.ledger.disclose_shares(Disclosure(task=self.task, round=current.record.round, shares=shares))
        return []


class EarlyValidator(Validator):
    """Does its duty, and tries at each step to end whatever is under way, by a clock that is ahead."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._ahead = LedgerAhead(self.ledger, AHEAD_SECONDS)

    def step(self) -> float | None:
        head = self.ledger.task(self.task).head
        if head is not None:
            hurry(self._ahead, self.task, head.round)
        return super().step()


class WithholdingValidator(Validator):
    """Gives a reference direction that is off in its turn; afterwards commits to one and keeps it back."""

    def __post_init__(self) -> None:
        if self.reference_update is not None:
            self.reference_update = tilted(self.reference_update)
        super().__post_init__()

    def _take_in_round(self, duty: Duty, view: TaskView, current: RoundView) -> None:
        if duty.step is not Step.REVEAL_REFERENCE or duty.round <= FALSE_TURN:
            super()._take_in_round(duty, view, current)


def falsified(finding: UpdateFinding) -> UpdateFinding:
    """The same finding with another first value; an unreadable one stays as it is."""
    if not isinstance(finding.opening, NormOpening):
        return finding
    wrong = element_hex((int(finding.opening.z[0], 16) + 1) % MODULUS)
    opening = finding.opening.model_copy(update={"z": (wrong, finding.opening.z[1])})
    return finding.model_copy(update={"opening": opening})


def tilted(honest: ReferenceUpdate) -> ReferenceUpdate:
    """The same training with a result that is off by an angle in one round."""

    def update(base: bytes, round_number: int) -> Float32Array:
        direction = honest(base, round_number)
        if round_number != FALSE_TURN:
            return direction
        across = np.random.default_rng(round_number).normal(size=direction.size)
        across -= direction * (np.dot(across, direction) / np.dot(direction, direction))
        across *= np.linalg.norm(direction) / np.linalg.norm(across)
        angle = math.radians(TILT_DEGREES)
        return np.asarray(direction * math.cos(angle) + across * math.sin(angle), dtype=np.float32)

    return update


def hurry(ledger: TaskLedger, task: str, number: int) -> None:
    """Say of everything in a round, and of the next one, that it is late, and try to end the round and the task."""
    attempts: list[Callable[[], object]] = [
        partial(ledger.claim_late, LateClaim(task=task, round=each, phase=phase))
        for each in (number, number + 1)
        if each
        for phase in get_args(Phase)
    ]
    attempts.append(partial(ledger.conclude_task, task))
    if number:
        abort = AbortRequest(task=task, round=number, reason="It is late by one clock.")
        attempts += [partial(ledger.close_round, task, number), partial(ledger.settle_round, task, number)]
        attempts.append(partial(ledger.abort_round, abort))
    for attempt in attempts:
        with suppress(LedgerRefusal):
            attempt()


def _owner(current: RoundView, manifest: Manifest) -> str:
    """The organisation whose update it is."""
    return next(entry.msp for entry in current.cohort.participants if entry.participant == manifest.participant)


def corrupted_participant(honest: Participant, attack: Attack) -> Participant:
    """The attacker in the place of an honest participant; the same when the attack is not a participant's."""
    values = {field.name: getattr(honest, field.name) for field in fields(honest) if field.init}
    values["data"] = poisoned(honest.data, attack)
    match attack:
        case Attack.LABEL_FLIP:
            return Participant(**values)
        case Attack.SIGN_FLIP | Attack.FREE_RIDE:
            attacker = AlteringParticipant(**values)
            attacker.attack = attack
            return attacker
        case Attack.SCALE:
            return ScalingParticipant(**values)
        case Attack.UNREADABLE:
            return HalfUnreadableParticipant(**values)
        case Attack.DROPOUT:
            return LeavingParticipant(**values)
        case _:
            return honest


def corrupted_validator(honest: Validator, attack: Attack) -> Validator:
    """The attacker in the place of an honest validator; the same when the attack is not a validator's."""
    values = {field.name: getattr(honest, field.name) for field in fields(honest) if field.init}
    match attack:
        case Attack.UNREADABLE:
            return HelpingValidator(**values)
        case Attack.LYING_VALIDATOR:
            return LyingValidator(**values)
        case Attack.BOGUS_REVEAL:
            return BogusValidator(**values)
        case Attack.EARLY_CLOSE:
            return EarlyValidator(**values)
        case Attack.WITHHELD_REFERENCE:
            return WithholdingValidator(**values)
        case Attack.DROPOUT:
            return VanishingValidator(**values)
        case _:
            return honest
