"""Ordering and committing: envelopes become signed, validated, durable blocks, one after another.

All organisations' orderers sign each block; a block that could not be written stops the node, for what is not durable
must not be told to anybody.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import structlog
from fabric_protos.common import common_pb2

from fedledger.gateway.blocks import (
    commit_hash,
    data_hash,
    header_hash,
    parse_block,
    recorded_commit_hash,
    signed_block_bytes,
    state_updates_bytes,
)
from fedledger.identity.keys import PrivateKey, sign
from fedledger_network.consortium import BlockCutting
from fedledger_network.embedded.channel import CurrentChannel
from fedledger_network.embedded.errors import NodeError
from fedledger_network.embedded.store import CommittedTransaction, LedgerStore
from fedledger_network.embedded.validation import validate
from fedledger_network.embedded.world import World

_log = structlog.get_logger(__name__)
QUEUE_LENGTH = 5_000
"""Envelopes that may wait; more are refused."""
_NONCE_BYTES = 24


class OrderingRefused(Exception):
    """The envelope was not taken; the text is for the client."""


@dataclass(frozen=True)
class Consenter:
    """One organisation's orderer: its number in the configuration, and its key."""

    number: int
    key: PrivateKey


class Orderer:
    """One thread that cuts, signs, validates and commits blocks."""

    def __init__(
        self,
        consenters: Sequence[Consenter],
        channel: CurrentChannel,
        store: LedgerStore,
        world: World,
        cutting: BlockCutting,
        on_commit: Callable[[int], None],
    ) -> None:
        """``on_commit`` is called with each block's number after it is durable."""
        self._consenters = tuple(consenters)
        self._channel = channel
        self._store = store
        self._world = world
        self._cutting = cutting
        self._on_commit = on_commit
        self._queue: queue.Queue[bytes | None] = queue.Queue(QUEUE_LENGTH)
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
        """Commit what was taken, then end."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()
        self._workers.shutdown()

    def submit(self, envelope: bytes) -> None:
        """Take an envelope for one of the next blocks.

        Raises:
            OrderingRefused: too large, too many waiting, or the node has stopped writing.
        """
        if self._failure is not None:
            raise OrderingRefused(str(self._failure))
        if len(envelope) > self._cutting.most_bytes:
            raise OrderingRefused(
                f"message payload is {len(envelope)} bytes and exceeds maximum allowed {self._cutting.most_bytes} bytes"
            )
        try:
            self._queue.put_nowait(envelope)
        except queue.Full:
            raise OrderingRefused("too many transactions are waiting; try again later") from None

    # --- the thread

    def _work(self) -> None:
        ending = False
        while not ending:
            batch, ending = self._next_batch()
            if not batch or self._failure is not None:
                continue
            try:
                self._commit(batch)
            except NodeError as failure:
                self._failure = failure
                _log.error("no more blocks are written", reason=str(failure))

    def _next_batch(self) -> tuple[list[bytes], bool]:
        first = self._queue.get()
        if first is None:
            return [], True
        batch, size = [first], len(first)
        until = time.monotonic() + self._cutting.milliseconds / 1000
        while len(batch) < self._cutting.most_transactions and size < self._cutting.most_bytes:
            try:
                following = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if following is None:
                return batch, True
            batch.append(following)
            size += len(following)
        return batch, False

    def _commit(self, envelopes: list[bytes]) -> None:
        number = self._last.header.number + 1
        channel = self._channel.get()
        block = common_pb2.Block(data=common_pb2.BlockData(data=envelopes))
        block.header.number = number
        block.header.previous_hash = header_hash(self._last.header)
        block.header.data_hash = data_hash(block.data)
        validated = validate(number, envelopes, channel, self._world, self._is_known, self._workers)
        self._seal(block, validated.codes, state_updates_bytes(validated.updates), channel.config_block)
        transactions = {
            checked.transaction_id: CommittedTransaction(checked.transaction_id, number, code)
            for checked, code in reversed(list(zip(validated.checked, validated.codes, strict=True)))
            if checked.transaction_id and not self._is_known(checked.transaction_id)
        }
        self._write(block, validated.updates, list(transactions.values()))

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

    def _write(self, block: Any, updates: Sequence[Any], transactions: Sequence[CommittedTransaction]) -> None:
        number = block.header.number
        self._store.append(number, block.SerializeToString(deterministic=True), updates, transactions)
        self._world.apply(number + 1, updates)
        self._last = block
        self._on_commit(number)

    def _is_known(self, transaction_id: str) -> bool:
        return self._store.transaction(transaction_id) is not None
