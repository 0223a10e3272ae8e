"""The contract's scenarios on a running ledger: the same consortium as in the contract's unit tests, over gateways."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from fabric_protos.common import ledger_pb2

from fedledger.audit import AuditReport, Outcome
from fedledger.gateway import CommitError, Contract, EndorseError, GatewayError, Network
from fedledger.gateway.blocks import recorded_commit_hash
from fedledger.identity.msp import serialize_identity
from fedledger.identity.profile import FurtherGateway, load_profile
from fedledger.ledger.client import lost_a_race
from fedledger_chaincode.messages.base import Value
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_network.fabric import FabricNetwork
from tests.fabric.conftest import ORGANISATIONS
from tests.unit.contract.ledger import MSPS, Actor, Argument, Consortium, encoded

ViewT = TypeVar("ViewT", bound=Value)
ResultT = TypeVar("ResultT")
CHAINCODE = "fedledger"
ROLES = ("governor", "validator", "participant")


@dataclass
class RunningLedger:
    """What the unit tests' ledger does, on a running one: each actor speaks to its own organisation's peer.

    A scenario goes from one organisation to the next faster than blocks do: before each step the actor's peer is
    given time to get the block of the step before.
    """

    channels: dict[bytes, Network] = field(default_factory=dict)
    block: int = 0

    def submit(self, actor: Actor, function: str, *arguments: Argument) -> bytes:
        contract = self._caught_up(actor)

        def submission() -> bytes:
            submitted = contract.submit_async(function, *map(encoded, arguments))
            status = submitted.status()
            status.raise_if_invalid()
            self.block = max(self.block, status.block_number)
            return submitted.result

        return repeated(submission)

    def evaluate(self, actor: Actor, view: type[ViewT], function: str, *arguments: str | int) -> ViewT:
        return view.decode(self._caught_up(actor).evaluate_transaction(function, *map(encoded, arguments)))

    def _caught_up(self, actor: Actor, seconds: float = 30.0) -> Contract:
        network = self.channels[actor.creator]
        deadline = time.monotonic() + seconds
        while height(network) <= self.block:
            assert time.monotonic() < deadline, f"{actor.msp}'s peer does not get block {self.block}"
            time.sleep(0.02)
        return network.get_contract(CHAINCODE)


def repeated(submission: Callable[[], ResultT], attempts: int = 8) -> ResultT:
    """Submit again what lost a race or met peers at different heights."""
    for attempt in range(attempts):
        try:
            return submission()
        except (CommitError, EndorseError) as error:
            if attempt + 1 == attempts or not (isinstance(error, CommitError) or lost_a_race(error)):
                raise
        time.sleep(0.05 * 2**attempt)
    raise AssertionError("unreachable")


@contextmanager
def channel(network: FabricNetwork, profile: str, *, anywhere: bool = False) -> Iterator[Network]:
    """The channel as one member sees it; with ``anywhere`` through other organisations' peers when its own is gone."""
    loaded = load_profile(network.layout.profiles, profile)
    if anywhere:
        names = (organisation.name for organisation in network.config.consortium.organisations)
        peers = [load_profile(network.layout.profiles, f"{name}-auditor") for name in names]
        further = tuple(FurtherGateway(at.gateway, at.tls_roots) for at in peers if at.msp_id != loaded.msp_id)
        loaded = replace(loaded, further_gateways=further)
    with loaded.connect() as gateway:
        yield gateway.get_network(loaded.channel)


@contextmanager
def consortium(profiles: Path, spec: TaskSpec) -> Iterator[Consortium]:
    """Governor, validator and participant of every organisation, each connected to its own peer."""
    ledger = RunningLedger()
    actors: dict[str, dict[str, Actor]] = {role: {} for role in ROLES}
    with ExitStack() as stack:
        for organisation, msp in zip(ORGANISATIONS, MSPS, strict=True):
            for role in ROLES:
                profile = load_profile(profiles, f"{organisation}-{role}")
                assert profile.msp_id == msp
                credentials = profile.credentials()
                creator = serialize_identity(msp, credentials.certificate_pem)
                actors[role][msp] = Actor(msp, role, credentials.key, creator)
                ledger.channels[creator] = stack.enter_context(profile.connect()).get_network(profile.channel)
        yield Consortium(ledger, spec, actors["governor"], actors["validator"], actors["participant"])  # type: ignore[arg-type]


def failures(report: AuditReport) -> list[str]:
    """What an audit found wrong."""
    return [f"{check.name}: {check.detail}" for check in report.checks if check.outcome is Outcome.FAILED]


def height(network: Network) -> int:
    """How many blocks the peer has."""
    answer = network.get_contract("qscc").evaluate_transaction("GetChainInfo", network.name)
    return int(ledger_pb2.BlockchainInfo.FromString(answer).height)


def commit_hashes(network: FabricNetwork, seconds: float = 60.0) -> dict[str, bytes]:
    """By organisation: the hash over everything that its peer has committed, up to one block that all of them have.

    Waits until all peers have the newest block of the most advanced one.
    """
    names = [organisation.name for organisation in network.config.consortium.organisations]
    deadline = time.monotonic() + seconds
    with ExitStack() as stack:
        channels = {name: stack.enter_context(channel(network, f"{name}-auditor")) for name in names}
        while True:
            try:
                heights = {name: height(each) for name, each in channels.items()}
            except GatewayError:
                heights = {}
            if len(set(heights.values())) == 1:
                break
            assert time.monotonic() < deadline, f"the peers' heights stay apart: {heights}"
            time.sleep(0.2)
        newest = next(iter(heights.values())) - 1
        return {name: _commit_hash(each, newest) for name, each in channels.items()}


def _commit_hash(network: Network, number: int) -> bytes:
    with network.block_events(start_block=number, end_block=number) as blocks:
        return recorded_commit_hash(next(iter(blocks)))
