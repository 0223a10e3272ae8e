"""Disputes end with the guilty convicted and nobody else: the game is small enough to be played out in full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.secure_aggregation import Parameters, PreparedUpdate
from fedledger.secure_aggregation.judgement import is_complaint_unfounded, judge_disclosure
from fedledger.secure_aggregation.publication import sealing_info
from fedledger.secure_aggregation.sealing import new_seed, open_with_seed, seal
from fedledger_chaincode.messages.round import Manifest, Opening
from fedledger_chaincode.rules.commitments import UpdateContext
from fedledger_chaincode.rules.disputes import Outcome, Ruling, resolve, ruling_of
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.reed_solomon import lagrange_at_zero
from fedledger_chaincode.rules.verdicts import decide
from tests.protocol.cheating import cheat, off_by_one
from tests.protocol.framing import framing_update
from tests.protocol.parties import Validators, context_of, manifest_of

N, T, DIMENSION, NORM = 4, 1, 3, 1000
EVERYBODY = range(1, N + 1)
RULINGS: tuple[Ruling, ...] = ("confirms", "contradicts", "void")


@dataclass(frozen=True)
class Dealing:
    """An update as it was dealt, and the openings that honest validators compute of their shares."""

    name: str
    participant_is_honest: bool
    within_norm: bool
    true: dict[int, Opening]


def dealings() -> Iterator[Dealing]:
    validators, context = Validators.of(Parameters(N, T, DIMENSION, NORM, proof="norm")), context_of()

    def dealt(name: str, prepared: PreparedUpdate, honest: bool, within: bool) -> Dealing:
        opened = validators.attest(prepared, manifest_of(prepared, context))
        return Dealing(name, honest, within, {j: o for j, o in opened.items() if o is not None})

    small = [1, -2, 3]
    yield dealt("honest", validators.prepare(np.array(small), context), True, True)
    yield dealt("over the norm", cheat(validators, context, [NORM, 1, 0]), False, False)
    for j in EVERYBODY:
        bad_share = cheat(validators, context, small, tamper_share=off_by_one(j, 0))
        yield dealt(f"bad share to {j}", bad_share, False, True)
        bad_zero = cheat(validators, context, small, tamper_proof=off_by_one(j, -1))
        yield dealt(f"bad sharing of zero to {j}", bad_zero, False, True)
    yield dealt("framing 1", framing_update(validators, context), False, False)


def shifted(element: str) -> str:
    return f"{(int(element, 16) + 1) % MODULUS:016x}"


def fitted(openings: dict[int, Opening], liar: int, part: str, degree: int) -> tuple[str, str]:
    """Values of the liar that lie with those of the highest other validators and, for T, vanish at zero."""
    points = [j for j in openings if j != liar][-(degree + (part == "degree")) :]
    result = []
    for challenge in (0, 1):
        values = {j: int(getattr(openings[j], part)[challenge], 16) for j in points}
        if part == "zero":
            values[0] = 0
        moved = tuple(j - liar for j in values)
        weights = lagrange_at_zero(moved)
        result.append(f"{sum(w * y for w, y in zip(weights, values.values(), strict=True)) % MODULUS:016x}")
    return result[0], result[1]


def lies(openings: dict[int, Opening], liar: int) -> Iterator[dict[int, Opening | None]]:
    """Everything that a corrupt validator may say, up to equivalence."""
    yield {j: o for j, o in openings.items() if j != liar}
    yield {**openings, liar: None}
    own = openings[liar]
    degrees = [own.degree, (shifted(own.degree[0]), own.degree[1]), fitted(openings, liar, "degree", T)]
    zeros = [own.zero, (own.zero[0], shifted(own.zero[1])), fitted(openings, liar, "zero", 2 * T)]
    products = [own.inner_product, shifted(own.inner_product)]
    for degree, zero, inner in product(degrees, zeros, products):
        yield {**openings, liar: Opening(degree=degree, zero=zero, inner_product=inner)}


def truth(dealing: Dealing, posted: dict[int, Opening | None], validator: int, is_real: bool) -> Ruling:
    """What honest judges find of a disclosure."""
    if not is_real:
        return "void"
    return "confirms" if posted.get(validator) == dealing.true[validator] else "contradicts"


def rulings(found: Ruling, corrupt: int | None) -> Iterator[Ruling | None]:
    """What the ledger rules, whatever the corrupt judge votes, or when it does not vote."""
    honest = {j: found for j in EVERYBODY if j != corrupt}
    yield ruling_of(honest, T)
    if corrupt is not None:
        for vote in RULINGS:
            yield ruling_of({**honest, corrupt: vote}, T)


def endings(dealing: Dealing, posted: dict[int, Opening | None], corrupt: int | None) -> Iterator[Outcome]:
    """All ends of the dispute over what was posted."""
    justifications: list[dict[int, Ruling | None]] = [{}]
    for j in decide(posted, N, T).accused:
        # An honest validator discloses its real share; a corrupt one that, a forged one, or none.
        choices = set(rulings(truth(dealing, posted, j, True), corrupt))
        if j == corrupt:
            choices |= {None, *rulings(truth(dealing, posted, j, False), corrupt)}
        justifications = [{**done, j: choice} for done in justifications for choice in choices]
    rebuttals: list[dict[int, Ruling | None]] = [{}]
    if dealing.participant_is_honest:
        liars = [j for j in EVERYBODY if posted.get(j) is not None and posted[j] != dealing.true[j]]
        for j in liars:
            choices = set(rulings(truth(dealing, posted, j, True), corrupt))
            rebuttals = [{**done, j: choice} for done in rebuttals for choice in choices]
    else:
        for j, is_real in product(EVERYBODY, (True, False)):
            rebuttals += [{j: ruling} for ruling in set(rulings(truth(dealing, posted, j, is_real), corrupt))]
    for justification, rebuttal in product(justifications, rebuttals):
        yield resolve(posted, N, T, justification, rebuttal)


@pytest.mark.parametrize("dealing", list(dealings()), ids=lambda dealing: dealing.name)
def test_every_game_ends_justly(dealing: Dealing) -> None:
    played = 0
    for corrupt in (None, *EVERYBODY):
        said: list[dict[int, Opening | None]] = [{**dealing.true}]
        if corrupt is not None:
            said = list(lies(dealing.true, corrupt))
        for posted in said:
            for outcome in endings(dealing, posted, corrupt):
                played += 1
                assert set(outcome.convicted) <= {corrupt}, (posted, outcome)
                if dealing.participant_is_honest:
                    assert outcome.decision.verdict == "accepted", (posted, outcome)
                    assert not outcome.participant_at_fault
                if not dealing.within_norm:
                    assert outcome.decision.verdict != "accepted", (posted, outcome)
    assert played > 50


@given(data=st.data())
@settings(max_examples=150)
def test_two_liars_of_seven_harm_neither_an_honest_participant_nor_an_honest_validator(data: st.DataObject) -> None:
    true = SEVEN_OPENINGS
    corrupt = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=2, unique=True))
    posted: dict[int, Opening | None] = dict(true)
    for liar in corrupt:
        # Values of an honest colleague, of the other liar's making, or their own.
        source = true[data.draw(st.integers(1, 7))]
        parts = data.draw(st.sets(st.sampled_from(["degree", "zero", "inner_product"])))
        posted[liar] = true[liar].model_copy(update={part: getattr(source, part) for part in parts})
    named = [j for j in corrupt if posted[j] != true[j]]
    outcome = resolve(posted, 7, 2, dict.fromkeys(corrupt, "contradicts"), dict.fromkeys(named, "contradicts"))
    assert outcome.decision.verdict == "accepted"
    assert set(outcome.convicted) <= set(corrupt)
    assert not outcome.participant_at_fault
    undisputed = decide(posted, 7, 2)
    assert undisputed.verdict in ("accepted", "refused: inconsistent")
    assert set(undisputed.accused) | set(undisputed.liars) <= set(corrupt)


def openings_of_seven() -> dict[int, Opening]:
    validators, context = Validators.of(Parameters(7, 2, DIMENSION, NORM, proof="norm")), context_of()
    prepared = validators.prepare(np.array([1, -2, 3]), context)
    opened = validators.attest(prepared, manifest_of(prepared, context), np.array([3, 1, 4]))
    return {j: opening for j, opening in opened.items() if opening is not None}


SEVEN_OPENINGS = openings_of_seven()


def test_a_ruling_needs_more_judges_than_may_be_corrupt() -> None:
    assert ruling_of({}, 1) is None
    assert ruling_of({1: "void"}, 1) is None
    assert ruling_of({1: "void", 2: "confirms"}, 1) is None
    assert ruling_of({1: "void", 2: "confirms", 4: "confirms"}, 1) == "confirms"


# What a judge finds.


class Disclosed:
    """An honest update, and what was sealed to each validator."""

    def __init__(self) -> None:
        self.validators = Validators.of(Parameters(N, T, DIMENSION, NORM, proof="norm"))
        self.context = context_of()
        self.prepared = self.validators.prepare(np.array([1, -2, 3]), self.context)
        self.manifest = manifest_of(self.prepared, self.context)

    def plaintext(self, validator: int) -> bytes:
        info = sealing_info(UpdateContext.of(self.manifest), validator)
        key = self.validators.public_keys[validator - 1]
        seed = self.prepared.seeds[validator - 1]
        plaintext = open_with_seed(self.prepared.sealed[validator - 1], key, info, seed)
        assert plaintext is not None
        return plaintext

    def opening(self, validator: int) -> Opening:
        opening = self.validators.attest(self.prepared, self.manifest)[validator]
        assert opening is not None
        return opening

    def judge(self, plaintext: bytes, posted: Opening, validator: int) -> Ruling:
        return judge_disclosure(plaintext, posted, self.manifest, self.validators.parameters, validator)

    def is_unfounded(self, sealed: bytes, seed: bytes, validator: int, manifest: Manifest | None = None) -> bool:
        key = self.validators.public_keys[validator - 1]
        parameters = self.validators.parameters
        return is_complaint_unfounded(sealed, seed, key, manifest or self.manifest, parameters, validator)


def test_a_judge_compares_the_disclosed_share_with_what_was_posted() -> None:
    case = Disclosed()
    plaintext, posted = case.plaintext(2), case.opening(2)
    assert case.judge(plaintext, posted, 2) == "confirms"
    lie = posted.model_copy(update={"zero": (posted.zero[0], shifted(posted.zero[1]))})
    assert case.judge(plaintext, lie, 2) == "contradicts"
    assert case.judge(plaintext, posted, 3) == "void"
    assert case.judge(plaintext[:-8] + bytes(8), posted, 2) == "void"
    assert case.judge(b"", posted, 2) == "void"


def test_a_share_without_a_proof_cannot_be_judged() -> None:
    validators, context = Validators.of(Parameters(N, T, DIMENSION, NORM)), context_of()
    prepared = validators.prepare(np.array([1, -2, 3]), context)
    manifest = manifest_of(prepared, context)
    info = sealing_info(context, 1)
    plaintext = open_with_seed(prepared.sealed[0], validators.public_keys[0], info, prepared.seeds[0])
    assert plaintext is not None
    posted = Disclosed().opening(1)
    assert judge_disclosure(plaintext, posted, manifest, validators.parameters, 1) == "void"


def test_a_complaint_about_a_readable_share_is_unfounded() -> None:
    case = Disclosed()
    sealed, seed = case.prepared.sealed[1], case.prepared.seeds[1]
    assert case.is_unfounded(sealed, seed, 2)


def test_a_complaint_stands_when_the_answer_does_not_open_what_was_committed() -> None:
    case = Disclosed()
    sealed, seed = case.prepared.sealed[1], case.prepared.seeds[1]
    info = sealing_info(case.context, 2)
    other = seal(bytes(len(case.plaintext(2))), case.validators.public_keys[1], info, seed)
    for answer in ((sealed, new_seed(), 2), (sealed, b"", 2), (sealed[:-1], seed, 2), (b"", seed, 2), (other, seed, 2)):
        assert not case.is_unfounded(*answer)
    assert not case.is_unfounded(sealed, seed, 2, case.manifest.model_copy(update={"round": 9}))
