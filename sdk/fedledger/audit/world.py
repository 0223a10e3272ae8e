"""The contract's records in a replayed state, for the checks over a whole ledger; reads only, decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fedledger_chaincode.messages.records import (
    AttestationRecord,
    ModelRecord,
    ModelUseRecord,
    RoundRecord,
    SettlementRecord,
    TaskRecord,
    UpdateRecord,
)
from fedledger_chaincode.state import RecordT, model_key, prefix, settlement_key, task_key, update_key


@dataclass(frozen=True)
class World:
    """Keys and values of the contract's namespace."""

    values: Mapping[str, bytes]

    def tasks(self) -> tuple[TaskRecord, ...]:
        """Every task that was proposed, by name."""
        return tuple(self._scan(TaskRecord, prefix("task")))

    def models(self, task: str) -> tuple[ModelRecord, ...]:
        """The model versions of a task in ascending order, version 0 first."""
        return tuple(self._scan(ModelRecord, prefix("model", task)))

    def uses(self, task: str) -> tuple[ModelUseRecord, ...]:
        """What organisations say they use models of a task for."""
        return tuple(self._scan(ModelUseRecord, prefix("use", task)))

    def settlements(self, task: str) -> tuple[tuple[int, SettlementRecord], ...]:
        """The decisions of a task's settled rounds with their rounds' numbers, in order."""
        rounds = (record.round for record in self._scan(RoundRecord, prefix("round", task)))
        return tuple(
            (number, self.settlement(task, number)) for number in rounds if settlement_key(task, number) in self.values
        )

    def openings(self, task: str, number: int) -> Counter[str]:
        """How many validators gave values of each update in a round, by participant."""
        attestations = self._scan(AttestationRecord, prefix("attestation", task, f"{number:07d}"))
        findings = (finding for record in attestations for finding in record.attestation.findings)
        return Counter(finding.participant for finding in findings if finding.opening is not None)

    def task(self, name: str) -> TaskRecord:
        return TaskRecord.decode(self.values[task_key(name)])

    def model(self, task: str, version: int) -> ModelRecord:
        return ModelRecord.decode(self.values[model_key(task, version)])

    def settlement(self, task: str, number: int) -> SettlementRecord:
        return SettlementRecord.decode(self.values[settlement_key(task, number)])

    def roots(self, settlement: SettlementRecord, task: str, number: int) -> dict[str, str]:
        """The manifest's root of each update that counts, by participant."""
        return {
            participant: UpdateRecord.decode(self.values[update_key(task, number, participant)]).signed.manifest.root
            for participant, _ in settlement.weights()
        }

    def _scan(self, record: type[RecordT], start: str) -> Iterator[RecordT]:
        for key in sorted(key for key in self.values if key.startswith(start)):
            yield record.decode(self.values[key])
