"""The whole of docs/protocol/secure-aggregation.md on Python integers, for reading and for cross-checks; slow.

Shares no code with the product but SHA-256 and AES themselves. Section numbers are those of the specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Q = 2**61 - 1
CHECKS, CHALLENGES = 100, 2


def frame(tag: str, *parts: bytes) -> bytes:  # 2.4
    return b"".join(le(len(part)) + part for part in (tag.encode(), *parts))


def le(value: int) -> bytes:
    return value.to_bytes(8, "little")


def wire(elements: list[int]) -> bytes:  # 2.1
    return b"".join(le(element) for element in elements)


class Stream:  # 2.3
    def __init__(self, tag: str, *parts: bytes) -> None:
        key = sha256(frame(tag, *parts)).digest()[:16]
        self._cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def read(self, count: int) -> bytes:
        return self._cipher.update(bytes(count))

    def element(self) -> int:
        return (int.from_bytes(self.read(8), "little") & Q) % Q


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


def bits(value: int, width: int) -> list[int]:
    assert 0 <= value < 2**width
    return [value >> i & 1 for i in range(width)]


def number(shared_bits: list[int]) -> int:
    return sum(bit * 2**i for i, bit in enumerate(shared_bits))


def share(secrets: list[int], coefficients: list[list[int]], point: int) -> list[int]:  # 2.2
    return [
        (secret + sum(row[i] * point ** (k + 1) for k, row in enumerate(coefficients))) % Q
        for i, secret in enumerate(secrets)
    ]


def context(channel: str, task: str, round_number: int, base_model: str, participant: str) -> bytes:  # 5.1
    parts = (channel.encode(), task.encode(), le(round_number), bytes.fromhex(base_model), bytes.fromhex(participant))
    return frame("fedledger/context/1", *parts)


def leaf(ctx: bytes, point: int, salt: bytes, elements: list[int]) -> bytes:  # 5.3
    return sha256(frame("fedledger/leaf/1", ctx, le(point), salt, wire(elements))).digest()


def root(ctx: bytes, leaves: list[bytes]) -> bytes:  # 5.3
    return sha256(frame("fedledger/root/1", ctx, *leaves)).digest()


def proof_leaf(first_root: bytes, point: int, salt: bytes, elements: list[int]) -> bytes:  # 5.5
    return sha256(frame("fedledger/proof-leaf/1", first_root, le(point), salt, wire(elements))).digest()


def proof_root(first_root: bytes, leaves: list[bytes]) -> bytes:  # 5.5
    return sha256(frame("fedledger/proof-root/1", first_root, *leaves)).digest()


def projections(update: list[int], first_root: bytes) -> list[int]:  # 5.4
    stream = Stream("fedledger/projections/1", first_root)
    totals = [0] * CHECKS
    for start in range(0, len(update), 4):
        for k, byte in enumerate(stream.read(CHECKS)):
            for m, x in enumerate(update[start : start + 4]):
                totals[k] += ((byte >> 2 * m & 1) + (byte >> 2 * m + 1 & 1) - 1) * x
    return [total % Q for total in totals]


def first_secrets(update: list[int], bound: Bound | None) -> list[int]:  # 5.2
    elements = [x % Q for x in update]
    if bound is None:
        return elements
    norm = sum(x * x for x in update)
    return elements + bits(norm, bound.norm_bits) + bits(bound.squared - norm, bound.norm_bits)


def projection_secrets(update: list[int], first_root: bytes, bound: Bound) -> list[int]:  # 5.4
    secrets: list[int] = []
    for y in projections(update, first_root):
        signed = y - Q if y > Q // 2 else y
        secrets += bits(signed + bound.window - 1, bound.window_bits)
    return secrets


def opening(
    first: list[int], second: list[int], roots: tuple[bytes, bytes], bound: Bound, reference: list[int]
) -> tuple[list[int], list[int], int]:  # 7.3
    d, width, window = bound.dimension, bound.norm_bits, bound.window_bits
    update, projection_bits = first[:d], second[: CHECKS * window]
    masks, zeros = second[CHECKS * window :][:CHALLENGES], second[CHECKS * window + CHALLENGES :]
    norm, complement = number(first[d : d + width]), number(first[d + width :])
    ys = projections(update, roots[0])
    degree, zero = [], []
    for c in range(CHALLENGES):
        stream = Stream("fedledger/challenge/1", roots[1], le(c))
        rho = [stream.element() for _ in range(CHECKS)]
        rho_norm, rho_complement = stream.element(), stream.element()
        terms = zeros[c]
        terms += sum(stream.element() * b * (b - 1) for b in first[d:] + projection_bits)
        terms += rho_norm * (sum(x * x for x in update) - norm)
        terms += rho_complement * (norm + complement - bound.squared)
        for k in range(CHECKS):
            bits_k = projection_bits[k * window : (k + 1) * window]
            terms += rho[k] * (ys[k] + bound.window - 1 - number(bits_k))
        zero.append(terms % Q)
        degree.append((masks[c] + sum(stream.element() * x for x in first + projection_bits)) % Q)
    return degree, zero, sum(x * g for x, g in zip(update, reference, strict=True)) % Q


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
