"""A submitted transaction: waits for its block and says whether it is valid; refuses to guess before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import transaction_pb2

from fedledger.gateway.client import GatewayClient
from fedledger.gateway.errors import CommitError
from fedledger.gateway.identity import SigningIdentity


@dataclass(frozen=True)
class Status:
    """How a transaction ended: ``code`` is a ``TxValidationCode``, ``successful`` that it is VALID."""

    code: int
    successful: bool
    block_number: int
    transaction_id: str

    @property
    def code_name(self) -> str:
        """The code's name in Fabric, such as ``MVCC_READ_CONFLICT``."""
        if self.code in transaction_pb2.TxValidationCode.values():
            return str(transaction_pb2.TxValidationCode.Name(self.code))
        return f"UNKNOWN_VALIDATION_CODE_{self.code}"

    def raise_if_invalid(self) -> None:
        """Raise ``CommitError`` unless the transaction is valid."""
        if not self.successful:
            raise CommitError(self.code_name, self.code, self.block_number, self.transaction_id)


class Commit:
    """The request for a transaction's status, signed already or to be signed when it is sent."""

    def __init__(self, client: GatewayClient, signing_identity: SigningIdentity, signed_request: Any) -> None:
        self._client = client
        self._signing_identity = signing_identity
        self._signed_request = signed_request
        self._transaction_id = str(gateway_pb2.CommitStatusRequest.FromString(signed_request.request).transaction_id)

    @property
    def transaction_id(self) -> str:
        """The transaction's id, 64 hexadecimal digits."""
        return self._transaction_id

    def get_bytes(self) -> bytes:
        """Return a ``gateway.SignedCommitStatusRequest``, for signing elsewhere."""
        return bytes(self._signed_request.SerializeToString())

    def get_digest(self) -> bytes:
        """Return what is to be signed."""
        return self._signing_identity.digest(self._signed_request.request)

    def status(self, timeout: float | None = None) -> Status:
        """Wait until the transaction is in a block; raises ``CommitStatusError``. May be asked again."""
        request = gateway_pb2.SignedCommitStatusRequest(
            request=self._signed_request.request,
            signature=self._signed_request.signature or self._signing_identity.sign(self._signed_request.request),
        )
        response = self._client.commit_status(request, self.transaction_id, timeout)
        return Status(
            code=response.result,
            successful=response.result == transaction_pb2.VALID,
            block_number=response.block_number,
            transaction_id=self.transaction_id,
        )


class SubmittedTransaction(Commit):
    """A ``Commit`` that also knows the result which the endorsers agreed on."""

    def __init__(
        self, client: GatewayClient, signing_identity: SigningIdentity, signed_request: Any, result: bytes
    ) -> None:
        super().__init__(client, signing_identity, signed_request)
        self._result = result

    @property
    def result(self) -> bytes:
        """The contract's result; the ledger holds it only once ``status`` is successful."""
        return self._result


def commit_request(channel_name: str, transaction_id: str, signing_identity: SigningIdentity) -> Any:
    """Return an unsigned ``SignedCommitStatusRequest`` for a transaction."""
    request = gateway_pb2.CommitStatusRequest(
        channel_id=channel_name, transaction_id=transaction_id, identity=signing_identity.creator
    )
    return gateway_pb2.SignedCommitStatusRequest(request=request.SerializeToString())
