"""Artifacts as an audit uses them: asked for by digest, checked against it, remembered whether one was missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from fabric_protos.common import common_pb2

from fedledger.gateway.blocks import EndorserTransaction, parse_block, parse_envelope_header, validation_codes
from fedledger.gateway.errors import BlockFormatError
from fedledger.validation.state import VALID
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import ModelRecord, TaskRecord, ValidatorRecord
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.state import RecordT, prefix

_HEADER_BYTES = 2_048
"""More than a file says of one tensor, and more than its beginning has."""

ArtifactSource = Callable[[str], bytes | None]
"""The artifact of a hex SHA-256 digest, None when it is not there. What it returns need not be right."""


class DamagedArtifact(Exception):
    """What a source holds under a digest has another digest; ``where`` names the source."""

    def __init__(self, digest: str, where: str = "the source") -> None:
        super().__init__(digest)
        self.digest = digest
        self.where = where


@dataclass
class Artifacts:
    """A source whose answers are checked; what is computed here can be added."""

    source: ArtifactSource
    _computed: dict[str, bytes] = field(default_factory=dict)

    def get(self, digest: str) -> bytes | None:
        """The artifact, None when it is missing; raises ``DamagedArtifact``."""
        content = self._computed.get(digest)
        if content is not None:
            return content
        content = self.source(digest)
        if content is not None and hashlib.sha256(content).hexdigest() != digest:
            raise DamagedArtifact(digest)
        return content

    def add(self, content: bytes) -> None:
        """Keep an artifact that was computed, in case no source has it."""
        self._computed[hashlib.sha256(content).hexdigest()] = content


def no_artifacts(_digest: str) -> None:
    """A source that holds nothing."""
    return


def referenced_artifacts(block_bytes: bytes, chaincode: str) -> dict[str, str]:
    """Digests of the models and aggregate shares that a block's valid transactions put into the model registry, and
    their tasks.

    Blocks that cannot be read refer to nothing: an export copies them as they are, for the audit to judge.
    """
    tasks: dict[str, str] = {}
    for model in _written(block_bytes, chaincode, ModelRecord, prefix("model")):
        tasks |= dict.fromkeys([model.model_digest, *(share.digest for share in model.aggregate_shares)], model.task)
    return tasks


def largest_artifact(spec: TaskSpec) -> int:
    """More bytes than any model file or aggregate share of a task has: eight for each parameter, and what they begin
    with. What the ledger tells of sizes is one validator's word."""
    return 8 * spec.model.parameter_count + _HEADER_BYTES * (len(spec.model.tensors) + 1)


def specified_tasks(block_bytes: bytes, chaincode: str) -> tuple[TaskSpec, ...]:
    """Specifications of the tasks that a block's valid transactions write."""
    return tuple(record.spec for record in _written(block_bytes, chaincode, TaskRecord, prefix("task")))


def named_stores(block_bytes: bytes, chaincode: str) -> tuple[str, ...]:
    """URLs of the artifact stores that validators register in a block; none when it cannot be read."""
    return tuple(record.store for record in _written(block_bytes, chaincode, ValidatorRecord, prefix("validator")))


def _written(block_bytes: bytes, chaincode: str, record: type[RecordT], start: str) -> list[RecordT]:
    """Records of one kind that the valid transactions of a block write; empty when the block cannot be read."""
    try:
        block = parse_block(block_bytes)
        return [
            record.decode(write.value)
            for envelope, code in zip(block.data.data, validation_codes(block), strict=True)
            if code == VALID and parse_envelope_header(envelope).type == common_pb2.ENDORSER_TRANSACTION
            for entry in EndorserTransaction.parse(envelope).read_write_sets
            if entry.namespace == chaincode
            for write in entry.writes
            if write.key.startswith(start) and write.value is not None
        ]
    except (BlockFormatError, ContractError):
        return []
