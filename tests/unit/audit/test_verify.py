"""Every kind of tampering fails exactly the check that it should, at the block where it was done."""

from __future__ import annotations

import json
import ssl
from typing import Any

import pytest
from fabric_protos.common import common_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.audit import CheckName, GenesisError, Outcome, verify
from fedledger.gateway.blocks import header_hash, parse_block
from fedledger.identity.authority import NodeRole, Validity, certificate_pem
from fedledger.identity.keys import generate_key
from fedledger.identity.msp import parse_serialized_identity, serialize_identity
from tests.unit.audit.block_ledger import (
    BAD_PAYLOAD,
    MVCC_CONFLICT,
    POLICY_FAILURE,
    VALID,
    BlockLedger,
    Signatory,
)
from tests.unit.audit.members import TrainingConsortium
from tests.unit.audit.tampering import double_earnings, fails, set_metadata, unchanged
from tests.unit.contract.ledger import MSPS


class TestAnUntouchedLedger:
    def test_passes_every_check(self, audited: TrainingConsortium) -> None:
        report = verify(audited.ledger.blocks, audited.artifacts.get)
        assert report.ok and report.complete
        assert [check.name for check in report.checks] == [name.value for name in CheckName]
        assert report.blocks == len(audited.ledger.blocks)
        assert {check.name for check in report.checks if check.count == 0} == {"norm bound"}  # the task asks for none

    def test_counts_what_was_decided(self, audited: TrainingConsortium) -> None:
        report = verify(audited.ledger.blocks, audited.artifacts.get)
        assert report.check("round decisions").detail.startswith("8 verdicts with weight and score (8 accepted)")
        assert report.check("models").count == 2
        assert report.check("contract re-run").count == len(audited.ledger.blocks) - 1

    def test_is_audited_without_artifacts_but_for_its_models(self, audited: TrainingConsortium) -> None:
        report = verify(audited.ledger.blocks)
        assert report.ok and not report.complete
        skipped = [check.name for check in report.checks if check.outcome is Outcome.SKIPPED]
        assert skipped == ["aggregates", "models"]
        assert "2 not checked" in report.check("models").detail
        assert "artifact missing" in report.check("models").detail

    def test_of_a_contract_of_another_name_is_not_called_checked(self, audited: TrainingConsortium) -> None:
        report = verify(audited.ledger.blocks, chaincode="another")
        assert report.ok and report.check("contract re-run").outcome is Outcome.SKIPPED
        assert "of other chaincodes not run" in report.check("contract re-run").detail

    def test_is_reported_as_json(self, audited: TrainingConsortium) -> None:
        document = json.loads(json.dumps(verify(audited.ledger.blocks).document()))
        assert document["ok"] is True and document["complete"] is False
        assert document["checks"][0]["name"] == "block format"

    def test_may_hold_transactions_that_were_rightly_refused(self, members: TrainingConsortium) -> None:
        ledger = members.ledger
        number = len(ledger.blocks)
        first = ledger.endorse(members.governors[MSPS[0]], "Transfer", f"org:{MSPS[1]}", 5)[1]
        second = ledger.endorse(members.governors[MSPS[0]], "Transfer", f"org:{MSPS[1]}", 7)[1]
        ledger.append([first, second], [VALID, MVCC_CONFLICT])
        report = verify(ledger.blocks)
        assert report.ok and report.blocks == number + 1
        assert "1 refusals" in report.check("validation codes").detail

    @pytest.mark.parametrize("code", [BAD_PAYLOAD, POLICY_FAILURE])
    @pytest.mark.parametrize("junk", [b"", b"\xff", b"\n\x00", b"no envelope"])
    def test_may_hold_what_no_client_should_have_sent(
        self, members: TrainingConsortium, junk: bytes, code: int
    ) -> None:
        members.ledger.append([junk], [code])
        assert verify(members.ledger.blocks).ok

    @pytest.mark.parametrize("chaincode", ["_lifecycle", "another"])
    def test_may_hold_transactions_that_nobody_endorsed(self, members: TrainingConsortium, chaincode: str) -> None:
        def other_chaincode(action: Any, rwset: Any) -> None:
            action.chaincode_id.name = chaincode

        ledger = members.ledger
        number = len(ledger.blocks)
        ledger.submit(members.governors[MSPS[0]], "Transfer", f"org:{MSPS[1]}", 5)
        ledger.change_result(number, other_chaincode, endorsers=(), chaincode=chaincode)
        ledger.change(
            number, lambda block: set_metadata(block, common_pb2.TRANSACTIONS_FILTER, bytes([POLICY_FAILURE]))
        )
        assert verify(ledger.blocks).ok

    def test_may_hold_endorsements_under_certificates_that_no_parser_takes(self, members: TrainingConsortium) -> None:
        ledger = members.ledger
        number = len(ledger.blocks)
        ledger.submit(members.governors[MSPS[0]], "Transfer", f"org:{MSPS[1]}", 5)
        peer = ledger.peers[MSPS[3]]
        msp_id, pem = parse_serialized_identity(peer.serialized)
        der = ssl.PEM_cert_to_DER_cert(pem.decode()).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x64", 1)
        crafted = serialize_identity(msp_id, ssl.DER_cert_to_PEM_cert(der).encode())
        ledger.peers = ledger.peers | {MSPS[3]: Signatory(crafted, peer.key)}
        ledger.change_result(number, unchanged)
        assert verify(ledger.blocks).ok  # three others have endorsed it


class TestGenesis:
    def test_is_named_by_its_hash(self, audited: TrainingConsortium) -> None:
        trusted = header_hash(parse_block(audited.ledger.blocks[0]).header).hex()
        assert trusted in verify(audited.ledger.blocks[:1], trusted_genesis=trusted).check("hash links").detail

    def test_of_another_channel_is_refused(self, audited: TrainingConsortium) -> None:
        with pytest.raises(GenesisError, match="OTHER_GENESIS"):
            verify(
                BlockLedger().blocks, trusted_genesis=header_hash(parse_block(audited.ledger.blocks[0]).header).hex()
            )

    def test_must_be_there(self, audited: TrainingConsortium) -> None:
        with pytest.raises(GenesisError, match="NO_BLOCKS"):
            verify([])
        with pytest.raises(GenesisError, match="NOT_GENESIS"):
            verify(audited.ledger.blocks[1:])

    @pytest.mark.parametrize("content", [b"", b"\x00", b"not a block"])
    def test_must_be_a_block(self, content: bytes) -> None:
        with pytest.raises(GenesisError, match="NOT_GENESIS"):
            verify([content])


class TestBlocks:
    def test_a_flipped_byte_in_a_transaction_breaks_the_data_hash(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("OpenRound")

        def flip(block: Any) -> None:
            envelope = bytearray(block.data.data[0])
            envelope[len(envelope) // 2] ^= 1
            block.data.data[0] = bytes(envelope)

        members.ledger.change(number, flip, resealed=False)
        assert fails(verify(members.ledger.blocks), CheckName.DATA, number)

    def test_hashing_the_changed_data_again_breaks_the_orderers_signatures(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("OpenRound")
        kept = parse_block(members.ledger.blocks[number]).metadata.metadata[common_pb2.SIGNATURES]

        def repeat(block: Any) -> None:
            block.data.data.append(block.data.data[0])
            set_metadata(block, common_pb2.TRANSACTIONS_FILTER, bytes([VALID, VALID]))

        members.ledger.change(number, repeat)
        members.ledger.change(number, lambda block: set_metadata(block, common_pb2.SIGNATURES, kept), resealed=False)
        assert fails(verify(members.ledger.blocks), CheckName.ORDERERS, number)

    def test_a_dropped_block_is_missed(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("SettleRound")
        del members.ledger.blocks[number]
        assert fails(verify(members.ledger.blocks), CheckName.LINKS, number)

    def test_swapped_blocks_are_out_of_order(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("AttestUpdates")
        blocks = members.ledger.blocks
        blocks[number], blocks[number + 1] = blocks[number + 1], blocks[number]
        assert fails(verify(blocks), CheckName.LINKS, number)

    def test_a_block_that_continues_another_history_is_not_linked(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("AttestUpdates")
        members.ledger.change(number, lambda block: setattr(block.header, "previous_hash", bytes(32)), resealed=False)
        assert fails(verify(members.ledger.blocks), CheckName.LINKS, number)

    def test_a_forged_orderers_signature_is_refused_even_beyond_the_quorum(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("CloseRound")
        ledger = members.ledger
        ledger.orderers = ledger.orderers | {MSPS[3]: Signatory(ledger.orderers[MSPS[3]].serialized, generate_key())}
        ledger.reseal(number)
        assert fails(verify(ledger.blocks), CheckName.ORDERERS, number)

    def test_too_few_orderers_are_no_quorum(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("CloseRound")
        members.ledger.reseal(number, MSPS[:2])
        assert fails(verify(members.ledger.blocks), CheckName.ORDERERS, number)

    def test_one_orderer_signing_three_times_is_one_orderer(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("CloseRound")
        members.ledger.reseal(number, (MSPS[0],) * 3)
        assert fails(verify(members.ledger.blocks), CheckName.ORDERERS, number)

    def test_an_unknown_consenter_does_not_count(self, members: TrainingConsortium) -> None:
        number = len(members.ledger.blocks) - 1

        def rename(block: Any) -> None:
            metadata = common_pb2.Metadata.FromString(block.metadata.metadata[common_pb2.SIGNATURES])
            header = common_pb2.IdentifierHeader(identifier=9, nonce=b"9").SerializeToString()
            metadata.signatures[0].identifier_header = header
            set_metadata(block, common_pb2.SIGNATURES, metadata.SerializeToString())

        members.ledger.change(number, rename, resealed=False)
        assert fails(verify(members.ledger.blocks), CheckName.ORDERERS, number)

    def test_bytes_that_mean_nothing_are_refused(self, members: TrainingConsortium) -> None:
        number = len(members.ledger.blocks) - 1
        members.ledger.blocks[number] += b"\x22\x01\x00"  # field 4, which a block does not have
        assert fails(verify(members.ledger.blocks), CheckName.FORMAT, number)

    def test_a_block_without_codes_comes_from_no_peer(self, members: TrainingConsortium) -> None:
        number = len(members.ledger.blocks) - 1
        members.ledger.change(
            number, lambda block: set_metadata(block, common_pb2.TRANSACTIONS_FILTER, b""), resealed=False
        )
        assert fails(verify(members.ledger.blocks), CheckName.FORMAT, number)

    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_any_flipped_bit_of_any_block_is_found(self, audited: TrainingConsortium, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, 12))
        block = audited.ledger.blocks[number]
        # The last kilobyte is metadata, most of which no hash covers.
        last = len(block) - 1
        position = data.draw(st.integers(0, last) | st.integers(last - 1_000, last))
        changed = bytearray(block)
        changed[position] ^= 1 << data.draw(st.integers(0, 7))
        report = verify([*audited.ledger.blocks[:number], bytes(changed)])
        assert not report.ok
        assert report.first_bad_block == number


class TestTransactions:
    def test_a_creator_of_no_organisation_is_refused(self, members: TrainingConsortium) -> None:
        ledger = members.ledger
        stranger = BlockLedger().actor(MSPS[0], "governor")
        ledger.clients[stranger.creator] = stranger.key
        number = len(ledger.blocks)
        ledger.submit(stranger, "Transfer", f"org:{MSPS[1]}", 5)
        assert fails(verify(ledger.blocks), CheckName.CREATORS, number)

    def test_a_creator_that_did_not_sign_is_refused(self, members: TrainingConsortium) -> None:
        ledger, governor = members.ledger, members.governors[MSPS[0]]
        ledger.clients[governor.creator] = generate_key()
        number = len(ledger.blocks)
        ledger.submit(governor, "Transfer", f"org:{MSPS[1]}", 5)
        assert fails(verify(ledger.blocks), CheckName.CREATORS, number)

    def test_a_repeated_transaction_is_no_new_one(self, members: TrainingConsortium) -> None:
        ledger = members.ledger
        number = len(ledger.blocks)
        ledger.append(list(parse_block(ledger.blocks[-1]).data.data))
        assert fails(verify(ledger.blocks), CheckName.CODES, number)

    def test_a_forged_endorsement_leaves_too_few(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("SettleRound")
        members.ledger.change_result(number, unchanged, forgers=MSPS[:2])
        assert fails(verify(members.ledger.blocks), CheckName.ENDORSEMENTS, number)

    def test_a_forged_endorsement_beside_a_quorum_does_no_harm(self, members: TrainingConsortium) -> None:
        members.ledger.change_result(members.ledger.block_of("SettleRound"), unchanged, forgers=MSPS[:1])
        assert verify(members.ledger.blocks).ok

    def test_one_organisation_cannot_endorse_alone(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("FinaliseRound")
        members.ledger.change_result(number, double_earnings, endorsers=MSPS[:1])
        assert fails(verify(members.ledger.blocks), CheckName.ENDORSEMENTS, number)

    def test_two_peers_of_one_organisation_are_one_organisation(self, members: TrainingConsortium) -> None:
        ledger = members.ledger
        ledger.peers = ledger.peers | {MSPS[1]: _peer(ledger, MSPS[0]), MSPS[2]: _peer(ledger, MSPS[0])}
        number = len(ledger.blocks)
        ledger.peers[MSPS[3]] = ledger.peers[MSPS[0]]
        ledger.submit(members.governors[MSPS[0]], "Transfer", f"org:{MSPS[1]}", 5)
        assert fails(verify(ledger.blocks), CheckName.ENDORSEMENTS, number)

    def test_a_clients_certificate_cannot_endorse(self, members: TrainingConsortium) -> None:
        ledger = members.ledger
        ledger.peers = {msp: Signatory(actor.creator, actor.key) for msp, actor in members.participants.items()}
        number = len(ledger.blocks)
        ledger.submit(members.governors[MSPS[0]], "Transfer", f"org:{MSPS[1]}", 5)
        assert fails(verify(ledger.blocks), CheckName.ENDORSEMENTS, number)

    def test_endorsements_of_another_proposal_do_not_count(self, members: TrainingConsortium) -> None:
        ledger = members.ledger
        number = len(ledger.blocks)

        def other_arguments(stub: Any) -> None:
            stub.arguments = [b"org:" + MSPS[2].encode(), b"5"]

        ledger.submit_forged(members.governors[MSPS[0]], other_arguments, "Transfer", f"org:{MSPS[1]}", 5)
        assert fails(verify(ledger.blocks), CheckName.ENDORSEMENTS, number)


class TestValidationCodes:
    def test_a_valid_transaction_cannot_be_suppressed(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("AttestUpdates")
        codes = bytes([POLICY_FAILURE])
        members.ledger.change(number, lambda block: set_metadata(block, common_pb2.TRANSACTIONS_FILTER, codes))
        assert fails(verify(members.ledger.blocks), CheckName.CODES, number)

    def test_a_conflicting_transaction_cannot_be_called_valid(self, members: TrainingConsortium) -> None:
        ledger = members.ledger
        number = len(ledger.blocks)
        governor = members.governors[MSPS[0]]
        envelopes = [ledger.endorse(governor, "Transfer", f"org:{MSPS[1]}", amount)[1] for amount in (5, 7)]
        ledger.append(envelopes, [VALID, VALID])
        assert fails(verify(ledger.blocks), CheckName.CODES, number)

    def test_a_stale_read_of_an_earlier_block_is_a_conflict(self, members: TrainingConsortium) -> None:
        ledger = members.ledger
        governor = members.governors[MSPS[0]]
        stale = ledger.endorse(governor, "Transfer", f"org:{MSPS[1]}", 5)[1]
        ledger.submit(governor, "Transfer", f"org:{MSPS[1]}", 7)
        number = len(ledger.blocks)
        ledger.append([stale], [VALID])
        assert fails(verify(ledger.blocks), CheckName.CODES, number)

    def test_a_commit_hash_is_that_of_the_state(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("SettleRound")
        other = common_pb2.Metadata(value=bytes(32)).SerializeToString()
        members.ledger.change(number, lambda block: set_metadata(block, common_pb2.COMMIT_HASH, other), resealed=False)
        assert fails(verify(members.ledger.blocks), CheckName.COMMIT, number)


def _peer(ledger: BlockLedger, msp: str) -> Signatory:
    authority = ledger.authorities[msp]
    key = generate_key()
    window = Validity(authority.certificate.not_valid_before_utc, authority.certificate.not_valid_after_utc)
    certificate = authority.issue(key.public_key(), "another peer", [NodeRole.PEER], window)
    return Signatory(serialize_identity(msp, certificate_pem(certificate)), key)
