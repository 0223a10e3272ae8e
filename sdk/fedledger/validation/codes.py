"""A transaction's validation code before anybody looks at the state, in the order in which a Fabric peer looks.

Source: hyperledger/fabric 3.1, ``core/common/validation/msgvalidation.go`` and ``core/committer/txvalidator/v20``. No
clock is asked: neither a transaction's time nor a certificate's decides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_event_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2
from google.protobuf.message import DecodeError

from fedledger.gateway.blocks import EndorserTransaction, proposal_hash, transaction_id_of
from fedledger.gateway.errors import BlockFormatError
from fedledger.gateway.wire import parse_message
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import VerifiedIdentity

Code = transaction_pb2.TxValidationCode
VALID = int(transaction_pb2.VALID)
_TYPES = (common_pb2.ENDORSER_TRANSACTION, common_pb2.CONFIG_UPDATE, common_pb2.CONFIG)


class Channel(Protocol):
    """A channel's configuration."""

    @property
    def channel_id(self) -> str:
        """The channel's name."""
        ...

    def identify(self, serialized_identity: bytes) -> VerifiedIdentity:
        """Return who that is; raises ``IdentityError``."""
        ...


class Refused(Exception):
    """A transaction that is not valid: its code, and a sentence without its beginning."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = int(code)
        self.reason = reason


@dataclass(frozen=True)
class Judgement:
    """A transaction's validation code, why it is refused, and what it is as far as that can be read."""

    code: int
    reason: str = ""
    transaction: EndorserTransaction | None = None
    endorsers: tuple[VerifiedIdentity, ...] = ()


Endorsed = Callable[[EndorserTransaction, Sequence[VerifiedIdentity]], None]
"""Raises ``Refused`` unless the endorsers satisfy the policies of everything that is written."""


def judge(envelope: bytes, channel: Channel, known: Container[str], endorsed: Endorsed) -> Judgement:
    """Judge one transaction by itself.

    Args:
        known: the ids that earlier blocks hold (``recorded_id``).
    """
    transaction: EndorserTransaction | None = None
    try:
        payload, header = _signed(envelope, channel)
        action, answer = _action(payload)
        if header.tx_id in known:
            raise Refused(Code.DUPLICATE_TXID, "stands in the ledger already")
        transaction = _result(envelope, header, action, answer)
        endorsers = tuple(_endorsers(transaction, channel))
        endorsed(transaction, endorsers)
    except Refused as refusal:
        return Judgement(refusal.code, refusal.reason, transaction)
    return Judgement(VALID, "", transaction, endorsers)


def without_repetitions(judgements: Sequence[Judgement]) -> list[Judgement]:
    """The judgements of a block's transactions, in order: of valid ones with one id the first counts."""
    seen: set[str] = set()
    found = []
    for judgement in judgements:
        transaction = judgement.transaction
        if judgement.code == VALID and transaction is not None:
            if transaction.transaction_id in seen:
                judgement = Judgement(Code.DUPLICATE_TXID, "stands in the block already", transaction)
            seen.add(transaction.transaction_id)
        found.append(judgement)
    return found


def _signed(envelope: bytes, channel: Channel) -> tuple[Any, Any]:
    """``Payload`` and ``ChannelHeader``, after the client's certificate and signature and the id."""
    outer = _parsed(common_pb2.Envelope, envelope, Code.INVALID_OTHER_REASON, "is no envelope")
    payload = _parsed(common_pb2.Payload, outer.payload, Code.BAD_PAYLOAD, "has no payload")
    bad = Code.BAD_COMMON_HEADER
    header = _parsed(common_pb2.ChannelHeader, payload.header.channel_header, bad, "has a header that cannot be")
    signed = _parsed(common_pb2.SignatureHeader, payload.header.signature_header, bad, "has a header that cannot be")
    if header.type not in _TYPES or header.epoch or not (signed.nonce and signed.creator):
        raise Refused(bad, "has a header that cannot be")
    try:
        if header.channel_id != channel.channel_id:
            raise Refused(Code.BAD_CREATOR_SIGNATURE, f"is for channel {header.channel_id or 'nobody knows which'}")
        channel.identify(signed.creator).verify(outer.payload, outer.signature)
    except IdentityError as error:
        raise Refused(Code.BAD_CREATOR_SIGNATURE, f"is not its creator's. {error.message}") from error
    if header.type != common_pb2.ENDORSER_TRANSACTION:
        raise Refused(Code.UNSUPPORTED_TX_PAYLOAD, f"is of type {header.type}")
    if header.tx_id != transaction_id_of(signed.nonce, signed.creator):
        raise Refused(Code.BAD_PROPOSAL_TXID, "has not the id of its nonce and creator")
    return payload, header


def _action(payload: Any) -> tuple[Any, Any]:
    """``ChaincodeActionPayload`` and ``ProposalResponsePayload``, after it is sure that they are of this proposal."""
    code = Code.INVALID_ENDORSER_TRANSACTION
    actions = _parsed(transaction_pb2.Transaction, payload.data, code, "is no transaction").actions
    if len(actions) != 1:
        raise Refused(code, f"has {len(actions)} actions instead of one")
    header = _parsed(common_pb2.SignatureHeader, actions[0].header, code, "has an action without a header")
    if not (header.nonce and header.creator):
        raise Refused(code, "has an action without nonce or creator")
    action = _parsed(transaction_pb2.ChaincodeActionPayload, actions[0].payload, code, "has an action that is none")
    answer = _parsed(
        proposal_response_pb2.ProposalResponsePayload,
        action.action.proposal_response_payload,
        code,
        "has an answer that is none",
    )
    request = action.chaincode_proposal_payload
    expected = proposal_hash(payload.header.channel_header, actions[0].header, request)
    if not request or answer.proposal_hash != expected:
        raise Refused(code, "carries endorsements of another proposal")
    return action, answer


def _result(envelope: bytes, header: Any, action: Any, answer: Any) -> EndorserTransaction:
    """What ran and what came out of it."""
    asked = _parsed(
        proposal_pb2.ChaincodeHeaderExtension, header.extension, Code.BAD_HEADER_EXTENSION, "does not say what to run"
    )
    if not answer.extension:
        raise Refused(Code.BAD_RESPONSE_PAYLOAD, "has an answer without a result")
    result = _parsed(
        proposal_pb2.ChaincodeAction, answer.extension, Code.BAD_RESPONSE_PAYLOAD, "has a result that is none"
    )
    try:
        read = EndorserTransaction.parse(envelope)
    except BlockFormatError as error:
        if error.code == "MALFORMED_READ_WRITE_SET":
            raise Refused(Code.BAD_RWSET, "has reads and writes that cannot be read") from error
        # Everything else has been read but for the event, at which peers look later.
        read = None
    _check_names(asked, result)
    _check_event(result)
    if read is None:
        raise Refused(Code.INVALID_OTHER_REASON, "cannot be read")
    namespaces = [entry.namespace for entry in read.read_write_sets]
    if len(set(namespaces)) != len(namespaces):
        raise Refused(Code.ILLEGAL_WRITESET, "has a namespace twice")
    return read


def _check_names(asked: Any, result: Any) -> None:
    """The chaincode is told, the same one, with a version."""
    if not (asked.HasField("chaincode_id") and result.HasField("chaincode_id")):
        raise Refused(Code.INVALID_OTHER_REASON, "does not say what has run")
    name, ran = asked.chaincode_id.name, result.chaincode_id
    if not name or name != ran.name or not ran.version:
        raise Refused(Code.INVALID_CHAINCODE, f"asks for {name!r} and has run {ran.name!r}, version {ran.version!r}")


def _check_event(result: Any) -> None:
    if not result.events:
        return
    event = _parsed(
        chaincode_event_pb2.ChaincodeEvent, result.events, Code.INVALID_OTHER_REASON, "has an event that is none"
    )
    if event.chaincode_id != result.chaincode_id.name:
        raise Refused(Code.INVALID_OTHER_REASON, f"has an event of {event.chaincode_id!r}")


def _endorsers(transaction: EndorserTransaction, channel: Channel) -> list[VerifiedIdentity]:
    """Distinct endorsers whose certificate and signature hold; the others do not count."""
    found: list[VerifiedIdentity] = []
    for endorsement in transaction.endorsements:
        try:
            endorser = channel.identify(endorsement.endorser)
            endorser.verify(transaction.endorsed_bytes(endorsement), endorsement.signature)
        except IdentityError:
            continue
        if endorser not in found:
            found.append(endorser)
    return found


def _parsed(kind: Any, content: bytes, code: int, reason: str) -> Any:
    try:
        return parse_message(kind, content)
    except DecodeError as error:
        raise Refused(code, reason) from error
