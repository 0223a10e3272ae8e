"""Participants and validators that misbehave, for ``fedledger demo --attack``: to show what happens to them.

Each differs from the honest agent in one thing. What is done about it is done by the honest ones and the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from enum import StrEnum

import numpy as np

from fedledger.agents.participant import Participant
from fedledger.agents.validator import Validator
from fedledger.cli.demo.cheating import cheat
from fedledger.secure_aggregation import AggregateError, Parameters, PreparedUpdate, UpdateContext, encode_direction
from fedledger.secure_aggregation.encoding import Integers
from fedledger.secure_aggregation.opening import element_hex
from fedledger.training import LocalResult, Split
from fedledger.training.weights import Float32Array
from fedledger_chaincode.messages.round import Manifest, UpdateFinding
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.field import MODULUS

SCALE = 10
"""How many times as long as allowed a scaled update is."""
SIGN_FACTOR = 4
"""How many times as long as the honest update its opposite is (Li et al. 2019, RSA)."""
DROPOUT_AFTER = 2
"""The last round in which those who drop out take part."""


class Attack(StrEnum):
    """What goes wrong in a demo."""

    LABEL_FLIP = "label-flip"
    SIGN_FLIP = "sign-flip"
    SCALE = "scale"
    FREE_RIDE = "free-ride"
    LYING_VALIDATOR = "lying-validator"
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
    Attack.LYING_VALIDATOR: "One validator attests false values of one site's update. The others' values show it; it "
    "does not reveal its share, is convicted and loses part of its stake, and the update counts.",
    Attack.DROPOUT: f"After round {DROPOUT_AFTER} one site has left and its validator is gone without a word. Rounds "
    "go on: each waits for the validator until its deadline, and no longer.",
}
DEADLINES: Mapping[Attack, Mapping[str, int]] = {
    Attack.LYING_VALIDATOR: {"disputes": 3},
    Attack.DROPOUT: {"attestations": 10},
}
"""Seconds, where somebody is waited for in vain in every round: a demo should still end soon."""


def flipped(data: Split) -> Split:
    """The same records with every binary training label inverted."""
    return replace(data, train=replace(data.train, y=(1 - data.train.y).astype(np.int32)))


def poisoned(data: Split, attack: Attack | None) -> Split:
    """What an attacker trains on."""
    return flipped(data) if attack in (Attack.LABEL_FLIP, Attack.SCALE) else data


def altered(update: Float32Array, attack: Attack | None) -> Float32Array:
    """What an attacker makes of its update, before anything is clipped."""
    match attack:
        case Attack.SIGN_FLIP:
            return update * np.float32(-SIGN_FACTOR)
        case Attack.FREE_RIDE:
            return np.zeros_like(update)
        case Attack.SCALE:
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


class LyingValidator(Validator):
    """Attests false values of the first update of each round and never reveals its share."""

    def _finding(self, view: TaskView, manifest: Manifest, reference: Integers | None) -> UpdateFinding:
        finding = super()._finding(view, manifest, reference)
        current = self.ledger.round(self.task, manifest.round)
        first = current.fixed.updates[0].participant if current.fixed else ""
        if finding.opening is None or manifest.participant != first:
            return finding
        wrong = element_hex((int(finding.opening.degree[0], 16) + 1) % MODULUS)
        opening = finding.opening.model_copy(update={"degree": (wrong, finding.opening.degree[1])})
        return finding.model_copy(update={"opening": opening})

    def _reveal(self, view: TaskView, current: RoundView, participant: str) -> None:
        raise AggregateError("SILENT", "This validator does not reveal its share.", "It is what the demo shows.")


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
        case Attack.DROPOUT:
            return LeavingParticipant(**values)
        case _:
            return honest


def corrupted_validator(honest: Validator, attack: Attack) -> Validator:
    """The attacker in the place of an honest validator; the same when the attack is not a validator's."""
    values = {field.name: getattr(honest, field.name) for field in fields(honest) if field.init}
    match attack:
        case Attack.LYING_VALIDATOR:
            return LyingValidator(**values)
        case Attack.DROPOUT:
            return VanishingValidator(**values)
        case _:
            return honest
