"""A stand-in for a Fabric peer: the Gateway and Deliver services over real gRPC, with real messages and signatures."""

from __future__ import annotations

import datetime
import hashlib
import queue
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    events_pb2,
    events_pb2_grpc,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.rpc import status_pb2

from fedledger.gateway import Contract, Deadlines, Gateway, Identity, connect, new_private_key_signer, open_channel
from fedledger.identity.keys import verify

CHANNEL = "fedledger"
CHAINCODE = "ledger"


@dataclass(frozen=True)
class Client:
    """A client's key and its self-signed certificate."""

    key: Any
    identity: Identity

    @property
    def sign(self) -> Callable[[bytes], bytes]:
        return new_private_key_signer(self.key)


def new_client(key: Any) -> Client:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "trainer")])
    hosts = [x509.DNSName("peer0.example.org"), x509.DNSName("localhost")]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return Client(key, Identity("ClevelandMSP", certificate.public_bytes(serialization.Encoding.PEM)))


@dataclass
class Refusal:
    """What the stand-in answers instead of a result: a gRPC status, and one message for each peer."""

    code: grpc.StatusCode
    text: str = "refused"
    details: tuple[tuple[str, str, str], ...] = ()
    raw_details: bytes | None = None

    def abort(self, context: grpc.ServicerContext) -> None:
        status = status_pb2.Status(code=self.code.value[0], message=self.text)
        for address, msp_id, message in self.details:
            status.details.add().Pack(gateway_pb2.ErrorDetail(address=address, msp_id=msp_id, message=message))
        packed = status.SerializeToString() if self.raw_details is None else self.raw_details
        context.set_trailing_metadata((("grpc-status-details-bin", packed),))
        context.abort(self.code, self.text)


def prepared_envelope(proposal_bytes: bytes, result: bytes, **changes: Any) -> Any:
    """Build the envelope that a gateway makes of a proposal and its endorsements."""
    proposal = proposal_pb2.Proposal.FromString(proposal_bytes)
    header = common_pb2.Header.FromString(proposal.header)
    payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
    stripped = proposal_pb2.ChaincodeProposalPayload(input=payload.input).SerializeToString()
    digest = hashlib.sha256(header.channel_header + header.signature_header + stripped).digest()
    channel_header = common_pb2.ChannelHeader.FromString(header.channel_header)
    transaction_id = channel_header.tx_id
    asked = proposal_pb2.ChaincodeHeaderExtension.FromString(channel_header.extension).chaincode_id.name
    action = proposal_pb2.ChaincodeAction(
        results=changes.get("results", rwset_pb2.TxReadWriteSet().SerializeToString()),
        response=proposal_response_pb2.Response(status=200, payload=result),
        chaincode_id=chaincode_pb2.ChaincodeID(name=changes.get("chaincode", asked)),
        events=changes.get(
            "event",
            chaincode_event_pb2.ChaincodeEvent(
                chaincode_id=CHAINCODE, tx_id=transaction_id, event_name="RoundOpened", payload=b"7"
            ).SerializeToString(),
        ),
    )
    answer = proposal_response_pb2.ProposalResponsePayload(
        proposal_hash=digest, extension=action.SerializeToString()
    ).SerializeToString()
    endorsements = [
        proposal_response_pb2.Endorsement(endorser=name, signature=b"signed by " + name)
        for name in (b"peer0.cleveland", b"peer0.hungary")
    ]
    content = transaction_pb2.ChaincodeActionPayload(
        chaincode_proposal_payload=stripped,
        action=transaction_pb2.ChaincodeEndorsedAction(proposal_response_payload=answer, endorsements=endorsements),
    ).SerializeToString()
    actions = [transaction_pb2.TransactionAction(header=header.signature_header, payload=content)]
    transaction = transaction_pb2.Transaction(actions=actions * changes.get("actions", 1))
    return common_pb2.Envelope(
        payload=common_pb2.Payload(header=header, data=transaction.SerializeToString()).SerializeToString()
    )


@dataclass
class StandInPeer:
    """Records what it was asked and answers as told; checks the creator's signature on everything."""

    client: Client
    result: bytes = b"result"
    refusals: dict[str, Refusal] = field(default_factory=dict)
    validation_code: int = transaction_pb2.VALID
    requests: list[tuple[str, Any]] = field(default_factory=list)
    chaincode_events: list[Any] = field(default_factory=list)
    blocks: list[Any] = field(default_factory=list)
    end_status: int | None = None
    silent: set[str] = field(default_factory=set)
    released: threading.Event = field(default_factory=threading.Event)
    cancelled: queue.Queue[str] = field(default_factory=queue.Queue)
    forged_envelope: Any = None
    received: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    server: Any = None

    def await_requests(self, count: int) -> None:
        for _ in range(count):
            assert self.received.acquire(timeout=10)

    def stop(self) -> None:
        self.released.set()
        self.server.stop(None).wait(10)

    def last(self, method: str) -> Any:
        return next(request for name, request in reversed(self.requests) if name == method)

    def methods(self) -> list[str]:
        return [name for name, _ in self.requests]

    def _receive(self, method: str, request: Any, signed: bytes, signature: bytes, context: Any) -> None:
        self.requests.append((method, request))
        self.received.release()
        verify(self.client.key.public_key(), signed, signature)
        if method in self.refusals:
            self.refusals[method].abort(context)
        if method in self.silent:
            self.released.wait(30)

    def _follow(self, method: str, context: Any) -> None:
        """Keep a stream open until the client goes or the test ends."""
        gone = threading.Event()
        if not context.add_callback(gone.set):
            gone.set()
        while not gone.wait(0.02) and not self.released.is_set():
            pass
        if gone.is_set():
            self.cancelled.put(method)

    # gateway.Gateway

    def Evaluate(self, request: Any, context: Any) -> Any:
        proposed = request.proposed_transaction
        self._receive("Evaluate", request, proposed.proposal_bytes, proposed.signature, context)
        return gateway_pb2.EvaluateResponse(result=proposal_response_pb2.Response(status=200, payload=self.result))

    def Endorse(self, request: Any, context: Any) -> Any:
        proposed = request.proposed_transaction
        self._receive("Endorse", request, proposed.proposal_bytes, proposed.signature, context)
        envelope = self.forged_envelope or prepared_envelope(proposed.proposal_bytes, self.result)
        return gateway_pb2.EndorseResponse(prepared_transaction=envelope)

    def Submit(self, request: Any, context: Any) -> Any:
        envelope = request.prepared_transaction
        self._receive("Submit", request, envelope.payload, envelope.signature, context)
        return gateway_pb2.SubmitResponse()

    def CommitStatus(self, request: Any, context: Any) -> Any:
        self._receive("CommitStatus", request, request.request, request.signature, context)
        return gateway_pb2.CommitStatusResponse(result=self.validation_code, block_number=17)

    def ChaincodeEvents(self, request: Any, context: Any) -> Iterator[Any]:
        self._receive("ChaincodeEvents", request, request.request, request.signature, context)
        asked = gateway_pb2.ChaincodeEventsRequest.FromString(request.request)
        after = asked.after_transaction_id
        for response in self.chaincode_events:
            if response.block_number < asked.start_position.specified.number:
                continue
            ids = [event.tx_id for event in response.events]
            first = ids.index(after) + 1 if after in ids else 0
            yield gateway_pb2.ChaincodeEventsResponse(
                block_number=response.block_number, events=response.events[first:]
            )
        self._follow("ChaincodeEvents", context)

    # protos.Deliver

    def Deliver(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        return self._deliver("Deliver", requests, context, lambda block: events_pb2.DeliverResponse(block=block))

    def DeliverFiltered(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        return self._deliver(
            "DeliverFiltered",
            requests,
            context,
            lambda block: events_pb2.DeliverResponse(
                filtered_block=events_pb2.FilteredBlock(channel_id=CHANNEL, number=block.header.number)
            ),
        )

    def DeliverWithPrivateData(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "not part of this stand-in")
        yield

    def _deliver(self, method: str, requests: Iterator[Any], context: Any, wrap: Callable[[Any], Any]) -> Iterator[Any]:
        envelope = next(requests)
        self._receive(method, envelope, envelope.payload, envelope.signature, context)
        seek = ab_pb2.SeekInfo.FromString(common_pb2.Payload.FromString(envelope.payload).data)
        if self.end_status is not None:
            yield events_pb2.DeliverResponse(status=self.end_status)
            return
        for block in self.blocks:
            if seek.start.specified.number <= block.header.number <= seek.stop.specified.number:
                yield wrap(block)
        if seek.stop.specified.number < 2**64 - 1:
            yield events_pb2.DeliverResponse(status=common_pb2.SUCCESS)
            return
        self._follow(method, context)


def serve(peer: StandInPeer, address: str, credentials: grpc.ServerCredentials | None) -> int:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    gateway_pb2_grpc.add_GatewayServicer_to_server(peer, server)
    events_pb2_grpc.add_DeliverServicer_to_server(peer, server)
    port = server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
    server.start()
    peer.server = server
    return port


@pytest.fixture(scope="session")
def client() -> Client:
    return new_client(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def make_client() -> Callable[[Any], Client]:
    return new_client


@pytest.fixture
def socket_path() -> Iterator[Path]:
    # pytest's own folders can be longer than a socket's path may be.
    folder = Path(tempfile.mkdtemp(prefix="gw"))
    yield folder / "peer.sock"
    shutil.rmtree(folder)


@pytest.fixture
def make_peer() -> Iterator[Callable[..., tuple[StandInPeer, int]]]:
    running: list[StandInPeer] = []

    def start(
        client: Client, address: str, credentials: grpc.ServerCredentials | None = None
    ) -> tuple[StandInPeer, int]:
        peer = StandInPeer(client)
        running.append(peer)
        return peer, serve(peer, address, credentials)

    yield start
    for peer in running:
        peer.stop()


@pytest.fixture
def peer(make_peer: Any, client: Client, socket_path: Path) -> StandInPeer:
    return make_peer(client, f"unix:{socket_path}")[0]


@pytest.fixture
def channel(peer: StandInPeer, socket_path: Path) -> Iterator[grpc.Channel]:
    with open_channel(f"unix:{socket_path}") as channel:
        yield channel


@pytest.fixture
def gateway(client: Client, channel: grpc.Channel) -> Iterator[Gateway]:
    with connect(client.identity, client.sign, channel, deadlines=Deadlines(events=20)) as gateway:
        yield gateway


@pytest.fixture
def contract(gateway: Gateway) -> Contract:
    return gateway.get_network(CHANNEL).get_contract(CHAINCODE)


@pytest.fixture
def refusal() -> type[Refusal]:
    return Refusal


@pytest.fixture
def make_envelope() -> Callable[..., Any]:
    return prepared_envelope
