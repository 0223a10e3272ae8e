"""A validator reads exactly the share that its participant committed to, in the place that it was made for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.secure_aggregation import (
    Defect,
    OpenedShare,
    Parameters,
    PreparedUpdate,
    Unreadable,
    UpdateError,
    disclosable,
    encode_update,
    judge_disclosure,
    open_share,
    opening_of,
    prepare_update,
)
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.publication import sealing_info
from fedledger.secure_aggregation.randomness import elements_to_bytes
from fedledger.secure_aggregation.sealing import seal
from fedledger.secure_aggregation.share import check_plaintext
from fedledger_chaincode.messages.round import DealingOpening, Manifest, NormOpening, Opening, SealedShareReference
from fedledger_chaincode.rules.commitments import UpdateContext
from fedledger_chaincode.rules.field import MODULUS
from tests.protocol.cheating import cheat, off_by_one
from tests.protocol.parties import THRESHOLDS, Validators, context_of, manifest_of, readable

DIMENSION = 12
UPDATE = np.arange(DIMENSION, dtype=np.int64) - 5
KINDS = [(4, 1, "none"), (4, 1, "norm"), (7, 2, "none"), (7, 2, "norm")]


@pytest.fixture(params=KINDS, ids=str)
def validators(request: pytest.FixtureRequest) -> Validators:
    n, t, proof = request.param
    return Validators.of(Parameters(n, t, DIMENSION, 1 << 24, proof=proof))


@pytest.fixture
def round_one(validators: Validators) -> tuple[PreparedUpdate, Manifest]:
    context = context_of()
    prepared = validators.prepare(UPDATE, context)
    return prepared, manifest_of(prepared, context)


def with_sealed(manifest: Manifest, validator: int, sealed: bytes) -> Manifest:
    """The manifest with another artifact for one validator."""
    shares = list(manifest.shares)
    shares[validator - 1] = SealedShareReference(digest=hashlib.sha256(sealed).hexdigest(), size=max(1, len(sealed)))
    return manifest.model_copy(update={"shares": tuple(shares)})


def resealed(validators: Validators, manifest: Manifest, validator: int, plaintext: bytes) -> tuple[bytes, Manifest]:
    """Another plaintext, properly sealed to a validator, and the manifest that names it."""
    info = sealing_info(UpdateContext.of(manifest), validator)
    sealed = seal(plaintext, validators.public_keys[validator - 1], info)
    return sealed, with_sealed(manifest, validator, sealed)


@pytest.mark.parametrize(("n", "t"), THRESHOLDS)
@pytest.mark.parametrize("proof", ["none", "norm"])
def test_every_validator_reads_its_own_share_and_all_hold_one_update(n: int, t: int, proof: str) -> None:
    validators = Validators.of(Parameters(n, t, DIMENSION, 1 << 24, proof=proof))  # type: ignore[arg-type]
    context = context_of()
    prepared = validators.prepare(UPDATE, context)
    opened = validators.open_all(prepared, manifest_of(prepared, context))
    assert [readable(share).validator for share in opened.values()] == list(range(1, n + 1))
    assert validators.decision_on(prepared, context).consistent == frozenset(range(1, n + 1))


def test_every_artifact_has_the_size_that_follows_from_the_task(
    validators: Validators, round_one: tuple[PreparedUpdate, Manifest]
) -> None:
    prepared, manifest = round_one
    size = validators.parameters.sealed_bytes
    assert {len(sealed) for sealed in prepared.sealed} == {share.size for share in manifest.shares} == {size}


def test_a_missing_artifact(validators: Validators, round_one: tuple[PreparedUpdate, Manifest]) -> None:
    assert validators.open(1, None, round_one[1]) == Unreadable(Defect.SHARE_MISSING)


def test_attack_ciphertexts_swapped(validators: Validators, round_one: tuple[PreparedUpdate, Manifest]) -> None:
    prepared, manifest = round_one
    assert validators.open(1, prepared.sealed[1], manifest) == Unreadable(Defect.WRONG_DIGEST)
    swapped = with_sealed(with_sealed(manifest, 1, prepared.sealed[1]), 2, prepared.sealed[0])
    assert validators.open(1, prepared.sealed[1], swapped) == Unreadable(Defect.NOT_OPENED)
    assert validators.open(2, prepared.sealed[0], swapped) == Unreadable(Defect.NOT_OPENED)


CHANGES: list[dict[str, str | int]] = [
    {"round": 2},
    {"task": "other"},
    {"participant": f"{2:064x}"},
    {"channel": "other"},
    {"base_model": "cd" * 32},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_attack_replay_of_an_update_somewhere_else(
    validators: Validators, round_one: tuple[PreparedUpdate, Manifest], change: dict[str, str | int]
) -> None:
    prepared, manifest = round_one
    replayed = manifest.model_copy(update=change)
    assert validators.open(1, prepared.sealed[0], replayed) == Unreadable(Defect.NOT_OPENED)
    # Even who can open the ciphertext and seals it anew does not bring the commitment along: R is of another place.
    plaintext = validators.plaintext(1, prepared.sealed[0], manifest)
    sealed, copied = resealed(validators, replayed, 1, plaintext)
    assert validators.open(1, sealed, copied) == Unreadable(Defect.ROOT_MISMATCH)


def test_attack_root_of_another_update(validators: Validators, round_one: tuple[PreparedUpdate, Manifest]) -> None:
    prepared, manifest = round_one
    other = validators.prepare(UPDATE, context_of())
    copied = manifest.model_copy(update={"root": other.root})
    assert validators.open(1, prepared.sealed[0], copied) == Unreadable(Defect.ROOT_MISMATCH)


def test_attack_leaves_swapped(validators: Validators, round_one: tuple[PreparedUpdate, Manifest]) -> None:
    prepared, manifest = round_one
    plaintext = validators.plaintext(1, prepared.sealed[0], manifest)
    swapped = plaintext[:16] + plaintext[48:80] + plaintext[16:48] + plaintext[80:]
    sealed, changed = resealed(validators, manifest, 1, swapped)
    assert validators.open(1, sealed, changed) == Unreadable(Defect.ROOT_MISMATCH)


def test_attack_share_of_another_validator(validators: Validators, round_one: tuple[PreparedUpdate, Manifest]) -> None:
    prepared, manifest = round_one
    plaintext = validators.plaintext(2, prepared.sealed[1], manifest)
    sealed, changed = resealed(validators, manifest, 1, plaintext)
    assert validators.open(1, sealed, changed) == Unreadable(Defect.LEAF_MISMATCH)


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_attack_truncated_share(validators: Validators, round_one: tuple[PreparedUpdate, Manifest], cut: int) -> None:
    prepared, manifest = round_one
    plaintext = validators.plaintext(2, prepared.sealed[1], manifest)
    assert check_plaintext(plaintext[:-cut], manifest, validators.parameters, 2) == Unreadable(Defect.WRONG_LENGTH)
    truncated = prepared.sealed[1][:-cut]
    for named in (manifest, with_sealed(manifest, 2, truncated)):
        assert validators.open(2, truncated, named) == Unreadable(Defect.WRONG_LENGTH)


class NoKey:
    """A key that fails the test when anybody opens something with it."""

    def open(self, _sealed: bytes, _info: bytes) -> bytes | None:
        raise AssertionError("opened")


@pytest.mark.parametrize("difference", [-1, 1, 8, 1 << 20])
def test_attack_artifact_of_another_size_is_not_even_opened(
    validators: Validators, round_one: tuple[PreparedUpdate, Manifest], difference: int
) -> None:
    size = validators.parameters.sealed_bytes + difference
    data = bytes(size)
    for manifest in (round_one[1], with_sealed(round_one[1], 1, data)):
        opened = open_share(data, manifest, validators.parameters, 1, NoKey())  # type: ignore[arg-type]
        assert opened == Unreadable(Defect.WRONG_LENGTH)


def test_attack_manifest_that_names_another_size(
    validators: Validators, round_one: tuple[PreparedUpdate, Manifest]
) -> None:
    prepared, manifest = round_one
    first = manifest.shares[0].model_copy(update={"size": 1})
    lying = manifest.model_copy(update={"shares": (first, *manifest.shares[1:])})
    assert validators.open(1, prepared.sealed[0], lying) == Unreadable(Defect.WRONG_LENGTH)


def test_attack_share_sealed_that_is_not_the_committed_one(
    validators: Validators, round_one: tuple[PreparedUpdate, Manifest]
) -> None:
    prepared, manifest = round_one
    plaintext = validators.plaintext(3, prepared.sealed[2], manifest)
    messages = len(plaintext) - 8 * sum(validators.parameters.message_lengths)
    for position, reason in (
        (0, Defect.LEAF_MISMATCH),
        (16, Defect.ROOT_MISMATCH),
        (messages - 1, Defect.ROOT_MISMATCH),
        (messages, Defect.LEAF_MISMATCH),
        (len(plaintext) - 8, Defect.LEAF_MISMATCH),
    ):
        changed = bytearray(plaintext)
        changed[position] ^= 1
        sealed, renamed = resealed(validators, manifest, 3, bytes(changed))
        assert validators.open(3, sealed, renamed) == Unreadable(reason)


def replaced(message: int, place: int, value: int) -> Callable[[int, int, Elements], Elements]:
    """Puts a value into one validator's share of one message, whatever it is."""

    def tamper(number: int, receiver: int, share: Elements) -> Elements:
        if (number, receiver) == (message, 1):
            share = share.copy()
            share[place] = value
        return share

    return tamper


@pytest.mark.parametrize("value", [MODULUS, MODULUS + 7, (1 << 64) - 1])
@pytest.mark.parametrize("place", [0, -1])
def test_attack_value_that_is_no_element(validators: Validators, place: int, value: int) -> None:
    for message in range(1, len(validators.parameters.message_lengths) + 1):
        prepared = cheat(validators, context_of(), [0] * DIMENSION, tamper_share=replaced(message, place, value))
        manifest = manifest_of(prepared, context_of())
        opened = validators.open_all(prepared, manifest)
        assert opened.pop(1) == Unreadable(Defect.NOT_AN_ELEMENT)
        assert all(isinstance(share, OpenedShare) for share in opened.values())


def test_attack_messages_sealed_that_are_not_the_committed_ones(validators: Validators) -> None:
    for message in range(1, len(validators.parameters.message_lengths) + 1):
        lie = off_by_one(2, 5, message)
        prepared = cheat(validators, context_of(), [0] * DIMENSION, tamper_after_commitment=lie)
        opened = validators.open_all(prepared, manifest_of(prepared, context_of()))
        assert opened.pop(2) == Unreadable(Defect.LEAF_MISMATCH)
        assert all(isinstance(share, OpenedShare) for share in opened.values())


@pytest.mark.parametrize(("dealt", "asked"), [("none", "norm"), ("norm", "none")])
def test_attack_update_of_a_task_of_another_kind(dealt: str, asked: str) -> None:
    with_other = Parameters(4, 1, DIMENSION, 1 << 24, proof=asked)  # type: ignore[arg-type]
    plain = Validators.of(Parameters(4, 1, DIMENSION, 1 << 24, proof=dealt))  # type: ignore[arg-type]
    prepared = plain.prepare(UPDATE, context_of())
    opened = open_share(prepared.sealed[0], manifest_of(prepared, context_of()), with_other, 1, plain.keys[0])
    assert opened == Unreadable(Defect.WRONG_LENGTH)


@pytest.mark.parametrize("validator", [0, 8, -1])
def test_nobody_reads_a_share_in_the_name_of_a_validator_that_does_not_exist(
    validators: Validators, round_one: tuple[PreparedUpdate, Manifest], validator: int
) -> None:
    prepared, manifest = round_one
    opened = open_share(prepared.sealed[0], manifest, validators.parameters, validator, validators.keys[0])
    assert opened == Unreadable(Defect.SHARE_MISSING)
    plaintext = validators.plaintext(1, prepared.sealed[0], manifest)
    checked = check_plaintext(plaintext, manifest, validators.parameters, validator)
    assert checked == Unreadable(Defect.LEAF_MISMATCH)


@given(data=st.data(), validator=st.integers(1, 4), proof=st.sampled_from(["none", "norm"]))
@settings(max_examples=60)
def test_no_bytes_at_all_crash_the_reader(data: st.DataObject, validator: int, proof: str) -> None:
    validators = VALIDATORS[proof]
    manifest = manifest_of(PREPARED[proof], context_of())
    size = validators.parameters.plaintext_bytes
    some = data.draw(st.binary(max_size=300))
    plaintext = (some + bytes(size))[: data.draw(st.sampled_from([size, len(some)]))]
    assert isinstance(check_plaintext(plaintext, manifest, validators.parameters, validator), Unreadable)
    sealed, named = resealed(validators, manifest, validator, plaintext)
    assert isinstance(validators.open(validator, sealed, named), Unreadable)
    assert isinstance(validators.open(validator, plaintext, with_sealed(manifest, validator, plaintext)), Unreadable)


VALIDATORS = {
    proof: Validators.of(Parameters(4, 1, DIMENSION, 1 << 24, proof=proof))  # type: ignore[arg-type]
    for proof in ("none", "norm")
}
PREPARED = {proof: validators.prepare(UPDATE, context_of()) for proof, validators in VALIDATORS.items()}


def test_a_useless_sealing_key_keeps_nobody_out_of_a_round(validators: Validators) -> None:
    keys = ["00" * 32, *validators.public_keys[1:]]
    prepared = prepare_update(UPDATE, validators.parameters, context_of(), keys)
    opened = validators.open_all(prepared, manifest_of(prepared, context_of()))
    assert opened.pop(1) == Unreadable(Defect.NOT_OPENED)
    assert all(isinstance(share, OpenedShare) for share in opened.values())
    assert {share.size for share in prepared.shares} == {validators.parameters.sealed_bytes}
    assert validators.decision_on(prepared, context_of()).verdict == "accepted"


# What a dispute shows, and what its judges say (section 11).


def posted(validators: Validators, prepared: PreparedUpdate, manifest: Manifest, validator: int) -> Opening:
    return opening_of(readable(validators.open(validator, prepared.sealed[validator - 1], manifest)))


def other_values(opening: Opening) -> list[Opening]:
    """The opening with each of its values replaced, but for the inner product."""
    wrong = f"{1:016x}"
    parts = ("z", "p") if isinstance(opening, NormOpening) else ("combination",)
    found: list[Opening] = []
    for part in parts:
        real, imaginary = getattr(opening, part)
        found += [opening.model_copy(update={part: pair}) for pair in ((wrong, imaginary), (real, wrong))]
    return found


def test_an_honest_validator_that_was_dealt_a_false_share_is_confirmed(validators: Validators) -> None:
    for message in range(1, len(validators.parameters.message_lengths) + 1):
        prepared = cheat(validators, context_of(), [0] * DIMENSION, tamper_share=off_by_one(2, 0, message))
        manifest = manifest_of(prepared, context_of())
        shown = disclosable(prepared.sealed[1], manifest, 2, validators.keys[1])
        assert shown is not None
        said = posted(validators, prepared, manifest, 2)
        assert judge_disclosure(shown, said, manifest, validators.parameters, 2) == "confirms"


def test_a_liar_is_denied_whatever_it_shows(validators: Validators, round_one: tuple[PreparedUpdate, Manifest]) -> None:
    prepared, manifest = round_one
    shown = validators.plaintext(1, prepared.sealed[0], manifest)
    true = posted(validators, prepared, manifest, 1)
    assert judge_disclosure(shown, true, manifest, validators.parameters, 1) == "confirms"
    for lie in other_values(true):
        assert judge_disclosure(shown, lie, manifest, validators.parameters, 1) == "denies"
    for bogus in (b"", shown[:-1], shown[:-8] + bytes(8), validators.plaintext(2, prepared.sealed[1], manifest)):
        assert judge_disclosure(bogus, true, manifest, validators.parameters, 1) == "denies"


def test_the_inner_product_plays_no_part_in_a_dispute() -> None:
    validators, prepared = VALIDATORS["norm"], PREPARED["norm"]
    manifest = manifest_of(prepared, context_of())
    shown = validators.plaintext(1, prepared.sealed[0], manifest)
    true = posted(validators, prepared, manifest, 1)
    said = true.model_copy(update={"inner_product": f"{7:016x}"})
    assert judge_disclosure(shown, said, manifest, validators.parameters, 1) == "confirms"


@pytest.mark.parametrize("proof", ["none", "norm"])
def test_an_opening_of_the_other_kind_is_denied(proof: str) -> None:
    validators, prepared = VALIDATORS[proof], PREPARED[proof]
    manifest = manifest_of(prepared, context_of())
    true = posted(validators, prepared, manifest, 1)
    pair = (f"{1:016x}", f"{2:016x}")
    other: Opening = (
        DealingOpening(combination=true.z)
        if isinstance(true, NormOpening)
        else NormOpening(z=true.combination, p=pair, inner_product=f"{0:016x}")
    )
    shown = validators.plaintext(1, prepared.sealed[0], manifest)
    assert judge_disclosure(shown, other, manifest, validators.parameters, 1) == "denies"


def test_what_does_not_open_cannot_be_shown(validators: Validators, round_one: tuple[PreparedUpdate, Manifest]) -> None:
    prepared, manifest = round_one
    assert disclosable(prepared.sealed[0], manifest, 1, validators.keys[1]) is None
    assert disclosable(b"", manifest, 1, validators.keys[0]) is None


# What is published, and what a participant must not publish by mistake.


def test_nothing_that_is_published_holds_the_update() -> None:
    generator = np.random.default_rng(11)
    update = encode_update(generator.normal(size=500), 1.0, 1 << 24)
    for proof in ("none", "norm"):
        validators = Validators.of(Parameters(4, 1, 500, 1 << 24, proof=proof))  # type: ignore[arg-type]
        context = context_of()
        prepared = validators.prepare(update, context)
        published = b"".join(prepared.sealed) + manifest_of(prepared, context).canonical()
        opened = [readable(share) for share in validators.open_all(prepared, manifest_of(prepared, context)).values()]
        held = b"".join(bytes(elements_to_bytes(message)) for share in opened for message in share.messages)
        for value in update:
            encoded = (int(value) % MODULUS).to_bytes(8, "little")
            assert encoded not in published
            assert encoded not in held


def test_reprs_show_no_shares(validators: Validators, round_one: tuple[PreparedUpdate, Manifest]) -> None:
    prepared, manifest = round_one
    assert "sealed=" not in repr(prepared)
    assert "messages" not in repr(validators.open(1, prepared.sealed[0], manifest))


def test_an_update_is_never_dealt_twice_alike(validators: Validators) -> None:
    first, second = (validators.prepare(UPDATE, context_of()) for _ in range(2))
    assert first.root != second.root and not {*first.sealed} & {*second.sealed}


@pytest.mark.parametrize(
    ("update", "code"),
    [
        (np.zeros(DIMENSION - 1, dtype=np.int64), "UPDATE_LENGTH"),
        (np.zeros((DIMENSION, 1), dtype=np.int64), "UPDATE_LENGTH"),
        (np.zeros(DIMENSION), "UPDATE_LENGTH"),
        (np.full(DIMENSION, 1 << 24, dtype=np.int64), "UPDATE_NORM"),
        (np.full(DIMENSION, -(2**63), dtype=np.int64), "UPDATE_NORM"),
    ],
)
def test_an_update_that_would_be_refused_is_not_shared(validators: Validators, update, code: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UpdateError, match=code):
        validators.prepare(update, context_of())


def test_every_validator_must_have_a_sealing_key(validators: Validators) -> None:
    n = validators.parameters.validators
    with pytest.raises(UpdateError, match=f"{n} validators but {n - 1} sealing keys"):
        prepare_update(UPDATE, validators.parameters, context_of(), validators.public_keys[:-1])


def test_a_reference_direction_needs_a_norm_proof() -> None:
    validators, prepared = VALIDATORS["none"], PREPARED["none"]
    share = readable(validators.open(1, prepared.sealed[0], manifest_of(prepared, context_of())))
    with pytest.raises(ValueError, match="without a norm proof"):
        opening_of(share, UPDATE)
