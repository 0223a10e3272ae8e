"""One transaction over a mapping of the world state, its reads and writes recorded: for re-running what a ledger holds.

It commits nothing: whoever calls it applies the writes, or compares them with those that a block records.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class ReplayStub:
    """A ``Stub`` over ``world``; reads do not see the transaction's own writes, as in Fabric."""

    world: Mapping[str, bytes]
    transaction_id: str
    channel_id: str
    function: str
    arguments: Sequence[bytes]
    creator: bytes
    timestamp: int
    transient: Mapping[str, bytes] = field(default_factory=dict)
    reads: set[str] = field(default_factory=set)
    writes: dict[str, bytes | None] = field(default_factory=dict)
    """New values by key; None where the key is deleted."""
    event: tuple[str, bytes] | None = None

    def get_state(self, keys: Sequence[str]) -> list[bytes | None]:
        self.reads.update(keys)
        return [self.world.get(key) for key in keys]

    def get_state_range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        ordered = sorted(self.world)
        for key in ordered[bisect_left(ordered, start) : bisect_left(ordered, end)]:
            yield key, self.world[key]

    def put_state(self, key: str, value: bytes) -> None:
        self.writes[key] = value

    def delete_state(self, key: str) -> None:
        self.writes[key] = None

    def set_event(self, name: str, payload: bytes) -> None:
        self.event = (name, payload)
