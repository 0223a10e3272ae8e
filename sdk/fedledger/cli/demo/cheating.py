"""A participant that commits to and seals whatever it likes; for demonstrations and tests of what is refused.

No agent uses it. It tells the best lies that fit the format: everything about it is what an honest dealing would be,
but for what it is asked to change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fedledger.secure_aggregation import Parameters, PreparedUpdate, UpdateContext
from fedledger.secure_aggregation.challenges import project
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.norm_proof import bits_of
from fedledger.secure_aggregation.publication import commit, commit_proof, seal_update
from fedledger.secure_aggregation.sharing import Dealing
from fedledger.secure_aggregation.update import UpdateRandomness
from fedledger_chaincode.rules.field import MODULUS, centred

Tamper = Callable[[int, Elements], Elements]
"""(validator, its share) to the share that it gets instead."""


def honest(_validator: int, share: Elements) -> Elements:
    """Nothing is changed."""
    return share


def cheat(
    parameters: Parameters,
    public_keys: Sequence[str],
    context: UpdateContext,
    update: Sequence[int],
    *,
    claimed_norm: int | None = None,
    norm_secrets: Sequence[int] | None = None,
    tamper_secrets: Callable[[Elements], Elements] = lambda secrets: secrets,
    zero_constants: tuple[int, int] = (0, 0),
    tamper_share: Tamper = honest,
    tamper_proof: Tamper = honest,
    tamper_proof_after_commitment: Tamper = honest,
) -> PreparedUpdate:
    """Share any field elements with the best lies about their norm that fit the format.

    Args:
        public_keys: hex sealing keys of validators 1..n.
        update: field elements, not necessarily small.
        claimed_norm: N as claimed; by default the true sum of squares mod q, cut down to the bound.
        norm_secrets: dealt instead of the bits of N and B - N.
        tamper_secrets: changes the projections' bits before they are dealt.
        zero_constants: what the sharings of zero really share.
        tamper_share, tamper_proof: change what one validator is dealt, before it is committed to.
        tamper_proof_after_commitment: changes what is sealed, not what is committed to.

    Raises:
        ValueError: the parameters are without a norm proof.
    """
    bound = parameters.norm_bound
    if bound is None:
        raise ValueError("there is no norm proof to cheat in")
    randomness = UpdateRandomness.draw(parameters)
    elements = np.array([x % MODULUS for x in update], dtype=np.uint64)
    norm = min(sum(x * x for x in update) % MODULUS if claimed_norm is None else claimed_norm, bound.bound)
    bits = bits_of([norm], bound.norm_bits).tolist() + bits_of([bound.bound - norm], bound.norm_bits).tolist()
    secrets = np.array(bits if norm_secrets is None else norm_secrets, dtype=np.uint64)
    first = Dealing(np.concatenate([elements, secrets]), randomness.coefficients)

    def share(validator: int) -> Elements:
        return tamper_share(validator, first.share(validator))

    committed = commit(context, randomness.salts, share)
    shifted = [(centred(int(y)) + bound.window - 1) % (2 * bound.window) for y in project(elements, committed.root)]
    projections = tamper_secrets(bits_of(shifted, bound.window_bits))
    second = Dealing(np.concatenate([projections, randomness.masks]), randomness.proof_coefficients)
    zeros = Dealing(np.array(zero_constants, dtype=np.uint64), randomness.zero_coefficients)

    def proof(validator: int) -> Elements:
        return tamper_proof(validator, np.concatenate([second.share(validator), zeros.share(validator)]))

    def sealed_proof(validator: int) -> Elements:
        return tamper_proof_after_commitment(validator, proof(validator))

    committed = replace(committed, proof=commit_proof(committed.root, randomness.salts, proof))
    return seal_update(context, committed, randomness.salts, [share, sealed_proof], public_keys, randomness.seeds)


def off_by_one(validator: int, position: int) -> Tamper:
    """Adds one to one element of one validator's share."""

    def tamper(receiver: int, share: Elements) -> Elements:
        if receiver == validator:
            share = share.copy()
            share[position] = (int(share[position]) + 1) % MODULUS
        return share

    return tamper
