"""The world state in memory, with as much of its past as running simulations still look at.

A simulation reads the state as of one block, whatever is committed meanwhile. Nothing here is durable: the store is.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fedledger.gateway.blocks import StateUpdate, Version


@dataclass(frozen=True)
class Entry:
    """A key's value since some version; None when it was deleted then."""

    version: Version
    value: bytes | None


class World:
    """Keys by namespace, each with its newest entry last."""

    def __init__(self, height: int, state: Iterable[StateUpdate]) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, dict[str, list[Entry]]] = {}
        self._keys: dict[str, list[str]] = {}
        self._height = height
        self._open: Counter[int] = Counter()
        self._superseding: deque[tuple[int, str, str]] = deque()
        """Block, namespace and key of the updates before whose block some simulation may still look."""
        for update in state:
            self._put(update)

    @property
    def height(self) -> int:
        """How many blocks have been applied."""
        with self._lock:
            return self._height

    def apply(self, height: int, updates: Iterable[StateUpdate]) -> None:
        """Make the updates of the block before ``height`` visible to simulations that begin from now on."""
        with self._lock:
            for update in updates:
                self._put(update)
                self._superseding.append((update.version.block_number, update.namespace, update.key.decode()))
            self._height = height
            oldest = min(self._open, default=height)
            while self._superseding and self._superseding[0][0] < oldest:
                _, namespace, key = self._superseding.popleft()
                self._prune(namespace, key, oldest)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The state as it is now, for as long as the context lasts."""
        with self._lock:
            height = self._height
            self._open[height] += 1
        try:
            yield Snapshot(self, height)
        finally:
            with self._lock:
                self._open[height] -= 1
                if not self._open[height]:
                    del self._open[height]

    def version(self, namespace: str, key: str) -> Version | None:
        """Where a key was last written; None when it does not exist."""
        with self._lock:
            entry = self._find(namespace, key, self._height)
        return None if entry is None else entry.version

    def _put(self, update: StateUpdate) -> None:
        entries = self._entries.setdefault(update.namespace, {})
        key = update.key.decode()
        if key not in entries:
            entries[key] = []
            insort(self._keys.setdefault(update.namespace, []), key)
        entries[key].append(Entry(update.version, update.value))

    def _prune(self, namespace: str, key: str, oldest: int) -> None:
        entries = self._entries[namespace].get(key)
        if entries is None:
            return
        while len(entries) > 1 and entries[1].version.block_number < oldest:
            del entries[0]
        if len(entries) == 1 and entries[0].value is None and entries[0].version.block_number < oldest:
            self._forget(namespace, key)

    def _forget(self, namespace: str, key: str) -> None:
        del self._entries[namespace][key]
        keys = self._keys[namespace]
        del keys[bisect_left(keys, key)]

    def _find(self, namespace: str, key: str, height: int) -> Entry | None:
        for entry in reversed(self._entries.get(namespace, {}).get(key, ())):
            if entry.version.block_number < height:
                return None if entry.value is None else entry
        return None

    def _range(self, namespace: str, start: str, end: str, height: int) -> list[tuple[str, Entry]]:
        keys = self._keys.get(namespace, [])
        found = []
        for index in range(bisect_left(keys, start), len(keys)):
            key = keys[index]
            if end and key >= end:
                break
            entry = self._find(namespace, key, height)
            if entry is not None:
                found.append((key, entry))
        return found


@dataclass(frozen=True)
class Snapshot:
    """The state before block ``height``."""

    world: World
    height: int

    def get(self, namespace: str, key: str) -> Entry | None:
        """A key's entry; None when it does not exist."""
        with self.world._lock:
            return self.world._find(namespace, key, self.height)

    def range(self, namespace: str, start: str, end: str) -> list[tuple[str, Entry]]:
        """Keys in [start, end) in order; without an end all from ``start`` on."""
        with self.world._lock:
            return self.world._range(namespace, start, end, self.height)
