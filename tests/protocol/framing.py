"""The strongest attack on the verdict: a participant and one validator try to have an honest one blamed."""

from __future__ import annotations

import numpy as np

from fedledger.secure_aggregation import PreparedUpdate, UpdateContext
from fedledger.secure_aggregation.kernels import Elements
from fedledger_chaincode.rules.field import MODULUS, inverse
from tests.protocol.cheating import cheat
from tests.protocol.parties import Validators


def framing_update(validators: Validators, context: UpdateContext, seed: int = 0) -> PreparedUpdate:
    """An update of any norm at (4, 1) for which T vanishes over validators 1, 2 and 3.

    Validators 2, 3 and 4 get shares of u on lines; 1 gets what makes the parabola through the shares of 1, 2 and 3
    share the zero vector, and the slopes make the parabola through their squares share zero.
    """
    dimension = validators.parameters.dimension
    generator = np.random.default_rng(seed)
    update = [int(x) for x in generator.integers(1, MODULUS, dimension)]
    slopes = [int(x) for x in generator.integers(1, MODULUS, dimension)]
    rest = sum(a * u for a, u in zip(slopes[1:], update[1:], strict=True))
    wanted = -sum(u * u for u in update) * inverse(3) - rest
    slopes[0] = wanted * inverse(update[0]) % MODULUS
    lines = {j: [(u + j * a) % MODULUS for u, a in zip(update, slopes, strict=True)] for j in range(2, 5)}
    lines[1] = [(x - y * inverse(3)) % MODULUS for x, y in zip(lines[2], lines[3], strict=True)]

    def tamper(validator: int, share: Elements) -> Elements:
        return np.concatenate([np.array(lines[validator], dtype=np.uint64), share[dimension:]])

    return cheat(validators, context, [0] * dimension, tamper_share=tamper)
