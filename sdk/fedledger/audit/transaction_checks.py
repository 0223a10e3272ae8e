"""What an audit says about a transaction: the code that a peer gives it, and the check that a wrong code fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fedledger.audit.channel import ChannelConfig
from fedledger.audit.findings import CheckName
from fedledger.gateway.blocks import EnvelopeHeader, parse_envelope_header
from fedledger.gateway.errors import BlockFormatError
from fedledger.identity.errors import IdentityError
from fedledger.validation.codes import Code, Judgement
from fedledger.validation.state import MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT, VALID

_MAXIMUM_TIMESTAMP_NS = 253_402_300_799 * 10**9
"""The end of the year 9999, beyond which there is no ``datetime``."""

_BY_STATE = frozenset((VALID, MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT))
"""Codes that a transaction gets when all that it brings with it is right."""

_BY_CHECK = {
    Code.DUPLICATE_TXID: CheckName.CODES,
    **dict.fromkeys(
        (
            Code.INVALID_ENDORSER_TRANSACTION,
            Code.BAD_HEADER_EXTENSION,
            Code.BAD_RESPONSE_PAYLOAD,
            Code.BAD_RWSET,
            Code.INVALID_CHAINCODE,
            Code.ILLEGAL_WRITESET,
            Code.INVALID_OTHER_REASON,
            Code.ENDORSEMENT_POLICY_FAILURE,
        ),
        CheckName.ENDORSEMENTS,
    ),
}


def same_verdict(recorded: int, computed: int) -> bool:
    """Whether a peer may have recorded that code where the replay gives the other.

    A transaction that is refused for itself can deserve several codes, and which one it gets depends on the order in
    which a peer's release looks, in places by lot: anybody may send such a transaction, and nothing follows from its
    code.
    """
    return recorded == computed or not {recorded, computed} & _BY_STATE


def failed_check(judgement: Judgement) -> CheckName:
    """The check that a transaction fails which is recorded as valid and is not."""
    return _BY_CHECK.get(judgement.code, CheckName.CREATORS)


def told(envelope: bytes, judgement: Judgement) -> str:
    """A sentence about a refusal."""
    try:
        name = parse_envelope_header(envelope).transaction_id
    except BlockFormatError:
        name = ""
    return f"transaction {name[:16]} {judgement.reason}" if name else f"a transaction {judgement.reason}"


def is_outside_validity(judgement: Judgement, config: ChannelConfig) -> bool:
    """Whether a valid transaction's time is outside its creator's certificate, at which no committer looks."""
    transaction = judgement.transaction
    if transaction is None:
        return False
    at = time_of(transaction.header)
    try:
        certificate = config.identify(transaction.creator).certificate
    except IdentityError:
        return False
    return at is None or not certificate.valid_from <= at <= certificate.valid_until


def time_of(header: EnvelopeHeader) -> datetime | None:
    """The aware time in a header; None when it is no time."""
    if not 0 < header.timestamp_ns <= _MAXIMUM_TIMESTAMP_NS:
        return None
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=header.timestamp_ns // 1000)
