"""The whole of docs/protocol/secure-aggregation.md on Python integers, for reading and for cross-checks; slow.

Shares no code with the product but SHA-256 and AES themselves. Section numbers are those of the specification. Elements
of E are pairs. :func:`deal` can cheat where it is told to, and is honest everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from itertools import accumulate
from math import factorial
from operator import mul

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Q = 2**61 - 1
CHECKS, ROWS, LONGEST = 108, 32, 256  # 3.2: K, l, L
E = tuple[int, int]


def frame(tag: str, *parts: bytes) -> bytes:  # 2.4
    return b"".join(le(len(part)) + part for part in (tag.encode(), *parts))


def digest(tag: str, *parts: bytes) -> bytes:  # 2.4
    return sha256(frame(tag, *parts)).digest()


def le(value: int) -> bytes:
    return value.to_bytes(8, "little")


def wire(elements: Sequence[int]) -> bytes:  # 2.1
    return b"".join(le(element) for element in elements)


class Stream:  # 2.3
    def __init__(self, tag: str, *parts: bytes) -> None:
        key = digest(tag, *parts)[:16]
        self._cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def read(self, count: int) -> bytes:
        return self._cipher.update(bytes(count))

    def element(self) -> int:
        return (int.from_bytes(self.read(8), "little") & Q) % Q

    def extended(self, count: int) -> list[E]:
        return [(self.element(), self.element()) for _ in range(count)]


def plus(*terms: E) -> E:  # 2.5
    return sum(term[0] for term in terms) % Q, sum(term[1] for term in terms) % Q


def times(a: E, b: E) -> E:  # 2.5
    return (a[0] * b[0] - a[1] * b[1]) % Q, (a[0] * b[1] + a[1] * b[0]) % Q


def scaled(a: E, factor: int) -> E:
    return a[0] * factor % Q, a[1] * factor % Q


def real(x: int) -> E:
    return x % Q, 0


def point(root: bytes) -> E:  # 2.5
    stream = Stream("fedledger/point/2", root)
    while True:
        drawn = stream.element(), stream.element()
        if drawn[1]:
            return drawn


@cache
def basis(nodes: int, x: E) -> list[E]:  # 2.6: lambda_0(x) .. lambda_{nodes - 1}(x)
    factors = [((x[0] - k) % Q, x[1]) for k in range(nodes)]
    before = list(accumulate(factors[:-1], times, initial=(1, 0)))
    after = list(accumulate(factors[:0:-1], times, initial=(1, 0)))[::-1]
    found = []
    for k in range(nodes):
        denominator = (-1) ** (nodes - 1 - k) * factorial(k) * factorial(nodes - 1 - k)
        found.append(scaled(times(before[k], after[k]), pow(denominator, -1, Q)))
    return found


def combination(weights: Sequence[E], values: Sequence[E]) -> E:
    return plus((0, 0), *(times(weight, value) for weight, value in zip(weights, values, strict=True)))


def value_at(x: E, values: Sequence[E]) -> E:
    """Of the polynomial through values at 0, 1, ...."""
    return combination(basis(len(values), x), values)


def columns(v: Sequence[E]) -> list[list[E]]:  # 2.6: blocks
    width = -(-len(v) // ROWS)
    padded = [*v, *[(0, 0)] * (ROWS * width - len(v))]
    return [padded[b::width] for b in range(width)]


def folded(v: Sequence[E], r: E) -> list[E]:  # 2.6
    return [value_at(r, column) for column in columns(v)]


def sums_of_squares(v: Sequence[E]) -> list[E]:  # 5.2, 5.6: P(0) .. P(2 l - 2)
    through = [tuple(zip(*column, strict=True)) for column in columns(v)]
    return [plus(*(square(at(x, *parts)) for parts in through)) for x in range(2 * ROWS - 1)]


def square(a: E) -> E:
    return times(a, a)


def at(x: int, reals: Sequence[int], imaginaries: Sequence[int]) -> E:
    """As :func:`value_at`, at an element of F_q."""
    if x < len(reals):
        return reals[x], imaginaries[x]
    weights = [weight for weight, _ in basis(len(reals), (x, 0))]
    return sum(map(mul, weights, reals)) % Q, sum(map(mul, weights, imaginaries)) % Q


@dataclass(frozen=True)
class Bound:  # 3.2
    quantised_norm: int
    dimension: int

    @property
    def squared(self) -> int:
        return self.quantised_norm**2

    @property
    def norm_bits(self) -> int:
        return self.squared.bit_length()

    @property
    def window(self) -> int:
        window = 1
        while 10 * (window - 1) < 87 * self.quantised_norm:
            window *= 2
        return window

    @property
    def window_bits(self) -> int:
        return (2 * self.window - 1).bit_length()


def lengths(dimension: int, bound: Bound | None) -> list[int]:  # 5.2 to 5.8
    if bound is None:
        return [dimension + 2]
    found = [dimension + 2 * bound.norm_bits + 2 * ROWS - 1, CHECKS * bound.window_bits]
    m = -(-dimension // ROWS) + 2 * bound.norm_bits + CHECKS * bound.window_bits
    while m > LONGEST:
        found.append(2 * (2 * ROWS - 2))
        m = -(-m // ROWS)
    return [*found, 2 * (2 * m + 1)]


def bits(value: int, width: int) -> list[int]:
    return [value >> i & 1 for i in range(width)]


def number(shared_bits: Sequence[int]) -> int:
    return sum(bit * 2**i for i, bit in enumerate(shared_bits))


def share(secrets: Sequence[int], coefficients: Sequence[Sequence[int]], x: int) -> list[int]:  # 2.2
    return [
        (secret + sum(a * x ** (k + 1) for k, a in enumerate(terms))) % Q
        for secret, *terms in zip(secrets, *coefficients, strict=True)
    ]


def context(channel: str, task: str, round_number: int, base_model: str, participant: str) -> bytes:  # 5.1
    parts = (channel.encode(), task.encode(), le(round_number), bytes.fromhex(base_model), bytes.fromhex(participant))
    return frame("fedledger/context/1", *parts)


def initial(ctx: bytes, proof: bool) -> bytes:  # 5.3: R_0
    return digest("fedledger/proof/2" if proof else "fedledger/dealing/2", ctx)


def leaf(root: bytes, validator: int, salt: bytes, elements: Sequence[int]) -> bytes:  # 5.3
    return digest("fedledger/leaf/2", root, le(validator), salt, wire(elements))


def next_root(root: bytes, leaves: Sequence[bytes]) -> bytes:  # 5.3
    return digest("fedledger/root/2", root, *leaves)


SIGNS = [[(byte >> 2 * m & 1) + (byte >> 2 * m + 1 & 1) - 1 for m in range(4)] for byte in range(256)]


def projections(update: Sequence[int], first_root: bytes) -> list[int]:  # 5.4
    stream = Stream("fedledger/projections/2", first_root)
    signs = stream.read(CHECKS // 4 * len(update))
    totals = []
    for c in range(CHECKS // 4):
        alike: dict[int, int] = {}  # coordinates with the same byte, added up
        for x, byte in zip(update, signs[c :: CHECKS // 4], strict=True):
            alike[byte] = alike.get(byte, 0) + x
        totals += [sum(SIGNS[byte][m] * x for byte, x in alike.items()) % Q for m in range(4)]
    return totals


@dataclass(frozen=True)
class Challenge:  # 5.5
    bits: list[E]
    projections: list[E]
    norm: E
    complement: E
    point: E


def challenge(root: bytes, bound: Bound) -> Challenge:  # 5.5
    stream = Stream("fedledger/challenge/2", root)
    betas = stream.extended(2 * bound.norm_bits + CHECKS * bound.window_bits)
    rhos = stream.extended(CHECKS)
    norm, complement = stream.extended(2)
    return Challenge(betas, rhos, norm, complement, point(root))


def vector(update: Sequence[int], digits: Sequence[int], drawn: Challenge) -> list[E]:  # 5.5: v
    scaled_digits = [scaled(beta, digit) for beta, digit in zip(drawn.bits, digits, strict=True)]
    return folded([real(x) for x in update], drawn.point) + scaled_digits


def claim(
    digits: Sequence[int], first: Sequence[int], ys: Sequence[int], bound: Bound, drawn: Challenge
) -> E:  # 5.5: c
    width, window = bound.norm_bits, bound.window_bits
    norm, complement, rest = number(digits[:width]), number(digits[width : 2 * width]), digits[2 * width :]
    spelt = [number(rest[k * window : (k + 1) * window]) for k in range(CHECKS)]
    return plus(
        value_at(drawn.point, [real(x) for x in first]),
        *(scaled(square(beta), digit) for beta, digit in zip(drawn.bits, digits, strict=True)),
        scaled(drawn.norm, sum(first[:ROWS]) - norm),
        scaled(drawn.complement, norm + complement - bound.squared),
        *(scaled(rho, y + bound.window - 1 - z) for rho, y, z in zip(drawn.projections, ys, spelt, strict=True)),
    )


def pairs(elements: Sequence[int]) -> list[E]:
    return list(zip(elements[::2], elements[1::2], strict=True))


def flat(elements: Sequence[E]) -> list[int]:
    return [part for element in elements for part in element]


Values = dict[str, E | int]
"""z, p and c of 7.3, or the combination of 5.8."""


def opening(messages: Sequence[Sequence[int]], roots: Sequence[bytes], bound: Bound | None, g: Sequence[int]) -> Values:
    """7.3, of shares or of secrets; ``roots`` are R_1, R_2, ...."""
    if bound is None:  # 5.8
        update, mask = messages[0][:-2], (messages[0][-2], messages[0][-1])
        values = folded([real(x) for x in update], point(roots[0]))
        sigma = Stream("fedledger/dealing-challenge/2", roots[0]).extended(len(values))
        return {"combination": plus(mask, combination(sigma, values))}
    d, width = bound.dimension, 2 * bound.norm_bits
    update, digits, first = messages[0][:d], [*messages[0][d : d + width], *messages[1]], messages[0][d + width :]
    drawn = challenge(roots[1], bound)
    v = vector(update, digits, drawn)
    c = claim(digits, first, projections(update, roots[0]), bound, drawn)
    for message, root in zip(messages[2:-1], roots[2:-1], strict=True):  # 5.6
        sent, r = pairs(message), point(root)
        p_zero = plus(c, *(scaled(p, -1) for p in sent[: ROWS - 1]))
        c, v = value_at(r, [p_zero, *sent]), folded(v, r)
    mask, p_zero, *sent = pairs(messages[-1])  # 5.7
    r = point(roots[-1])
    p_one = plus(c, *(scaled(p, -1) for p in sent[: len(v) - 1]))
    return {
        "z": value_at(r, [mask, *v]),
        "p": value_at(r, [p_zero, p_one, *sent]),
        "inner_product": sum(x * y for x, y in zip(update, g, strict=True)) % Q,
    }


# The participant.


@dataclass(frozen=True)
class Lies:
    """What a cheating participant does in place of what it should."""

    norm: int | None = None
    """N as claimed; by default the true sum of squares mod q, or B where that is more."""
    complement: int | None = None
    """B - N as claimed."""
    digits: dict[int, int] = field(default_factory=dict)
    """Digit of 5.2 and 5.4, and what it is dealt as. v and the messages after it follow from that."""
    polynomial: dict[int, int] = field(default_factory=dict)
    """Value of P_1, and what is added to it."""
    messages: dict[tuple[int, int], int] = field(default_factory=dict)
    """(Message, element from its beginning or end), and what is added before it is dealt."""
    shares: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(Message, validator, element), and what is added to that validator's share of it, not mod q."""


NO_LIES = Lies()


@dataclass(frozen=True)
class Dealt:
    """All that a participant has after section 5, and what it seals."""

    messages: list[list[int]]
    shares: list[list[list[int]]]
    """By message and validator."""
    leaves: list[list[bytes]]
    roots: list[bytes]
    """R_1, R_2, ..., R."""
    salts: list[bytes]

    def plaintext(self, validator: int) -> bytes:  # 6
        leaves = b"".join(leaf for message in self.leaves for leaf in message)
        return self.salts[validator - 1] + leaves + b"".join(wire(of[validator - 1]) for of in self.shares)


def deal(
    update: Sequence[int],
    bound: Bound | None,
    ctx: bytes,
    salts: list[bytes],
    coefficients: Callable[[int, int], list[list[int]]],
    mask: E,
    lies: Lies = NO_LIES,
) -> Dealt:
    """Sections 5.2 to 5.8.

    Args:
        update: integers, or whatever elements a cheat wants to share.
        coefficients: by message and its length, t rows.
    """
    dealt = Dealt([], [], [], [], salts)
    root = initial(ctx, bound is not None)

    def send(message: list[int]) -> bytes:  # 5.3
        nonlocal root
        index, n = len(dealt.messages), len(salts)
        for (place, element), change in lies.messages.items():
            if place == index:
                message[element] = (message[element] + change) % Q
        rows = coefficients(index, len(message))
        shares = [share(message, rows, j) for j in range(1, n + 1)]
        for (place, j, element), change in lies.shares.items():
            if place == index:
                shares[j - 1][element] += change
        leaves = [leaf(root, j, salts[j - 1], shares[j - 1]) for j in range(1, n + 1)]
        root = next_root(root, leaves)
        dealt.messages.append(message)
        dealt.shares.append(shares)
        dealt.leaves.append(leaves)
        dealt.roots.append(root)
        return root

    elements = [x % Q for x in update]
    if bound is None:  # 5.8
        send([*elements, *mask])
        return dealt
    true = min(sum(x * x for x in elements) % Q, bound.squared)
    norm = true if lies.norm is None else lies.norm
    complement = bound.squared - norm if lies.complement is None else lies.complement
    first_digits = bits(norm, bound.norm_bits) + bits(complement, bound.norm_bits)
    first_digits = [lies.digits.get(place, digit) % Q for place, digit in enumerate(first_digits)]
    polynomial = [value for value, _ in sums_of_squares([real(x) for x in elements])]
    polynomial = [(value + lies.polynomial.get(x, 0)) % Q for x, value in enumerate(polynomial)]
    first_root = send([*elements, *first_digits, *polynomial])
    second: list[int] = []
    for y in projections(elements, first_root):
        signed = y - Q if y > Q // 2 else y
        second += bits((signed + bound.window - 1) % (2 * bound.window), bound.window_bits)
    second = [lies.digits.get(place, digit) % Q for place, digit in enumerate(second, start=len(first_digits))]
    drawn = challenge(send(second), bound)
    v = vector(elements, first_digits + second, drawn)
    while len(v) > LONGEST:  # 5.6
        v = folded(v, point(send(flat(sums_of_squares(v)[1:]))))
    nodes = [mask, *v]  # 5.7
    squares = [square(at(x, *zip(*nodes, strict=True))) for x in range(2 * len(nodes) - 1)]
    send(flat([mask, squares[0], *squares[2:]]))
    return dealt


# The validator.


def read(
    plaintext: bytes, ctx: bytes, root: bytes, validator: int, n: int, sizes: list[int], proof: bool
) -> Dealt | str:
    """7.2: the messages sealed to one validator with their roots, or why they cannot be read."""
    head = 16 + 32 * n * len(sizes)
    if len(plaintext) != head + 8 * sum(sizes):
        return "WRONG_LENGTH"
    salt, digests = plaintext[:16], [plaintext[at : at + 32] for at in range(16, head, 32)]
    leaves = [digests[k * n : (k + 1) * n] for k in range(len(sizes))]
    roots = [initial(ctx, proof)]
    for of_message in leaves:
        roots.append(next_root(roots[-1], of_message))
    if roots[-1] != root:
        return "ROOT_MISMATCH"
    words = [int.from_bytes(plaintext[at : at + 8], "little") for at in range(head, len(plaintext), 8)]
    messages = [words[sum(sizes[:k]) : sum(sizes[: k + 1])] for k in range(len(sizes))]
    for k, message in enumerate(messages):
        if leaf(roots[k], validator, salt, message) != leaves[k][validator - 1]:
            return "LEAF_MISMATCH"
    if any(word >= Q for word in words):
        return "NOT_AN_ELEMENT"
    return Dealt(messages, [], leaves, roots[1:], [salt])


def interpolate(values: dict[int, int], x: int) -> int:  # 8.1
    total = 0
    for i, y in values.items():
        term = y
        for j in values:
            if j != i:
                term = term * (x - j) * pow(i - j, -1, Q) % Q
        total += term
    return total % Q


def lies_on_degree(values: dict[int, int], degree: int) -> bool:  # 8.1
    base = dict(list(values.items())[: degree + 1])
    return all(interpolate(base, x) == y for x, y in values.items())
