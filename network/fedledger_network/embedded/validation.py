"""The validation code of each transaction of a block, as Fabric's committer gives it; it writes nothing.

Source: hyperledger/fabric, ``core/committer/txvalidator`` and ``core/ledger/kvledger/txmgmt/validation``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fabric_protos.common import common_pb2
from fabric_protos.peer import transaction_pb2

from fedledger.gateway.blocks import (
    EndorserTransaction,
    EnvelopeHeader,
    NamespaceReadWriteSet,
    RangeQuery,
    StateUpdate,
    Version,
    parse_envelope_header,
)
from fedledger.gateway.errors import BlockFormatError
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import VerifiedIdentity
from fedledger_network.embedded.channel import Channel
from fedledger_network.embedded.world import World

Code = transaction_pb2.TxValidationCode
VALID = int(transaction_pb2.VALID)
_MAXIMUM_TIMESTAMP_NS = 253_402_300_799 * 10**9
"""The end of the year 9999, beyond which there is no ``datetime``."""


@dataclass(frozen=True)
class Checked:
    """A transaction after everything that does not depend on the state has been checked."""

    code: int
    transaction_id: str
    transaction: EndorserTransaction | None = None


@dataclass(frozen=True)
class Validated:
    """A block's validation codes, and what its valid transactions leave."""

    checked: tuple[Checked, ...]
    codes: tuple[int, ...]
    updates: tuple[StateUpdate, ...]


def validate(
    number: int,
    envelopes: Sequence[bytes],
    channel: Channel,
    world: World,
    is_known: Callable[[str], bool],
    workers: Executor,
) -> Validated:
    """Validate the transactions of block ``number``; ``is_known`` tells ids of earlier blocks."""
    checked = tuple(workers.map(lambda envelope: check(envelope, channel), envelopes))
    codes: list[int] = []
    updates: dict[tuple[str, str], StateUpdate] = {}
    seen: set[str] = set()
    for position, entry in enumerate(checked):
        code = entry.code
        if code == VALID and entry.transaction is not None:
            if entry.transaction_id in seen or is_known(entry.transaction_id):
                code = int(transaction_pb2.DUPLICATE_TXID)
            else:
                code = _conflict(entry.transaction, world, updates)
            # Only who has signed for an id and got it endorsed takes it away from those behind in the block.
            seen.add(entry.transaction_id)
        if code == VALID and entry.transaction is not None:
            _collect(entry.transaction, Version(number, position), updates)
        codes.append(code)
    return Validated(checked, tuple(codes), tuple(updates.values()))


def check(envelope: bytes, channel: Channel) -> Checked:
    """Form, creator's certificate and signature, transaction id, endorsements."""
    try:
        transaction = EndorserTransaction.parse(envelope)
    except BlockFormatError as error:
        bad_results = error.code == "MALFORMED_READ_WRITE_SET"
        code = transaction_pb2.BAD_RWSET if bad_results else transaction_pb2.BAD_PAYLOAD
        return Checked(int(code), _claimed_id(envelope))
    header = transaction.header

    def refused(code: int) -> Checked:
        return Checked(int(code), transaction.transaction_id)

    at = time_of(header)
    if at is None or header.type != common_pb2.ENDORSER_TRANSACTION or header.epoch:
        return refused(transaction_pb2.BAD_COMMON_HEADER)
    try:
        channel.identify(transaction.creator, at).verify(transaction.payload, transaction.signature)
    except IdentityError:
        return refused(transaction_pb2.BAD_CREATOR_SIGNATURE)
    if transaction.transaction_id != header.expected_transaction_id:
        return refused(transaction_pb2.BAD_PROPOSAL_TXID)
    if header.channel_id != channel.name:
        return refused(transaction_pb2.TARGET_CHAIN_NOT_FOUND)
    if transaction.proposal_hash != transaction.expected_proposal_hash:
        return refused(transaction_pb2.INVALID_ENDORSER_TRANSACTION)
    if not all(_is_supported(entry, transaction.chaincode_name) for entry in transaction.read_write_sets):
        return refused(transaction_pb2.ILLEGAL_WRITESET)
    if not channel.is_endorsed(_endorsers(transaction, channel, at)):
        return refused(transaction_pb2.ENDORSEMENT_POLICY_FAILURE)
    return Checked(VALID, transaction.transaction_id, transaction)


def time_of(header: EnvelopeHeader) -> datetime | None:
    """The aware time in a header; None when it is no time."""
    if not 0 < header.timestamp_ns <= _MAXIMUM_TIMESTAMP_NS:
        return None
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=header.timestamp_ns // 1000)


def _is_supported(entry: NamespaceReadWriteSet, chaincode: str) -> bool:
    """Whether it is the chaincode's own namespace, without what this node does not have."""
    return entry.namespace == chaincode and not entry.metadata_writes and not entry.collections


def _claimed_id(envelope: bytes) -> str:
    try:
        return parse_envelope_header(envelope).transaction_id
    except BlockFormatError:
        return ""


def _endorsers(transaction: EndorserTransaction, channel: Channel, at: datetime) -> list[VerifiedIdentity]:
    """Whose endorsement holds; one that does not hold does not count."""
    found = []
    for endorsement in transaction.endorsements:
        try:
            endorser = channel.identify(endorsement.endorser, at)
            endorser.verify(transaction.endorsed_bytes(endorsement), endorsement.signature)
        except IdentityError:
            continue
        found.append(endorser)
    return found


def _collect(transaction: EndorserTransaction, version: Version, updates: dict[tuple[str, str], StateUpdate]) -> None:
    for entry in transaction.read_write_sets:
        for write in entry.writes:
            updates[entry.namespace, write.key] = StateUpdate(entry.namespace, write.key.encode(), write.value, version)


def _conflict(transaction: EndorserTransaction, world: World, updates: dict[tuple[str, str], StateUpdate]) -> int:
    """MVCC and phantom checks against the state before the block and the block's earlier valid transactions."""
    for entry in transaction.read_write_sets:
        for read in entry.reads:
            if (entry.namespace, read.key) in updates or world.version(entry.namespace, read.key) != read.version:
                return int(transaction_pb2.MVCC_READ_CONFLICT)
        for query in entry.range_queries:
            if not _same_range(entry.namespace, query, world, updates):
                return int(transaction_pb2.PHANTOM_READ_CONFLICT)
    return VALID


def _same_range(namespace: str, query: RangeQuery, world: World, updates: dict[tuple[str, str], StateUpdate]) -> bool:
    end = query.end_key if query.exhausted or not query.end_key else f"{query.end_key}\x00"
    with world.snapshot() as snapshot:
        now = {key: entry.version for key, entry in snapshot.range(namespace, query.start_key, end)}
    for (space, key), update in updates.items():
        if space == namespace and key >= query.start_key and (not end or key < end):
            if update.value is None:
                now.pop(key, None)
            else:
                now[key] = update.version
    return query.reads is not None and sorted(now.items()) == [(read.key, read.version) for read in query.reads]
