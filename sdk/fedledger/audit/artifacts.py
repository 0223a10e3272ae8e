"""Artifacts as an audit uses them: asked for by digest, checked against it, remembered whether one was missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from fabric_protos.common import common_pb2
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import ModelRecord
from fedledger_chaincode.state import prefix

from fedledger.audit.replayed_state import VALID
from fedledger.gateway.blocks import EndorserTransaction, parse_envelope_header, validation_codes
from fedledger.gateway.errors import BlockFormatError

ArtifactSource = Callable[[str], bytes | None]
"""The artifact of a hex SHA-256 digest, None when it is not there. What it returns need not be right."""

_MODELS = prefix("model")


class DamagedArtifact(Exception):
    """What a source holds under a digest has another digest."""


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


def referenced_artifacts(block: common_pb2.Block, chaincode: str) -> tuple[str, ...]:
    """Digests of the models and aggregate shares that a block's valid transactions put into the model registry.

    Blocks that cannot be read refer to nothing: an export copies them as they are, for the audit to judge.
    """
    digests: dict[str, None] = {}
    try:
        for envelope, code in zip(block.data.data, validation_codes(block), strict=True):
            if code == VALID and parse_envelope_header(envelope).type == common_pb2.ENDORSER_TRANSACTION:
                digests |= dict.fromkeys(_referenced(EndorserTransaction.parse(envelope), chaincode))
    except (BlockFormatError, ContractError):
        pass
    return tuple(digests)


def _referenced(transaction: EndorserTransaction, chaincode: str) -> list[str]:
    written = [
        ModelRecord.decode(write.value)
        for entry in transaction.read_write_sets
        if entry.namespace == chaincode
        for write in entry.writes
        if write.key.startswith(_MODELS) and write.value is not None
    ]
    return [digest for model in written for digest in (model.model_digest, *(s.digest for s in model.aggregate_shares))]
