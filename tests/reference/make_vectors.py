"""Writes tests/vectors/secure_aggregation.json from the reference: ``python -m tests.reference.make_vectors``.

Everything random comes from a seed by SHAKE-256, so that the file is the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.reference import secure_aggregation as reference

VECTORS = Path(__file__).parents[1] / "vectors" / "secure_aggregation.json"


def stream_bytes(seed: str, label: str, count: int) -> bytes:
    """``count`` bytes of SHAKE-256 over seed, a slash and label."""
    return hashlib.shake_256(f"{seed}/{label}".encode()).digest(count)


def stream_elements(seed: str, label: str, count: int) -> list[int]:
    """Field elements of eight bytes each, little-endian, the low 61 bits."""
    data = stream_bytes(seed, label, 8 * count)
    words = (int.from_bytes(data[8 * i : 8 * i + 8], "little") for i in range(count))
    return [word % 2**61 % reference.Q for word in words]


def rows(seed: str, label: str, height: int, width: int) -> list[list[int]]:
    flat = stream_elements(seed, label, height * width)
    return [flat[i * width : (i + 1) * width] for i in range(height)]


CASES: list[dict[str, Any]] = [
    {
        "name": "no proof, four validators",
        "n": 4,
        "t": 1,
        "quantised_norm": 100,
        "proof": "none",
        "update": [60, -80, 0, 0, 0],
    },
    {
        "name": "no proof, ten validators",
        "n": 10,
        "t": 3,
        "quantised_norm": 1 << 24,
        "proof": "none",
        "update": [-(1 << 24)],
    },
    {
        "name": "at the bound, four validators",
        "n": 4,
        "t": 1,
        "quantised_norm": 300,
        "proof": "norm",
        "update": [100, -200, 200, 0, 0],
    },
    {
        "name": "below the bound, seven validators",
        "n": 7,
        "t": 2,
        "quantised_norm": 1 << 24,
        "proof": "norm",
        "update": [1, -1, 1000, -16777213, 0, 0, 7, 8, 9],
    },
    {"name": "zero, ten validators", "n": 10, "t": 3, "quantised_norm": 1000, "proof": "norm", "update": [0, 0, 0]},
]


def expected_of(case: dict[str, Any]) -> dict[str, Any]:
    """What the reference computes for a case."""
    seed, update, n, t = case["seed"], case["update"], case["n"], case["t"]
    with_proof = case["proof"] == "norm"
    bound = reference.Bound(case["quantised_norm"], len(update)) if with_proof else None
    ctx = reference.context(*case["context"].values())
    salts = [stream_bytes(seed, f"salt/{j}", 16) for j in range(1, n + 1)]
    secrets = reference.first_secrets(update, bound)
    coefficients = rows(seed, "coefficients", t, len(secrets))
    first = [reference.share(secrets, coefficients, j) for j in range(1, n + 1)]
    leaves = [reference.leaf(ctx, j, salts[j - 1], first[j - 1]) for j in range(1, n + 1)]
    root = reference.root(ctx, leaves)
    expected: dict[str, Any] = {
        "context": ctx.hex(),
        "root": root.hex(),
        "leaves": [leaf.hex() for leaf in leaves],
        "update_shares": [[f"{x:016x}" for x in share[: len(update)]] for share in first],
    }
    if bound is None:
        return expected
    dealt = reference.projection_secrets(update, root, bound) + stream_elements(seed, "masks", 2)
    proof_coefficients = rows(seed, "proof_coefficients", t, len(dealt))
    zero_coefficients = rows(seed, "zero_coefficients", 2 * t, 2)
    second = [
        reference.share(dealt, proof_coefficients, j) + reference.share([0, 0], zero_coefficients, j)
        for j in range(1, n + 1)
    ]
    proof_leaves = [reference.proof_leaf(root, j, salts[j - 1], second[j - 1]) for j in range(1, n + 1)]
    proof_root = reference.proof_root(root, proof_leaves)
    openings = [
        reference.opening(first[j], second[j], (root, proof_root), bound, case["reference_direction"]) for j in range(n)
    ]
    expected |= {
        "proof_root": proof_root.hex(),
        "proof_leaves": [leaf.hex() for leaf in proof_leaves],
        "projections": [f"{y:016x}" for y in reference.projections(update, root)],
        "openings": [
            {
                "degree": [f"{x:016x}" for x in degree],
                "zero": [f"{x:016x}" for x in zero],
                "inner_product": f"{product:016x}",
            }
            for degree, zero, product in openings
        ],
        "inner_product": sum(x * g for x, g in zip(update, case["reference_direction"], strict=True)),
    }
    return expected


def vectors() -> dict[str, Any]:
    """The whole file as a JSON value."""
    cases = []
    for index, case in enumerate(CASES):
        context = {
            "channel": "fedledger",
            "task": "heart-disease",
            "round": index + 1,
            "base_model": f"{index:064x}",
            "participant": f"{index + 255:064x}",
        }
        direction = [(-1) ** i * (i + 1) for i in range(len(case["update"]))]
        full = case | {"seed": f"vector {index}", "context": context, "reference_direction": direction}
        cases.append(full | {"expected": expected_of(full)})
    return {"schema": "fedledger/secure-aggregation-vectors/1", "cases": cases}


if __name__ == "__main__":
    VECTORS.parent.mkdir(exist_ok=True)
    VECTORS.write_text(json.dumps(vectors(), indent=1) + "\n")
