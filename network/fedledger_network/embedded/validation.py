"""The validation code of each transaction of a block, as Fabric's committer gives it; it writes nothing.

The rules are ``fedledger.validation``'s. What this node adds: it has one chaincode, and refuses what it does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from fedledger.gateway.blocks import EndorserTransaction, StateUpdate, Version, recorded_id
from fedledger.identity.msp import VerifiedIdentity
from fedledger.validation.codes import VALID, Code, Judgement, Refused, judge, without_repetitions
from fedledger.validation.state import BlockUpdates, Place
from fedledger_network.embedded.channel import Channel
from fedledger_network.embedded.world import Snapshot, World


@dataclass(frozen=True)
class Validated:
    """A block's validation codes, the ids that its transactions take, and what the valid ones leave."""

    codes: tuple[int, ...]
    ids: tuple[str, ...]
    """Empty for an envelope without headers."""
    updates: tuple[StateUpdate, ...]


@dataclass(frozen=True)
class _State:
    """The state before a block."""

    snapshot: Snapshot

    def version(self, place: Place) -> Version | None:
        entry = self.snapshot.get(place[0], place[2].decode())
        return None if entry is None else entry.version

    def value(self, place: Place) -> bytes | None:
        entry = self.snapshot.get(place[0], place[2].decode())
        return None if entry is None else entry.value

    def range(self, namespace: str, start: str, end: str) -> list[tuple[str, Version]]:
        return [(key, entry.version) for key, entry in self.snapshot.range(namespace, start, end)]


@dataclass(frozen=True)
class _Known(Container[str]):
    is_known: Callable[[str], bool]

    def __contains__(self, transaction_id: object) -> bool:
        return self.is_known(str(transaction_id))


def validate(
    number: int,
    envelopes: Sequence[bytes],
    channel: Channel,
    world: World,
    is_known: Callable[[str], bool],
    workers: Executor,
    chaincode: str,
) -> Validated:
    """Validate the transactions of block ``number``; ``is_known`` tells ids of earlier blocks."""
    known, endorsed = _Known(is_known), endorsement_check(channel, chaincode)
    judgements = without_repetitions(
        list(workers.map(lambda envelope: judge(envelope, channel, known, endorsed), envelopes))
    )
    with world.snapshot() as snapshot:
        updates = BlockUpdates(_State(snapshot))
        codes = [_code(judgement, Version(number, position), updates) for position, judgement in enumerate(judgements)]
    return Validated(tuple(codes), tuple(map(recorded_id, envelopes)), tuple(updates))


def endorsement_check(
    channel: Channel, chaincode: str
) -> Callable[[EndorserTransaction, Sequence[VerifiedIdentity]], None]:
    """What raises ``Refused`` unless a transaction is of the node's contract and endorsed by enough organisations."""

    def check(transaction: EndorserTransaction, endorsers: Sequence[VerifiedIdentity]) -> None:
        written = [entry.namespace for entry in transaction.read_write_sets if entry.writes or entry.metadata_writes]
        others = {transaction.chaincode_name, *written} - {chaincode}
        if others:
            raise Refused(Code.INVALID_CHAINCODE, f"is of {min(others)!r}, which is not defined on the channel")
        for entry in transaction.read_write_sets:
            if entry.metadata_writes or entry.collections:
                raise Refused(Code.ILLEGAL_WRITESET, "needs private data or key policies, which this node has not")
        if not channel.is_endorsed(endorsers):
            raise Refused(Code.ENDORSEMENT_POLICY_FAILURE, "is endorsed by too few organisations")

    return check


def _code(judgement: Judgement, version: Version, updates: BlockUpdates) -> int:
    if judgement.code != VALID or judgement.transaction is None:
        return judgement.code
    code = updates.conflict(judgement.transaction)
    if code == VALID:
        updates.add(judgement.transaction, version)
    return code
