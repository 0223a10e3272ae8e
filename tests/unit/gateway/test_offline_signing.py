"""Signing elsewhere: bytes and digests leave, signatures come back, and no gateway ever has the key."""

from __future__ import annotations

import pytest

from fedledger.errors import BadInputError
from fedledger.gateway import BlockFormatError, SigningError, connect


@pytest.fixture
def offline(client, channel):
    """A gateway that knows the certificate but has no signer."""
    return connect(client.identity, None, channel)


def test_a_transaction_signed_elsewhere_at_every_step_is_committed(peer, offline, client):
    contract = offline.get_network("fedledger").get_contract("ledger")

    unsigned = contract.new_proposal("OpenRound", arguments=["heart"])
    proposal = offline.new_signed_proposal(unsigned.get_bytes(), client.sign(unsigned.get_digest()))
    unsigned_transaction = proposal.endorse()
    transaction = offline.new_signed_transaction(
        unsigned_transaction.get_bytes(), client.sign(unsigned_transaction.get_digest())
    )
    unsigned_commit = transaction.submit()
    commit = offline.new_signed_commit(unsigned_commit.get_bytes(), client.sign(unsigned_commit.get_digest()))

    status = commit.status()
    assert status.successful
    assert transaction.result == unsigned_commit.result == b"result"
    ids = {unsigned.transaction_id, proposal.transaction_id, transaction.transaction_id, commit.transaction_id}
    assert ids == {status.transaction_id}
    assert peer.methods() == ["Endorse", "Submit", "CommitStatus"]


def test_an_evaluation_signed_elsewhere_is_answered(offline, client):
    unsigned = offline.get_network("fedledger").get_contract("ledger").new_proposal("GetRound")
    signed = offline.new_signed_proposal(unsigned.get_bytes(), client.sign(unsigned.get_digest()))
    assert signed.evaluate() == b"result"


def test_bytes_keep_a_signature_that_they_hold(offline, client, peer):
    unsigned = offline.get_network("fedledger").get_contract("ledger").new_proposal("GetRound")
    signed = offline.new_signed_proposal(unsigned.get_bytes(), client.sign(unsigned.get_digest()))
    assert offline.new_proposal(signed.get_bytes()).evaluate() == b"result"


@pytest.mark.parametrize("kind", ["chaincode_events", "block_events", "filtered_block_events"])
def test_a_stream_signed_elsewhere_is_opened(peer, offline, client, kind):
    network = offline.get_network("fedledger")
    new_request = getattr(network, f"new_{kind}_request")
    unsigned = new_request("ledger") if kind == "chaincode_events" else new_request(start_block=0, end_block=3)
    new_signed = getattr(offline, f"new_signed_{kind}_request")
    with new_signed(unsigned.get_bytes(), client.sign(unsigned.get_digest())).get_events(timeout=0.2) as events:
        if kind == "chaincode_events":
            with pytest.raises(Exception, match="DEADLINE_EXCEEDED"):
                next(events)
        else:
            assert list(events) == []


def test_without_a_signer_nothing_is_sent(peer, offline):
    network = offline.get_network("fedledger")
    contract = network.get_contract("ledger")
    for attempt in (
        lambda: contract.evaluate_transaction("F"),
        lambda: contract.submit_transaction("F"),
        lambda: network.chaincode_events("ledger"),
        lambda: network.block_events(),
    ):
        with pytest.raises(SigningError) as caught:
            attempt()
        assert caught.value.code == "NO_SIGNER"
    assert peer.methods() == []


@pytest.mark.parametrize(
    "make", ["new_proposal", "new_commit", "new_signed_proposal", "new_signed_transaction", "new_signed_commit"]
)
def test_bytes_that_are_no_message_are_refused(offline, make):
    arguments = (b"\xff\xff\xff", b"signature") if "signed" in make else (b"\xff\xff\xff",)
    with pytest.raises(BadInputError) as caught:
        getattr(offline, make)(*arguments)
    assert caught.value.code == "MALFORMED_BYTES"


def test_a_prepared_transaction_without_content_is_refused(offline):
    with pytest.raises(BlockFormatError):
        offline.new_transaction(b"")
