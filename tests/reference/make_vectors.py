"""Writes tests/vectors/secure_aggregation.json from the reference: ``python -m tests.reference.make_vectors``.

Everything random comes from a seed by SHAKE-256, so that the file is the same on every machine. It holds updates that
are as they should be, updates and dealings that are false, named by their defect, and shares that nobody can read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isqrt
from pathlib import Path
from typing import Any

from tests.reference import secure_aggregation as reference
from tests.reference.secure_aggregation import NO_LIES, Dealt, Lies, Q

VECTORS = Path(__file__).parents[1] / "vectors" / "secure_aggregation.json"


def stream_bytes(seed: str, label: str, count: int) -> bytes:
    """``count`` bytes of SHAKE-256 over seed, a slash and label."""
    return hashlib.shake_256(f"{seed}/{label}".encode()).digest(count)


def stream_elements(seed: str, label: str, count: int) -> list[int]:
    """Field elements of eight bytes each, little-endian, the low 61 bits."""
    data = stream_bytes(seed, label, 8 * count)
    words = (int.from_bytes(data[8 * i : 8 * i + 8], "little") for i in range(count))
    return [word % 2**61 % Q for word in words]


def rows(seed: str, label: str, height: int, width: int) -> list[list[int]]:
    flat = stream_elements(seed, label, height * width)
    return [flat[i * width : (i + 1) * width] for i in range(height)]


@dataclass(frozen=True)
class Case:
    """One update, dealt by the reference."""

    name: str
    n: int = 4
    t: int = 1
    quantised_norm: int = 1000
    proof: str = "norm"
    update: tuple[int, ...] = (1, -2, 3, 4)
    """Its first numbers; the others are 0. None of them where it is drawn."""
    dimension: int = 0
    """By default as many as there are in ``update``."""
    drawn: int = 0
    """Numbers are drawn from -drawn .. drawn."""
    lies: Lies = NO_LIES
    attesting: tuple[int, ...] = ()
    """Validators whose openings are in the file; by default all."""

    @property
    def length(self) -> int:
        return self.dimension or len(self.update)

    @property
    def bound(self) -> reference.Bound | None:
        return reference.Bound(self.quantised_norm, self.length) if self.proof == "norm" else None

    @property
    def numbers(self) -> list[int]:
        if self.drawn:
            return [x % (2 * self.drawn + 1) - self.drawn for x in stream_elements(self.name, "update", self.length)]
        return [*self.update, *[0] * (self.length - len(self.update))]

    @property
    def direction(self) -> list[int]:
        return [(-1) ** i * (i % 100 + 1) for i in range(self.length)]

    @property
    def context(self) -> dict[str, Any]:
        number = int.from_bytes(stream_bytes(self.name, "context", 2), "little")
        return {
            "channel": "fedledger",
            "task": "heart-disease",
            "round": number + 1,
            "base_model": f"{number:064x}",
            "participant": f"{number + 255:064x}",
        }

    @property
    def salts(self) -> list[bytes]:
        return [stream_bytes(self.name, f"salt/{j}", 16) for j in range(1, self.n + 1)]

    @property
    def mask(self) -> reference.E:
        first, second = stream_elements(self.name, "mask", 2)
        return first, second

    def coefficients(self, message: int, length: int) -> list[list[int]]:
        return rows(self.name, f"coefficients/{message}", self.t, length)

    @cached_property
    def dealt(self) -> Dealt:
        ctx = reference.context(*self.context.values())
        return reference.deal(self.numbers, self.bound, ctx, self.salts, self.coefficients, self.mask, self.lies)

    def opening(self, validator: int) -> reference.Values:
        dealt = self.dealt
        shares = [message[validator - 1] for message in dealt.shares]
        return reference.opening(shares, dealt.roots, self.bound, self.direction)


HONEST = [
    Case("no proof", quantised_norm=100, proof="none", update=(60, -80, 0, 0, 0)),
    Case("no proof, seven validators, three columns", 7, 2, 1 << 24, "none", drawn=1000, dimension=70),
    Case("no proof, ten validators", 10, 3, 1 << 24, "none", (-(1 << 24),)),
    Case("at the bound", quantised_norm=300, update=(100, -200, 200, 0, 0)),
    Case("below the bound, seven validators", 7, 2, 1 << 24, update=(1, -1, 1000, -16777213, 0, 0, 7, 8, 9)),
    Case("zero, ten validators", 10, 3, update=(0, 0, 0)),
    Case("least norm", quantised_norm=1, update=(0, -1)),
    Case("one hundred numbers", quantised_norm=1 << 24, drawn=1_000_000, dimension=100),
    Case("two folds", quantised_norm=1 << 24, drawn=1000, dimension=160_000, attesting=(1, 2)),
]

WIDTH = reference.Bound(1000, 4).norm_bits
HALF, THIRD = pow(2, -1, Q), pow(3, -1, Q)
ROOT = isqrt(Q)
FALSE = [
    Case("norm one percent over the bound", update=(606, 0, -808, 0)),
    Case("norm over the bound by one", update=(600, 1, -800, 0)),
    Case("squares that add up to q and a little", quantised_norm=1 << 24, update=(ROOT, isqrt(Q - ROOT**2) + 1)),
    Case("entries of one half", update=(HALF,) * 4),
    Case("entries of one third", update=(THIRD,) * 9),
    Case("random elements", update=tuple(stream_elements("random elements", "update", 5))),
    Case("no bit in the norm", lies=Lies(digits={0: 2})),
    Case("one half for a bit of the norm", lies=Lies(digits={3: HALF})),
    Case(
        "digits of the right sums that are no bits",
        update=(1000, 1000),
        # N = 2B as one digit, B - N = -B as one digit.
        lies=Lies(digits={**dict.fromkeys(range(2 * WIDTH), 0), 0: 2_000_000, WIDTH: Q - 1_000_000}),
    ),
    Case("N + N' is not B", lies=Lies(complement=1000**2 - 29)),
    Case("N of another update", lies=Lies(norm=31)),
    Case("no bit in a projection", lies=Lies(digits={2 * WIDTH + 3: 2})),
    # The highest bit says that y > 0: it does not of all twenty.
    Case("wrong bits of projections", lies=Lies(digits={2 * WIDTH + 15 * k + 14: 1 for k in range(20)})),
    Case("false P_1 of the right sum", lies=Lies(polynomial={0: 1, 1: Q - 1})),
    Case("false P_1 beyond its nodes", lies=Lies(polynomial={40: 1})),
    Case(
        "P_1 bent to the sum that is claimed",
        update=(2000, 0, 0, 0),
        lies=Lies(norm=1000**2, polynomial={5: -3 * 1000**2}),
    ),
    Case("false message of a fold", lies=Lies(messages={(2, 0): 1})),
    Case("false message of a fold, at the end", lies=Lies(messages={(2, -1): 1})),
    Case("false mask", lies=Lies(messages={(3, 0): 1})),
    Case("false square of the mask", lies=Lies(messages={(3, 2): 1})),
    Case("false last message", lies=Lies(messages={(3, -1): 1})),
]
FALSE += [replace(case, name=f"{case.name}, seven validators", n=7, t=2) for case in FALSE[::5]]

DEALT_FALSELY = [
    *[
        Case(f"element {place} of message {k} off its polynomial to validator 2", lies=Lies(shares={(k, 2, place): 1}))
        for k, place in ((0, 0), (0, 10), (0, -1), (1, 5), (2, 7), (3, 0), (3, -1))
    ],
    Case("shares off their polynomials to two of seven", 7, 2, lies=Lies(shares={(0, 1, 0): 1, (3, 6, 3): 5})),
    Case(
        "no proof: share off its polynomial to validator 4",
        proof="none",
        lies=Lies(shares={(0, 4, 2): 1}),
    ),
    Case("no proof: mask off its polynomial to validator 1", proof="none", lies=Lies(shares={(0, 1, -1): 1})),
    Case(
        "no proof: shares off their polynomials to two of seven",
        7,
        2,
        proof="none",
        lies=Lies(shares={(0, 3, 0): 1, (0, 7, 0): 1}),
    ),
]


@dataclass(frozen=True)
class Change:
    """What is done to one validator's plaintext, or to what the ledger says, so that it cannot be read."""

    name: str
    reason: str
    case: Case
    validator: int = 2
    patch: tuple[tuple[int, str], ...] = ()
    """Offset and hex of the bytes that are put there."""
    cut: int = 0
    """Bytes cut off the end."""
    added: str = ""
    """Hex of the bytes added to the end."""
    context: dict[str, Any] = field(default_factory=dict)
    """Of another manifest that copies R."""
    root: str = ""
    """R of another manifest."""

    def plaintext(self) -> bytes:
        found = bytearray(self.case.dealt.plaintext(self.validator))
        for at, patched in self.patch:
            found[at : at + len(patched) // 2] = bytes.fromhex(patched)
        return bytes(found[: len(found) - self.cut]) + bytes.fromhex(self.added)


PLAIN, PROVEN, LONGER = HONEST[0], HONEST[3], HONEST[7]
TOO_LARGE = [
    Case("value that is no element", lies=Lies(shares={(0, 2, 1): Q})),
    Case("value that is no element, in the last message", lies=Lies(shares={(3, 2, -1): Q})),
    Case("no proof: value that is no element", proof="none", lies=Lies(shares={(0, 2, -1): Q})),
]


def unreadable() -> list[Change]:
    """Every defect of what is sealed."""
    element, proven = "00" * 8, PROVEN.dealt
    first, second = proven.leaves[0][:2]
    messages = 16 + 32 * PROVEN.n * len(proven.messages)
    elsewhere: dict[str, Any] = {
        "channel": "other",
        "task": "other",
        "round": 999_999,
        "base_model": "cd" * 32,
        "participant": "ef" * 32,
    }
    return [
        Change("truncated", "WRONG_LENGTH", PROVEN, cut=8),
        Change("longer by an element", "WRONG_LENGTH", PROVEN, added=element),
        Change("empty", "WRONG_LENGTH", PROVEN, cut=len(proven.plaintext(2))),
        Change("no proof: truncated", "WRONG_LENGTH", PLAIN, cut=1),
        Change("another leaf", "ROOT_MISMATCH", PROVEN, patch=((16 + 32 * 7, "00"),)),
        Change("leaves swapped", "ROOT_MISMATCH", PROVEN, patch=((16, second.hex()), (48, first.hex()))),
        Change("no proof: another leaf", "ROOT_MISMATCH", PLAIN, patch=((16 + 32 * 3, "00"),)),
        Change("R of another update", "ROOT_MISMATCH", PROVEN, root=LONGER.dealt.roots[-1].hex()),
        *[
            Change(f"{prefix}copied to another {name}", "ROOT_MISMATCH", case, context={name: value})
            for prefix, case in (("", PROVEN), ("no proof: ", PLAIN))
            for name, value in elsewhere.items()
        ],
        Change("another salt", "LEAF_MISMATCH", PROVEN, patch=((0, "00"),)),
        Change("another element of the first message", "LEAF_MISMATCH", PROVEN, patch=((messages, element),)),
        Change("another element of the last message", "LEAF_MISMATCH", PROVEN, cut=8, added=element),
        Change("sealed to another validator", "LEAF_MISMATCH", PROVEN, patch=((0, proven.plaintext(3).hex()),)),
        Change("no proof: another element", "LEAF_MISMATCH", PLAIN, cut=8, added=element),
        *[Change(case.name, "NOT_AN_ELEMENT", case) for case in TOO_LARGE],
    ]


def written(values: reference.Values) -> dict[str, Any]:
    """An opening as the ledger writes it."""
    return {
        name: f"{value:016x}" if isinstance(value, int) else [f"{part:016x}" for part in value]
        for name, value in values.items()
    }


def described(case: Case) -> dict[str, Any]:
    """A case and what the reference computes of it."""
    dealt = case.dealt
    fields = {name: value for name, value in vars(case).items() if name not in ("lies", "dealt")}
    lies = {name: _listed(value) for name, value in vars(case.lies).items() if value not in (None, {})}
    attesting = case.attesting or range(1, case.n + 1)
    expected: dict[str, Any] = {
        "context": reference.context(*case.context.values()).hex(),
        "roots": [root.hex() for root in dealt.roots],
        "leaves": [[leaf.hex() for leaf in leaves] for leaves in dealt.leaves],
        "openings": {str(j): written(case.opening(j)) for j in attesting},
        "secrets": written(reference.opening(dealt.messages, dealt.roots, case.bound, case.direction)),
    }
    if case.bound is not None:
        elements = dealt.messages[0][: case.length]
        expected["projections"] = [f"{y:016x}" for y in reference.projections(elements, dealt.roots[0])]
    return fields | {"lies": lies, "context": case.context, "expected": expected}


def changed(change: Change) -> dict[str, Any]:
    """What is done to a plaintext, of which case, and what a validator says of it."""
    fields = {name: value for name, value in vars(change).items() if name != "case" and value}
    sha256 = hashlib.sha256(change.plaintext()).hexdigest()
    return {"case": change.case.name, **fields, "plaintext_sha256": sha256}


def _listed(lie: Any) -> Any:
    """Places and changes in JSON, which has no tuples for keys."""
    if not isinstance(lie, dict):
        return lie
    return [[*(place if isinstance(place, tuple) else (place,)), change] for place, change in lie.items()]


def vectors() -> dict[str, Any]:
    """The whole file as a JSON value."""
    file = {
        "schema": "fedledger/secure-aggregation-vectors/2",
        "honest": [described(case) for case in HONEST],
        "false": [described(case) for case in FALSE],
        "dealt_falsely": [described(case) for case in DEALT_FALSELY],
        "unreadable": [changed(change) for change in unreadable()],
    }
    as_read: dict[str, Any] = json.loads(json.dumps(file))
    return as_read


if __name__ == "__main__":
    VECTORS.parent.mkdir(exist_ok=True)
    VECTORS.write_text(json.dumps(vectors(), indent=1) + "\n")
