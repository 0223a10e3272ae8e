"""A participant's side: one encoded update becomes a commitment and one sealed share per validator.

The update and the polynomials live in this process alone and are in nothing that is returned.
docs/protocol/secure-aggregation.md, sections 5 and 6.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from fedledger.secure_aggregation import extension, folding, kernels, norm_proof
from fedledger.secure_aggregation.encoding import Integers, within_norm
from fedledger.secure_aggregation.errors import UpdateError
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.opening import norm_values
from fedledger.secure_aggregation.parameters import Parameters
from fedledger.secure_aggregation.projections import project
from fedledger.secure_aggregation.publication import Dealer, PreparedUpdate
from fedledger.secure_aggregation.randomness import SecretElements
from fedledger.secure_aggregation.transcript import challenge_of, point_of
from fedledger_chaincode.rules.commitments import SALT_BYTES, UpdateContext
from fedledger_chaincode.rules.norm_bound import LONGEST_LAST, NormBound


@dataclass(frozen=True, repr=False)
class UpdateRandomness:
    """Everything random in one prepared update but its sealing; used once and forgotten, for it unlocks the update."""

    salts: tuple[bytes, ...]
    mask: Elements
    """uint64[2], mu."""
    coefficients: tuple[Elements, ...]
    """For each message uint64[t, its length]."""

    @classmethod
    def draw(cls, parameters: Parameters) -> Self:
        """Fresh, from the operating system's generator (section 2.3)."""
        t, lengths = parameters.tolerated_faults, parameters.message_lengths
        ends = np.cumsum([2, *(t * length for length in lengths)])
        mask, *coefficients = np.split(SecretElements().draw(int(ends[-1])), ends[:-1])
        return cls(
            salts=tuple(os.urandom(SALT_BYTES) for _ in range(parameters.validators)),
            mask=mask,
            coefficients=tuple(part.reshape(t, -1) for part in coefficients),
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
        sealing_keys: hex public keys of validators 1..n, in that order. A validator whose key is of small order gets
            bytes that nobody can open.

    Raises:
        UpdateError: the update has another length (``UPDATE_LENGTH``) or is longer than the bound
            (``UPDATE_NORM``), a sealing key is malformed or missing (``SEALING_KEY``), or this machine computed a proof
            that does not hold (``PROOF_FALSE``).
    """
    integers = _checked(update, parameters)
    if len(sealing_keys) != parameters.validators:
        raise UpdateError(
            "SEALING_KEY",
            f"There are {parameters.validators} validators but {len(sealing_keys)} sealing keys.",
            "Take the keys of all validators of the task from the round's cohort.",
        )
    while True:
        dealer = deal_update(integers, parameters, context, UpdateRandomness.draw(parameters))
        if dealer is not None:
            return dealer.seal(sealing_keys)


def deal_update(
    update: Integers, parameters: Parameters, context: UpdateContext, randomness: UpdateRandomness
) -> Dealer | None:
    """All messages of an update, dealt with given randomness; None when a projection leaves its window (section 5.4).

    Raises:
        UpdateError: ``PROOF_FALSE``.
    """
    dealer = Dealer(parameters, context, randomness.salts, randomness.coefficients)
    first = np.empty(parameters.message_lengths[0], dtype=np.uint64)
    kernels.to_elements(update, first[: parameters.dimension])
    bound = parameters.norm_bound
    if bound is None:
        first[parameters.dimension :] = randomness.mask
        dealer.deal(first)
        return dealer
    norm_bits = norm_proof.norm_bits(update, bound)
    squares = folding.sums_of_squares_of_integers(update)
    first[parameters.dimension :] = np.concatenate([norm_bits, squares])
    projection_bits = norm_proof.projection_bits(update, dealer.deal(first), bound)
    if projection_bits is None:
        return None
    _deal_proof(first, projection_bits, randomness.mask, bound, dealer)
    return dealer


def _deal_proof(first: Elements, projection_bits: Elements, mask: Elements, bound: NormBound, dealer: Dealer) -> None:
    """The second message and those after it (sections 5.5 to 5.7), and a look at what the validators will find.

    Raises:
        UpdateError: ``PROOF_FALSE``.
    """
    elements, norm_bits = first[: bound.dimension], first[bound.dimension :][: 2 * bound.norm_bits]
    messages, points = [first, projection_bits], []
    challenge = challenge_of(dealer.deal(projection_bits), bound)
    vector = norm_proof.challenged_vector(elements, np.concatenate([norm_bits, projection_bits]), challenge)
    while vector.shape[1] > LONGEST_LAST:
        messages.append(norm_proof.fold_message(vector))
        points.append(point_of(dealer.deal(messages[-1])))
        vector = folding.fold(vector, points[-1])
    messages.append(norm_proof.last_message(vector, mask))
    points.append(point_of(dealer.deal(messages[-1])))
    # It must hold of the secrets: a flipped bit would be taken for a fault of ours.
    z, p = norm_values(messages, project(elements, dealer.roots[0]), challenge, points, bound)
    if p != extension.square(z):
        raise UpdateError(
            "PROOF_FALSE",
            "The update's norm proof does not hold: this machine has miscomputed.",
            "Prepare the update again; where that happens twice, test the machine's memory and numpy.",
        )


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
