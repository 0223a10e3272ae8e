"""What a peer decides about one transaction before it looks at the state: its validation code, and why.

Follows the order of hyperledger/fabric, ``core/common/validation/msgvalidation.go`` and ``core/committer/txvalidator``:
form, creator, transaction id, repetition, endorsements. Looks at signatures, never at what a transaction does.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fabric_protos.common import common_pb2
from fabric_protos.peer import transaction_pb2

from fedledger.audit.channel import ChannelConfig
from fedledger.audit.endorsement_policies import required_policies
from fedledger.audit.findings import CheckName
from fedledger.audit.replayed_state import MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT, VALID, ReplayedState
from fedledger.gateway.blocks import EndorserTransaction, EnvelopeHeader, parse_envelope_header
from fedledger.gateway.errors import BlockFormatError
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import VerifiedIdentity

_MAXIMUM_TIMESTAMP_NS = 253_402_300_799 * 10**9
"""The end of the year 9999, beyond which there is no ``datetime``."""

_BY_STATE = frozenset((VALID, MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT))
"""Codes that a transaction gets when all that it brings with it is right."""


@dataclass(frozen=True)
class Judgement:
    """A transaction's validation code as recomputed, the check that it fails, and a sentence about it."""

    code: int
    check: CheckName
    reason: str = ""
    transaction: EndorserTransaction | None = None
    endorsements: int = 0


def same_verdict(recorded: int, computed: int) -> bool:
    """Whether a peer may have recorded that code where the replay gives the other.

    A transaction that is refused for itself can deserve several codes, and which one it gets depends on the order in
    which a peer's release looks: anybody may send such a transaction, and nothing follows from its code.
    """
    return recorded == computed or not {recorded, computed} & _BY_STATE


def time_of(header: EnvelopeHeader) -> datetime | None:
    """The aware time in a header; None when it is no time."""
    if not 0 < header.timestamp_ns <= _MAXIMUM_TIMESTAMP_NS:
        return None
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=header.timestamp_ns // 1000)


def transaction_id(envelope: bytes) -> str:
    """The id that an envelope claims; empty when it has none or is no envelope."""
    try:
        return parse_envelope_header(envelope).transaction_id
    except BlockFormatError:
        return ""


def judge(envelope: bytes, config: ChannelConfig, state: ReplayedState, known: Container[str]) -> Judgement:
    """Judge one endorser transaction; ``known`` holds the ids of all earlier transactions of the ledger."""
    try:
        transaction = EndorserTransaction.parse(envelope)
    except BlockFormatError as error:
        code = transaction_pb2.BAD_RWSET if error.code == "MALFORMED_READ_WRITE_SET" else transaction_pb2.BAD_PAYLOAD
        return Judgement(int(code), CheckName.CREATORS, error.message)
    name = f"transaction {transaction.transaction_id[:16]}"
    at = time_of(transaction.header)
    if at is None or transaction.header.type != common_pb2.ENDORSER_TRANSACTION or transaction.header.epoch:
        return _refused(transaction_pb2.BAD_COMMON_HEADER, CheckName.CREATORS, f"{name} has a header that cannot be")
    try:
        config.identify(transaction.creator, at).verify(transaction.payload, transaction.signature)
    except IdentityError as error:
        return _refused(
            transaction_pb2.BAD_CREATOR_SIGNATURE, CheckName.CREATORS, f"{name} is not its creator's. {error.message}"
        )
    if transaction.transaction_id != transaction.header.expected_transaction_id:
        return _refused(
            transaction_pb2.BAD_PROPOSAL_TXID, CheckName.CREATORS, f"{name} has not the id of its nonce and creator"
        )
    if transaction.header.channel_id != config.channel_id:
        return _refused(transaction_pb2.TARGET_CHAIN_NOT_FOUND, CheckName.CREATORS, f"{name} is for another channel")
    if transaction.proposal_hash != transaction.expected_proposal_hash:
        return _refused(
            transaction_pb2.INVALID_ENDORSER_TRANSACTION,
            CheckName.ENDORSEMENTS,
            f"{name} carries endorsements of another proposal",
        )
    if transaction.transaction_id in known:
        return _refused(transaction_pb2.DUPLICATE_TXID, CheckName.CODES, f"{name} stands in the ledger already")
    return _endorsed(transaction, config, state, at, name)


def _endorsed(
    transaction: EndorserTransaction, config: ChannelConfig, state: ReplayedState, at: datetime, name: str
) -> Judgement:
    policies = required_policies(transaction, config, state)
    signers, refused = _endorsers(transaction, config, at)
    if all(policy.satisfied_by(signers) for policy in policies):
        return Judgement(VALID, CheckName.CODES, "", transaction, len(signers))
    because = f" {refused}" if refused else ""
    return _refused(
        transaction_pb2.ENDORSEMENT_POLICY_FAILURE,
        CheckName.ENDORSEMENTS,
        f"{name} is endorsed by {_names(signers)}, which does not satisfy the endorsement policy.{because}",
    )


def _endorsers(
    transaction: EndorserTransaction, config: ChannelConfig, at: datetime
) -> tuple[list[VerifiedIdentity], str]:
    """Distinct endorsers whose certificate and signature hold, and why the first of the others does not."""
    signers: list[VerifiedIdentity] = []
    refused = ""
    for endorsement in transaction.endorsements:
        try:
            signer = config.identify(endorsement.endorser, at)
            signer.verify(transaction.endorsed_bytes(endorsement), endorsement.signature)
        except IdentityError as error:
            refused = refused or error.message
            continue
        if signer not in signers:
            signers.append(signer)
    return signers, refused


def _names(signers: list[VerifiedIdentity]) -> str:
    return ", ".join(f"{signer.common_name} of {signer.msp_id}" for signer in signers) or "nobody"


def _refused(code: int, check: CheckName, reason: str) -> Judgement:
    return Judgement(int(code), check, reason)
