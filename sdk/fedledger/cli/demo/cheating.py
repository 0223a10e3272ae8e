"""A participant that commits to and seals whatever it likes; for demonstrations and tests of what is refused.

No agent uses it. It tells the best lies that fit the format: everything about it is what an honest dealing would be,
but for what it is asked to change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fedledger.secure_aggregation import Parameters, PreparedUpdate, UpdateContext, folding, norm_proof
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.norm_proof import bits_of
from fedledger.secure_aggregation.projections import project
from fedledger.secure_aggregation.publication import Dealer
from fedledger.secure_aggregation.transcript import challenge_of, point_of
from fedledger.secure_aggregation.update import UpdateRandomness
from fedledger_chaincode.rules.field import MODULUS, centred
from fedledger_chaincode.rules.norm_bound import LONGEST_LAST, NormBound

Secrets = Callable[[int, Elements], Elements]
"""(number of the message from 1 on, what an honest participant would deal) to what is dealt."""
Tamper = Callable[[int, int, Elements], Elements]
"""(number of the message, validator, its share) to the share that it gets instead."""


def as_they_are(_message: int, secrets: Elements) -> Elements:
    """Nothing is changed."""
    return secrets


def honest(_message: int, _validator: int, share: Elements) -> Elements:
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
    tamper_bits: Callable[[Elements], Elements] = lambda bits: bits,
    tamper_secrets: Secrets = as_they_are,
    tamper_share: Tamper = honest,
    tamper_after_commitment: Tamper = honest,
) -> PreparedUpdate:
    """Share any field elements with the best lies about their norm that fit the format.

    Args:
        public_keys: hex sealing keys of validators 1..n.
        update: field elements, not necessarily small.
        claimed_norm: N as claimed; by default the true sum of squares mod q, cut down to the bound.
        norm_secrets: dealt instead of the bits of N and B - N.
        tamper_bits: changes the projections' bits; the messages after them follow from what is dealt.
        tamper_secrets: changes a message before it is dealt; those after it do not follow.
        tamper_share: changes what one validator is dealt, before it is committed to.
        tamper_after_commitment: changes what is sealed, not what is committed to.
    """
    randomness = UpdateRandomness.draw(parameters)
    dealer = _CheatingDealer(parameters, context, randomness.salts, randomness.coefficients)
    dealer.lies = (tamper_secrets, tamper_share, tamper_after_commitment)
    elements = np.array([x % MODULUS for x in update], dtype=np.uint64)
    bound = parameters.norm_bound
    if bound is None:
        dealer.deal(np.concatenate([elements, randomness.mask]))
        return dealer.seal(public_keys)
    norm = min(sum(x * x for x in update) % MODULUS if claimed_norm is None else claimed_norm, bound.bound)
    bits = bits_of([norm, bound.bound - norm], bound.norm_bits).tolist()
    norm_bits = np.array(bits if norm_secrets is None else norm_secrets, dtype=np.uint64)
    over_extension = np.stack([elements, np.zeros_like(elements)])
    root = dealer.deal(np.concatenate([elements, norm_bits, folding.sums_of_squares(over_extension)[0]]))
    projection_bits = tamper_bits(_projection_bits(elements, root, bound))
    challenge = challenge_of(dealer.deal(projection_bits), bound)
    vector = norm_proof.challenged_vector(elements, np.concatenate([norm_bits, projection_bits]), challenge)
    while vector.shape[1] > LONGEST_LAST:
        vector = folding.fold(vector, point_of(dealer.deal(norm_proof.fold_message(vector))))
    dealer.deal(norm_proof.last_message(vector, randomness.mask))
    return dealer.seal(public_keys)


def _projection_bits(elements: Elements, root: bytes, bound: NormBound) -> Elements:
    """Bits of the projections, each wrapped around in its window."""
    shifted = [(centred(int(y)) + bound.window - 1) % (2 * bound.window) for y in project(elements, root)]
    return bits_of(shifted, bound.window_bits)


class _CheatingDealer(Dealer):
    """Deals and seals what the lies make of each message."""

    lies: tuple[Secrets, Tamper, Tamper] = (as_they_are, honest, honest)
    _sealing = False

    def deal(self, message: Elements) -> bytes:
        return super().deal(self.lies[0](len(self.roots) + 1, message))

    def write_share(self, message: int, validator: int, out: Elements) -> None:
        super().write_share(message, validator, out)
        _, before, after = self.lies
        out[:] = before(message, validator, out)
        if self._sealing:
            out[:] = after(message, validator, out)

    def seal(self, sealing_keys: Sequence[str]) -> PreparedUpdate:
        self._sealing = True
        return super().seal(sealing_keys)


def off_by_one(validator: int, position: int, message: int = 1) -> Tamper:
    """Adds one to one element of one validator's share of one message."""

    def tamper(number: int, receiver: int, share: Elements) -> Elements:
        if (number, receiver) == (message, validator):
            share = share.copy()
            share[position] = (int(share[position]) + 1) % MODULUS
        return share

    return tamper
