"""The round's reference direction, with which validators compare updates; computed from public models alone."""

from __future__ import annotations

from collections.abc import Callable

from fedledger.secure_aggregation import encode_direction
from fedledger.secure_aggregation.encoding import Integers
from fedledger.training.weights import flatten, load_weights
from fedledger_chaincode.messages.views import RoundView, TaskView


def round_reference(view: TaskView, current: RoundView, model: Callable[[int], bytes]) -> Integers | None:
    """int64[d] of norm C_q, the same for everybody; None where the task or the round has none.

    With ``last-step`` it points from the base model back to the version before it, as updates do (initial minus trained
    weights). The first round has no step before it.

    Args:
        model: fetches a version's model file.
    """
    spec, version = view.record.spec, current.record.base_version
    if spec.robustness.trust_weighting != "last-step" or version == 0:
        return None
    before, base = (flatten(load_weights(model(number), spec.model.tensors)) for number in (version - 1, version))
    return encode_direction(before - base, spec.aggregation.quantised_norm)
