"""A client's connection to a Fabric gateway: its channels, and what was signed elsewhere; opens no connection."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from google.protobuf.message import DecodeError

from fedledger.errors import BadInputError
from fedledger.gateway.client import GatewayClient
from fedledger.gateway.commit import Commit
from fedledger.gateway.connections import Connections
from fedledger.gateway.deadlines import Deadlines
from fedledger.gateway.event_stream import CloseableIterator
from fedledger.gateway.events import BlockEventsRequest, ChaincodeEventsRequest, FilteredBlockEventsRequest
from fedledger.gateway.identity import Hash, Identity, Signer, SigningIdentity, hash_for
from fedledger.gateway.network import Network
from fedledger.gateway.proposal import Proposal
from fedledger.gateway.shared_stream import SharedStreams
from fedledger.gateway.transaction import Transaction


def connect(
    identity: Identity,
    sign: Signer | None,
    client_connection: grpc.Channel,
    *,
    deadlines: Deadlines | None = None,
    hash_message: Hash | None = None,
    tls_client_certificate_hash: bytes = b"",
    close_connection: bool = False,
    further_connections: Sequence[grpc.Channel] = (),
) -> Gateway:
    """Return a gateway that acts as ``identity`` over a gRPC channel, which several gateways may share.

    ``further_connections`` lead to other organisations' gateways, which are asked in their order while those before
    them do not answer. What a query returns then has to be the same at more than half of them.

    ``sign`` None is for signing elsewhere. ``hash_message`` defaults to what the certificate's key needs: SHA-256
    for ECDSA, the message itself for Ed25519. ``tls_client_certificate_hash`` (``tls_certificate_hash``) is needed
    for blocks over mutual TLS. ``close_connection`` lets ``Gateway.close`` close the channels too.
    Raises ``SigningError`` when the credentials are no certificate.
    """
    default_hash = hash_for(identity)
    return Gateway(
        GatewayClient(Connections((client_connection, *further_connections)), deadlines or Deadlines()),
        SigningIdentity(identity, sign, hash_message or default_hash),
        tls_client_certificate_hash=tls_client_certificate_hash,
        close_connection=close_connection,
    )


class Gateway:
    """An identity's view of a Fabric gateway; safe for several threads; a context manager.

    The ``new_signed_...`` methods take the bytes of ``get_bytes()`` and the signature of ``get_digest()``, the
    others the bytes alone. All raise ``BadInputError`` (``MALFORMED_BYTES``) for bytes that do not parse.
    """

    def __init__(
        self,
        client: GatewayClient,
        signing_identity: SigningIdentity,
        *,
        tls_client_certificate_hash: bytes,
        close_connection: bool,
    ) -> None:
        self._client = client
        self._signing_identity = signing_identity
        self._tls_client_certificate_hash = tls_client_certificate_hash
        self._close_connection = close_connection
        self._streams: weakref.WeakSet[CloseableIterator[Any]] = weakref.WeakSet()
        self._streams_lock = threading.Lock()
        self._shared = SharedStreams()

    @property
    def identity(self) -> Identity:
        """The identity that signs, or for whom somebody else signs."""
        return self._signing_identity.identity

    def get_network(self, channel: str) -> Network:
        """Return a channel; whether it is there shows at the first call."""
        return Network(
            self._client,
            self._signing_identity,
            channel,
            tls_client_certificate_hash=self._tls_client_certificate_hash,
            opened=self._track,
            shared=self._shared,
        )

    def new_proposal(self, proposal_bytes: bytes) -> Proposal:
        """Return the proposal of these bytes, with the signature that they hold, if any."""
        proposed = _parse(gateway_pb2.ProposedTransaction, proposal_bytes)
        try:
            return Proposal(self._client, self._signing_identity, proposed)
        except DecodeError as error:
            raise _malformed("ProposedTransaction") from error

    def new_signed_proposal(self, proposal_bytes: bytes, signature: bytes) -> Proposal:
        """Return a proposal that was signed elsewhere."""
        proposed = _parse(gateway_pb2.ProposedTransaction, proposal_bytes)
        proposed.proposal.signature = signature
        return self.new_proposal(proposed.SerializeToString())

    def new_transaction(self, transaction_bytes: bytes) -> Transaction:
        """Return the endorsed transaction of these bytes, with the signature that they hold, if any."""
        return Transaction(
            self._client, self._signing_identity, _parse(gateway_pb2.PreparedTransaction, transaction_bytes)
        )

    def new_signed_transaction(self, transaction_bytes: bytes, signature: bytes) -> Transaction:
        """Return an endorsed transaction that was signed elsewhere."""
        prepared = _parse(gateway_pb2.PreparedTransaction, transaction_bytes)
        prepared.envelope.signature = signature
        return Transaction(self._client, self._signing_identity, prepared)

    def new_commit(self, commit_bytes: bytes) -> Commit:
        """Return the request for a transaction's status of these bytes, with the signature that they hold, if any."""
        signed = _parse(gateway_pb2.SignedCommitStatusRequest, commit_bytes)
        try:
            return Commit(self._client, self._signing_identity, signed)
        except DecodeError as error:
            raise _malformed("SignedCommitStatusRequest") from error

    def new_signed_commit(self, commit_bytes: bytes, signature: bytes) -> Commit:
        """Return a request for a transaction's status that was signed elsewhere."""
        signed = _parse(gateway_pb2.SignedCommitStatusRequest, commit_bytes)
        signed.signature = signature
        return self.new_commit(signed.SerializeToString())

    def new_signed_chaincode_events_request(self, request_bytes: bytes, signature: bytes) -> ChaincodeEventsRequest:
        """Return a request for chaincode events that was signed elsewhere."""
        signed = _parse(gateway_pb2.SignedChaincodeEventsRequest, request_bytes)
        signed.signature = signature
        return ChaincodeEventsRequest(self._client, self._signing_identity, signed)

    def new_signed_block_events_request(self, request_bytes: bytes, signature: bytes) -> BlockEventsRequest:
        """Return a request for whole blocks that was signed elsewhere."""
        return BlockEventsRequest(self._client, self._signing_identity, _signed_envelope(request_bytes, signature))

    def new_signed_filtered_block_events_request(
        self, request_bytes: bytes, signature: bytes
    ) -> FilteredBlockEventsRequest:
        """Return a request for filtered blocks that was signed elsewhere."""
        return FilteredBlockEventsRequest(
            self._client, self._signing_identity, _signed_envelope(request_bytes, signature)
        )

    def close(self) -> None:
        """Close the streams that this gateway's networks opened, and the channels if they were handed over."""
        with self._streams_lock:
            streams = list(self._streams)
        for stream in streams:
            stream.close()
        if self._close_connection:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _track(self, stream: CloseableIterator[Any]) -> None:
        with self._streams_lock:
            self._streams.add(stream)


def _signed_envelope(request_bytes: bytes, signature: bytes) -> Any:
    envelope = _parse(common_pb2.Envelope, request_bytes)
    envelope.signature = signature
    return envelope


def _parse(message_class: Any, content: bytes) -> Any:
    try:
        return message_class.FromString(content)
    except DecodeError as error:
        raise _malformed(message_class.DESCRIPTOR.name) from error


def _malformed(name: str) -> BadInputError:
    return BadInputError("MALFORMED_BYTES", f"The bytes are no {name}.", "Pass what get_bytes() returned, unchanged.")
