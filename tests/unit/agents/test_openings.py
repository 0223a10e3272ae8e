"""What a validator has said of its shares is never said otherwise, whatever is killed when."""

from __future__ import annotations

from pathlib import Path

from fedledger.agents.openings import OpeningMemory
from fedledger_chaincode.messages.round import Attestation


def said(number: int) -> Attestation:
    return Attestation(task="heart", round=number, findings=(), reference="used")


def test_an_attestation_outlives_the_process_in_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    OpeningMemory(folder).keep(said(3))
    assert OpeningMemory(folder).recall("heart", 3) == said(3)
    assert OpeningMemory(folder).recall("heart", 4) is None
    assert OpeningMemory(folder).recall("heart-3", 3) is None
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    OpeningMemory(folder).forget("heart", 3)
    assert list(folder.iterdir()) == []


def test_without_a_folder_it_is_remembered_as_long_as_the_process_runs() -> None:
    memory = OpeningMemory()
    memory.keep(said(1))
    assert memory.recall("heart", 1) == said(1)
    memory.forget("heart", 1)
    assert memory.recall("heart", 1) is None
