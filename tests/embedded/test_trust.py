"""Whom the node believes: certificates, signatures and endorsements, each refused by the name Fabric has for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.peer import proposal_pb2, proposal_response_pb2

from fedledger.gateway import CommitStatusError, EndorseError, EvaluateError, EventsError
from fedledger.gateway.errors import GatewayError
from fedledger.identity.authority import NodeRole, Validity, certificate_pem
from fedledger.identity.keys import KeyType, generate_key, sign
from fedledger.identity.msp import serialize_identity
from fedledger.identity.wallet import Wallet
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.organisation import authority_folder
from fedledger_network.consortium import Organisation
from fedledger_network.embedded.folder import NetworkFolder
from tests.embedded.clients import CHANNEL, MSPS, NAMES, Client, client, stranger

FIRST = Organisation(NAMES[0], MSPS[0])


@contextmanager
def authority(folder: NetworkFolder, organisation: Organisation = FIRST) -> Iterator[DevelopmentAuthority]:
    """The CA of an organisation."""
    opened = DevelopmentAuthority.open(authority_folder(folder.organisation(organisation)), organisation.msp_id)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def certified(
    folder: NetworkFolder,
    *,
    units: tuple[str, ...] = (NodeRole.CLIENT,),
    validity: Validity | None = None,
    key_type: KeyType = KeyType.P256,
    msp_id: str = MSPS[0],
    issuer: NetworkFolder | None = None,
) -> Iterator[Client]:
    """Somebody with a certificate of the first organisation's CA in ``issuer``'s network, by default in this one."""
    key = generate_key(key_type)
    window = validity or Validity.starting(datetime.now(UTC), timedelta(days=1))
    with authority(issuer or folder) as ca:
        certificate = ca.identity_ca.issue(key.public_key(), "somebody", units, window)
    with stranger(f"unix:{folder.gateway_socket}", msp_id, certificate_pem(certificate), key) as found:
        yield found


def refused_everywhere(who: Client) -> str:
    """Check that queries, proposals, status, events and blocks are refused; the reason given to a proposal."""
    with pytest.raises(EvaluateError):
        who.evaluate("Get", "a")
    with pytest.raises(CommitStatusError) as status:
        who.status("0" * 64)
    assert status.value.status is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(EventsError), who.network.chaincode_events("fedledger", start_block=0) as events:
        next(iter(events))
    with pytest.raises(EventsError, match="FORBIDDEN"), who.network.block_events(start_block=0, end_block=0) as blocks:
        next(iter(blocks))
    with pytest.raises(EndorseError, match="access denied") as refused:
        who.submit("Put", "a=1")
    assert refused.value.status is grpc.StatusCode.ABORTED
    return str(refused.value)


def test_a_certificate_of_another_authority_is_refused(
    running: NetworkFolder, new_folder: Callable[[], NetworkFolder]
) -> None:
    elsewhere = new_folder()
    with certified(running, issuer=elsewhere) as impostor:
        assert "UNKNOWN_ISSUER" in refused_everywhere(impostor)


def test_an_organisation_that_is_no_member_is_refused(running: NetworkFolder) -> None:
    with certified(running, msp_id="LisbonMSP") as outsider:
        assert "LisbonMSP is no organisation of channel fedledger" in refused_everywhere(outsider)


def test_a_member_cannot_act_for_another_organisation(running: NetworkFolder) -> None:
    with certified(running, msp_id=MSPS[1]) as impostor:
        assert "UNKNOWN_ISSUER" in refused_everywhere(impostor)


def test_an_expired_certificate_proposes_nothing_and_reads_no_blocks(running: NetworkFolder) -> None:
    with authority(running) as ca:
        begin = ca.identity_ca.certificate.not_valid_before_utc
    with certified(running, validity=Validity(begin, begin + timedelta(seconds=1))) as late:
        for call in (late.evaluate, late.submit):
            with pytest.raises(GatewayError, match="client identity expired"):
                call("Get", "a")
        with (
            pytest.raises(EventsError, match="FORBIDDEN"),
            late.network.block_events(start_block=0, end_block=0) as blocks,
        ):
            next(iter(blocks))


def test_a_certificate_without_a_role_is_refused(running: NetworkFolder) -> None:
    with certified(running, units=("Cardiology",)) as nobody:
        assert "BAD_NODE_OU" in refused_everywhere(nobody)


def test_whoever_signs_with_another_key_is_refused(running: NetworkFolder, participant: Client) -> None:
    stolen = participant.gateway.identity.credentials
    with stranger(f"unix:{running.gateway_socket}", MSPS[0], stolen, generate_key()) as thief:
        assert "BAD_SIGNATURE" in refused_everywhere(thief)


@pytest.mark.parametrize(
    "identity",
    [
        b"",
        b"\xff\xff",
        serialize_identity(MSPS[0], b""),
        serialize_identity(MSPS[0], b"no certificate"),
        serialize_identity(MSPS[0], b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
    ],
)
def test_what_is_no_identity_is_refused(participant: Client, identity: bytes) -> None:
    with pytest.raises(CommitStatusError) as refused:
        dataclasses.replace(participant, creator=identity).status("0" * 64)
    expected = grpc.StatusCode.PERMISSION_DENIED if identity else grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.status is expected


def test_bytes_that_are_no_proposal_are_refused(participant: Client) -> None:
    stub = gateway_pb2_grpc.GatewayStub(participant.connection)
    for garbage in (b"", b"\xff\xff\xff", b"\x0a\x02hi"):
        request = gateway_pb2.EndorseRequest(
            channel_id=CHANNEL, proposed_transaction=proposal_pb2.SignedProposal(proposal_bytes=garbage)
        )
        with pytest.raises(grpc.RpcError) as refused:
            stub.Endorse(request, timeout=5)
        # What parses is of no chaincode: there is nobody who could endorse it.
        assert refused.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)


def test_a_transaction_id_of_ones_own_choice_is_refused(participant: Client) -> None:
    proposed = gateway_pb2.ProposedTransaction.FromString(participant.contract.new_proposal("Put").get_bytes())
    proposal = proposal_pb2.Proposal.FromString(proposed.proposal.proposal_bytes)
    header = common_pb2.Header.FromString(proposal.header)
    channel = common_pb2.ChannelHeader.FromString(header.channel_header)
    channel.tx_id = proposed.transaction_id = "ab" * 32
    header.channel_header = channel.SerializeToString()
    proposal.header = header.SerializeToString()
    proposed.proposal.proposal_bytes = proposal.SerializeToString()
    with pytest.raises(EndorseError, match="incorrectly computed txid"):
        participant.gateway.new_proposal(proposed.SerializeToString()).endorse()


def test_a_transaction_submitted_twice_counts_once(participant: Client) -> None:
    participant.submit("Put", "twice=0")
    prepared = participant.endorsed("Add", "twice", "1")
    participant.hand_over(prepared)
    participant.hand_over(prepared)
    assert participant.status(prepared.transaction_id).successful
    marker = participant.contract.submit_async("Put", "marker=1").status()
    codes = participant.codes(prepared.transaction_id, marker.block_number)
    assert sorted(codes) == ["DUPLICATE_TXID", "VALID"]
    assert participant.evaluate("Get", "twice") == ["1"]


def test_an_envelope_that_its_creator_has_not_signed_is_not_ordered(participant: Client) -> None:
    prepared = participant.endorsed("Put", "unsigned=1")
    with pytest.raises(grpc.RpcError) as refused:
        participant.submit_raw(prepared, signature=sign(generate_key(), prepared.envelope.payload))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert participant.evaluate("Get", "unsigned") == [None]


def test_one_organisation_three_times_is_one_organisation(participant: Client) -> None:
    prepared = participant.endorsed("Put", "thrice=1", organisations=MSPS[:1])

    def repeat(action: Any) -> None:
        for _ in range(2):
            action.action.endorsements.add().CopyFrom(action.action.endorsements[0])

    assert participant.submit_changed(prepared, repeat).code_name == "ENDORSEMENT_POLICY_FAILURE"


def test_members_that_are_no_peers_cannot_endorse(running: NetworkFolder, participant: Client) -> None:
    prepared = participant.endorsed("Put", "selfmade=1", organisations=MSPS[:1])
    with client(running, NAMES[1], "governor") as second, client(running, NAMES[2], "validator") as third:

        def endorse(action: Any) -> None:
            for member in (second, third):
                message = action.action.proposal_response_payload + member.creator
                action.action.endorsements.add(endorser=member.creator, signature=sign(member.key, message))

        assert participant.submit_changed(prepared, endorse).code_name == "ENDORSEMENT_POLICY_FAILURE"


def test_a_result_changed_after_its_endorsement_is_refused(participant: Client) -> None:
    prepared = participant.endorsed("Put", "price=cheap")

    def change(action: Any) -> None:
        payload = action.action.proposal_response_payload
        action.action.proposal_response_payload = payload.replace(b"cheap", b"dears")

    assert participant.submit_changed(prepared, change).code_name == "ENDORSEMENT_POLICY_FAILURE"
    assert participant.evaluate("Get", "price") == [None]


def test_arguments_changed_after_the_endorsement_are_refused(participant: Client) -> None:
    prepared = participant.endorsed("Put", "argued=first")

    def change(action: Any) -> None:
        action.chaincode_proposal_payload = action.chaincode_proposal_payload.replace(b"argued=first", b"argued=third")

    assert participant.submit_changed(prepared, change).code_name == "INVALID_ENDORSER_TRANSACTION"


def test_a_write_into_another_chaincodes_state_is_refused_even_when_all_endorse_it(
    running: NetworkFolder, participant: Client
) -> None:
    prepared = participant.endorsed("Put", "foreign=1", organisations=MSPS)

    def move(action: Any) -> None:
        payload = proposal_response_pb2.ProposalResponsePayload.FromString(action.action.proposal_response_payload)
        result = proposal_pb2.ChaincodeAction.FromString(payload.extension)
        result.results = result.results.replace(b"fedledger", b"treasurer")
        payload.extension = result.SerializeToString()
        content = payload.SerializeToString()
        action.action.proposal_response_payload = content
        del action.action.endorsements[:]
        for organisation in running.consortium().organisations:
            peer = Wallet(running.organisation(organisation) / "peer").load()
            endorser = serialize_identity(organisation.msp_id, peer.certificate_pem)
            action.action.endorsements.add(endorser=endorser, signature=sign(peer.key, content + endorser))

    assert participant.submit_changed(prepared, move).code_name == "INVALID_CHAINCODE"


def test_what_is_refused_is_in_the_ledger_with_its_code(participant: Client) -> None:
    prepared = participant.endorsed("Put", "kept=1", organisations=MSPS[:1])
    status = participant.submit_raw(prepared)
    assert participant.codes(prepared.transaction_id, status.block_number) == ["ENDORSEMENT_POLICY_FAILURE"]


def test_one_members_status_request_cannot_be_signed_by_another(running: NetworkFolder, participant: Client) -> None:
    status = participant.contract.submit_async("Put", "status=1")
    status.status()
    with client(running, NAMES[1]) as other:
        forged = dataclasses.replace(other, creator=participant.creator)
        with pytest.raises(GatewayError) as refused:
            forged.status(status.transaction_id)
        assert refused.value.status is grpc.StatusCode.PERMISSION_DENIED
