"""What a validator finds when it judges an accused one's disclosed share; votes are cast elsewhere.

docs/protocol/secure-aggregation.md, section 11. Every honest judge that has the bytes finds the same.
"""

from __future__ import annotations

from fedledger.secure_aggregation.opening import opening_of
from fedledger.secure_aggregation.parameters import Parameters
from fedledger.secure_aggregation.share import Unreadable, check_plaintext
from fedledger_chaincode.messages.round import Manifest, NormOpening, Opening
from fedledger_chaincode.rules.disputes import Vote


def judge_disclosure(
    plaintext: bytes, posted: Opening, manifest: Manifest, parameters: Parameters, validator: int
) -> Vote:
    """Whether a disclosed share is the committed one and yields what its validator told (section 11.2).

    The inner product plays no part: it is judged by the others' (section 8.3, step 5).

    Args:
        plaintext: salt, leaves and messages, as they were sealed to the validator.
        posted: the validator's opening of this update on the ledger.
    """
    share = check_plaintext(plaintext, manifest, parameters, validator)
    if isinstance(share, Unreadable):
        return "denies"
    return "confirms" if _dealt(opening_of(share)) == _dealt(posted) else "denies"


def _dealt(opening: Opening) -> tuple[tuple[str, str], ...]:
    """The values that follow from the dealing and the transcript alone."""
    return (opening.z, opening.p) if isinstance(opening, NormOpening) else (opening.combination,)
