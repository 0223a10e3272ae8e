"""What a validator finds when it is asked to judge a dispute about one share; votes are cast elsewhere.

docs/protocol/secure-aggregation.md, section 11. Every honest judge finds the same, for all it needs is public.
"""

from __future__ import annotations

from fedledger.secure_aggregation.encoding import Integers
from fedledger.secure_aggregation.opening import opening_of
from fedledger.secure_aggregation.parameters import Parameters
from fedledger.secure_aggregation.publication import sealing_info
from fedledger.secure_aggregation.sealing import SEED_BYTES, open_with_seed
from fedledger.secure_aggregation.share import OpenedShare, check_plaintext
from fedledger_chaincode.messages.round import Manifest, Opening
from fedledger_chaincode.rules.commitments import UpdateContext
from fedledger_chaincode.rules.disputes import Ruling


def judge_disclosure(
    plaintext: bytes,
    posted: Opening,
    manifest: Manifest,
    parameters: Parameters,
    validator: int,
    reference: Integers | None = None,
) -> Ruling:
    """Compare a disclosed share with what its validator posted (section 11.2).

    Args:
        plaintext: salt, share and share of the proof, as they were sealed to the validator.
        posted: the validator's opening of this update on the ledger.
        reference: int64[d], the round's reference direction, where it has one.
    """
    share = check_plaintext(plaintext, manifest, parameters, validator)
    if not isinstance(share, OpenedShare) or share.proof_root is None:
        return "void"
    return "confirms" if opening_of(share, reference) == posted else "contradicts"


def is_complaint_unfounded(
    sealed: bytes,
    seed: bytes,
    sealing_key: str,
    manifest: Manifest,
    parameters: Parameters,
    validator: int,
) -> bool:
    """Whether a share that a validator called unreadable was sealed to it, complete and as committed (section 11.4).

    Args:
        sealed: the artifact that the manifest names for this validator.
        seed: the participant's secret of this one sealing.
        sealing_key: hex of the validator's public key on the ledger.
    """
    if len(seed) != SEED_BYTES:
        return False
    info = sealing_info(UpdateContext.of(manifest), validator)
    plaintext = open_with_seed(sealed, sealing_key, info, seed)
    return plaintext is not None and isinstance(
        check_plaintext(plaintext, manifest, parameters, validator), OpenedShare
    )
