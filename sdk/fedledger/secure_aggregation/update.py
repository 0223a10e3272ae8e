"""A participant's side: one encoded update becomes commitments and one sealed share per validator.

The update and the polynomials live in this process alone and are in nothing that is returned.
docs/protocol/secure-aggregation.md, sections 5 and 6.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from fedledger_chaincode.messages.round import ProofCommitments, SealedShareReference
from fedledger_chaincode.rules.commitments import (
    SALT_BYTES,
    UpdateContext,
    frame,
    integer,
    leaf_digest,
    root_digest,
)

from fedledger.secure_aggregation import kernels
from fedledger.secure_aggregation.encoding import Integers, within_norm
from fedledger.secure_aggregation.errors import UpdateError
from fedledger.secure_aggregation.parameters import Parameters
from fedledger.secure_aggregation.randomness import SecretElements, elements_to_bytes
from fedledger.secure_aggregation.sealing import new_seed, seal
from fedledger.secure_aggregation.sharing import Dealing

_SEAL = b"fedledger/seal/1"


@dataclass(frozen=True)
class PreparedUpdate:
    """What a participant publishes of one update: fields of its manifest, and the artifacts they name."""

    root: str
    leaves: tuple[str, ...]
    shares: tuple[SealedShareReference, ...]
    proof: ProofCommitments | None
    sealed: tuple[bytes, ...]
    """Sealed share of validator 1, 2, ..., n: goes to that validator's artifact store."""
    seeds: tuple[bytes, ...] = field(repr=False)
    """Secret of each sealing: answers a validator's complaint by opening that one ciphertext to everybody."""


def prepare_update(
    update: npt.ArrayLike,
    parameters: Parameters,
    context: UpdateContext,
    sealing_keys: Sequence[str],
) -> PreparedUpdate:
    """Share, commit and seal an encoded update.

    Args:
        update: int64[d] from :func:`encode_update`.
        context: what the manifest will say; any other manifest makes the shares unreadable.
        sealing_keys: hex public keys of validators 1..n, in that order.

    Raises:
        UpdateError: the update has another length (``UPDATE_LENGTH``) or is longer than the bound
            (``UPDATE_NORM``), or a sealing key is unusable or missing (``SEALING_KEY``).
    """
    integers = _checked(update, parameters)
    if len(sealing_keys) != parameters.validators:
        raise UpdateError(
            "SEALING_KEY",
            f"There are {parameters.validators} validators but {len(sealing_keys)} sealing keys.",
            "Take the keys of all validators of the task from the round's cohort.",
        )
    secret = np.empty(parameters.dimension, dtype=np.uint64)
    kernels.to_elements(integers, secret)
    dealing = Dealing.of(secret, parameters.tolerated_faults, SecretElements())
    salts = [os.urandom(SALT_BYTES) for _ in sealing_keys]
    leaves = tuple(
        leaf_digest(context, validator, salt, elements_to_bytes(dealing.share(validator)))
        for validator, salt in enumerate(salts, start=1)
    )
    seeds = tuple(new_seed() for _ in sealing_keys)
    sealed = tuple(
        seal(salt + elements_to_bytes(dealing.share(validator)), key, sealing_info(context, validator), seed)
        for validator, (salt, key, seed) in enumerate(zip(salts, sealing_keys, seeds, strict=True), start=1)
    )
    return PreparedUpdate(
        root=root_digest(context, leaves),
        leaves=leaves,
        shares=tuple(SealedShareReference(digest=hashlib.sha256(data).hexdigest(), size=len(data)) for data in sealed),
        proof=None,
        sealed=sealed,
        seeds=seeds,
    )


def sealing_info(context: UpdateContext, validator: int) -> bytes:
    """HPKE's info: a ciphertext opens only for the update and the validator that it was made for (section 6)."""
    return frame(_SEAL, context.encode(), integer(validator))


def _checked(update: npt.ArrayLike, parameters: Parameters) -> Integers:
    integers = np.ascontiguousarray(update)
    if integers.dtype != np.int64 or integers.shape != (parameters.dimension,):
        raise UpdateError(
            "UPDATE_LENGTH",
            f"The update is {integers.dtype}{list(integers.shape)}, int64[{parameters.dimension}] is expected.",
            "Encode the flat update of this task's model with encode_update.",
        )
    if not within_norm(integers, parameters.quantised_norm):
        raise UpdateError(
            "UPDATE_NORM",
            f"The update's L2 norm is above {parameters.quantised_norm}.",
            "Encode it with encode_update and the task's clip norm.",
        )
    return integers
