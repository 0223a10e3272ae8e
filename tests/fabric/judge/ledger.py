"""What a real peer makes of the table of transactions: its blocks with their codes and commit hashes."""

from __future__ import annotations

from fabric_protos.common import common_pb2
from fabric_protos.peer import transaction_pb2

from tests.fabric.judge.channel import Role, out_of, role
from tests.fabric.judge.peer import JudgingPeer
from tests.unit.validation.transaction_table import CHANNEL, MSPS, Table

VALID = int(transaction_pb2.VALID)


def committed_blocks(peer: JudgingPeer, table: Table) -> list[bytes]:
    """The ledger, block by block, as the peer keeps it. The definitions and the first keys have to be valid."""
    peers = [role(msp_id, Role.PEER) for msp_id in MSPS]
    channel = peer.channel(CHANNEL, table.members, endorsement=out_of(2, peers))
    genesis = channel.genesis(table.now)
    assert not (refusal := peer.join(CHANNEL, genesis)), refusal
    blocks = [genesis]
    for number, cases in enumerate(table.blocks, start=1):
        codes = peer.commit(CHANNEL, [case.envelope for case in cases])
        assert number > 2 or set(codes) == {VALID}, codes
        committed = peer.committed(CHANNEL, number)
        assert list(committed.metadata.metadata[common_pb2.TRANSACTIONS_FILTER]) == codes
        blocks.append(bytes(committed.SerializeToString(deterministic=True)))
    return blocks
