"""The reference computes the vectors, and the product computes the same as the reference."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from fedledger.secure_aggregation import Parameters, SealingKey, UpdateContext, open_share, opening_of
from fedledger.secure_aggregation.challenges import project
from fedledger.secure_aggregation.update import UpdateRandomness, share_update
from fedledger_chaincode.rules.verdicts import decide
from tests.protocol.parties import manifest_of, readable
from tests.reference import secure_aggregation as reference
from tests.reference.make_vectors import VECTORS, rows, stream_bytes, stream_elements, vectors

CASES = json.loads(VECTORS.read_text())["cases"]
PROVEN = [case for case in CASES if case["proof"] == "norm"]


def parameters_of(case: dict[str, Any]) -> Parameters:
    return Parameters(case["n"], case["t"], len(case["update"]), case["quantised_norm"], proof=case["proof"])


def randomness_of(case: dict[str, Any], parameters: Parameters) -> UpdateRandomness:
    seed, n, t = case["seed"], case["n"], case["t"]
    dealt = 0 if parameters.norm_bound is None else parameters.norm_bound.projection_bits + 2
    return UpdateRandomness(
        salts=tuple(stream_bytes(seed, f"salt/{j}", 16) for j in range(1, n + 1)),
        seeds=tuple(stream_bytes(seed, f"seal/{j}", 32) for j in range(1, n + 1)),
        coefficients=np.array(rows(seed, "coefficients", t, parameters.share_length), dtype=np.uint64),
        masks=np.array(stream_elements(seed, "masks", 2), dtype=np.uint64),
        proof_coefficients=np.array(rows(seed, "proof_coefficients", t, dealt), dtype=np.uint64),
        zero_coefficients=np.array(rows(seed, "zero_coefficients", 2 * t, 2), dtype=np.uint64),
    )


def test_the_file_is_what_the_reference_computes() -> None:
    assert vectors() == json.loads(VECTORS.read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_product_computes_what_the_reference_computed(case: dict[str, Any]) -> None:
    parameters, expected = parameters_of(case), case["expected"]
    context = UpdateContext(**case["context"])
    keys = [SealingKey.generate() for _ in range(case["n"])]
    prepared = share_update(
        np.array(case["update"], dtype=np.int64),
        parameters,
        context,
        [key.public_key for key in keys],
        randomness_of(case, parameters),
    )
    assert prepared is not None
    assert context.encode().hex() == expected["context"]
    assert prepared.root == expected["root"]
    assert list(prepared.leaves) == expected["leaves"]
    manifest = manifest_of(prepared, context)
    opened = {
        j: readable(open_share(prepared.sealed[j - 1], manifest, parameters, j, key))
        for j, key in enumerate(keys, start=1)
    }
    shares = [[f"{int(x):016x}" for x in share.update] for share in opened.values()]
    assert shares == expected["update_shares"]
    if prepared.proof is None:
        return
    assert prepared.proof.root == expected["proof_root"]
    assert list(prepared.proof.leaves) == expected["proof_leaves"]
    direction = np.array(case["reference_direction"], dtype=np.int64)
    openings = {j: opening_of(share, direction) for j, share in opened.items()}
    assert [opening.model_dump(mode="json") for opening in openings.values()] == expected["openings"]
    decision = decide(openings, case["n"], case["t"])
    assert (decision.verdict, decision.inner_product) == ("accepted", expected["inner_product"])


@pytest.mark.parametrize("case", PROVEN, ids=lambda case: case["name"])
def test_projections_of_the_update_are_those_of_the_vectors(case: dict[str, Any]) -> None:
    elements = np.array([x % reference.Q for x in case["update"]], dtype=np.uint64)
    projected = project(elements, case["expected"]["root"])
    assert [f"{int(y):016x}" for y in projected] == case["expected"]["projections"]


@pytest.mark.parametrize("case", PROVEN, ids=lambda case: case["name"])
def test_openings_lie_on_their_polynomials_in_the_reference(case: dict[str, Any]) -> None:
    for challenge in range(reference.CHALLENGES):
        degree, zero = (
            {j: int(opening[part][challenge], 16) for j, opening in enumerate(case["expected"]["openings"], start=1)}
            for part in ("degree", "zero")
        )
        assert reference.lies_on_degree(degree, case["t"])
        assert reference.lies_on_degree(zero, 2 * case["t"])
        assert reference.interpolate(zero, 0) == 0
