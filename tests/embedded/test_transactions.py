"""What a client sees of the node: queries, transactions, refusals, conflicts, and what gets into the ledger."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.peer import transaction_pb2

from fedledger.gateway import CommitError, EndorseError, EvaluateError
from fedledger.gateway.blocks import EndorserTransaction, header_hash, parse_block, validation_codes
from fedledger_network.embedded.folder import NetworkFolder
from tests.embedded.clients import CHANNEL, MSPS, NAMES, Client, client


@pytest.fixture(scope="module")
def others(running: NetworkFolder) -> Iterator[Sequence[Client]]:
    """A participant of each of the other organisations."""
    with client(running, NAMES[1]) as second, client(running, NAMES[2]) as third, client(running, NAMES[3]) as fourth:
        yield second, third, fourth


def test_what_one_member_submits_every_other_reads(participant: Client, others: Sequence[Client]) -> None:
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


def test_a_value_of_no_bytes_deletes(participant: Client) -> None:
    participant.submit("Put", "emptied=1")
    participant.submit("Delete", "emptied")
    participant.submit("Put", "emptied=2")
    assert participant.evaluate("Range", "emptied", "emptiee") == ["emptied"]


def test_a_range_longer_than_a_page_comes_whole_and_in_order(participant: Client) -> None:
    participant.submit("Fill", "page-", "250")
    assert participant.evaluate("Range", "page-", "page.") == [f"page-{number:06}" for number in range(250)]
    assert participant.evaluate("Range", "page-000100", "page-000102") == ["page-000100", "page-000101"]


def test_thousands_of_writes_fit_into_one_transaction(participant: Client) -> None:
    assert participant.submit("Fill", "many-", "2500") == 2500
    assert participant.evaluate("Get", "many-000000", "many-002499") == ["x", "x"]


def test_transient_data_reaches_the_contract_and_not_the_ledger(participant: Client) -> None:
    secret = b"a secret that nobody else may read"
    proposal = participant.contract.new_proposal("Confide", transient={"secret": secret})
    submitted = proposal.endorse().submit()
    assert json.loads(submitted.result) == len(secret)
    block = block_of(participant, submitted.status().block_number)
    assert secret not in block.SerializeToString()


def test_a_contracts_refusal_reaches_the_client_with_its_code(participant: Client, others: Sequence[Client]) -> None:
    with pytest.raises(EndorseError) as refused:
        participant.submit("Refuse", "409", "ROUND_CLOSED", "Round 3 is closed.")
    assert refused.value.status is grpc.StatusCode.ABORTED
    fault = refused.value.contract_error
    assert fault is not None
    assert (fault.status, fault.code) == (409, "ROUND_CLOSED")
    assert fault.message == "Round 3 is closed. Do something else."
    assert {detail.msp_id for detail in refused.value.details} <= set(MSPS)
    assert participant.evaluate("Get", "refused") == [None]


def test_a_refused_query_tells_which_peer_refused_it(participant: Client) -> None:
    with pytest.raises(EvaluateError) as refused:
        participant.evaluate("Refuse", "404", "NO_TASK", "There is no such task.")
    assert refused.value.status is grpc.StatusCode.UNKNOWN
    assert refused.value.contract_error is not None
    assert refused.value.contract_error.code == "NO_TASK"
    assert [detail.msp_id for detail in refused.value.details] == [MSPS[0]]


def test_a_bug_of_the_contract_is_a_refusal_that_tells_no_state(participant: Client) -> None:
    with pytest.raises(EndorseError) as refused:
        participant.submit("Crash")
    assert refused.value.contract_error is not None
    assert refused.value.contract_error.status == 500
    assert "has a bug" not in str(refused.value)


def test_results_that_differ_between_organisations_are_not_assembled(participant: Client) -> None:
    with pytest.raises(EndorseError, match="ProposalResponsePayloads do not match"):
        participant.submit("Whim")
    assert participant.evaluate("Get", "whim") == [None]


def test_an_unknown_chaincode_is_refused(participant: Client) -> None:
    with pytest.raises(EndorseError, match="nobody"):
        participant.network.get_contract("nobody").submit_transaction("Put", "a=1")


def test_an_unknown_organisation_cannot_be_asked(participant: Client) -> None:
    with pytest.raises(EndorseError, match="LisbonMSP"):
        participant.endorsed("Put", "a=1", organisations=["LisbonMSP"])


def test_of_two_transactions_that_read_and_write_a_key_one_is_refused(participant: Client) -> None:
    participant.submit("Put", "balance=10")
    first, second = participant.endorsed("Add", "balance", "1"), participant.endorsed("Add", "balance", "5")
    assert participant.submit_raw(first).code_name == "VALID"
    assert participant.submit_raw(second).code_name == "MVCC_READ_CONFLICT"
    assert participant.evaluate("Get", "balance") == ["11"]


def test_a_key_that_was_absent_when_read_conflicts_when_it_appears(participant: Client) -> None:
    late = participant.endorsed("Add", "newborn", "1")
    participant.submit("Put", "newborn=100")
    assert participant.submit_raw(late).code_name == "MVCC_READ_CONFLICT"


def test_a_conflict_is_an_error_of_the_phase_commit(participant: Client) -> None:
    participant.submit("Put", "phase=1")
    transaction = participant.contract.new_proposal("Add", arguments=["phase", "1"]).endorse()
    participant.submit("Put", "phase=2")
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


def test_concurrent_additions_are_either_counted_or_refused(participant: Client, others: Sequence[Client]) -> None:
    participant.submit("Put", "sum=0")

    def add(number: int) -> int:
        try:
            return int((participant, *others)[number % 4].submit("Add", "sum", "1") > 0)
        except CommitError as conflict:
            assert conflict.code == "MVCC_READ_CONFLICT"
            return 0

    with ThreadPoolExecutor(8) as pool:
        counted = sum(pool.map(add, range(64)))
    assert 1 <= counted <= 64
    assert participant.evaluate("Get", "sum") == [str(counted)]


def test_concurrent_transactions_on_keys_of_their_own_all_succeed(
    participant: Client, others: Sequence[Client]
) -> None:
    def put(number: int) -> int:
        return int((participant, *others)[number % 4].submit("Add", f"own-{number}", "1"))

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(put, range(100))) == [1] * 100


def test_a_slow_transaction_sees_one_state_although_others_commit_meanwhile(participant: Client) -> None:
    slow = threading.Thread(target=participant.submit, args=("Dawdle", "0.5"))
    slow.start()
    for number in range(5):
        participant.submit("Put", f"meanwhile={number}")
    slow.join()
    assert participant.evaluate("Get", "meanwhile") == ["4"]


def test_a_call_ends_at_its_deadline(participant: Client) -> None:
    proposal = participant.contract.new_proposal("Dawdle", arguments=["3"])
    with pytest.raises(EvaluateError) as late:
        proposal.evaluate(timeout=0.3)
    assert late.value.status is grpc.StatusCode.DEADLINE_EXCEEDED


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


def test_a_block_holds_the_endorsements_of_a_quorum(participant: Client) -> None:
    status = participant.contract.submit_async("Put", "endorsed=1").status()
    block = block_of(participant, status.block_number)
    positions = [i for i, data in enumerate(block.data.data) if b"endorsed=1" in data]
    transaction = EndorserTransaction.parse(block.data.data[positions[0]])
    assert validation_codes(block)[positions[0]] == transaction_pb2.VALID
    assert len({endorsement.endorser for endorsement in transaction.endorsements}) == 3
    write = transaction.read_write_sets[0].writes[0]
    assert (write.key, write.value) == ("endorsed", b"1")


def block_of(reader: Client, number: int) -> common_pb2.Block:
    with reader.network.block_events(start_block=number, end_block=number) as blocks:
        return next(iter(blocks))
