"""A checkpoint is the old or the new position, never half of one."""

from __future__ import annotations

import json

import pytest

from fedledger.errors import BadInputError
from fedledger.gateway import ChaincodeEvent, FileCheckpointer, InMemoryCheckpointer


@pytest.fixture(params=["memory", "file"])
def checkpointer(request, tmp_path):
    return InMemoryCheckpointer() if request.param == "memory" else FileCheckpointer(tmp_path / "c.json")


def test_a_new_checkpointer_has_no_position(checkpointer):
    assert (checkpointer.block_number, checkpointer.transaction_id) == (None, None)


def test_a_finished_block_moves_to_the_next_one(checkpointer):
    checkpointer.checkpoint_transaction(3, "tx")
    checkpointer.checkpoint_block(3)
    assert (checkpointer.block_number, checkpointer.transaction_id) == (4, None)


def test_an_event_marks_its_transaction(checkpointer):
    checkpointer.checkpoint_chaincode_event(ChaincodeEvent(5, "tx5", "ledger", "E", b""))
    assert (checkpointer.block_number, checkpointer.transaction_id) == (5, "tx5")


def test_a_file_is_found_again(tmp_path):
    path = tmp_path / "c.json"
    FileCheckpointer(path).checkpoint_transaction(0, "tx")
    again = FileCheckpointer(path)
    assert (again.block_number, again.transaction_id) == (0, "tx")
    assert json.loads(path.read_text()) == {"blockNumber": "0", "transactionId": "tx"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.json"]


@pytest.mark.parametrize("content", ["{}", ""])
def test_a_file_without_a_position_is_a_new_checkpoint(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_text(content)
    assert FileCheckpointer(path).block_number is None


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"blockNumber": "x"}',
        '{"blockNumber": -1}',
        '{"blockNumber": "1", "transactionId": 7}',
        '{"blockNumber": []}',
    ],
)
def test_a_damaged_file_is_refused_and_not_overwritten(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(BadInputError) as caught:
        FileCheckpointer(path)
    assert caught.value.code == "MALFORMED_CHECKPOINT"
    assert path.read_text() == content


def test_a_position_that_cannot_be_written_is_not_taken(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    checkpointer = FileCheckpointer(folder / "c.json")
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        checkpointer.checkpoint_block(1)
    assert checkpointer.block_number is None
