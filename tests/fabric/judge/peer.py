"""One real peer, started for a test, that judges MSP definitions, proposals and whole blocks.

Nothing stands between the test and the peer: blocks come from ``BlockFeed``, so that transactions reach the committer
that no honest gateway or orderer would let through.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import yaml
from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.peer import (
    chaincode_pb2,
    peer_pb2_grpc,
    proposal_pb2,
    proposal_response_pb2,
)

from fedledger.gateway.blocks import parse_block, transaction_id_of
from fedledger.identity.msp import serialize_identity
from fedledger.identity.wallet import Wallet
from fedledger_network.consortium import Consortium
from fedledger_network.fabric import FabricConfig, Programs
from fedledger_network.fabric.identities import FabricIdentities, provision
from fedledger_network.fabric.inventory import PEER, Inventory
from fedledger_network.fabric.layout import Layout
from fedledger_network.fabric.processes import Program, stop_all
from fedledger_network.fabric.settings import peer_settings
from tests.fabric.judge.channel import Channel, Signer, next_block
from tests.fabric.judge.feed import BlockFeed

JUDGE = "judge"
JUDGE_MSP = "JudgeMSP"
SECONDS = 60.0


@dataclass
class JudgingPeer:
    """A running peer of ``JudgeMSP`` and the orderer that feeds it."""

    program: Program
    identities: FabricIdentities
    feed: BlockFeed
    version: str
    _channel: grpc.Channel
    _heights: dict[str, int] = field(default_factory=dict)

    @property
    def administrator(self) -> Signer:
        return _signer(self.identities.organisation.members["governor"])

    @property
    def endorser(self) -> Signer:
        """The peer's own identity."""
        return _signer(self.identities.organisation.peer)

    @property
    def orderer(self) -> Signer:
        return _signer(self.identities.organisation.orderer)

    @property
    def definition(self) -> bytes:
        """The organisation's own ``FabricMSPConfig``."""
        return self.identities.organisation.msp.to_proto()

    def channel(self, name: str, members: dict[str, bytes], **changes: Any) -> Channel:
        """A channel of the peer's organisation and ``members``."""
        everybody = {JUDGE_MSP: self.definition, **members}
        return Channel(name, everybody, JUDGE_MSP, self.definition, self.feed.address, **changes)

    def join(self, name: str, genesis: bytes) -> str:
        """Have the peer join a channel; its refusal, empty when it joins."""
        answer = self.propose(self.administrator, "", "cscc", [b"JoinChain", genesis])
        if answer.response.status != 200:
            return str(answer.response.message)
        self.feed.put(name, genesis)
        return ""

    def commit(self, name: str, envelopes: Iterable[bytes], last_config: int = 0) -> list[int]:
        """Order the envelopes as one block; the codes that the peer gives them."""
        block = next_block(self.feed.newest(name), envelopes, self.orderer, last_config)
        self.feed.put(name, block)
        number = parse_block(block).header.number
        committed = self.committed(name, number)
        return list(committed.metadata.metadata[common_pb2.TRANSACTIONS_FILTER])

    def committed(self, name: str, number: int) -> Any:
        """The ``common.Block`` that the peer has committed under that number; waits for it."""
        deadline = time.monotonic() + SECONDS
        while self.height(name) <= number:
            assert self.program.pid() is not None, f"the peer has ended: {self.program.log}"
            assert time.monotonic() < deadline, f"the peer does not commit block {number} of {name}"
            time.sleep(0.02)
        query = [b"GetBlockByNumber", name.encode(), str(number).encode()]
        answer = self.propose(self.administrator, name, "qscc", query)
        return common_pb2.Block.FromString(answer.response.payload)

    def ledger(self, name: str) -> list[bytes]:
        """All blocks of a channel as the peer keeps them."""
        return [
            bytes(self.committed(name, number).SerializeToString(deterministic=True))
            for number in range(self.height(name))
        ]

    def height(self, name: str) -> int:
        answer = self.propose(self.administrator, name, "qscc", [b"GetChainInfo", name.encode()])
        assert answer.response.status == 200, answer.response.message
        return int(ledger_pb2.BlockchainInfo.FromString(answer.response.payload).height)

    def propose(self, signer: Signer, channel: str, chaincode: str, arguments: Sequence[bytes]) -> Any:
        """The peer's ``ProposalResponse`` to a call of a chaincode."""
        return self.process(signed_proposal(signer, channel, chaincode, arguments))

    def process(self, signed: Any) -> Any:
        """The peer's ``ProposalResponse`` to a ``SignedProposal``; a refusal by gRPC is one with status 500."""
        try:
            return peer_pb2_grpc.EndorserStub(self._channel).ProcessProposal(signed, timeout=SECONDS)
        except grpc.RpcError as error:
            response = proposal_response_pb2.Response(status=500, message=error.details())
            return proposal_response_pb2.ProposalResponse(response=response)


def signed_proposal(
    signer: Signer, channel: str, chaincode: str, arguments: Sequence[bytes], seconds: float | None = None
) -> Any:
    """A ``SignedProposal`` for a call of a chaincode."""
    nonce = os.urandom(24)
    header = common_pb2.ChannelHeader(
        type=common_pb2.ENDORSER_TRANSACTION, channel_id=channel, tx_id=transaction_id_of(nonce, signer.identity)
    )
    header.timestamp.FromNanoseconds(int((time.time() if seconds is None else seconds) * 1e9))
    name = chaincode_pb2.ChaincodeID(name=chaincode)
    header.extension = proposal_pb2.ChaincodeHeaderExtension(chaincode_id=name).SerializeToString()
    spec = chaincode_pb2.ChaincodeSpec(chaincode_id=name, input=chaincode_pb2.ChaincodeInput(args=arguments))
    invocation = chaincode_pb2.ChaincodeInvocationSpec(chaincode_spec=spec)
    proposal = proposal_pb2.Proposal(
        header=common_pb2.Header(
            channel_header=header.SerializeToString(),
            signature_header=common_pb2.SignatureHeader(creator=signer.identity, nonce=nonce).SerializeToString(),
        ).SerializeToString(),
        payload=proposal_pb2.ChaincodeProposalPayload(input=invocation.SerializeToString()).SerializeToString(),
    ).SerializeToString()
    return proposal_pb2.SignedProposal(proposal_bytes=proposal, signature=signer.sign(proposal))


@contextmanager
def judging_peer(programs: Programs, folder: Path, first_port: int) -> Iterator[JudgingPeer]:
    """Start a peer of an organisation of its own and an orderer for it, on loopback; both end with the block."""
    consortium = Consortium.of_names(JUDGE, "second", "third", "fourth")
    config = FabricConfig(consortium, first_port=first_port)
    organisation, layout = consortium.organisations[0], Layout(folder)
    own = layout.organisation(organisation.name)
    identities = provision(config, organisation, own)
    settings = peer_settings(config, organisation, own.root, programs.builder)
    (own.root / "core.yaml").write_text(yaml.safe_dump(settings))
    program = Inventory(config, layout, programs, attached=True).program(PEER, organisation)
    tls = identities.organisation.orderer_tls.load()
    feed = BlockFeed(config.ports(organisation).orderer, _key(identities.organisation.orderer_tls), tls.certificate_pem)
    try:
        program.start()
        program.wait_listening()
        roots = (own.node(PEER) / "tls" / "ca.crt").read_bytes()
        options = (("grpc.max_receive_message_length", 100 << 20), ("grpc.max_send_message_length", 100 << 20))
        with grpc.secure_channel(config.peer_address(organisation), grpc.ssl_channel_credentials(roots), options) as to:
            yield JudgingPeer(program, identities, feed, programs.version, to)
    finally:
        feed.close()
        stop_all([program])


def _signer(wallet: Wallet) -> Signer:
    credentials = wallet.load()
    return Signer(serialize_identity(JUDGE_MSP, credentials.certificate_pem), credentials.key)


def _key(wallet: Wallet) -> bytes:
    return wallet.key_path.read_bytes()
