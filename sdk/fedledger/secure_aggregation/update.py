"""A participant's side: one encoded update becomes commitments and one sealed share per validator.

The update and the polynomials live in this process alone and are in nothing that is returned.
docs/protocol/secure-aggregation.md, sections 5 and 6.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from fedledger.secure_aggregation import kernels
from fedledger.secure_aggregation.encoding import Integers, within_norm
from fedledger.secure_aggregation.errors import UpdateError
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.norm_proof import norm_bits, projection_bits
from fedledger.secure_aggregation.parameters import Parameters
from fedledger.secure_aggregation.publication import PreparedUpdate, commit, commit_proof, seal_update
from fedledger.secure_aggregation.randomness import SecretElements
from fedledger.secure_aggregation.sealing import new_seed
from fedledger.secure_aggregation.sharing import Dealing
from fedledger_chaincode.rules.commitments import SALT_BYTES, UpdateContext
from fedledger_chaincode.rules.norm_bound import CHALLENGES


@dataclass(frozen=True, repr=False)
class UpdateRandomness:
    """Everything random in one prepared update; used once and forgotten, for it unlocks the update."""

    salts: tuple[bytes, ...]
    seeds: tuple[bytes, ...]
    coefficients: Elements
    """uint64[t, share_length]."""
    masks: Elements
    """uint64[2]."""
    proof_coefficients: Elements
    """uint64[t, projection_bits + 2]: of the projections' bits and of the masks."""
    zero_coefficients: Elements
    """uint64[2t, 2]: of the sharings of zero."""

    @classmethod
    def draw(cls, parameters: Parameters) -> Self:
        """Fresh, from the operating system's generator (section 2.3)."""
        t, secret = parameters.tolerated_faults, SecretElements()
        bound = parameters.norm_bound
        return cls(
            salts=tuple(os.urandom(SALT_BYTES) for _ in range(parameters.validators)),
            seeds=tuple(new_seed() for _ in range(parameters.validators)),
            coefficients=secret.draw(t, parameters.share_length),
            masks=secret.draw(CHALLENGES),
            proof_coefficients=secret.draw(t, 0 if bound is None else bound.projection_bits + CHALLENGES),
            zero_coefficients=secret.draw(2 * t, CHALLENGES),
        )


def prepare_update(
    update: npt.ArrayLike,
    parameters: Parameters,
    context: UpdateContext,
    sealing_keys: Sequence[str],
) -> PreparedUpdate:
    """Share, prove, commit and seal an encoded update.

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
    while True:
        randomness = UpdateRandomness.draw(parameters)
        prepared = share_update(integers, parameters, context, sealing_keys, randomness)
        if prepared is not None:
            return prepared


def share_update(
    update: Integers,
    parameters: Parameters,
    context: UpdateContext,
    sealing_keys: Sequence[str],
    randomness: UpdateRandomness,
) -> PreparedUpdate | None:
    """:func:`prepare_update` with given randomness; None when a projection leaves its window (section 5.4)."""
    bound, salts = parameters.norm_bound, randomness.salts
    secret = np.empty(parameters.dimension, dtype=np.uint64)
    kernels.to_elements(update, secret)
    dealt = secret if bound is None else np.concatenate([secret, norm_bits(update, bound)])
    first = Dealing(dealt, randomness.coefficients)
    committed = commit(context, salts, first.share)
    if bound is None:
        return seal_update(context, committed, salts, [first.share], sealing_keys, randomness.seeds)
    bits = projection_bits(secret, committed.root, bound)
    if bits is None:
        return None
    second = Dealing(np.concatenate([bits, randomness.masks]), randomness.proof_coefficients)
    zeros = Dealing(np.zeros(CHALLENGES, dtype=np.uint64), randomness.zero_coefficients)

    def proof_share(validator: int) -> Elements:
        return np.concatenate([second.share(validator), zeros.share(validator)])

    proven = replace(committed, proof=commit_proof(committed.root, salts, proof_share))
    return seal_update(context, proven, salts, [first.share, proof_share], sealing_keys, randomness.seeds)


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
