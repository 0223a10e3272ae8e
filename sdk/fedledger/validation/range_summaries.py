"""The Merkle summary by which Fabric records a range query of many keys: hashes in place of the reads.

Follows hyperledger/fabric, ``core/ledger/kvledger/txmgmt/rwsetutil/query_results_helper.go``: leaves hash
``max_degree`` + 1 reads each; a level with more than ``max_degree`` nodes becomes one node of the level above.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2

from fedledger.gateway.blocks import MerkleSummary, Read

SMALLEST_DEGREE = 2
_LEAF = 1


def merkle_summary(reads: Sequence[Read], max_degree: int) -> MerkleSummary | None:
    """The summary of a range's reads in their order; None when they are so few that Fabric records them whole.

    Raises:
        ValueError: ``max_degree`` is below two.
    """
    if max_degree < SMALLEST_DEGREE:
        raise ValueError(f"a Merkle tree of degree {max_degree}")
    if len(reads) <= max_degree:
        return None
    tree = _Tree(max_degree)
    for start in range(0, len(reads), max_degree + 1):
        tree.add(_hash(_serialized(reads[start : start + max_degree + 1])))
    return tree.finish()


class _Tree:
    def __init__(self, max_degree: int) -> None:
        self._max_degree = max_degree
        self._levels: defaultdict[int, list[bytes]] = defaultdict(list)
        self._top = _LEAF

    def add(self, leaf: bytes) -> None:
        level = _LEAF
        self._levels[level].append(leaf)
        while len(self._levels[level]) > self._max_degree:
            node = _hash(b"".join(self._levels.pop(level)))
            level += 1
            self._levels[level].append(node)
            self._top = max(self._top, level)

    def finish(self) -> MerkleSummary:
        for level in range(_LEAF, self._top):
            nodes = self._levels.pop(level, [])
            if nodes:
                self._levels[level + 1].append(nodes[0] if len(nodes) == 1 else _hash(b"".join(nodes)))
        nodes = self._levels[self._top]
        if len(nodes) > self._max_degree:
            nodes, self._top = [_hash(b"".join(nodes))], self._top + 1
        return MerkleSummary(self._max_degree, self._top, tuple(nodes))


def _serialized(reads: Sequence[Read]) -> bytes:
    message = kv_rwset_pb2.QueryReads()
    for read in reads:
        entry = message.kv_reads.add(key=read.key)
        if read.version is not None:
            entry.version.block_num = read.version.block_number
            entry.version.tx_num = read.version.transaction_number
            entry.version.SetInParent()
    return bytes(message.SerializeToString(deterministic=True))


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
