"""Writes tests/vectors/verdicts.json: ``python -m tests.reference.make_verdicts``.

Openings are points of polynomials, with each named deviation; what is decided is found by trying every polynomial that
t + 1 of them determine (section 8.3), and has to be what is written down beside the name. Shares no code with the
product and none with the reference of the proof: a verdict depends on openings alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import shake_256
from itertools import combinations
from pathlib import Path
from typing import Any

VERDICTS = Path(__file__).parents[1] / "vectors" / "verdicts.json"

Q = 2**61 - 1
PARTS = {"norm": ("z0", "z1", "p0", "p1", "c"), "none": ("s0", "s1")}
"""What a validator opens: real and imaginary parts of Z and P and the inner product, or of the random combination."""
INCONSISTENT, OVER, GOOD, UNREADABLE = "refused: inconsistent", "refused: norm", "accepted", "unreadable"

Values = dict[str, int]


@dataclass(frozen=True)
class Case:
    """What is dealt and said, and what follows from it."""

    name: str
    verdict: str
    consistent: tuple[int, ...] = ()
    accused: tuple[int, ...] = ()
    liars: tuple[int, ...] = ()
    inner_product: int | None = None
    thresholds: tuple[int, int] = (4, 1)
    proof: str = "norm"
    square: bool = True
    """P is the square of Z."""
    product: int = -2
    off: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Validator, and which of its values are one too large: it lies, or was dealt a false share."""
    fitted: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    """Part; validators whose values are moved, and those with which they then lie on another polynomial. It is the
    polynomial through the others' points that shares, as p0, the square of Z."""
    absent: tuple[int, ...] = ()
    unreadable: tuple[int, ...] = ()
    with_products: tuple[int, ...] | None = None
    """Who attested with the round's direction; by default all."""


def everybody(n: int, *but: int) -> tuple[int, ...]:
    return tuple(j for j in range(1, n + 1) if j not in but)


FOUR, SEVEN, TEN = everybody(4), everybody(7), everybody(10)
ALL = PARTS["norm"]

CASES = [
    Case("nothing", GOOD, FOUR, inner_product=-2),
    Case("nothing, seven validators", GOOD, SEVEN, inner_product=-2, thresholds=(7, 2)),
    Case("nothing, ten validators", GOOD, TEN, inner_product=-2, thresholds=(10, 3)),
    Case("nothing, five validators, one may be faulty", GOOD, everybody(5), inner_product=-2, thresholds=(5, 1)),
    Case("nothing, in a task without proof", GOOD, FOUR, proof="none"),
    Case("nothing, in a task without proof, seven validators", GOOD, SEVEN, proof="none", thresholds=(7, 2)),
    Case("inner product of zero", GOOD, FOUR, inner_product=0, product=0),
    Case("largest inner product", GOOD, FOUR, inner_product=Q // 2, product=Q // 2),
    Case("least inner product", GOOD, FOUR, inner_product=-(Q // 2), product=-(Q // 2)),
    Case("no direction", GOOD, FOUR, with_products=()),
    # The norm.
    Case("beyond the norm", OVER, FOUR, square=False),
    Case("beyond the norm, seven validators", OVER, SEVEN, thresholds=(7, 2), square=False),
    Case("beyond the norm, one validator absent", OVER, everybody(4, 2), square=False, absent=(2,)),
    Case("beyond the norm, one validator lies", OVER, everybody(4, 3), (3,), square=False, off={3: ALL}),
    Case(
        "beyond the norm, a validator's P fits the square with one honest share, another honest one is absent",
        INCONSISTENT,
        square=False,
        fitted={"p0": ((4,), (1,))},
        absent=(3,),
    ),
    Case(
        "beyond the norm, a validator's P fits the square with one honest share, all there",
        OVER,
        everybody(4, 4),
        (4,),
        square=False,
        fitted={"p0": ((4,), (1,))},
    ),
    Case(
        "beyond the norm, two of seven validators' P fit the square with two honest shares, two others cannot read",
        INCONSISTENT,
        thresholds=(7, 2),
        square=False,
        fitted={"p0": ((6, 7), (1, 2))},
        unreadable=(3, 4),
    ),
    Case(
        "beyond the norm, two of seven validators' P fit the square with two honest shares, all there",
        OVER,
        everybody(7, 6, 7),
        (6, 7),
        thresholds=(7, 2),
        square=False,
        fitted={"p0": ((6, 7), (1, 2))},
    ),
    # One value is off.
    Case("real part of Z off at validator 3", GOOD, everybody(4, 3), (3,), inner_product=-2, off={3: ("z0",)}),
    Case("imaginary part of Z off at validator 1", GOOD, everybody(4, 1), (1,), inner_product=-2, off={1: ("z1",)}),
    Case("real part of P off at validator 2", GOOD, everybody(4, 2), (2,), inner_product=-2, off={2: ("p0",)}),
    Case("imaginary part of P off at validator 4", GOOD, everybody(4, 4), (4,), inner_product=-2, off={4: ("p1",)}),
    Case("everything off at validator 2", GOOD, everybody(4, 2), (2,), inner_product=-2, off={2: ALL}),
    Case("combination off at validator 2", GOOD, everybody(4, 2), (2,), proof="none", off={2: ("s0",)}),
    Case("imaginary part of a combination off", GOOD, everybody(4, 4), (4,), proof="none", off={4: ("s1",)}),
    Case("one off and one absent", INCONSISTENT, off={3: ("z0",)}, absent=(1,)),
    Case("one off and one absent, without proof", INCONSISTENT, proof="none", off={3: ("s0",)}, absent=(1,)),
    # More than one.
    Case("Z off at one validator, P at another", INCONSISTENT, off={1: ("z0",), 4: ("p0",)}),
    Case("Z off at two validators of four", INCONSISTENT, off={1: ("z0",), 4: ("z0",)}),
    Case(
        "two of seven off, each in something else",
        GOOD,
        everybody(7, 1, 6),
        (1, 6),
        inner_product=-2,
        thresholds=(7, 2),
        off={1: ("z0",), 6: ("p1",)},
    ),
    Case(
        "three of seven off, no two in the same",
        INCONSISTENT,
        thresholds=(7, 2),
        off={1: ("z0",), 6: ("p1",), 7: ("z1",)},
    ),
    Case("two of seven off and one absent", INCONSISTENT, thresholds=(7, 2), off={1: ALL, 6: ALL}, absent=(3,)),
    Case(
        "one of seven off and one absent",
        GOOD,
        everybody(7, 3, 6),
        (6,),
        inner_product=-2,
        thresholds=(7, 2),
        off={6: ALL},
        absent=(3,),
    ),
    Case(
        "three of ten off in different elements",
        GOOD,
        everybody(10, 2, 5, 9),
        (2, 5, 9),
        inner_product=-2,
        thresholds=(10, 3),
        off={2: ("z0", "c"), 5: ("z1",), 9: ("p0", "p1")},
    ),
    Case(
        "three of ten off, one of the others cannot read",
        INCONSISTENT,
        thresholds=(10, 3),
        off={2: ("z0",), 5: ("z0",), 9: ("z0",)},
        unreadable=(1,),
    ),
    Case(
        "more lie than may be faulty: two of four agree with an honest one on another Z",
        OVER,
        everybody(4, 2),
        (2,),
        fitted={"z0": ((3, 4), (1,))},
    ),
    # The inner product.
    Case("inner product off at validator 4", GOOD, FOUR, (), (4,), -2, off={4: ("c",)}),
    Case("inner product off at two of seven", GOOD, SEVEN, (), (1, 6), -2, (7, 2), off={1: ("c",), 6: ("c",)}),
    Case("inner product off, one other had no direction", INCONSISTENT, FOUR, off={4: ("c",)}, with_products=(1, 2, 4)),
    Case(
        "inner product off at one that had no direction",
        GOOD,
        FOUR,
        inner_product=-2,
        off={4: ("c",)},
        with_products=(1, 2, 3),
    ),
    Case("inner product off at two of four", INCONSISTENT, FOUR, off={1: ("c",), 4: ("c",)}),
    Case(
        "inner product off at one outside of S",
        GOOD,
        everybody(4, 2),
        (2,),
        inner_product=-2,
        off={2: ("z0", "c")},
    ),
    Case(
        "inner product of one outside of S is missing to the others",
        INCONSISTENT,
        everybody(4, 2),
        (2,),
        off={2: ("z0",)},
        with_products=(1, 2, 3),
    ),
    Case("inner product off, in a round without direction", GOOD, FOUR, off={4: ("c",)}, with_products=()),
    # Who is not there.
    Case("one absent", GOOD, everybody(4, 1), inner_product=-2, absent=(1,)),
    Case("one cannot read", GOOD, everybody(4, 4), inner_product=-2, unreadable=(4,)),
    Case("one absent, another cannot read", UNREADABLE, absent=(1,), unreadable=(4,)),
    Case("three of seven absent", UNREADABLE, thresholds=(7, 2), absent=(1, 2, 3)),
    Case("one of four cannot read, without proof", GOOD, everybody(4, 4), proof="none", unreadable=(4,)),
    Case("nobody can read", UNREADABLE, unreadable=FOUR),
    Case("nobody attested", UNREADABLE, absent=FOUR),
    Case("one of five off, another absent", INCONSISTENT, thresholds=(5, 1), off={3: ("z0",)}, absent=(1,)),
]


# --- openings


def elements(seed: str, label: str, count: int) -> list[int]:
    data = shake_256(f"{seed}/{label}".encode()).digest(16 * count)
    return [int.from_bytes(data[16 * i : 16 * i + 16], "little") % Q for i in range(count)]


def at(coefficients: list[int], x: int) -> int:
    return sum(coefficient * x**power for power, coefficient in enumerate(coefficients)) % Q


def through(points: Mapping[int, int], x: int) -> int:
    """The value at x of the polynomial of least degree through the points."""
    total = 0
    for i, y in points.items():
        term = y
        for j in points:
            if j != i:
                term = term * (x - j) * pow(i - j, -1, Q) % Q
        total += term
    return total % Q


def secrets_of(case: Case) -> Values:
    """What is shared: Z and its square, or something else; the inner product; without proof a combination."""
    seed = f"verdict {case.name}"
    if case.proof == "none":
        return dict(zip(PARTS["none"], elements(seed, "combination", 2), strict=True))
    a, b, e, f = elements(seed, "z", 4)
    p0, p1 = ((a * a - b * b) % Q, 2 * a * b % Q) if case.square else (e, f)
    return {"z0": a, "z1": b, "p0": p0, "p1": p1, "c": case.product % Q}


def openings_of(case: Case) -> dict[int, Values | None]:
    """What the ledger holds of each validator that attested."""
    (n, t), seed, secrets = case.thresholds, f"verdict {case.name}", secrets_of(case)
    said: dict[int, Values] = {j: {} for j in range(1, n + 1)}
    for part, secret in secrets.items():
        coefficients = [secret, *elements(seed, f"coefficients/{part}", t)]
        for j in said:
            said[j][part] = at(coefficients, j)
    for part, (moved, kept) in case.fitted.items():
        a, b = secrets["z0"], secrets["z1"]
        target = (a * a - b * b) % Q if part == "p0" else elements(seed, f"target/{part}", 1)[0]
        points = {0: target, **{j: said[j][part] for j in kept}}
        for j in moved:
            said[j][part] = through(points, j)
    for j, parts in case.off.items():
        for part in parts:
            said[j][part] = (said[j][part] + 1) % Q
    told: dict[int, Values | None] = {j: values for j, values in said.items() if j not in case.absent}
    return told | dict.fromkeys(case.unreadable)


# --- the decision, by trial


def decoded(values: Mapping[int, int], t: int) -> tuple[int, frozenset[int]] | None:
    """Value at zero, and the points that agree, of the one polynomial of degree t on which 2t + 1 values and more than
    half of what is not needed to determine it lie."""
    found = set()
    for chosen in combinations(sorted(values), t + 1):
        points = {j: values[j] for j in chosen}
        agreeing = frozenset(j for j in values if through(points, j) == values[j])
        if len(agreeing) >= 2 * t + 1 and 2 * (len(values) - len(agreeing)) <= len(values) - t - 1:
            found.add((through(points, 0), agreeing))
    assert len(found) <= 1
    return next(iter(found), None)


def decision(
    openings: Mapping[int, Values | None], n: int, t: int, with_products: Collection[int]
) -> tuple[str, frozenset[int], frozenset[int], frozenset[int], int | None]:
    """Verdict, S, accused, liars and inner product (section 8.3)."""
    nobody: frozenset[int] = frozenset()
    counted = {j: values for j, values in openings.items() if values is not None}
    if len(counted) < n - t:
        return UNREADABLE, nobody, nobody, nobody, None
    consistent, secrets = frozenset(counted), {}
    for part in next(iter(counted.values())):
        if part == "c":
            continue
        one = decoded({j: values[part] for j, values in counted.items()}, t)
        if one is None:
            return INCONSISTENT, nobody, nobody, nobody, None
        secrets[part], agreeing = one
        consistent &= agreeing
    if len(consistent) < n - t:
        return INCONSISTENT, nobody, nobody, nobody, None
    accused = frozenset(counted) - consistent
    if "s0" in secrets:
        return GOOD, consistent, accused, nobody, None
    a, b = secrets["z0"], secrets["z1"]
    if (secrets["p0"], secrets["p1"]) != ((a * a - b * b) % Q, 2 * a * b % Q):
        return OVER, consistent, accused, nobody, None
    if not with_products:
        return GOOD, consistent, accused, nobody, None
    products = {j: counted[j]["c"] for j in consistent if j in with_products}
    one = decoded(products, t)
    if one is None:
        return INCONSISTENT, consistent, accused, nobody, None
    product, agreeing = one
    return GOOD, consistent, accused, frozenset(products) - agreeing, product - Q if product > Q // 2 else product


# --- the file


def written(values: Values | None) -> dict[str, Any] | None:
    """An opening as it is on the ledger."""
    if values is None:
        return None
    words = {part: f"{value:016x}" for part, value in values.items()}
    if "s0" in words:
        return {"combination": [words["s0"], words["s1"]]}
    return {"z": [words["z0"], words["z1"]], "p": [words["p0"], words["p1"]], "inner_product": words["c"]}


def vector(case: Case) -> dict[str, Any]:
    """One case as a JSON value; refuses one whose decision is not the expected one."""
    (n, t), openings = case.thresholds, openings_of(case)
    products = sorted(openings) if case.with_products is None else list(case.with_products)
    verdict, consistent, accused, liars, inner_product = decision(openings, n, t, products)
    expected = (case.verdict, case.consistent, case.accused, case.liars, case.inner_product)
    found = (verdict, *(tuple(sorted(each)) for each in (consistent, accused, liars)), inner_product)
    if found != expected:
        raise ValueError(f"{case.name}: {found} is decided, {expected} is written down")
    return {
        "name": case.name,
        "n": n,
        "t": t,
        "openings": {str(j): written(values) for j, values in openings.items()},
        "with_products": products,
        "decision": {
            "verdict": verdict,
            "consistent": sorted(consistent),
            "accused": sorted(accused),
            "liars": sorted(liars),
            "inner_product": inner_product,
        },
    }


def verdicts() -> dict[str, Any]:
    """The whole file as a JSON value."""
    return {"schema": "fedledger/verdict-vectors/2", "cases": [vector(case) for case in CASES]}


if __name__ == "__main__":
    VERDICTS.write_text(json.dumps(verdicts(), indent=1) + "\n")
