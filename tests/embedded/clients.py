"""Clients of a node under test: members by their profiles, and what a dishonest one would send over the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.peer import transaction_pb2

from fedledger.gateway import Contract, Gateway, Identity, Network, connect, new_private_key_signer, open_channel
from fedledger.gateway.commit import Status
from fedledger.identity.keys import PrivateKey, sign
from fedledger.identity.msp import serialize_identity
from fedledger.identity.profile import Profile, load_profile
from fedledger_network.embedded.folder import NetworkFolder

NAMES = ("cleveland", "hungary", "long_beach", "switzerland")
MSPS = ("ClevelandMSP", "HungaryMSP", "LongBeachMSP", "SwitzerlandMSP")
CHANNEL = CHAINCODE = "fedledger"


@dataclass(frozen=True)
class Client:
    """One identity with its gateway."""

    msp_id: str
    key: PrivateKey
    creator: bytes
    connection: grpc.Channel
    gateway: Gateway
    settle: Callable[[], object] = lambda: None
    """Called before a step: returns when every peer has what the steps before it wrote."""

    @property
    def network(self) -> Network:
        return self.gateway.get_network(CHANNEL)

    @property
    def contract(self) -> Contract:
        return self.network.get_contract(CHAINCODE)

    def submit(self, function: str, *arguments: str) -> Any:
        """What a committed transaction returned."""
        self.settle()
        return json.loads(self.contract.submit_transaction(function, *arguments))

    def evaluate(self, function: str, *arguments: str) -> Any:
        self.settle()
        return json.loads(self.contract.evaluate_transaction(function, *arguments))

    def endorsed(self, function: str, *arguments: str, organisations: Sequence[str] = ()) -> Any:
        """The ``gateway.PreparedTransaction`` of an endorsed proposal, not signed yet."""
        self.settle()
        proposal = self.contract.new_proposal(function, arguments=arguments, endorsing_organizations=organisations)
        return gateway_pb2.PreparedTransaction.FromString(proposal.endorse().get_bytes())

    def submit_changed(self, prepared: Any, change: Callable[[Any], None] = lambda action: None) -> Status:
        """Change what was endorsed (``protos.ChaincodeActionPayload``), sign it all the same, and submit it."""
        return self.submit_raw(with_changed_action(prepared, change))

    def submit_raw(self, prepared: Any, signature: bytes | None = None) -> Status:
        """Submit an envelope as it is, and wait for what the ledger makes of it."""
        self.hand_over(prepared, signature)
        return self.status(prepared.transaction_id)

    def hand_over(self, prepared: Any, signature: bytes | None = None) -> None:
        """Submit without waiting."""
        payload = prepared.envelope.payload
        envelope = common_pb2.Envelope(payload=payload, signature=signature or sign(self.key, payload))
        gateway_pb2_grpc.GatewayStub(self.connection).Submit(
            gateway_pb2.SubmitRequest(
                transaction_id=prepared.transaction_id, channel_id=CHANNEL, prepared_transaction=envelope
            ),
            timeout=10,
        )

    def codes(self, transaction_id: str, last_block: int) -> list[str]:
        """The validation codes of all transactions with this id, up to a block."""
        with self.network.filtered_block_events(start_block=0, end_block=last_block) as blocks:
            return [
                transaction_pb2.TxValidationCode.Name(transaction.tx_validation_code)
                for block in blocks
                for transaction in block.filtered_transactions
                if transaction.txid == transaction_id
            ]

    def status(self, transaction_id: str) -> Status:
        request = gateway_pb2.CommitStatusRequest(
            transaction_id=transaction_id, channel_id=CHANNEL, identity=self.creator
        )
        signed = gateway_pb2.SignedCommitStatusRequest(request=request.SerializeToString())
        return self.gateway.new_commit(signed.SerializeToString()).status(10)


def with_changed_action(prepared: Any, change: Callable[[Any], None]) -> Any:
    """The same prepared transaction with another ``protos.ChaincodeActionPayload``."""
    payload = common_pb2.Payload.FromString(prepared.envelope.payload)
    transaction = transaction_pb2.Transaction.FromString(payload.data)
    action = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload)
    change(action)
    transaction.actions[0].payload = action.SerializeToString()
    payload.data = transaction.SerializeToString()
    envelope = common_pb2.Envelope(payload=payload.SerializeToString())
    return gateway_pb2.PreparedTransaction(transaction_id=prepared.transaction_id, envelope=envelope)


@contextmanager
def client(folder: NetworkFolder, organisation: str, member: str = "participant") -> Iterator[Client]:
    """A member of an organisation, by the profile that the network wrote."""
    with member_by(load_profile(folder.profiles, f"{organisation}-{member}")) as found:
        yield found


@contextmanager
def member_by(profile: Profile) -> Iterator[Client]:
    """A member by its profile."""
    credentials = profile.credentials()
    roots = None if profile.tls_roots is None else profile.tls_roots.read_bytes()
    with stranger(profile.gateway, profile.msp_id, credentials.certificate_pem, credentials.key, roots) as found:
        yield found


@contextmanager
def stranger(
    address: str, msp_id: str, certificate_pem: bytes, key: PrivateKey, tls_roots: bytes | None = None
) -> Iterator[Client]:
    """Whoever presents this certificate and signs with this key."""
    with ExitStack() as opened:
        connection = open_channel(address, tls_roots)
        opened.callback(connection.close)
        gateway = connect(Identity(msp_id, certificate_pem), new_private_key_signer(key), connection)
        opened.callback(gateway.close)
        yield Client(msp_id, key, serialize_identity(msp_id, certificate_pem), connection, gateway)
