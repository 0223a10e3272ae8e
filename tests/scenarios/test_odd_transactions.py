"""Two transactions by which one member could make every later audit of a sound ledger fail: their codes, and the audit.

On Fabric three peers endorse them for anybody who asks each by itself, as ``peer chaincode invoke`` does. The embedded
node's gateway endorses neither, so that they are signed there with the peers' own keys.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.peer import chaincode_pb2, peer_pb2_grpc, proposal_pb2, proposal_response_pb2, transaction_pb2

from fedledger.audit import CheckName, Outcome, verify_network
from fedledger.audit.findings import BLOCK_CHECKS
from fedledger.gateway import open_channel
from fedledger.gateway.blocks import proposal_hash
from fedledger.identity.keys import sign
from fedledger.identity.msp import serialize_identity
from fedledger.identity.wallet import Wallet
from tests.embedded.clients import CHAINCODE, CHANNEL, MSPS, NAMES, Client
from tests.fabric.judge.channel import Signer
from tests.fabric.judge.peer import signed_proposal
from tests.fabric.ledger import failures
from tests.scenarios.engines import Engine
from tests.unit.contract.ledger import encoded, task_spec

THREE = NAMES[:3]


@pytest.fixture(scope="module")
def governor(engine: Engine) -> Iterator[Client]:
    with engine.member(NAMES[0], "governor") as found:
        yield found


def proposed(member: Client, chaincode: str, *arguments: bytes) -> bytes:
    """A ``Proposal``."""
    made = signed_proposal(Signer(member.creator, member.key), CHANNEL, chaincode, arguments)
    return bytes(made.proposal_bytes)


def renamed(proposal: bytes, name: str) -> bytes:
    """The same proposal, under the same id, whose input names another chaincode."""
    changed = proposal_pb2.Proposal.FromString(proposal)
    payload = proposal_pb2.ChaincodeProposalPayload.FromString(changed.payload)
    invocation = chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input)
    invocation.chaincode_spec.chaincode_id.name = name
    payload.input = invocation.SerializeToString()
    changed.payload = payload.SerializeToString()
    return bytes(changed.SerializeToString())


def asked(engine: Engine, member: Client, proposal: bytes) -> list[proposal_response_pb2.ProposalResponse]:
    """What the peers of three organisations answer, each asked by itself."""
    request = proposal_pb2.SignedProposal(proposal_bytes=proposal, signature=sign(member.key, proposal))
    answers = []
    engine.settle()
    for name in THREE:
        at = engine.profile(name)
        with open_channel(at.gateway, None if at.tls_roots is None else at.tls_roots.read_bytes()) as channel:
            answers.append(peer_pb2_grpc.EndorserStub(channel).ProcessProposal(request, timeout=30))
    return answers


def endorsed_with_their_keys(
    engine: Engine, proposal: bytes, result: bytes
) -> list[proposal_response_pb2.ProposalResponse]:
    """The same answers, made with the peers' keys: ``result`` is the ``ChaincodeAction``."""
    parts = proposal_pb2.Proposal.FromString(proposal)
    header = common_pb2.Header.FromString(parts.header)
    answer = proposal_response_pb2.ProposalResponsePayload(
        proposal_hash=proposal_hash(header.channel_header, header.signature_header, parts.payload), extension=result
    ).SerializeToString()
    answers = []
    for name, msp_id in zip(THREE, MSPS, strict=False):
        peer = Wallet(engine.identities(name) / "peer").load()
        endorser = serialize_identity(msp_id, peer.certificate_pem)
        endorsement = proposal_response_pb2.Endorsement(endorser=endorser, signature=sign(peer.key, answer + endorser))
        answers.append(proposal_response_pb2.ProposalResponse(payload=answer, endorsement=endorsement))
    return answers


def assembled(
    proposal: bytes, answers: list[proposal_response_pb2.ProposalResponse]
) -> gateway_pb2.PreparedTransaction:
    """The transaction, not signed yet."""
    assert len({answer.payload for answer in answers}) == 1
    parts = proposal_pb2.Proposal.FromString(proposal)
    header = common_pb2.Header.FromString(parts.header)
    action = transaction_pb2.ChaincodeActionPayload(chaincode_proposal_payload=parts.payload)
    action.action.proposal_response_payload = answers[0].payload
    action.action.endorsements.extend(answer.endorsement for answer in answers)
    transaction = transaction_pb2.Transaction()
    transaction.actions.add(header=header.signature_header, payload=action.SerializeToString())
    payload = common_pb2.Payload(header=header, data=transaction.SerializeToString()).SerializeToString()
    name = common_pb2.ChannelHeader.FromString(header.channel_header).tx_id
    return gateway_pb2.PreparedTransaction(transaction_id=name, envelope=common_pb2.Envelope(payload=payload))


def result_of(member: Client, proposal: bytes) -> bytes:
    """What the contract makes of a proposal at a gateway that endorses it: the ``ChaincodeAction``."""
    request = gateway_pb2.EndorseRequest(
        channel_id=CHANNEL,
        proposed_transaction=proposal_pb2.SignedProposal(proposal_bytes=proposal, signature=sign(member.key, proposal)),
    )
    request.transaction_id = common_pb2.ChannelHeader.FromString(
        common_pb2.Header.FromString(proposal_pb2.Proposal.FromString(proposal).header).channel_header
    ).tx_id
    envelope = gateway_pb2_grpc.GatewayStub(member.connection).Endorse(request, timeout=30).prepared_transaction
    data = common_pb2.Payload.FromString(envelope.payload).data
    content = transaction_pb2.Transaction.FromString(data).actions[0].payload
    answer = transaction_pb2.ChaincodeActionPayload.FromString(content).action.proposal_response_payload
    return bytes(proposal_response_pb2.ProposalResponsePayload.FromString(answer).extension)


def code(member: Client, proposal: bytes, answers: list[proposal_response_pb2.ProposalResponse]) -> str:
    """What the ledger makes of the transaction."""
    status = member.submit_raw(assembled(proposal, answers))
    return str(transaction_pb2.TxValidationCode.Name(status.code))


def test_a_system_chaincode_through_three_peers_is_an_invalid_chaincode(engine: Engine, governor: Client) -> None:
    proposal = proposed(governor, "qscc", b"GetBlockByNumber", CHANNEL.encode(), b"0")
    result = proposal_pb2.ChaincodeAction(
        chaincode_id=chaincode_pb2.ChaincodeID(name="qscc", version="syscc"),
        response=proposal_response_pb2.Response(status=200, payload=b"a block"),
    ).SerializeToString()
    answers = (
        asked(engine, governor, proposal)
        if engine.name == "fabric"
        else endorsed_with_their_keys(engine, proposal, result)
    )
    assert code(governor, proposal, answers) == "INVALID_CHAINCODE"


@pytest.mark.parametrize("name", ["another", ""], ids=["another", "none"])
def test_a_transaction_of_the_contract_whose_input_names_another_is_valid_and_run_again(
    engine: Engine, governor: Client, name: str
) -> None:
    spec = task_spec(task=f"task-{secrets.token_hex(4)}")
    plain = proposed(governor, CHAINCODE, b"ProposeTask", encoded(spec))
    proposal = renamed(plain, name)
    answers = (
        asked(engine, governor, proposal)
        if engine.name == "fabric"
        else endorsed_with_their_keys(engine, proposal, result_of(governor, plain))
    )
    assert code(governor, proposal, answers) == "VALID"
    assert governor.evaluate("GetTask", spec.task)


def test_the_audit_is_right_after_them(engine: Engine, governor: Client) -> None:
    engine.settle()
    with engine.member(NAMES[3], "auditor") as auditor:
        report = verify_network(auditor.network)
    outcomes = {check.name: check.outcome for check in report.checks}
    assert {outcomes[name] for name in BLOCK_CHECKS} == {Outcome.PASSED}, failures(report)
    assert "1 refusals" in report.check(CheckName.CODES.value).detail
