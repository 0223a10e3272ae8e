"""A ledger's blocks replayed by the audit's rules and by the embedded node's, to compare with what a peer recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2

from fedledger.audit.channel import ChannelConfig, parse_config
from fedledger.audit.endorsement_policies import EndorsementPolicies
from fedledger.gateway.blocks import (
    Version,
    commit_hash,
    parse_block,
    recorded_commit_hash,
    recorded_id,
    state_updates_bytes,
    validation_codes,
)
from fedledger.validation.codes import VALID, judge, without_repetitions
from fedledger.validation.state import BlockUpdates, ReplayedState
from fedledger_network.embedded.channel import Channel
from fedledger_network.embedded.validation import validate
from fedledger_network.embedded.world import World


@dataclass(frozen=True)
class Replayed:
    """A block as it was recorded and as it was replayed."""

    number: int
    recorded: tuple[int, ...]
    codes: tuple[int, ...]
    reasons: tuple[str, ...]
    recorded_hash: bytes
    commit_hash: bytes
    """That of the recorded codes and of the replayed state."""


def config_of(genesis: bytes) -> ChannelConfig:
    """The channel's configuration."""
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(parse_block(genesis).data.data[0]).payload)
    channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header).channel_id
    return ChannelConfig.from_config(channel, parse_config(payload.data).config)


def by_audit(blocks: Sequence[bytes]) -> Iterator[Replayed]:
    """Replay the blocks behind the first."""
    config, state, known = config_of(blocks[0]), ReplayedState(), set[str]()
    before = recorded_commit_hash(parse_block(blocks[0]))
    for number, content in enumerate(blocks[1:], start=1):
        block = parse_block(content)
        policies = EndorsementPolicies(config, state, "")
        judged = without_repetitions([judge(each, config, known, policies.check) for each in block.data.data])
        known |= set(map(recorded_id, block.data.data)) - {""}
        updates, codes = BlockUpdates(state), []
        for place, judgement in enumerate(judged):
            code = judgement.code
            if code == VALID and judgement.transaction is not None:
                code = updates.conflict(judgement.transaction)
            if code == VALID and judgement.transaction is not None:
                updates.add(judgement.transaction, Version(number, place))
            codes.append(code)
        recorded = validation_codes(block)
        committed = commit_hash(recorded, state_updates_bytes(updates), before)
        before = recorded_commit_hash(block)
        reasons = tuple(judgement.reason for judgement in judged)
        yield Replayed(number, recorded, tuple(codes), reasons, before, committed)
        state.apply(updates)


def by_embedded_node(blocks: Sequence[bytes], chaincode: str) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The codes that the embedded node's committer gives each block, over what the blocks before it left there."""
    channel, known = Channel.from_block(blocks[0]), set[str]()
    world = World(1, ())
    with ThreadPoolExecutor(2) as workers:
        for number, content in enumerate(blocks[1:], start=1):
            envelopes = list(parse_block(content).data.data)
            validated = validate(number, envelopes, channel, world, known.__contains__, workers, chaincode)
            known |= set(validated.ids) - {""}
            world.apply(number + 1, validated.updates)
            yield number, validated.codes


def header(block: bytes) -> Any:
    """A block's header."""
    return parse_block(block).header
