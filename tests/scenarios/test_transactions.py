"""Queries and transactions as a client sees them on either engine: results, refusals, conflicts, endorsements.

What they cover is what Hyperledger's scenarios for its own clients cover: github.com/hyperledger/fabric-gateway,
``scenario/features``: transactions, errors, endorsement, discovery. Our contract has no private data and no key-level
policies, which theirs are about besides.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.peer import transaction_pb2

from fedledger.gateway import CommitError, EndorseError, EvaluateError, EventsError
from fedledger.gateway.blocks import EndorserTransaction, header_hash, parse_block, validation_codes
from fedledger.gateway.errors import GatewayError
from fedledger.identity.msp import parse_serialized_identity
from tests.embedded.clients import CHANNEL, MSPS, NAMES, Client
from tests.scenarios.engines import Engine

CONTRACT = "tests.embedded.shelf:Shelf"


# Queries and transactions


def test_what_one_member_submits_every_other_reads(participant: Client, others: list[Client]) -> None:
    assert participant.submit("Put", "shared=7", "other=8") == 2
    for other in others:
        assert other.evaluate("Get", "shared", "other", "missing") == ["7", "8", None]


def test_a_transaction_does_not_read_its_own_writes(participant: Client) -> None:
    participant.submit("Put", "own=before")
    assert participant.submit("GetAfterPut", "own", "after") == ["before"]
    assert participant.evaluate("Get", "own") == ["after"]


def test_an_evaluation_writes_nothing(participant: Client) -> None:
    assert participant.evaluate("Put", "evaluated=1") == 1
    assert participant.evaluate("Get", "evaluated") == [None]


def test_what_is_deleted_is_gone(participant: Client) -> None:
    participant.submit("Put", "doomed=1")
    participant.submit("Delete", "doomed")
    assert participant.evaluate("Get", "doomed") == [None]
    assert participant.evaluate("Range", "doomed", "doomee") == []
    participant.submit("Put", "doomed=2")
    assert participant.evaluate("Range", "doomed", "doomee") == ["doomed"]


def test_a_range_longer_than_a_page_comes_whole_and_in_order(participant: Client) -> None:
    participant.submit("Fill", "page-", "250")
    assert participant.evaluate("Range", "page-", "page.") == [f"page-{number:06}" for number in range(250)]
    assert participant.evaluate("Range", "page-000100", "page-000102") == ["page-000100", "page-000101"]


def test_thousands_of_writes_fit_into_one_transaction(participant: Client) -> None:
    assert participant.submit("Fill", "many-", "2500") == 2500
    assert participant.evaluate("Get", "many-000000", "many-002499") == ["x", "x"]


def test_transient_data_reaches_the_contract_and_not_the_ledger(participant: Client) -> None:
    secret = b"a secret that nobody else may read"
    submitted = participant.contract.new_proposal("Confide", transient={"secret": secret}).endorse().submit()
    assert json.loads(submitted.result) == len(secret)
    assert secret not in block_of(participant, submitted.status().block_number).SerializeToString()


def test_the_query_chaincode_tells_height_block_and_transaction(participant: Client) -> None:
    submitted = participant.contract.submit_async("Put", "queried=1")
    status = submitted.status()
    queries = participant.network.get_contract("qscc")
    info = ledger_pb2.BlockchainInfo.FromString(queries.evaluate_transaction("GetChainInfo", CHANNEL))
    assert info.height > status.block_number
    newest = parse_block(queries.evaluate_transaction("GetBlockByNumber", CHANNEL, str(info.height - 1)))
    assert info.currentBlockHash == header_hash(newest.header)
    held = parse_block(queries.evaluate_transaction("GetBlockByTxID", CHANNEL, submitted.transaction_id))
    assert held.header.number == status.block_number
    processed = transaction_pb2.ProcessedTransaction.FromString(
        queries.evaluate_transaction("GetTransactionByID", CHANNEL, submitted.transaction_id)
    )
    assert processed.validationCode == transaction_pb2.VALID
    with pytest.raises(EvaluateError, match="no such transaction"):
        queries.evaluate_transaction("GetTransactionByID", CHANNEL, "0" * 64)


# Refusals


def test_a_contracts_refusal_reaches_the_client_with_its_code(participant: Client) -> None:
    with pytest.raises(EndorseError) as refused:
        participant.submit("Refuse", "409", "ROUND_CLOSED", "Round 3 is closed.")
    assert refused.value.status is grpc.StatusCode.ABORTED
    fault = refused.value.contract_error
    assert fault is not None
    assert (fault.status, fault.code) == (409, "ROUND_CLOSED")
    assert fault.message == "Round 3 is closed. Do something else."
    assert refused.value.details[0].msp_id == MSPS[0]
    assert participant.evaluate("Get", "refused") == [None]


def test_a_refused_query_has_the_contracts_code(participant: Client) -> None:
    with pytest.raises(EvaluateError) as refused:
        participant.evaluate("Refuse", "404", "NO_TASK", "There is no such task.")
    assert refused.value.status is grpc.StatusCode.UNKNOWN
    assert refused.value.contract_error is not None
    assert refused.value.contract_error.code == "NO_TASK"
    assert [detail.msp_id for detail in refused.value.details] == [MSPS[0]]


@pytest.mark.parametrize("function", ["Crash", "NoSuchFunction"])
def test_a_bug_of_the_contract_is_a_refusal_that_tells_no_state(participant: Client, function: str) -> None:
    for call in (participant.submit, participant.evaluate):
        with pytest.raises(GatewayError) as refused:
            call(function)
        assert refused.value.contract_error is not None
        assert refused.value.contract_error.status == 500
        assert "has a bug" not in str(refused.value)


def test_results_that_differ_between_organisations_are_not_assembled(participant: Client) -> None:
    with pytest.raises(EndorseError, match="failed to collect enough transaction endorsements") as refused:
        participant.submit("Whim")
    assert refused.value.status is grpc.StatusCode.ABORTED
    assert {detail.message for detail in refused.value.details} == {"ProposalResponsePayloads do not match"}
    assert participant.evaluate("Get", "whim") == [None]


def test_an_unknown_chaincode_is_named(participant: Client) -> None:
    nobody = participant.network.get_contract("nobody")
    for call in (nobody.submit_transaction, nobody.evaluate_transaction):
        with pytest.raises(GatewayError, match=f"chaincode nobody in channel {CHANNEL}") as refused:
            call("Put", "a=1")
        assert refused.value.status is grpc.StatusCode.FAILED_PRECONDITION


def test_an_unknown_channel_is_named(participant: Client) -> None:
    elsewhere = participant.gateway.get_network("elsewhere")
    with pytest.raises(EvaluateError, match="elsewhere") as evaluated:
        elsewhere.get_contract(CHANNEL).evaluate_transaction("Get", "a")
    assert evaluated.value.status is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(EndorseError, match="elsewhere") as endorsed:
        elsewhere.get_contract(CHANNEL).submit_transaction("Put", "a=1")
    assert endorsed.value.status is grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(EventsError, match="NOT_FOUND"), elsewhere.block_events(start_block=0, end_block=0) as blocks:
        next(iter(blocks))


def test_an_unknown_organisation_cannot_be_asked(participant: Client) -> None:
    with pytest.raises(EndorseError, match="LisbonMSP") as endorsed:
        participant.endorsed("Put", "a=1", organisations=["LisbonMSP"])
    assert endorsed.value.status is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(EvaluateError, match="no peers available") as evaluated:
        participant.contract.evaluate_transaction("Get", "a", endorsing_organizations=["LisbonMSP"])
    assert evaluated.value.status is grpc.StatusCode.FAILED_PRECONDITION


def test_a_call_ends_at_its_deadline(participant: Client) -> None:
    proposal = participant.contract.new_proposal("Dawdle", arguments=["3"])
    with pytest.raises(EvaluateError) as late:
        proposal.evaluate(timeout=0.3)
    assert late.value.status is grpc.StatusCode.DEADLINE_EXCEEDED


# Conflicts


def test_of_two_transactions_that_read_and_write_a_key_one_is_refused(participant: Client) -> None:
    participant.submit("Put", "balance=10")
    first, second = participant.endorsed("Add", "balance", "1"), participant.endorsed("Add", "balance", "5")
    assert participant.submit_raw(first).code_name == "VALID"
    assert participant.submit_raw(second).code_name == "MVCC_READ_CONFLICT"
    assert participant.evaluate("Get", "balance") == ["11"]


def test_a_key_that_was_absent_when_read_conflicts_when_it_appears(participant: Client) -> None:
    transaction = participant.contract.new_proposal("Add", arguments=["newborn", "1"]).endorse()
    participant.submit("Put", "newborn=100")
    with pytest.raises(CommitError) as failed:
        transaction.submit().status().raise_if_invalid()
    assert failed.value.code == "MVCC_READ_CONFLICT"


@pytest.mark.parametrize("change", [("Put", "ward-5=new"), ("Delete", "ward-3"), ("Put", "ward-3=changed")])
def test_whoever_wrote_by_a_range_is_refused_when_the_range_has_changed(
    participant: Client, change: tuple[str, str]
) -> None:
    participant.submit("Put", "ward-1=a", "ward-3=b", "ward-7=c")
    counted = participant.endorsed("Count", "ward-", "ward.", "wards")
    participant.submit(*change)
    assert participant.submit_raw(counted).code_name == "PHANTOM_READ_CONFLICT"
    participant.submit("Delete", "ward-5")


def test_a_range_that_has_not_changed_is_no_conflict(participant: Client) -> None:
    participant.submit("Put", "bed-1=a", "bed-2=b")
    counted = participant.endorsed("Count", "bed-", "bed.", "beds")
    participant.submit("Put", "bed.=outside", "bec=outside")
    assert participant.submit_raw(counted).code_name == "VALID"
    assert participant.evaluate("Get", "beds") == ["2"]


def test_a_range_left_unread_binds_only_to_what_was_read(participant: Client) -> None:
    participant.submit("Fill", "queue-", "120")
    early = participant.endorsed("First", "queue-", "queue.", "front")
    late = participant.endorsed("First", "queue-", "queue.", "front")
    participant.submit("Put", "queue-000119=changed", "queue-999999=new")
    assert participant.submit_raw(early).code_name == "VALID"
    participant.submit("Delete", "queue-000000")
    assert participant.submit_raw(late).code_name == "PHANTOM_READ_CONFLICT"


def test_concurrent_additions_are_either_counted_or_refused(participant: Client, others: list[Client]) -> None:
    participant.submit("Put", "sum=0")
    participant.settle()

    def add(number: int) -> int:
        try:
            (participant, *others)[number % 4].contract.submit_transaction("Add", "sum", "1")
            return 1
        except CommitError as conflict:
            assert conflict.code == "MVCC_READ_CONFLICT"
        except EndorseError as apart:
            # Peers that have the same block at different moments return different results.
            assert "do not match" in str(apart)
        return 0

    with ThreadPoolExecutor(8) as pool:
        counted = sum(pool.map(add, range(32)))
    assert 1 <= counted <= 32
    assert participant.evaluate("Get", "sum") == [str(counted)]


def test_a_hundred_transactions_at_once_on_keys_of_their_own_all_succeed(
    participant: Client, others: list[Client]
) -> None:
    members = (participant, *others)
    with ThreadPoolExecutor(50) as pool:
        contracts = [members[number % 4].contract for number in range(100)]
        submitted = list(
            pool.map(lambda each: each[1].submit_async("Add", f"own-{each[0]}", "1"), enumerate(contracts))
        )
        assert all(pool.map(lambda each: each.status().successful, submitted))


def test_a_slow_transaction_sees_one_state_although_others_commit_meanwhile(participant: Client) -> None:
    slow = threading.Thread(target=participant.submit, args=("Dawdle", "0.5"))
    slow.start()
    for number in range(3):
        participant.submit("Put", f"meanwhile={number}")
    slow.join()
    assert participant.evaluate("Get", "meanwhile") == ["2"]


# What gets into the ledger, and how often


def test_a_transaction_submitted_twice_counts_once(participant: Client) -> None:
    participant.submit("Put", "twice=0")
    participant.settle()
    transaction = participant.contract.new_proposal("Add", arguments=["twice", "1"]).endorse()
    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(lambda _: transaction.submit().status(), range(2)))
    assert [status.successful for status in statuses] == [True, True]
    assert len({status.block_number for status in statuses}) == 1
    assert participant.evaluate("Get", "twice") == ["1"]


def test_a_proposal_that_is_on_the_ledger_is_not_run_again(participant: Client) -> None:
    proposal = participant.contract.new_proposal("Put", arguments=["once=1"])
    proposal.endorse().submit().status().raise_if_invalid()
    for again in (proposal.endorse, proposal.evaluate):
        with pytest.raises(GatewayError, match="duplicate transaction found"):
            again()


# Endorsement


def test_the_gateway_collects_just_enough_endorsements_by_itself(participant: Client) -> None:
    status = participant.contract.submit_async("Put", "endorsed=1").status()
    block = block_of(participant, status.block_number)
    (place,) = [place for place, data in enumerate(block.data.data) if b"endorsed=1" in data]
    transaction = EndorserTransaction.parse(block.data.data[place])
    assert validation_codes(block)[place] == transaction_pb2.VALID
    assert len(set(endorsers(transaction))) == 3
    (write,) = [write for entry in transaction.read_write_sets for write in entry.writes]
    assert (write.key, write.value) == ("endorsed", b"1")


def test_named_organisations_endorse_and_no_others(participant: Client) -> None:
    named = [MSPS[3], MSPS[1], MSPS[2]]
    proposal = participant.contract.new_proposal("Put", arguments=["named=1"], endorsing_organizations=named)
    transaction = proposal.endorse()
    assert endorsers(transaction.content) == sorted(named)
    assert transaction.submit().status().successful


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_endorsing_organisations_are_found_out_when_the_block_is_validated(
    participant: Client, count: int
) -> None:
    with pytest.raises(CommitError) as invalid:
        participant.contract.submit_transaction("Put", "few=1", endorsing_organizations=MSPS[:count])
    assert invalid.value.code == "ENDORSEMENT_POLICY_FAILURE"
    assert participant.evaluate("Get", "few") == [None]


@pytest.mark.parametrize("place", range(4))
def test_a_named_organisation_answers_a_query(participant: Client, place: int) -> None:
    participant.submit("Put", "asked=1")
    participant.settle()
    answer = participant.contract.evaluate_transaction("Get", "asked", endorsing_organizations=[MSPS[place]])
    assert json.loads(answer) == ["1"]
    with pytest.raises(EvaluateError) as refused:
        participant.contract.evaluate_transaction("Crash", endorsing_organizations=[MSPS[place]])
    assert [detail.msp_id for detail in refused.value.details] == [MSPS[place]]


def test_a_member_may_use_the_peer_of_another_organisation(engine: Engine) -> None:
    with engine.member(NAMES[1], peer=NAMES[3]) as guest:
        assert guest.submit("Put", "guest=1") == 1
        assert guest.evaluate("Get", "guest") == ["1"]


def endorsers(transaction: EndorserTransaction) -> list[str]:
    return sorted(parse_serialized_identity(each.endorser)[0] for each in transaction.endorsements)


def block_of(reader: Client, number: int) -> common_pb2.Block:
    with reader.network.block_events(start_block=number, end_block=number) as blocks:
        return next(iter(blocks))
