"""Uniform field elements: secret ones from the operating system, public ones from a digest; never from numpy.

docs/protocol/secure-aggregation.md, section 2.3.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fedledger.secure_aggregation.kernels import Elements
from fedledger_chaincode.rules.field import ELEMENT_BYTES, MODULUS

_KEY_BYTES = 32
_BLOCK = memoryview(bytes(1 << 20))
_MASK = np.uint64(MODULUS)
_FROM_ZERO = modes.CTR(bytes(16))


class SecretElements:
    """A stream of uniform secret elements: AES-256-CTR under a fresh key from the operating system."""

    def __init__(self) -> None:
        self._stream = Cipher(algorithms.AES(os.urandom(_KEY_BYTES)), _FROM_ZERO).encryptor()

    def draw(self, *shape: int) -> Elements:
        """uint64 elements of the given shape, exactly uniform: q itself is drawn again."""
        out = np.empty(shape, dtype="<u8")
        flat = out.reshape(-1)
        self._fill(flat)
        flat &= _MASK
        while (rejected := np.flatnonzero(flat == _MASK)).size:
            again = np.empty(rejected.size, dtype="<u8")
            self._fill(again)
            flat[rejected] = again & _MASK
        return out

    def _fill(self, flat: Elements) -> None:
        view = flat.data.cast("B")
        for start in range(0, len(view), len(_BLOCK)):
            size = min(len(_BLOCK), len(view) - start)
            view[start : start + size] = self._stream.update(_BLOCK[:size])


class PublicStream:
    """Bytes and elements that everybody derives alike: AES-128-CTR under a key hashed from a tag and a seed."""

    def __init__(self, seed: bytes) -> None:
        key = hashlib.sha256(seed).digest()[:16]
        self._stream = Cipher(algorithms.AES(key), _FROM_ZERO).encryptor()

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        return self._stream.update(_BLOCK[:count] if count <= len(_BLOCK) else bytes(count))

    def elements(self, count: int) -> Elements:
        """The next uint64[count] elements: eight bytes each, little-endian, the low 61 bits; q counts as 0."""
        drawn = np.frombuffer(self.read(ELEMENT_BYTES * count), dtype="<u8") & _MASK
        drawn[drawn == _MASK] = 0
        return drawn


def elements_to_bytes(elements: Elements) -> memoryview:
    """The wire form, eight bytes each, little-endian; a view where the machine is little-endian too."""
    return np.ascontiguousarray(elements, dtype="<u8").data.cast("B")


def elements_from_bytes(data: bytes | memoryview) -> Elements:
    """Elements from their wire form, not copied.

    Raises:
        ValueError: the length is no multiple of eight, or a value is not below q.
    """
    elements = np.frombuffer(data, dtype="<u8")
    if elements.size * ELEMENT_BYTES != len(data):
        raise ValueError("not whole elements")
    if elements.size and int(elements.max()) >= MODULUS:
        raise ValueError("a value is not below the modulus")
    return elements
