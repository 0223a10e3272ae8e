"""Evaluate and submit: what goes over the wire, what comes back, and which phase an error belongs to."""

from __future__ import annotations

import hashlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2, transaction_pb2

from fedledger.errors import ExitCode
from fedledger.gateway import (
    CommitError,
    CommitStatusError,
    Deadlines,
    EndorseError,
    ErrorDetail,
    EvaluateError,
    GatewayError,
    SubmitError,
    connect,
    open_channel,
)

PEER = ("peer0.hungary:7051", "HungaryMSP")


def arguments_of(proposal_bytes):
    payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal_pb2.Proposal.FromString(proposal_bytes).payload)
    spec = chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input).chaincode_spec
    return list(spec.input.args), dict(payload.TransientMap), spec.chaincode_id.name


def headers_of(proposal_bytes):
    header = common_pb2.Header.FromString(proposal_pb2.Proposal.FromString(proposal_bytes).header)
    return (
        common_pb2.ChannelHeader.FromString(header.channel_header),
        common_pb2.SignatureHeader.FromString(header.signature_header),
    )


def test_an_evaluation_sends_function_and_arguments_and_returns_the_result(peer, contract):
    peer.result = b'{"round":7}'
    assert contract.evaluate_transaction("GetRound", "heart", b"\x00\xff") == b'{"round":7}'
    request = peer.last("Evaluate")
    arguments, transient, chaincode = arguments_of(request.proposed_transaction.proposal_bytes)
    assert (arguments, transient, chaincode) == ([b"GetRound", b"heart", b"\x00\xff"], {}, "ledger")
    assert peer.methods() == ["Evaluate"]


def test_the_transaction_id_is_the_hash_of_nonce_and_creator(peer, contract, client):
    contract.evaluate_transaction("GetRound")
    request = peer.last("Evaluate")
    channel_header, signature_header = headers_of(request.proposed_transaction.proposal_bytes)
    expected = hashlib.sha256(signature_header.nonce + signature_header.creator).hexdigest()
    assert request.transaction_id == channel_header.tx_id == expected
    assert (channel_header.channel_id, channel_header.type) == ("fedledger", common_pb2.ENDORSER_TRANSACTION)
    creator = identities_pb2.SerializedIdentity.FromString(signature_header.creator)
    assert (creator.mspid, creator.id_bytes) == (client.identity.msp_id, client.identity.credentials)


def test_no_two_proposals_share_an_id(contract):
    assert contract.new_proposal("F").transaction_id != contract.new_proposal("F").transaction_id


def test_a_submission_goes_through_every_phase_and_returns_the_result(peer, contract):
    assert contract.submit_transaction("OpenRound", "heart") == b"result"
    assert peer.methods() == ["Endorse", "Submit", "CommitStatus"]
    ids = {peer.last("Endorse").transaction_id, peer.last("Submit").transaction_id}
    asked = gateway_pb2.CommitStatusRequest.FromString(peer.last("CommitStatus").request)
    assert ids == {asked.transaction_id}
    assert asked.channel_id == peer.last("Submit").channel_id == "fedledger"


def test_transient_data_and_endorsing_organisations_reach_the_gateway(peer, contract):
    contract.submit_transaction("Seal", transient={"key": b"secret"}, endorsing_organizations=["HungaryMSP"])
    request = peer.last("Endorse")
    assert list(request.endorsing_organizations) == ["HungaryMSP"]
    assert arguments_of(request.proposed_transaction.proposal_bytes)[1] == {"key": b"secret"}
    assert b"secret" not in peer.last("Submit").SerializeToString()

    contract.evaluate_transaction("Seal", endorsing_organizations=["LongBeachMSP"])
    assert list(peer.last("Evaluate").target_organizations) == ["LongBeachMSP"]


def test_a_contract_name_qualifies_the_function(peer, gateway):
    gateway.get_network("fedledger").get_contract("ledger", "org.tokens").evaluate_transaction("Balance")
    assert arguments_of(peer.last("Evaluate").proposed_transaction.proposal_bytes)[0] == [b"org.tokens:Balance"]


def test_an_asynchronous_submission_returns_before_the_commit(peer, contract):
    submitted = contract.submit_async("OpenRound")
    assert submitted.result == b"result"
    assert "CommitStatus" not in peer.methods()
    status = submitted.status()
    assert (status.successful, status.block_number, status.code_name) == (True, 17, "VALID")
    assert status.transaction_id == submitted.transaction_id


def test_an_endorsed_transaction_shows_its_event_before_it_is_submitted(contract):
    transaction = contract.new_proposal("OpenRound").endorse()
    assert transaction.content.event.event_name == "RoundOpened"
    assert transaction.content.transaction_id == transaction.transaction_id


@pytest.mark.parametrize(
    ("method", "error_type", "phase"),
    [
        ("Evaluate", EvaluateError, "EVALUATE"),
        ("Endorse", EndorseError, "ENDORSE"),
        ("Submit", SubmitError, "SUBMIT"),
        ("CommitStatus", CommitStatusError, "COMMIT_STATUS"),
    ],
)
def test_each_phase_has_its_error_with_transaction_id_and_each_peers_message(
    peer, contract, refusal, method, error_type, phase
):
    details = ((*PEER, "first reason"), ("orderer1:7050", "SwitzerlandMSP", "second reason"))
    peer.refusals[method] = refusal(grpc.StatusCode.FAILED_PRECONDITION, "not now", details)
    with pytest.raises(GatewayError) as caught:
        (contract.evaluate_transaction if method == "Evaluate" else contract.submit_transaction)("F")
    error = caught.value
    assert type(error) is error_type
    assert error.code == f"{phase}_FAILED_PRECONDITION"
    assert error.status is grpc.StatusCode.FAILED_PRECONDITION
    assert error.details == tuple(ErrorDetail(*detail) for detail in details)
    assert len(error.transaction_id) == 64 and error.transaction_id in error.message
    assert "first reason" in str(error) and "second reason" in str(error) and "not now" in str(error)
    assert error.contract_error is None
    assert peer.methods()[-1] == method


@pytest.mark.parametrize(
    ("method", "status"), [("Endorse", grpc.StatusCode.ABORTED), ("Evaluate", grpc.StatusCode.UNKNOWN)]
)
def test_a_refusal_by_the_contract_is_read_from_a_peers_message(peer, contract, refusal, method, status):
    text = "chaincode response 409, ROUND_CLOSED: Round 3 takes no more updates. Wait for round 4."
    peer.refusals[method] = refusal(status, "failed to endorse", ((*PEER, text),))
    with pytest.raises(GatewayError) as caught:
        (contract.evaluate_transaction if method == "Evaluate" else contract.submit_transaction)("SubmitUpdate")
    fault = caught.value.contract_error
    assert (fault.status, fault.code) == (409, "ROUND_CLOSED")
    assert fault.message == "Round 3 takes no more updates. Wait for round 4."
    assert caught.value.code == "ROUND_CLOSED"


def test_a_refusal_by_the_contract_is_also_read_from_the_status_text(peer, contract, refusal):
    peer.refusals["Evaluate"] = refusal(
        grpc.StatusCode.UNKNOWN, "evaluate call to endorser returned error: chaincode response 404, NO_TASK: No task."
    )
    with pytest.raises(EvaluateError) as caught:
        contract.evaluate_transaction("GetTask", "x")
    assert caught.value.contract_error.code == "NO_TASK"


def test_unreadable_details_do_not_hide_the_status(peer, contract, refusal):
    peer.refusals["Evaluate"] = refusal(grpc.StatusCode.INTERNAL, "broken", raw_details=b"\xff\xff")
    with pytest.raises(EvaluateError) as caught:
        contract.evaluate_transaction("F")
    assert (caught.value.code, caught.value.details) == ("EVALUATE_INTERNAL", ())


def test_an_invalid_transaction_is_a_commit_error_with_its_validation_code(peer, contract):
    peer.validation_code = transaction_pb2.MVCC_READ_CONFLICT
    with pytest.raises(CommitError) as caught:
        contract.submit_transaction("F")
    error = caught.value
    assert (error.code, error.validation_code, error.block_number) == ("MVCC_READ_CONFLICT", 11, 17)
    assert error.transaction_id == peer.last("Submit").transaction_id
    assert error.remedy


def test_a_validation_code_of_a_later_fabric_is_reported_by_number(peer, contract):
    peer.validation_code = 199
    with pytest.raises(CommitError, match="UNKNOWN_VALIDATION_CODE_199"):
        contract.submit_transaction("F")


def test_a_transaction_that_an_orderer_knows_already_counts_as_submitted(peer, contract, refusal):
    details = (("orderer1:7050", "ClevelandMSP", "request already processed"),)
    peer.refusals["Submit"] = refusal(grpc.StatusCode.UNAVAILABLE, "insufficient number of orderers", details)
    assert contract.submit_transaction("F") == b"result"
    assert peer.methods() == ["Endorse", "Submit", "CommitStatus"]


def test_an_orderer_that_refuses_a_transaction_is_a_submit_error(peer, contract, refusal):
    details = (("orderer1:7050", "ClevelandMSP", "BAD_REQUEST: message payload is too big"),)
    peer.refusals["Submit"] = refusal(grpc.StatusCode.UNAVAILABLE, "insufficient number of orderers", details)
    with pytest.raises(SubmitError, match="too big"):
        contract.submit_transaction("F")


@pytest.mark.parametrize(
    ("method", "error_type"),
    [
        ("Evaluate", EvaluateError),
        ("Endorse", EndorseError),
        ("Submit", SubmitError),
        ("CommitStatus", CommitStatusError),
    ],
)
def test_every_call_has_a_deadline(peer, client, channel, method, error_type):
    peer.silent.add(method)
    name = {"CommitStatus": "commit_status"}.get(method, method.lower())
    gateway = connect(client.identity, client.sign, channel, deadlines=Deadlines(**{name: 0.1}))
    contract = gateway.get_network("fedledger").get_contract("ledger")
    with pytest.raises(error_type) as caught:
        (contract.evaluate_transaction if method == "Evaluate" else contract.submit_transaction)("F")
    assert caught.value.status is grpc.StatusCode.DEADLINE_EXCEEDED
    assert caught.value.exit_code is ExitCode.TIMEOUT
    assert caught.value.remedy


def test_a_deadline_can_be_set_for_one_call(peer, contract):
    peer.silent.add("Evaluate")
    with pytest.raises(EvaluateError, match="DEADLINE_EXCEEDED"):
        contract.new_proposal("F").evaluate(timeout=0.1)


@pytest.mark.parametrize(("timeout", "status"), [(0.05, "DEADLINE_EXCEEDED"), (60, "CANCELLED")])
def test_a_gateway_that_ends_a_call_at_its_deadline_before_we_do_has_let_it_pass(
    peer, contract, refusal, timeout, status
):
    peer.refusals["Evaluate"] = refusal(grpc.StatusCode.CANCELLED, "gone")
    with pytest.raises(EvaluateError, match=status) as late:
        contract.new_proposal("F").evaluate(timeout=timeout)
    assert late.value.status is grpc.StatusCode[status]


def test_a_gateway_that_is_not_there_is_a_connection_error(client, socket_path):
    with open_channel(f"unix:{socket_path}") as channel:
        contract = connect(client.identity, client.sign, channel).get_network("fedledger").get_contract("ledger")
        with pytest.raises(EvaluateError) as caught:
            contract.evaluate_transaction("F")
    assert caught.value.exit_code is ExitCode.CONNECTION
    assert caught.value.remedy


def test_a_server_that_accepts_and_says_nothing_is_a_timeout(client):
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        open_channel(f"127.0.0.1:{mute.getsockname()[1]}") as channel,
    ):
        gateway = connect(client.identity, client.sign, channel, deadlines=Deadlines(evaluate=0.2))
        with pytest.raises(EvaluateError) as caught:
            gateway.get_network("fedledger").get_contract("ledger").evaluate_transaction("F")
    assert caught.value.exit_code is ExitCode.TIMEOUT


def test_a_gateway_cannot_make_the_client_sign_another_transaction(peer, contract, make_envelope):
    other = contract.new_proposal("TransferAll", arguments=["mallory"])
    signed = gateway_pb2.ProposedTransaction.FromString(other.get_bytes()).proposal
    peer.forged_envelope = make_envelope(signed.proposal_bytes, b"result")
    with pytest.raises(EndorseError) as caught:
        contract.submit_transaction("OpenRound")
    assert caught.value.code == "FOREIGN_TRANSACTION"
    assert peer.methods() == ["Endorse"]


@pytest.mark.parametrize(
    "new_key",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate,
    ],
    ids=["P-256", "P-384", "Ed25519"],
)
def test_signatures_of_every_kind_of_key_verify_as_a_peer_verifies_them(make_client, make_peer, socket_path, new_key):
    client = make_client(new_key())
    make_peer(client, f"unix:{socket_path}")
    with open_channel(f"unix:{socket_path}") as channel:
        contract = connect(client.identity, client.sign, channel).get_network("fedledger").get_contract("ledger")
        for _ in range(6):
            assert contract.submit_transaction("F") == b"result"


def test_threads_share_one_contract(peer, contract):
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: contract.submit_transaction("F", str(i)), range(40)))
    assert results == [b"result"] * 40
    ids = [request.transaction_id for name, request in peer.requests if name == "Submit"]
    assert len(set(ids)) == 40


def test_a_use_from_a_forked_child_is_refused_instead_of_hanging(contract):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            contract.evaluate_transaction("F")
        except GatewayError as error:
            os.write(writing, error.code.encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100) == b"FORKED"
    os.close(reading)
    os.close(writing)
