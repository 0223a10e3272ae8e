"""A validator reads exactly the share that its participant committed to, in the place that it was made for."""

from __future__ import annotations

import hashlib

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
    encode_update,
    open_share,
    prepare_update,
)
from fedledger.secure_aggregation.publication import sealing_info
from fedledger.secure_aggregation.randomness import elements_to_bytes
from fedledger.secure_aggregation.sealing import new_seed, open_with_seed, seal
from fedledger.secure_aggregation.share import check_plaintext
from fedledger_chaincode.messages.round import Manifest, ProofCommitments, SealedShareReference
from fedledger_chaincode.rules.commitments import UpdateContext, root_digest, roots_match
from fedledger_chaincode.rules.field import MODULUS
from tests.protocol.cheating import cheat, off_by_one
from tests.protocol.parties import THRESHOLDS, Validators, context_of, manifest_of, readable

DIMENSION = 12
UPDATE = np.arange(DIMENSION, dtype=np.int64) - 5


@pytest.fixture(params=["none", "norm"])
def validators(request: pytest.FixtureRequest) -> Validators:
    return Validators.of(Parameters(4, 1, DIMENSION, 1 << 24, proof=request.param))


@pytest.fixture
def round_one(validators: Validators) -> tuple[PreparedUpdate, Manifest]:
    context = context_of()
    prepared = validators.prepare(UPDATE, context)
    return prepared, manifest_of(prepared, context)


def with_sealed(manifest: Manifest, validator: int, sealed: bytes) -> Manifest:
    """The manifest with another artifact for one validator."""
    shares = list(manifest.shares)
    shares[validator - 1] = SealedShareReference(digest=hashlib.sha256(sealed).hexdigest(), size=len(sealed))
    return manifest.model_copy(update={"shares": tuple(shares)})


def resealed(validators: Validators, manifest: Manifest, validator: int, plaintext: bytes) -> tuple[bytes, Manifest]:
    """Another plaintext, properly sealed to a validator, and the manifest that names it."""
    info = sealing_info(UpdateContext.of(manifest), validator)
    sealed = seal(plaintext, validators.public_keys[validator - 1], info, new_seed())
    return sealed, with_sealed(manifest, validator, sealed)


def plaintext_of(validators: Validators, manifest: Manifest, validator: int, sealed: bytes) -> bytes:
    info = sealing_info(UpdateContext.of(manifest), validator)
    plaintext = validators.keys[validator - 1].open(sealed, info)
    assert plaintext is not None
    return plaintext


@pytest.mark.parametrize(("n", "t"), THRESHOLDS)
@pytest.mark.parametrize("proof", ["none", "norm"])
def test_every_validator_reads_its_own_share(n: int, t: int, proof: str) -> None:
    validators = Validators.of(Parameters(n, t, DIMENSION, 1 << 24, proof=proof))  # type: ignore[arg-type]
    context = context_of()
    prepared = validators.prepare(UPDATE, context)
    manifest = manifest_of(prepared, context)
    assert roots_match(manifest)
    opened = validators.open_all(prepared, manifest)
    assert [readable(share).validator for share in opened.values()] == list(range(1, n + 1))


def test_t_shares_are_uniform_whatever_the_update(validators: Validators) -> None:
    context = context_of()
    first = validators.prepare(UPDATE, context)
    second = validators.prepare(UPDATE, context)
    shares = [
        readable(validators.open(1, prepared.sealed[0], manifest_of(prepared, context))).update
        for prepared in (first, second)
    ]
    assert not np.isin(shares[0], UPDATE % MODULUS).any()
    assert not (shares[0] == shares[1]).any()
    assert first.root != second.root


def test_a_missing_artifact(validators: Validators, round_one: tuple[PreparedUpdate, Manifest]) -> None:
    assert validators.open(1, None, round_one[1]) == Unreadable(Defect.SHARE_MISSING)


def test_attack_ciphertexts_swapped(validators: Validators, round_one: tuple[PreparedUpdate, Manifest]) -> None:
    prepared, manifest = round_one
    assert validators.open(1, prepared.sealed[1], manifest) == Unreadable(Defect.WRONG_DIGEST)
    swapped = with_sealed(with_sealed(manifest, 1, prepared.sealed[1]), 2, prepared.sealed[0])
    assert validators.open(1, prepared.sealed[1], swapped) == Unreadable(Defect.NOT_OPENED)
    assert validators.open(2, prepared.sealed[0], swapped) == Unreadable(Defect.NOT_OPENED)


@pytest.mark.parametrize(
    "change",
    [{"round": 2}, {"task": "other"}, {"participant": f"{2:064x}"}, {"channel": "other"}, {"base_model": "cd" * 32}],
    ids=lambda change: next(iter(change)),
)
def test_attack_replay_of_an_update_somewhere_else(
    validators: Validators, round_one: tuple[PreparedUpdate, Manifest], change: dict[str, str | int]
) -> None:
    prepared, manifest = round_one
    replayed = manifest.model_copy(update=change)
    assert not roots_match(replayed)
    assert validators.open(1, prepared.sealed[0], replayed) == Unreadable(Defect.NOT_OPENED)
    # Even who can open the ciphertext and seals it anew cannot bring the commitments along.
    plaintext = plaintext_of(validators, manifest, 1, prepared.sealed[0])
    sealed, resealed_manifest = resealed(validators, replayed, 1, plaintext)
    assert validators.open(1, sealed, resealed_manifest) == Unreadable(Defect.ROOT_MISMATCH)
    matching = resealed_manifest.model_copy(update={"root": root_digest(UpdateContext.of(replayed), replayed.leaves)})
    assert isinstance(validators.open(1, sealed, matching), Unreadable)


def test_attack_leaves_swapped(validators: Validators, round_one: tuple[PreparedUpdate, Manifest]) -> None:
    prepared, manifest = round_one
    leaves = (manifest.leaves[1], manifest.leaves[0], *manifest.leaves[2:])
    swapped = manifest.model_copy(update={"leaves": leaves})
    assert validators.open(1, prepared.sealed[0], swapped) == Unreadable(Defect.ROOT_MISMATCH)
    root = root_digest(UpdateContext.of(manifest), leaves)
    rooted = swapped.model_copy(update={"root": root, "proof": None})
    plain = Validators(Parameters(4, 1, DIMENSION, 1 << 24), validators.keys)
    share = plaintext_of(validators, manifest, 1, prepared.sealed[0])[: plain.parameters.plaintext_bytes]
    assert check_plaintext(share, rooted, plain.parameters, 1) == Unreadable(Defect.LEAF_MISMATCH)


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_attack_truncated_share(validators: Validators, round_one: tuple[PreparedUpdate, Manifest], cut: int) -> None:
    prepared, manifest = round_one
    plaintext = plaintext_of(validators, manifest, 2, prepared.sealed[1])
    sealed, changed = resealed(validators, manifest, 2, plaintext[:-cut])
    assert validators.open(2, sealed, changed) == Unreadable(Defect.WRONG_LENGTH)
    truncated = prepared.sealed[1][:-cut]
    assert validators.open(2, truncated, with_sealed(manifest, 2, truncated)) == Unreadable(Defect.NOT_OPENED)


def test_attack_share_sealed_that_is_not_the_committed_one(
    validators: Validators, round_one: tuple[PreparedUpdate, Manifest]
) -> None:
    prepared, manifest = round_one
    plaintext = bytearray(plaintext_of(validators, manifest, 3, prepared.sealed[2]))
    for position in (0, 16, len(plaintext) - 8):
        changed = bytearray(plaintext)
        changed[position] ^= 1
        sealed, renamed = resealed(validators, manifest, 3, bytes(changed))
        assert validators.open(3, sealed, renamed) == Unreadable(Defect.LEAF_MISMATCH)


@pytest.mark.parametrize("value", [MODULUS, MODULUS + 7, (1 << 64) - 1])
def test_attack_value_that_is_no_element(value: int) -> None:
    validators, context = Validators.of(Parameters(4, 1, DIMENSION, 1 << 24, proof="norm")), context_of()

    def tamper(receiver: int, share):  # type: ignore[no-untyped-def]
        share = share.copy()
        share[0] = value
        return share

    for how in ({"tamper_share": tamper}, {"tamper_proof": tamper}):
        prepared = cheat(validators, context, [0] * DIMENSION, **how)  # type: ignore[arg-type]
        manifest = manifest_of(prepared, context)
        assert validators.open(1, prepared.sealed[0], manifest) == Unreadable(Defect.NOT_AN_ELEMENT)


def test_attack_proof_sealed_that_is_not_the_committed_one() -> None:
    validators, context = Validators.of(Parameters(4, 1, DIMENSION, 1 << 24, proof="norm")), context_of()
    prepared = cheat(validators, context, [0] * DIMENSION, tamper_proof_after_commitment=off_by_one(2, 5))
    opened = validators.open_all(prepared, manifest_of(prepared, context))
    assert opened[2] == Unreadable(Defect.LEAF_MISMATCH)
    assert all(isinstance(opened[j], OpenedShare) for j in (1, 3, 4))


def test_attack_update_without_the_proof_that_the_task_asks_for() -> None:
    plain = Validators.of(Parameters(4, 1, DIMENSION, 1 << 24))
    asked = Parameters(4, 1, DIMENSION, 1 << 24, proof="norm")
    context = context_of()
    prepared = plain.prepare(UPDATE, context)
    manifest = manifest_of(prepared, context)
    opened = open_share(prepared.sealed[0], manifest, asked, 1, plain.keys[0])
    assert opened == Unreadable(Defect.PROOF_MISSING)
    fake = manifest.model_copy(update={"proof": ProofCommitments(root="00" * 32, leaves=manifest.leaves)})
    assert not roots_match(fake)
    assert open_share(prepared.sealed[0], fake, asked, 1, plain.keys[0]) == Unreadable(Defect.ROOT_MISMATCH)


@pytest.mark.parametrize("validator", [0, 5, -1])
def test_nobody_reads_a_share_in_the_name_of_a_validator_that_does_not_exist(
    validators: Validators, round_one: tuple[PreparedUpdate, Manifest], validator: int
) -> None:
    prepared, manifest = round_one
    opened = open_share(prepared.sealed[0], manifest, validators.parameters, validator, validators.keys[0])
    assert opened == Unreadable(Defect.ROOT_MISMATCH)


@given(st.binary(min_size=1, max_size=2_000), st.integers(1, 4))
@settings(max_examples=60)
def test_no_bytes_at_all_crash_the_reader(data: bytes, validator: int) -> None:
    validators, context = Validators.of(Parameters(4, 1, DIMENSION, 1 << 24, proof="norm")), context_of()
    manifest = manifest_of(cheat(validators, context, [0] * DIMENSION), context)
    named = with_sealed(manifest, validator, data)
    assert isinstance(validators.open(validator, data, named), Unreadable)
    sealed, resealed_manifest = resealed(validators, manifest, validator, data)
    assert isinstance(validators.open(validator, sealed, resealed_manifest), Unreadable)


def test_the_participant_can_open_one_ciphertext_to_everybody(
    validators: Validators, round_one: tuple[PreparedUpdate, Manifest]
) -> None:
    prepared, manifest = round_one
    info = sealing_info(UpdateContext.of(manifest), 2)
    plaintext = open_with_seed(prepared.sealed[1], validators.public_keys[1], info, prepared.seeds[1])
    assert plaintext is not None
    judged = readable(check_plaintext(plaintext, manifest, validators.parameters, 2))
    own = readable(validators.open(2, prepared.sealed[1], manifest))
    assert bytes(elements_to_bytes(judged.elements)) == bytes(elements_to_bytes(own.elements))


def test_nothing_that_is_published_holds_the_update() -> None:
    generator = np.random.default_rng(11)
    update = encode_update(generator.normal(size=500), 1.0, 1 << 24)
    for proof in ("none", "norm"):
        validators = Validators.of(Parameters(4, 1, 500, 1 << 24, proof=proof))
        context = context_of()
        prepared = validators.prepare(update, context)
        published = b"".join(prepared.sealed) + manifest_of(prepared, context).canonical()
        opened = [readable(share) for share in validators.open_all(prepared, manifest_of(prepared, context)).values()]
        held = b"".join(bytes(elements_to_bytes(share.elements)) for share in opened)
        for value in update:
            encoded = (int(value) % MODULUS).to_bytes(8, "little")
            assert encoded not in published
            assert encoded not in held


def test_reprs_show_no_shares_and_no_seeds(validators: Validators, round_one: tuple[PreparedUpdate, Manifest]) -> None:
    prepared, manifest = round_one
    assert "sealed" not in repr(prepared) and "seeds" not in repr(prepared)
    assert "elements" not in repr(validators.open(1, prepared.sealed[0], manifest))


# What a participant must not publish by mistake.


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
    with pytest.raises(UpdateError, match="4 validators but 3 sealing keys"):
        prepare_update(UPDATE, validators.parameters, context_of(), validators.public_keys[:3])
