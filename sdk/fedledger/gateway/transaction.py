"""An endorsed transaction: hands it to the orderers; refuses envelopes that are no transaction of a contract."""

from __future__ import annotations

from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2

from fedledger.gateway.client import GatewayClient
from fedledger.gateway.commit import SubmittedTransaction, commit_request
from fedledger.gateway.envelopes import EndorserTransaction
from fedledger.gateway.identity import SigningIdentity


class Transaction:
    """A transaction with its endorsements, signed already or to be signed when it is submitted."""

    def __init__(self, client: GatewayClient, signing_identity: SigningIdentity, prepared_transaction: Any) -> None:
        """Take a ``gateway.PreparedTransaction``; raises ``BlockFormatError`` for a malformed envelope."""
        self._client = client
        self._signing_identity = signing_identity
        self._prepared = prepared_transaction
        self._content = EndorserTransaction.parse(prepared_transaction.envelope.SerializeToString())

    @property
    def transaction_id(self) -> str:
        """The transaction's id, 64 hexadecimal digits."""
        return str(self._prepared.transaction_id)

    @property
    def content(self) -> EndorserTransaction:
        """What the endorsers signed: result, event, reads and writes."""
        return self._content

    @property
    def result(self) -> bytes:
        """The contract's result, before it is committed."""
        return self._content.response.payload

    def get_bytes(self) -> bytes:
        """Return a ``gateway.PreparedTransaction``, for signing elsewhere."""
        return bytes(self._prepared.SerializeToString())

    def get_digest(self) -> bytes:
        """Return what is to be signed."""
        return self._signing_identity.digest(self._prepared.envelope.payload)

    def submit(self, timeout: float | None = None) -> SubmittedTransaction:
        """Hand the transaction to the orderers; raises ``SubmitError``. ``status()`` of the answer awaits the block."""
        envelope = self._prepared.envelope
        signed = common_pb2.Envelope(
            payload=envelope.payload,
            signature=envelope.signature or self._signing_identity.sign(envelope.payload),
        )
        channel_name = self._content.header.channel_id
        self._client.submit(
            gateway_pb2.SubmitRequest(
                transaction_id=self.transaction_id, channel_id=channel_name, prepared_transaction=signed
            ),
            timeout,
        )
        return SubmittedTransaction(
            self._client,
            self._signing_identity,
            commit_request(channel_name, self.transaction_id, self._signing_identity),
            self.result,
        )
