"""Secure aggregation: nobody but its participant ever holds an update, and still all get the weighted sum.

Specified in docs/protocol/secure-aggregation.md. Refuses to decide anything: verdicts and weights are the ledger's.

    parameters = Parameters.of_task(spec)
    # participant
    encoded = encode_update(flat_update, clip_norm, parameters.quantised_norm)
    prepared = prepare_update(encoded, parameters, UpdateContext(channel, task, round, base_model, me), keys)
    # -> prepared.root and .shares go into the Manifest, prepared.sealed[j - 1] to validator j's store
    # validator j
    share = open_share(sealed_bytes_or_none, manifest, parameters, j, sealing_key)  # OpenedShare | Unreadable
    opening = opening_of(share, reference_or_none)  # NormOpening | DealingOpening, the finding's values
    accumulator = Accumulator(parameters, j, WeightedSum(task, round, ((root, weight), ...)))
    accumulator.add(share)  # once per accepted update, in any order
    aggregate_file = accumulator.finish()
    # in a dispute: the accused, and its judges
    plaintext = disclosable(sealed_bytes, manifest, j, sealing_key)
    vote = judge_disclosure(plaintext, posted_opening, manifest, parameters, j)  # "confirms" | "denies"
    # everybody
    shares = {j: read_aggregate_share(file, parameters, j, wanted), ...}
    result = reconstruct(shares, parameters.tolerated_faults)  # .total int64[d], .liars
    mean = decode_sum(result.total, wanted.weight_sum, clip_norm, parameters.quantised_norm)  # float64[d]
"""

from fedledger.secure_aggregation.aggregate import Accumulator, WeightedSum, read_aggregate_share
from fedledger.secure_aggregation.encoding import decode_sum, encode_direction, encode_update
from fedledger.secure_aggregation.errors import (
    AggregateError,
    Defect,
    KeyFileError,
    ParametersError,
    UpdateError,
)
from fedledger.secure_aggregation.judgement import judge_disclosure
from fedledger.secure_aggregation.opening import opening_of
from fedledger.secure_aggregation.parameters import Parameters
from fedledger.secure_aggregation.publication import PreparedUpdate
from fedledger.secure_aggregation.reconstruction import Reconstruction, reconstruct
from fedledger.secure_aggregation.sealing import SealingKey
from fedledger.secure_aggregation.share import OpenedShare, Unreadable, check_plaintext, disclosable, open_share
from fedledger.secure_aggregation.update import prepare_update
from fedledger_chaincode.rules.commitments import UpdateContext

__all__ = [
    "Accumulator",
    "AggregateError",
    "Defect",
    "KeyFileError",
    "OpenedShare",
    "Parameters",
    "ParametersError",
    "PreparedUpdate",
    "Reconstruction",
    "SealingKey",
    "Unreadable",
    "UpdateContext",
    "UpdateError",
    "WeightedSum",
    "check_plaintext",
    "decode_sum",
    "disclosable",
    "encode_direction",
    "encode_update",
    "judge_disclosure",
    "open_share",
    "opening_of",
    "prepare_update",
    "read_aggregate_share",
    "reconstruct",
]
