"""Model weights as files and as vectors; refuses a file that is not the canonical one of the task's tensors.

A model file is a safetensors file (https://github.com/huggingface/safetensors) with exactly one encoding per
set of weights: tensors in the model's own order, F32, no metadata, header padded with spaces to eight bytes.
Any safetensors reader opens it, and its SHA-256 identifies the model on the ledger.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fedledger.errors import BadInputError

Float32Array = npt.NDArray[np.float32]

_LENGTH_BYTES = 8
_INITIAL_WEIGHTS_TAG = b"fedledger/initial-weights/1"


class NamedShape(Protocol):
    """What is needed to know of a tensor: the ledger's description and the task's both have it."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Tensor:
    """One trainable tensor: its name (``dense/kernel``) and shape.

    The order of a tuple of them is the order of a flat update.
    """

    name: str
    shape: tuple[int, ...]


def parameter_count(tensors: Sequence[NamedShape]) -> int:
    """d, the length of a flat update.

    >>> parameter_count([Tensor("dense/kernel", (27, 1)), Tensor("dense/bias", (1,))])
    28
    """
    return sum(math.prod(tensor.shape) for tensor in tensors)


def file_size(tensors: Sequence[NamedShape]) -> int:
    """Bytes of every model file with these tensors; raises BadInputError WEIGHTS_SHAPE."""
    return len(_prefix(tensors)) + 4 * parameter_count(tensors)


def save_weights(weights: Sequence[npt.ArrayLike], tensors: Sequence[NamedShape]) -> bytes:
    """The canonical model file of ``weights``: the same bytes on every machine.

    Raises BadInputError WEIGHTS_SHAPE or WEIGHTS_NOT_FINITE.
    """
    arrays = _checked(weights, tensors)
    return _prefix(tensors) + b"".join(array.astype("<f4").tobytes() for array in arrays)


def load_weights(data: bytes, tensors: Sequence[NamedShape]) -> list[Float32Array]:
    """The weights in a canonical model file, as writable float32 arrays in the order of ``tensors``.

    Raises BadInputError WEIGHTS_FILE for anything but the canonical file of those tensors (another order,
    another type, missing or surplus bytes) and WEIGHTS_NOT_FINITE for NaN or infinity.
    """
    prefix, size = _prefix(tensors), file_size(tensors)
    if not data.startswith(prefix):
        raise BadInputError(
            "WEIGHTS_FILE",
            f"This model file does not hold the tensors of the task: {_describe(tensors)}.",
            "Use the model file that the ledger's registry names for this task.",
        )
    if len(data) != size:
        raise BadInputError(
            "WEIGHTS_FILE",
            f"This model file has {len(data)} bytes where {size} are expected.",
            "Fetch the file again: it is cut off or has something appended.",
        )
    return unflatten(np.frombuffer(data, dtype="<f4", offset=len(prefix)), tensors)


def weights_of(source: bytes | Sequence[npt.ArrayLike], tensors: Sequence[NamedShape]) -> list[Float32Array]:
    """The weights in a canonical model file, or given as arrays, checked either way.

    Raises BadInputError WEIGHTS_FILE, WEIGHTS_SHAPE, WEIGHTS_NOT_FINITE.
    """
    return load_weights(source, tensors) if isinstance(source, bytes) else _checked(source, tensors)


def flatten(weights: Sequence[npt.ArrayLike]) -> Float32Array:
    """All values in one float32[d] vector, tensor after tensor, each in row-major order."""
    if not weights:
        return np.zeros(0, dtype=np.float32)
    return np.concatenate([np.asarray(array, dtype=np.float32).reshape(-1) for array in weights])


def unflatten(vector: npt.ArrayLike, tensors: Sequence[NamedShape]) -> list[Float32Array]:
    """The inverse of :func:`flatten`, into new arrays of the given shapes.

    Raises BadInputError WEIGHTS_SHAPE when the length is not d, WEIGHTS_NOT_FINITE for NaN or infinity.
    """
    flat = np.asarray(vector, dtype=np.float32)
    expected = parameter_count(tensors)
    if flat.shape != (expected,):
        raise BadInputError(
            "WEIGHTS_SHAPE",
            f"A vector of {expected} parameters is expected, this one has shape {list(flat.shape)}.",
            "Check that the update belongs to this task's model.",
        )
    arrays, offset = [], 0
    for tensor in tensors:
        size = math.prod(tensor.shape)
        arrays.append(flat[offset : offset + size].reshape(tensor.shape).copy())
        offset += size
    _require_finite(arrays, tensors)
    return arrays


def initial_weights(tensors: Sequence[NamedShape], seed: int) -> list[Float32Array]:
    """Initial weights that every machine computes alike, from ``seed`` (0 <= seed < 2^64) and the names.

    Matrices and kernels: Glorot uniform (Glorot and Bengio 2010, eq. 16; fans counted as Keras counts them);
    vectors and scalars: zero, or one where the name ends in ``gamma`` (a normalisation's scale). The uniform
    numbers are 24 bits each from SHAKE-256, so that no library's generator has to stay the same.
    """
    return [_initial(tensor, seed) for tensor in tensors]


def _initial(tensor: NamedShape, seed: int) -> Float32Array:
    if len(tensor.shape) < 2:
        value = 1.0 if tensor.name.endswith("gamma") else 0.0
        return np.full(tensor.shape, value, dtype=np.float32)
    receptive_field = math.prod(tensor.shape[:-2])
    fan_in, fan_out = tensor.shape[-2] * receptive_field, tensor.shape[-1] * receptive_field
    limit = math.sqrt(6.0 / (fan_in + fan_out))
    stream = hashlib.shake_256(_INITIAL_WEIGHTS_TAG + seed.to_bytes(8, "big") + tensor.name.encode())
    words = np.frombuffer(stream.digest(4 * math.prod(tensor.shape)), dtype="<u4") >> 8
    uniform = words.astype(np.float64) * 2.0**-24
    return ((2.0 * uniform - 1.0) * limit).astype(np.float32).reshape(tensor.shape)


def _prefix(tensors: Sequence[NamedShape]) -> bytes:
    """Everything of the file that comes before the values: the header's length and the header."""
    header: dict[str, object] = {}
    offset = 0
    for tensor in tensors:
        end = offset + 4 * math.prod(tensor.shape)
        header[tensor.name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    if len(header) != len(tensors):
        raise BadInputError("WEIGHTS_SHAPE", "Two tensors have the same name.", "Name each tensor once in task.toml.")
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _checked(weights: Sequence[npt.ArrayLike], tensors: Sequence[NamedShape]) -> list[Float32Array]:
    arrays = [np.asarray(array, dtype=np.float32) for array in weights]
    shapes = [array.shape for array in arrays]
    if shapes != [tuple(tensor.shape) for tensor in tensors]:
        raise BadInputError(
            "WEIGHTS_SHAPE",
            f"Weights of shapes {[list(s) for s in shapes]} are not those of {_describe(tensors)}.",
            "Check that the weights belong to this task's model.",
        )
    _require_finite(arrays, tensors)
    return arrays


def _require_finite(arrays: Sequence[Float32Array], tensors: Sequence[NamedShape]) -> None:
    for array, tensor in zip(arrays, tensors, strict=True):
        if not np.isfinite(array).all():
            raise BadInputError(
                "WEIGHTS_NOT_FINITE",
                f"Tensor {tensor.name} holds NaN or infinity.",
                "Lower the learning rate or look for extreme values in the training data.",
            )


def _describe(tensors: Sequence[NamedShape]) -> str:
    return ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in tensors)
