"""Ordering and committing: envelopes become signed, validated, durable blocks, one after another.

All organisations' orderers sign each block. When a block cannot be written no other follows until the node is started
again: what is not durable must not be told to anybody.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from fabric_protos.common import common_pb2

from fedledger.gateway.blocks import (
    StateUpdate,
    commit_hash,
    data_hash,
    header_hash,
    parse_block,
    recorded_commit_hash,
    signed_block_bytes,
    state_updates_bytes,
)
from fedledger.identity.errors import IdentityError
from fedledger.identity.keys import PrivateKey, sign
from fedledger.validation.codes import VALID
from fedledger_network.consortium import BlockCutting
from fedledger_network.embedded.channel import Channel, CurrentChannel
from fedledger_network.embedded.config_updates import ConfigUpdateRefused, updated
from fedledger_network.embedded.errors import NodeError
from fedledger_network.embedded.store import CommittedTransaction, LedgerStore
from fedledger_network.embedded.validation import validate
from fedledger_network.embedded.world import World

_log = structlog.get_logger(__name__)
QUEUE_LENGTH = 5_000
"""Envelopes that may wait; more are refused."""
_NONCE_BYTES = 24


class OrderingRefused(Exception):
    """The envelope was not taken: a ``common.Status``, and a text for the client."""

    def __init__(self, message: str, status: int = common_pb2.SERVICE_UNAVAILABLE) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Consenter:
    """One organisation's orderer: its number in the configuration, who it is, and its key."""

    number: int
    identity: bytes
    """``msp.SerializedIdentity``."""
    key: PrivateKey


@dataclass(frozen=True)
class _Waiting:
    envelope: bytes
    is_config_update: bool = False


class Orderer:
    """One thread that cuts, signs, validates and commits blocks."""

    def __init__(
        self,
        consenters: Sequence[Consenter],
        channel: CurrentChannel,
        store: LedgerStore,
        world: World,
        cutting: BlockCutting,
        chaincode: str,
        on_commit: Callable[[int, Sequence[CommittedTransaction]], None],
    ) -> None:
        """Args:
        chaincode: the one whose transactions are valid.
        on_commit: is called with each block's number and transactions after it is durable.
        """
        self._consenters = tuple(consenters)
        self._channel = channel
        self._store = store
        self._world = world
        self._cutting = cutting
        self._chaincode = chaincode
        self._on_commit = on_commit
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(QUEUE_LENGTH)
        self._held: _Waiting | None = None
        """What did not fit into the block before."""
        self._taking = threading.Lock()
        self._stopped = False
        self._failure: NodeError | None = None
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="validate")
        self._thread = threading.Thread(target=self._work, name="orderer", daemon=True)
        last = store.block(store.height - 1)
        if last is None:
            raise NodeError("LEDGER_DAMAGED", "The ledger has no newest block.", "Restore it from a backup.")
        self._last = parse_block(last)

    @property
    def failure(self) -> NodeError | None:
        """Why no more blocks are written; None while they are."""
        return self._failure

    def start(self) -> None:
        """Begin to order."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more, commit what was taken, then end."""
        with self._taking:
            self._stopped = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._workers.shutdown()

    def submit(self, envelope: bytes) -> None:
        """Take a transaction for one of the next blocks.

        Raises:
            OrderingRefused: too large, too many waiting, or no more blocks are written.
        """
        self._take(_Waiting(envelope))

    def submit_config_update(self, envelope: bytes) -> None:
        """Take an update of the channel's configuration for a block of its own.

        Raises:
            ConfigUpdateRefused: see ``config_updates.updated``.
            OrderingRefused: as ``submit``.
        """
        self._checked_update(envelope)
        self._take(_Waiting(envelope, is_config_update=True))

    def _take(self, waiting: _Waiting) -> None:
        size = len(waiting.envelope)
        if size > self._cutting.most_bytes:
            raise OrderingRefused(
                f"message payload is {size} bytes and exceeds maximum allowed {self._cutting.most_bytes} bytes",
                common_pb2.BAD_REQUEST,
            )
        with self._taking:
            if self._failure is not None:
                raise OrderingRefused(str(self._failure))
            if self._stopped:
                raise OrderingRefused("the node is stopping")
            try:
                self._queue.put_nowait(waiting)
            except queue.Full:
                raise OrderingRefused("too many transactions are waiting; try again later") from None

    def _checked_update(self, envelope: bytes) -> Any:
        """The ``common.ConfigEnvelope`` of an update, under which this node can still sign."""
        channel = self._channel.get()
        config = updated(channel, envelope)
        following = Channel.of(channel.name, config.config, channel.config_block)
        try:
            for consenter in self._consenters:
                following.identify(consenter.identity).refuse_expired(datetime.now(UTC))
        except IdentityError as error:
            raise ConfigUpdateRefused(f"it refuses one of the node's own certificates: {error.message}") from error
        return config

    # --- the thread

    def _work(self) -> None:
        ending = False
        while not ending:
            batch, ending = self._next_batch()
            if not batch or self._failure is not None:
                continue
            try:
                if batch[0].is_config_update:
                    self._commit_config(batch[0].envelope)
                else:
                    self._commit([waiting.envelope for waiting in batch])
            except NodeError as failure:
                self._fail(failure)
            except Exception as error:
                # Whoever waits for a commit has to be told that none will come, whatever the reason is.
                _log.exception("ordering failed")
                self._fail(
                    NodeError("ORDERING_FAILED", f"No block could be made: {error!r}.", "Report this, with the log.")
                )

    def _fail(self, failure: NodeError) -> None:
        with self._taking:
            self._failure = failure
        _log.error("no more blocks are written", code=failure.code, reason=failure.message, remedy=failure.remedy)

    def _next_batch(self) -> tuple[list[_Waiting], bool]:
        """What makes the next block, and whether it is the last one."""
        first = self._held or self._queue.get()
        self._held = None
        if first is None:
            return [], True
        batch, size = [first], len(first.envelope)
        until = time.monotonic() + self._cutting.milliseconds / 1000
        while len(batch) < self._cutting.most_transactions and not first.is_config_update:
            try:
                following = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if following is None:
                return batch, True
            size += len(following.envelope)
            if size > self._cutting.most_bytes or following.is_config_update:
                self._held = following
                break
            batch.append(following)
        return batch, False

    def _commit(self, envelopes: list[bytes]) -> None:
        number = self._last.header.number + 1
        channel = self._channel.get()
        block = self._block(envelopes)
        validated = validate(number, envelopes, channel, self._world, self._is_known, self._workers, self._chaincode)
        self._seal(block, validated.codes, state_updates_bytes(validated.updates), channel.config_block)
        transactions: dict[str, CommittedTransaction] = {}
        for name, code in zip(validated.ids, validated.codes, strict=True):
            # Of those with one id the first counts, and a valid one before those that only claim the id.
            if name and (name not in transactions or code == VALID) and not self._is_known(name):
                transactions[name] = CommittedTransaction(name, number, code)
        self._write(block, validated.updates, list(transactions.values()))

    def _commit_config(self, envelope: bytes) -> None:
        try:
            config = self._checked_update(envelope)
        except ConfigUpdateRefused as refusal:
            # It was right when it was taken, but another update came first: as in Fabric it is dropped.
            _log.warning("configuration update dropped", reason=str(refusal))
            return
        number = self._last.header.number + 1
        block = self._block([self._config_transaction(config)])
        self._seal(block, (VALID,), b"", number)
        self._write(block, (), (), Channel.of(self._channel.get().name, config.config, number))

    def _config_transaction(self, config: Any) -> bytes:
        """The ``CONFIG`` envelope, signed by the first orderer."""
        consenter = self._consenters[0]
        header = common_pb2.ChannelHeader(type=common_pb2.CONFIG, channel_id=self._channel.get().name)
        header.timestamp.GetCurrentTime()
        payload = common_pb2.Payload(data=config.SerializeToString(deterministic=True))
        payload.header.channel_header = header.SerializeToString()
        payload.header.signature_header = common_pb2.SignatureHeader(
            creator=consenter.identity, nonce=os.urandom(_NONCE_BYTES)
        ).SerializeToString()
        content = payload.SerializeToString()
        return bytes(common_pb2.Envelope(payload=content, signature=sign(consenter.key, content)).SerializeToString())

    def _block(self, envelopes: list[bytes]) -> Any:
        """The next block, without its metadata."""
        block = common_pb2.Block(data=common_pb2.BlockData(data=envelopes))
        block.header.number = self._last.header.number + 1
        block.header.previous_hash = header_hash(self._last.header)
        block.header.data_hash = data_hash(block.data)
        return block

    def _seal(self, block: Any, codes: Sequence[int], updates: bytes, config_block: int) -> None:
        """Orderers' signatures, validation codes and commit hash."""
        value = common_pb2.OrdererBlockMetadata(
            last_config=common_pb2.LastConfig(index=config_block)
        ).SerializeToString()
        metadata = common_pb2.Metadata(value=value)
        for consenter in self._consenters:
            header = common_pb2.IdentifierHeader(
                identifier=consenter.number, nonce=os.urandom(_NONCE_BYTES)
            ).SerializeToString()
            signature = sign(consenter.key, signed_block_bytes(value, header, block.header))
            metadata.signatures.add(identifier_header=header, signature=signature)
        committed = commit_hash(codes, updates, recorded_commit_hash(self._last))
        block.metadata.metadata.extend(
            [
                metadata.SerializeToString(),
                b"",
                bytes(codes),
                b"",
                common_pb2.Metadata(value=committed).SerializeToString(),
            ]
        )

    def _write(
        self,
        block: Any,
        updates: Sequence[StateUpdate],
        transactions: Sequence[CommittedTransaction],
        channel: Channel | None = None,
    ) -> None:
        number = block.header.number
        self._store.append(number, block.SerializeToString(deterministic=True), updates, transactions)
        self._world.apply(number + 1, updates)
        self._last = block
        if channel is not None:
            self._channel.put(channel)
        self._on_commit(number, transactions)

    def _is_known(self, transaction_id: str) -> bool:
        return self._store.transaction(transaction_id) is not None
