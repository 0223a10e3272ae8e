"""Endorsement: each organisation's peer runs the proposal for itself and signs what came out.

Results that differ are refused, as a Fabric gateway refuses them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2

from fedledger.identity.keys import PrivateKey, sign
from fedledger_chaincode.contract import VERSION
from fedledger_network.embedded.chaincode_peer import ChaincodePeer, Executed, ExecutionError
from fedledger_network.embedded.proposals import Proposal
from fedledger_network.embedded.simulation import Simulation
from fedledger_network.embedded.world import Snapshot, World

OK = 200
REFUSED = 400
"""A chaincode's response from this status on is not endorsed."""
NOT_ENDORSED = "failed to endorse transaction, see attached details for more info"
NOT_ENOUGH = "failed to collect enough transaction endorsements, see attached details for more info"
_DIFFERENT = "ProposalResponsePayloads do not match"
"""As Fabric's gateway says it (``internal/pkg/gateway/endorse.go``)."""


@dataclass(eq=False)
class PeerFailure(Exception):
    """What one organisation's peer answered instead of an endorsement."""

    msp_id: str
    message: str
    by_chaincode: bool = False
    """Whether the contract decided so; otherwise the peer could not run it."""


class EndorsementRefused(Exception):
    """Too few organisations endorsed, or their results differ."""

    def __init__(self, message: str, failures: Sequence[PeerFailure] = ()) -> None:
        super().__init__(message)
        self.failures = tuple(failures)


@dataclass(frozen=True)
class Peer:
    """One organisation's endorsing identity and its connection to the chaincode."""

    msp_id: str
    identity: bytes
    """``msp.SerializedIdentity``."""
    key: PrivateKey
    chaincode: ChaincodePeer


@dataclass(frozen=True)
class _Endorsed:
    peer: Peer
    payload: bytes
    response: Any


class Endorser:
    """All organisations' peers."""

    def __init__(self, peers: Sequence[Peer], chaincode: str, world: World) -> None:
        self._peers = {peer.msp_id: peer for peer in peers}
        self._chaincode = chaincode
        self._world = world
        self._pool = ThreadPoolExecutor(4 * len(peers), thread_name_prefix="endorse")

    def close(self) -> None:
        """End the worker threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def organisations(self) -> tuple[str, ...]:
        """MSP ids."""
        return tuple(self._peers)

    def runs(self, chaincode: str) -> bool:
        """Whether that is the chaincode."""
        return chaincode == self._chaincode

    def evaluate(self, proposal: Proposal, msp_id: str) -> Any:
        """Run a query on one organisation's peer; returns the ``protos.Response``.

        Raises:
            PeerFailure: the chaincode refused or failed.
        """
        with self._world.snapshot() as snapshot:
            executed, _ = self._run(self._peers[msp_id], proposal, snapshot)
        return executed.response

    def endorse(self, proposal: Proposal, organisations: Sequence[str], wanted: int) -> Any:
        """The unsigned ``common.Envelope`` with the endorsements of at least ``wanted`` organisations.

        Args:
            organisations: whom to ask, in this order; the first ``wanted`` first, others when one fails.

        Raises:
            EndorsementRefused: too few agree.
        """
        asked = list(organisations)
        endorsed: list[_Endorsed] = []
        failures: list[PeerFailure] = []
        # All look at the state after the same block: a commit in between must not make their results differ.
        with self._world.snapshot() as snapshot:
            while asked and len(endorsed) < wanted:
                batch, asked = asked[: wanted - len(endorsed)], asked[wanted - len(endorsed) :]
                for outcome in self._pool.map(lambda msp: self._try(self._peers[msp], proposal, snapshot), batch):
                    (endorsed if isinstance(outcome, _Endorsed) else failures).append(outcome)  # type: ignore[arg-type]
                if failures and not endorsed:
                    break
        if not endorsed:
            # Fabric's gateway asks one peer first, and nobody else when the contract refuses there.
            raise EndorsementRefused(NOT_ENDORSED, failures[:1] if failures[0].by_chaincode else failures)
        if len(endorsed) < wanted:
            raise EndorsementRefused(NOT_ENOUGH, failures)
        if len({entry.payload for entry in endorsed}) > 1:
            others = [entry.peer.msp_id for entry in endorsed if entry.payload != endorsed[0].payload]
            raise EndorsementRefused(NOT_ENOUGH, [PeerFailure(msp_id, _DIFFERENT) for msp_id in others])
        return _envelope(proposal, endorsed)

    def _try(self, peer: Peer, proposal: Proposal, snapshot: Snapshot) -> _Endorsed | PeerFailure:
        try:
            executed, results = self._run(peer, proposal, snapshot)
        except PeerFailure as failure:
            return failure
        action = proposal_pb2.ChaincodeAction(
            results=results,
            events=b"" if executed.event is None else _named(executed.event, proposal),
            response=executed.response,
            chaincode_id=chaincode_pb2.ChaincodeID(name=self._chaincode, version=VERSION),
        )
        payload = proposal_response_pb2.ProposalResponsePayload(
            proposal_hash=proposal.hash, extension=action.SerializeToString(deterministic=True)
        ).SerializeToString(deterministic=True)
        return _Endorsed(peer, payload, executed.response)

    def _run(self, peer: Peer, proposal: Proposal, snapshot: Snapshot) -> tuple[Executed, bytes]:
        simulation = Simulation(self._chaincode, snapshot)
        try:
            executed = peer.chaincode.execute(
                proposal.channel, proposal.transaction_id, proposal.chaincode_input, proposal.signed, simulation
            )
        except ExecutionError as error:
            raise PeerFailure(
                peer.msp_id,
                f"error in simulation: failed to execute transaction {proposal.transaction_id}: {error}",
            ) from error
        response = executed.response
        if not OK <= response.status < REFUSED:
            message = f"chaincode response {response.status}, {response.message}"
            raise PeerFailure(peer.msp_id, message, by_chaincode=True)
        return executed, simulation.results()


def _named(event: Any, proposal: Proposal) -> bytes:
    """The event with whose it is, which a peer does not leave to the chaincode (``core/chaincode``)."""
    event.chaincode_id = proposal.chaincode
    event.tx_id = proposal.transaction_id
    return bytes(event.SerializeToString(deterministic=True))


def _envelope(proposal: Proposal, endorsed: Sequence[_Endorsed]) -> Any:
    """``common.Envelope`` without the client's signature (``protoutil.CreateTx``)."""
    payload = endorsed[0].payload
    action = transaction_pb2.ChaincodeActionPayload(chaincode_proposal_payload=proposal.public_payload)
    action.action.proposal_response_payload = payload
    for entry in endorsed:
        peer = entry.peer
        action.action.endorsements.add(endorser=peer.identity, signature=sign(peer.key, payload + peer.identity))
    transaction = transaction_pb2.Transaction()
    transaction.actions.add(header=proposal.header.signature_header, payload=action.SerializeToString())
    body = common_pb2.Payload(data=transaction.SerializeToString())
    body.header.CopyFrom(proposal.header)
    return common_pb2.Envelope(payload=body.SerializeToString())
