"""Writes tests/vectors/verdicts.json: ``python -m tests.reference.make_verdicts``.

Openings after each named attack come from the reference; the decisions are written down here, one for each defect.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reference import secure_aggregation as reference
from tests.reference.make_vectors import rows, stream_bytes, stream_elements

VERDICTS = Path(__file__).parents[1] / "vectors" / "verdicts.json"

NORM = 1000
DIMENSION = 9
BOUND = reference.Bound(NORM, DIMENSION)
HALF, THIRD = pow(2, -1, reference.Q), pow(3, -1, reference.Q)
DIRECTION = [1, -2, 3, -4, 0, 0, 0, 0, 5]
WIDTH = BOUND.norm_bits


@dataclass(frozen=True)
class Attack:
    """What is dealt and said, and what follows from it."""

    name: str
    verdict: str
    accused: tuple[int, ...] = ()
    liars: tuple[int, ...] = ()
    inner_product: int | None = None
    thresholds: tuple[int, int] = (4, 1)
    update: tuple[int, ...] = (1, -2, 3, 4)
    norm: int | None = None
    """N as claimed; by default the true one mod q."""
    norm_digits: dict[int, int] = field(default_factory=dict)
    """Digit of the bits of N and B - N, and what it is dealt as."""
    projection_digits: dict[int, int] = field(default_factory=dict)
    """Digit of the projections' bits, and what is added to it."""
    zeros: tuple[int, int] = (0, 0)
    share_errors: dict[int, int] = field(default_factory=dict)
    """Validator, and which element of its share is one too large."""
    proof_errors: dict[int, int] = field(default_factory=dict)
    lies: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Validator, and which of its values are one too large."""
    swapped: tuple[int, int] | None = None
    silent: tuple[int, ...] = ()
    unreadable: tuple[int, ...] = ()
    convicted: tuple[int, ...] = ()


EVERYTHING = ("D0", "D1", "T0", "T1", "c")
PRODUCT = sum(x * g for x, g in zip((1, -2, 3, 4), DIRECTION, strict=False))
INCONSISTENT, OVER, GOOD = "refused: inconsistent", "refused: norm", "accepted"

ATTACKS = [
    Attack("none", GOOD, inner_product=PRODUCT),
    Attack("none, seven validators", GOOD, inner_product=PRODUCT, thresholds=(7, 2)),
    Attack("none, ten validators", GOOD, inner_product=PRODUCT, thresholds=(10, 3)),
    Attack("norm at the bound", GOOD, update=(600, 0, -800, 0), inner_product=-1800),
    Attack("norm one percent over the bound", OVER, update=(606, 0, -808, 0), norm=NORM**2),
    Attack("norm over the bound by one", OVER, update=(600, 1, -800, 0), norm=NORM**2),
    Attack("entries of one half", OVER, update=(HALF,) * 4, norm=1),
    Attack("entries of one third", OVER, update=(THIRD,) * 9, norm=1),
    Attack("number that is no bit in the norm", OVER, norm_digits={0: 2}),
    Attack("fraction in a bit of the norm", OVER, norm_digits={0: HALF}),
    Attack(
        "digits that add up to the right numbers without being bits",
        OVER,
        update=(NORM, NORM),
        norm=0,
        # N = 2B as one digit, B - N = -B as one digit.
        norm_digits={**dict.fromkeys(range(2 * WIDTH), 0), 0: 2 * NORM**2, WIDTH: reference.Q - NORM**2},
    ),
    Attack("number that is no bit in a projection", OVER, projection_digits={3: 2}),
    Attack("wrong bit of a projection", OVER, projection_digits={7: 1}),
    Attack("first sharing of zero shares one", OVER, zeros=(1, 0)),
    Attack("second sharing of zero shares one", OVER, zeros=(0, 1)),
    Attack("share off its polynomial to validator 2", INCONSISTENT, accused=(2,), share_errors={2: 0}),
    Attack("bit of the norm off its polynomial to validator 3", INCONSISTENT, accused=(3,), share_errors={3: 9}),
    Attack("bit of a projection off its polynomial to validator 1", INCONSISTENT, accused=(1,), proof_errors={1: 0}),
    Attack("mask off its polynomial to validator 4", INCONSISTENT, accused=(4,), proof_errors={4: -4}),
    Attack("sharing of zero off its polynomial to validator 4", INCONSISTENT, proof_errors={4: -1}),
    Attack("shares off their polynomials to two validators", INCONSISTENT, share_errors={1: 0, 4: 1}),
    Attack("validator lies in the first D", INCONSISTENT, accused=(3,), lies={3: ("D0",)}),
    Attack("validator lies in the second D", INCONSISTENT, accused=(1,), lies={1: ("D1",)}),
    Attack("validator lies in T", INCONSISTENT, lies={2: ("T0",)}),
    Attack("validator lies in c", GOOD, liars=(4,), inner_product=PRODUCT, lies={4: ("c",)}),
    Attack("validator lies in everything", INCONSISTENT, accused=(2,), lies={2: EVERYTHING}),
    Attack(
        "validator that lied in everything is convicted",
        GOOD,
        inner_product=PRODUCT,
        lies={2: EVERYTHING},
        convicted=(2,),
    ),
    Attack(
        "two of seven validators lie in D",
        INCONSISTENT,
        accused=(1, 6),
        thresholds=(7, 2),
        lies={1: ("D0",), 6: ("D1",)},
    ),
    Attack("two of seven validators lie in T", INCONSISTENT, thresholds=(7, 2), lies={1: ("T0",), 6: ("T0",)}),
    Attack(
        "two of seven validators lie in c",
        GOOD,
        liars=(1, 6),
        inner_product=PRODUCT,
        thresholds=(7, 2),
        lies={1: ("c",), 6: ("c",)},
    ),
    Attack("validator silent", GOOD, inner_product=PRODUCT, silent=(1,)),
    Attack("validator cannot read its share", GOOD, inner_product=PRODUCT, unreadable=(4,)),
    Attack("one validator silent, another cannot read its share", "unreadable", silent=(1,), unreadable=(4,)),
    Attack("two validators swap their attestations", INCONSISTENT, swapped=(1, 2)),
    Attack(
        "two of seven validators swap their attestations",
        INCONSISTENT,
        accused=(2, 5),
        thresholds=(7, 2),
        swapped=(2, 5),
    ),
    Attack(
        "norm over the bound and a convicted validator",
        OVER,
        update=(600, 1, -800, 0),
        norm=NORM**2,
        lies={3: EVERYTHING},
        convicted=(3,),
    ),
]


def openings_after(attack: Attack) -> dict[int, Any]:
    """What the ledger holds of each validator that attested: its five values, or None."""
    (n, t), seed = attack.thresholds, f"verdict {attack.name}"
    ctx = reference.context("fedledger", "heart-disease", 1, "00" * 32, "11" * 32)
    elements = [x % reference.Q for x in attack.update] + [0] * (DIMENSION - len(attack.update))
    norm = sum(x * x for x in elements) % reference.Q if attack.norm is None else attack.norm
    digits = reference.bits(norm, BOUND.norm_bits) + reference.bits(BOUND.squared - norm, BOUND.norm_bits)
    for place, value in attack.norm_digits.items():
        digits[place] = value
    secrets = elements + digits
    first = shares_of(secrets, rows(seed, "coefficients", t, len(secrets)), n, attack.share_errors)
    salts = [stream_bytes(seed, f"salt/{j}", 16) for j in range(1, n + 1)]
    root = reference.root(ctx, [reference.leaf(ctx, j, salts[j - 1], first[j]) for j in first])
    projected: list[int] = []
    for y in reference.projections(elements, root):
        signed = y - reference.Q if y > reference.Q // 2 else y
        projected += reference.bits((signed + BOUND.window - 1) % (2 * BOUND.window), BOUND.window_bits)
    for place, change in attack.projection_digits.items():
        projected[place] = 1 - projected[place] if change == 1 else projected[place] + change
    dealt = projected + stream_elements(seed, "masks", 2)
    linear = shares_of(dealt, rows(seed, "proof_coefficients", t, len(dealt)), n, {})
    zeros = shares_of(list(attack.zeros), rows(seed, "zero_coefficients", 2 * t, 2), n, {})
    second = {j: linear[j] + zeros[j] for j in linear}
    for j, place in attack.proof_errors.items():
        second[j][place] = (second[j][place] + 1) % reference.Q
    proof_leaves = [reference.proof_leaf(root, j, salts[j - 1], second[j]) for j in second]
    roots = root, reference.proof_root(root, proof_leaves)
    posted: dict[int, Any] = {
        j: said(attack, j, reference.opening(first[j], second[j], roots, BOUND, DIRECTION)) for j in first
    }
    if attack.swapped:
        left, right = attack.swapped
        posted[left], posted[right] = posted[right], posted[left]
    posted |= dict.fromkeys(attack.unreadable)
    return {j: value for j, value in posted.items() if j not in attack.silent}


def shares_of(
    secrets: list[int], coefficients: list[list[int]], n: int, errors: dict[int, int]
) -> dict[int, list[int]]:
    shares = {j: reference.share(secrets, coefficients, j) for j in range(1, n + 1)}
    for j, place in errors.items():
        shares[j][place] = (shares[j][place] + 1) % reference.Q
    return shares


def said(attack: Attack, validator: int, true: tuple[list[int], list[int], int]) -> dict[str, Any]:
    values = dict(zip(EVERYTHING, (*true[0], *true[1], true[2]), strict=True))
    for part in attack.lies.get(validator, ()):
        values[part] = (values[part] + 1) % reference.Q
    words = {part: f"{value:016x}" for part, value in values.items()}
    return {
        "degree": [words["D0"], words["D1"]],
        "zero": [words["T0"], words["T1"]],
        "inner_product": words["c"],
    }


def verdicts() -> dict[str, Any]:
    """The whole file as a JSON value."""
    return {
        "schema": "fedledger/verdict-vectors/1",
        "cases": [
            {
                "name": attack.name,
                "n": attack.thresholds[0],
                "t": attack.thresholds[1],
                "openings": {str(j): opening for j, opening in openings_after(attack).items()},
                "convicted": list(attack.convicted),
                "decision": {
                    "verdict": attack.verdict,
                    "inner_product": attack.inner_product,
                    "accused": list(attack.accused),
                    "liars": list(attack.liars),
                },
            }
            for attack in ATTACKS
        ],
    }


if __name__ == "__main__":
    VERDICTS.write_text(json.dumps(verdicts(), indent=1) + "\n")
