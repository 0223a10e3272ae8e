"""The reference computes the vectors, the product computes the same, and each reads what the other has dealt."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest

from fedledger.secure_aggregation import Defect, OpenedShare, Parameters, Unreadable, UpdateContext, opening_of
from fedledger.secure_aggregation.projections import project
from fedledger.secure_aggregation.publication import Dealer
from fedledger.secure_aggregation.share import check_plaintext
from fedledger.secure_aggregation.update import UpdateRandomness, deal_update
from fedledger_chaincode.messages.round import Manifest, SealedShareReference
from fedledger_chaincode.rules.field import centred
from fedledger_chaincode.rules.reed_solomon import decode_certain
from tests.protocol.parties import NO_PRIVACY, Validators, manifest_of, readable
from tests.reference import make_vectors
from tests.reference import secure_aggregation as reference
from tests.reference.make_vectors import DEALT_FALSELY, FALSE, HONEST, VECTORS, Case, Change

FILE = json.loads(VECTORS.read_text())
EXPECTED = {each["name"]: each["expected"] for part in ("honest", "false", "dealt_falsely") for each in FILE[part]}
UNREADABLE = make_vectors.unreadable()


def parameters_of(case: Case) -> Parameters:
    return Parameters(case.n, case.t, case.length, case.quantised_norm, proof=case.proof)  # type: ignore[arg-type]


def manifest_with(root: str, context: UpdateContext, validators: int) -> Manifest:
    """A manifest with that root; nothing is sealed."""
    shares = (SealedShareReference(digest="00" * 32, size=1),) * validators
    return Manifest(**vars(context), agreement="ac" * 32, num_examples=10, root=root, shares=shares, privacy=NO_PRIVACY)


def direction_of(case: Case) -> np.ndarray | None:  # type: ignore[type-arg]
    return np.array(case.direction, dtype=np.int64) if case.bound is not None else None


def dealt_by_the_product(case: Case) -> Dealer:
    parameters = parameters_of(case)
    randomness = UpdateRandomness(
        salts=tuple(case.salts),
        mask=np.array(case.mask, dtype=np.uint64),
        coefficients=tuple(
            np.array(case.coefficients(message, length), dtype=np.uint64)
            for message, length in enumerate(parameters.message_lengths)
        ),
    )
    context = UpdateContext(**case.context)
    dealer = deal_update(np.array(case.numbers, dtype=np.int64), parameters, context, randomness)
    assert dealer is not None
    return dealer


def read_by_the_product(case: Case, validator: int) -> OpenedShare:
    """The reference's dealing, as one validator of the product reads it."""
    manifest = manifest_with(EXPECTED[case.name]["roots"][-1], UpdateContext(**case.context), case.n)
    plaintext = case.dealt.plaintext(validator)
    return readable(check_plaintext(plaintext, manifest, parameters_of(case), validator))


def test_the_file_is_what_the_reference_computes() -> None:
    assert make_vectors.vectors() == FILE


@pytest.mark.parametrize("case", HONEST, ids=lambda case: case.name)
def test_the_product_deals_what_the_reference_dealt(case: Case) -> None:
    dealer, expected = dealt_by_the_product(case), EXPECTED[case.name]
    assert UpdateContext(**case.context).encode().hex() == expected["context"]
    assert [root.hex() for root in dealer.roots] == expected["roots"]
    keys = Validators.of(parameters_of(case))
    manifest = manifest_of(dealer.seal(keys.public_keys), UpdateContext(**case.context))
    assert manifest.root == expected["roots"][-1]


@pytest.mark.parametrize("case", HONEST + FALSE + DEALT_FALSELY, ids=lambda case: case.name)
def test_the_product_opens_what_the_reference_dealt_as_the_reference_does(case: Case) -> None:
    openings = {
        validator: opening_of(read_by_the_product(case, int(validator)), direction_of(case)).model_dump(mode="json")
        for validator in EXPECTED[case.name]["openings"]
    }
    assert openings == EXPECTED[case.name]["openings"]


@pytest.mark.parametrize("case", HONEST[:-1], ids=lambda case: case.name)
def test_the_reference_opens_what_the_product_dealt_as_the_product_does(case: Case) -> None:
    parameters, context = parameters_of(case), UpdateContext(**case.context)
    validators = Validators.of(parameters)
    prepared = validators.prepare(np.array(case.numbers, dtype=np.int64), context)
    manifest = manifest_of(prepared, context)
    for validator, opened in validators.open_all(prepared, manifest).items():
        share = readable(opened)
        plaintext = validators.plaintext(validator, prepared.sealed[validator - 1], manifest)
        ctx, sizes = reference.context(*case.context.values()), reference.lengths(case.length, case.bound)
        root, proof = bytes.fromhex(prepared.root), case.bound is not None
        read = reference.read(plaintext, ctx, root, validator, case.n, sizes, proof)
        assert isinstance(read, reference.Dealt)
        assert [message.tolist() for message in share.messages] == read.messages
        values = reference.opening(read.messages, read.roots, case.bound, case.direction)
        assert make_vectors.written(values) == opening_of(share, direction_of(case)).model_dump(mode="json")


@pytest.mark.parametrize("case", [case for case in HONEST if case.bound], ids=lambda case: case.name)
def test_projections_of_the_update_are_those_of_the_vectors(case: Case) -> None:
    elements = np.array([x % reference.Q for x in case.numbers], dtype=np.uint64)
    projected = project(elements, case.dealt.roots[0])
    assert [f"{y:016x}" for y in projected] == EXPECTED[case.name]["projections"]


def decoded(case: Case, name: str, part: int | None = None) -> tuple[int, tuple[int, ...]]:
    """A value of the vectors' openings at zero, and the validators whose values are off its polynomial."""
    openings = {int(j): opening[name] for j, opening in EXPECTED[case.name]["openings"].items()}
    values = {j: int(value if part is None else value[part], 16) for j, value in openings.items()}
    decoding = decode_certain(values, case.t, case.t)
    assert decoding is not None
    return decoding.constant, decoding.errors


def constant(case: Case, name: str) -> reference.E:
    (real, off), (imaginary, off_too) = (decoded(case, name, part) for part in (0, 1))
    assert (off, off_too) == ((), ())
    return real, imaginary


@pytest.mark.parametrize("case", [case for case in HONEST[:-1] if case.bound], ids=lambda case: case.name)
def test_openings_of_an_honest_update_decode_to_a_square_and_to_its_inner_product(case: Case) -> None:
    assert constant(case, "p") == reference.square(constant(case, "z"))
    product, off = decoded(case, "inner_product")
    assert centred(product) == sum(x * g for x, g in zip(case.numbers, case.direction, strict=True)) and off == ()


@pytest.mark.parametrize("case", FALSE, ids=lambda case: case.name)
def test_openings_of_a_false_update_lie_on_polynomials_but_decode_to_no_square(case: Case) -> None:
    assert constant(case, "p") != reference.square(constant(case, "z"))


@pytest.mark.parametrize("case", DEALT_FALSELY, ids=lambda case: case.name)
def test_a_share_off_its_polynomial_takes_its_validator_off_the_decoded_one(case: Case) -> None:
    names = ("z", "p") if case.bound else ("combination",)
    off = {validator for name in names for part in (0, 1) for validator in decoded(case, name, part)[1]}
    assert off == {validator for _, validator, _ in case.lies.shares}


def named(change: Change) -> dict[str, Any]:
    return next(each for each in FILE["unreadable"] if each["name"] == change.name)


@pytest.mark.parametrize("change", UNREADABLE, ids=lambda change: change.name)
def test_a_share_that_is_not_what_was_committed_to_is_unreadable_for_the_vectors_reason(change: Change) -> None:
    case, plaintext = change.case, change.plaintext()
    assert hashlib.sha256(plaintext).hexdigest() == named(change)["plaintext_sha256"]
    context, root = case.context | change.context, change.root or case.dealt.roots[-1].hex()
    manifest = manifest_with(root, UpdateContext(**context), case.n)
    found = check_plaintext(plaintext, manifest, parameters_of(case), change.validator)
    assert found == Unreadable(Defect(named(change)["reason"]))
    ctx, sizes = reference.context(*context.values()), reference.lengths(case.length, case.bound)
    proof = case.bound is not None
    read = reference.read(plaintext, ctx, bytes.fromhex(root), change.validator, case.n, sizes, proof)
    assert read == named(change)["reason"]
