"""Records of one site as arrays, apart for training and test; refuses what no model can learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fedledger.errors import BadInputError

_SPLIT_TAG = b"fedledger/split"


@dataclass(frozen=True)
class Examples:
    """``x`` float32[n, ...] features and ``y`` int32[n] labels of n records."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int32]
    devices: npt.NDArray[np.int64] | None = None
    """int64[n]: the number of the device from which each record is; None where nobody asks for it."""

    def __len__(self) -> int:
        return len(self.y)

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels that occur, ascending."""
        return tuple(int(label) for label in np.unique(self.y))


@dataclass(frozen=True)
class Split:
    """A site's records: ``train`` is learnt from, ``test`` never is."""

    train: Examples
    test: Examples


def concatenate(parts: Sequence[Examples]) -> Examples:
    """All records of ``parts`` in one value, in order, without their devices: two sites may number them alike."""
    return Examples(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))


def stratified_split(x: npt.ArrayLike, y: Sequence[int], *, seed: int, test_share: float) -> Split:
    """Holds back about ``test_share`` of the records of each class.

    A record's side follows from ``seed``, its own features and its own label, and from nothing else: adding a record or
    taking one out moves no other, wherever it stands. Records that are equal are on one side. How many are held back is
    therefore a matter of chance, binomial in each class; of n records none is with probability (1 - test_share)^n. To
    fill an empty side with a record from the other would make the side of one record depend on the rest. Records keep
    their order.
    """
    # Minus zero is equal to zero, and has other bytes.
    features = np.asarray(x, dtype=np.float32) + np.float32(0.0)
    labels = np.asarray(y, dtype=np.int32)
    rows = zip(features.astype("<f4"), labels.astype("<i4"), strict=True)
    held_back = _held_back([row.tobytes() + label.tobytes() for row, label in rows], seed, test_share)
    return Split(
        train=Examples(features[~held_back], labels[~held_back]),
        test=Examples(features[held_back], labels[held_back]),
    )


def split_by_device(
    x: npt.ArrayLike, y: Sequence[int], devices: npt.ArrayLike, *, seed: int, test_share: float
) -> Split:
    """Holds back about ``test_share`` of the devices with all of their records, so that none is in both parts.

    A device's side follows from ``seed`` and its number, as a record's does in :func:`stratified_split`. The number
    has to be the device's own, such as its serial number, and not its place in a list. A device stays on its side when
    it has more records.
    """
    features, labels = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.int32)
    numbers = np.asarray(devices, dtype=np.int64)
    held_back = _held_back([number.tobytes() for number in numbers.astype("<i8")], seed, test_share)
    return Split(
        train=Examples(features[~held_back], labels[~held_back], numbers[~held_back]),
        test=Examples(features[held_back], labels[held_back], numbers[held_back]),
    )


def _held_back(units: Sequence[bytes], seed: int, share: float) -> npt.NDArray[np.bool_]:
    """Which of ``units`` are held back: those whose keyed digest, BLAKE2b of 64 bits, is below ``share`` of all."""
    key, threshold = seed.to_bytes(8, "big"), int(Fraction(share) * (1 << 64))
    digests = (hashlib.blake2b(unit, digest_size=8, key=key, person=_SPLIT_TAG).digest() for unit in units)
    return np.array([int.from_bytes(digest, "big") < threshold for digest in digests], dtype=bool)


def check_examples(examples: Examples, *, input_shape: tuple[int, ...], classes: int, origin: str) -> None:
    """Refuses records that do not fit the task; ``origin`` names them in the error.

    Raises BadInputError: DATASET_EMPTY, DATASET_SHAPE, DATASET_NOT_FINITE, DATASET_LABELS.
    """
    if len(examples.y) == 0:
        raise BadInputError(
            "DATASET_EMPTY",
            f"{origin} holds no records.",
            "Check the file and the filters in data.py; of few records chance may have put all on the other side.",
        )
    expected = (len(examples.y), *input_shape)
    if examples.x.shape != expected or examples.y.shape != expected[:1]:
        raise BadInputError(
            "DATASET_SHAPE",
            f"{origin} has features of shape {list(examples.x.shape)} and labels of shape "
            f"{list(examples.y.shape)}; {list(expected)} and {list(expected[:1])} are expected.",
            "Make load in data.py and input_shape in table [data] of task.toml agree.",
        )
    if examples.x.dtype != np.float32 or examples.y.dtype != np.int32:
        raise BadInputError(
            "DATASET_SHAPE",
            f"{origin} has types {examples.x.dtype} and {examples.y.dtype}; float32 and int32 are expected.",
            "Convert the arrays in data.py.",
        )
    devices = examples.devices
    if devices is not None and (devices.shape != expected[:1] or devices.dtype != np.int64):
        raise BadInputError(
            "DATASET_SHAPE",
            f"{origin} has devices of shape {list(devices.shape)} and type {devices.dtype}; "
            f"{list(expected[:1])} and int64 are expected.",
            "Give each record the number of its device in data.py.",
        )
    if not np.isfinite(examples.x).all():
        row = int(np.flatnonzero(~np.isfinite(examples.x).reshape(len(examples), -1).all(axis=1))[0])
        raise BadInputError(
            "DATASET_NOT_FINITE",
            f"{origin}: record {row} (counting from 0) holds NaN or infinity.",
            "Fill missing values in data.py, for example with 0 and an indicator column.",
        )
    if examples.y.min() < 0 or examples.y.max() >= classes:
        raise BadInputError(
            "DATASET_LABELS",
            f"{origin} has labels from {examples.y.min()} to {examples.y.max()}; 0 to {classes - 1} are expected.",
            "Number the classes from 0, or correct classes in table [data] of task.toml.",
        )


def require_two_classes(examples: Examples, *, origin: str) -> None:
    """Raises BadInputError ONE_CLASS when all labels are equal."""
    if len(examples.classes) == 1:
        raise BadInputError(
            "ONE_CLASS",
            f"{origin} has {len(examples)} training records and all of them have label {examples.classes[0]}.",
            "Take in records of another class, or set allow_single_class = true in table [training] of task.toml.",
        )
