"""The errors of the gateway client: one type for each phase that can fail, and one for unreadable blocks.

Nothing is retried here. An error carries the transaction's id and every peer's own message, so that nobody has to
search a peer's log for what went wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import grpc
from fabric_protos.gateway import gateway_pb2
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from fedledger.errors import AccessError, ExitCode, FedledgerError
from fedledger_chaincode.errors import ContractFault, parse_contract_fault

_EXIT_CODES = {
    grpc.StatusCode.UNAVAILABLE: ExitCode.CONNECTION,
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.CONNECTION,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.CONNECTION,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.TIMEOUT,
}
_REMEDIES = {
    grpc.StatusCode.UNAVAILABLE: "Check that the gateway's peer runs and that address and TLS roots are right.",
    grpc.StatusCode.UNAUTHENTICATED: "Check that the channel knows your certificate's issuer.",
    grpc.StatusCode.PERMISSION_DENIED: "Check that your certificate is valid and its organisation is on the channel.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "Try again, or allow more time.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "Send less at once; large data belongs beside the ledger.",
    grpc.StatusCode.UNIMPLEMENTED: "Check that the address is a Fabric gateway's and not another service's.",
}
_STORE_ELSEWHERE = "Send less at once: large data belongs into the artifact store, and its digest onto the ledger."
CERTIFICATE_EXPIRED = "CERTIFICATE_EXPIRED"
TOO_MANY_CALLS = "TOO_MANY_CALLS"
_KEEP_STREAMS = (
    "The peer also counts event streams that clients have closed, until its next event would have gone to them. Wait"
    " for the next transactions, or ask whoever runs the peer to raise peer.limits.concurrency; keep one stream open"
    " instead of opening many."
)
CLOSED, FORKED = "CLOSED", "FORKED"
"""What this process itself has done to its connection."""
_RECOGNISED = (
    ("incorrect timestamp", "CLOCK_SKEW", "Set this machine's clock and try again.", ExitCode.FAILED),
    ("client identity expired", CERTIFICATE_EXPIRED, "Renew the certificate at your CA.", ExitCode.CONNECTION),
    ("exceeding concurrency limit", TOO_MANY_CALLS, _KEEP_STREAMS, ExitCode.CONNECTION),
    ("too many streams are open", TOO_MANY_CALLS, _KEEP_STREAMS, ExitCode.CONNECTION),
    ("exceeds maximum allowed", "TRANSACTION_TOO_LARGE", _STORE_ELSEWHERE, ExitCode.FAILED),
    ("message larger than max", "MESSAGE_TOO_LARGE", _STORE_ELSEWHERE, ExitCode.FAILED),
)
"""What peers, orderers and gRPC say without a code of its own: part of the text, our code, what to do, exit code."""
FINDS_NOBODY = "no peer combination can satisfy"
"""What a gateway says whose peer was started a moment ago, or is cut off from the others."""
_ADVICE = (
    ("DeadlineExceeded", "A peer took longer than it may: try again, or send less at once."),
    (FINDS_NOBODY, "The gateway's peer does not reach enough organisations: try again, or at another one's gateway."),
)
"""What else they say: part of the text, what to do."""
_REFUSED = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)
_ACCESS_DENIED = "access denied"
"""What Fabric's peers answer to a creator whose certificate they do not accept, with various statuses."""
_STATUS_DETAILS = "grpc-status-details-bin"


class BlockFormatError(FedledgerError):
    """Bytes that are no block, envelope or read-write set of Fabric's.

    Codes: ``MALFORMED_BLOCK``, ``MALFORMED_ENVELOPE``, ``MALFORMED_READ_WRITE_SET``.
    """


class SigningError(AccessError):
    """Something had to be signed and cannot be: ``NO_SIGNER``, ``MALFORMED_CERTIFICATE``, ``UNSUPPORTED_KEY``."""


@dataclass(frozen=True)
class ErrorDetail:
    """What one peer or orderer said: its address, its organisation's MSP id and its message."""

    address: str
    msp_id: str
    message: str

    def __str__(self) -> str:
        return f"{self.address} ({self.msp_id}): {self.message}"


class GatewayError(FedledgerError):
    """A call of the gateway failed; ``transaction_id`` is empty for event streams.

    ``status`` is the gRPC status, None when the call itself went well. ``contract_error`` is the first refusal by
    the contract among the peers' messages, None when there is none. ``code`` is the contract's code, or
    ``CLOCK_SKEW``, ``CERTIFICATE_EXPIRED``, ``TRANSACTION_TOO_LARGE`` or ``MESSAGE_TOO_LARGE``, or the phase and the
    gRPC status, such as ``ENDORSE_UNAVAILABLE``.
    """

    phase: ClassVar[str] = "GATEWAY"
    activity: ClassVar[str] = "A call of the gateway"
    by_further_gateway: bool = False
    """Whether it is another organisation's gateway that says so, on whose word nobody ends who is let in at home."""

    def __init__(
        self,
        code: str,
        message: str,
        remedy: str = "",
        *,
        transaction_id: str = "",
        status: grpc.StatusCode | None = None,
        details: Sequence[ErrorDetail] = (),
        contract_error: ContractFault | None = None,
    ) -> None:
        super().__init__(code, message, remedy)
        self.transaction_id = transaction_id
        self.status = status
        self.details = tuple(details)
        self.contract_error = contract_error
        if status is not None:
            self.exit_code = _EXIT_CODES.get(status, ExitCode.FAILED)

    @classmethod
    def from_rpc_error(
        cls, error: grpc.RpcError, transaction_id: str = "", status: grpc.StatusCode | None = None
    ) -> Self:
        """Build the error of this phase from what gRPC raised; ``status`` is taken in place of its own."""
        status = status or error.code()
        text = error.details() or ""
        details = error_details(error)
        fault = _first_contract_fault([detail.message for detail in details] + [text])
        known = None
        if fault is not None:
            code, message, remedy = fault.code, fault.message, ""
        else:
            told = "; ".join([text, *map(str, details)] if text else map(str, details)) or "no reason given"
            subject = f"{cls.activity} of transaction {transaction_id}" if transaction_id else cls.activity
            message = f"{subject} failed with {status.name}: {told}."
            known = next((each for each in _RECOGNISED if each[0] in told), None)
            _, code, remedy, _ = known or ("", f"{cls.phase}_{status.name}", cls._remedy(status), None)
            remedy = remedy or next((advice for part, advice in _ADVICE if part in told), "")
        failure = cls(
            code,
            message,
            remedy,
            transaction_id=transaction_id,
            status=status,
            details=details,
            contract_error=fault,
        )
        if known is not None:
            failure.exit_code = known[3]
        return failure

    @classmethod
    def _remedy(cls, status: grpc.StatusCode) -> str:
        return _REMEDIES.get(status, "")


class EvaluateError(GatewayError):
    """A query was not answered."""

    phase = "EVALUATE"
    activity = "Evaluation"


class EndorseError(GatewayError):
    """Too few organisations endorsed the proposal; nothing was sent to the orderers."""

    phase = "ENDORSE"
    activity = "Endorsement"


class SubmitError(GatewayError):
    """The orderers did not take the transaction as far as the gateway knows."""

    phase = "SUBMIT"
    activity = "Submission"

    @classmethod
    def _remedy(cls, status: grpc.StatusCode) -> str:
        if status in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE):
            return "It may be committed all the same: ask for its status before submitting anew."
        return super()._remedy(status)


class CommitStatusError(GatewayError):
    """The transaction was submitted, and whether it is committed is not known yet."""

    phase = "COMMIT_STATUS"
    activity = "Waiting for the commit"

    @classmethod
    def _remedy(cls, status: grpc.StatusCode) -> str:
        if status in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE):
            return "It may still be committed: ask for its status again."
        return super()._remedy(status)


class CommitError(GatewayError):
    """The transaction is in a block and was found invalid: nothing was written.

    ``code`` is the name of Fabric's ``TxValidationCode``, such as ``MVCC_READ_CONFLICT``, ``validation_code`` its
    number, ``block_number`` the block.
    """

    phase = "COMMIT"
    activity = "Commit"

    def __init__(self, code: str, validation_code: int, block_number: int, transaction_id: str) -> None:
        super().__init__(
            code,
            f"Transaction {transaction_id} is in block {block_number} and was found invalid: {code}.",
            _COMMIT_REMEDIES.get(code, ""),
            transaction_id=transaction_id,
        )
        self.validation_code = validation_code
        self.block_number = block_number


class EventsError(GatewayError):
    """A stream of events or blocks could not be opened, or broke off."""

    phase = "EVENTS"
    activity = "Reading events"

    @classmethod
    def _remedy(cls, status: grpc.StatusCode) -> str:
        if status is grpc.StatusCode.UNAVAILABLE:
            return "Open the stream again from the last checkpoint."
        return super()._remedy(status)


_COMMIT_REMEDIES = {
    "MVCC_READ_CONFLICT": "Another transaction changed what this one had read: submit it anew.",
    "PHANTOM_READ_CONFLICT": "Another transaction changed a range that this one had read: submit it anew.",
    "ENDORSEMENT_POLICY_FAILURE": "Let the gateway choose the endorsing organisations, or name enough of them.",
    "DUPLICATE_TXID": "The same transaction is on the ledger already.",
}


def refuses_identity(error: GatewayError) -> bool:
    """Whether a peer does not accept who asks, whatever is asked."""
    return says_denied(error) and not error.by_further_gateway


def says_denied(error: GatewayError) -> bool:
    """The same of any gateway."""
    return error.status in _REFUSED or error.code == CERTIFICATE_EXPIRED or _ACCESS_DENIED in error.message


def error_details(error: grpc.RpcError) -> tuple[ErrorDetail, ...]:
    """Read the gateway's ``ErrorDetail`` messages from a failed call's trailing metadata."""
    found: list[ErrorDetail] = []
    # The stubs of grpc describe one entry where gRPC returns a sequence of them.
    metadata: Any = error.trailing_metadata()
    for key, value in metadata or ():
        if key == _STATUS_DETAILS:
            found.extend(_unpack(value))
    return tuple(found)


def _unpack(status_bytes: bytes) -> Iterable[ErrorDetail]:
    try:
        status = status_pb2.Status.FromString(status_bytes)
    except DecodeError:
        # Details only add to the gRPC status, which is reported in any case.
        return
    for packed in status.details:
        detail = gateway_pb2.ErrorDetail()
        if packed.Is(detail.DESCRIPTOR) and packed.Unpack(detail):
            yield ErrorDetail(detail.address, detail.msp_id, detail.message)


def _first_contract_fault(texts: Iterable[str]) -> ContractFault | None:
    return next((fault for fault in map(parse_contract_fault, texts) if fault is not None), None)
