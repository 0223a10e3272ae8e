"""What the embedded node writes passes the audit, read from its peer and from an exported file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedledger.audit import CheckName, export_network, network_blocks, verify, verify_file, verify_network
from fedledger.gateway.errors import EndorseError
from fedledger.gateway.network import Network
from fedledger.identity.msp import serialize_identity
from fedledger.identity.profile import Profile, load_profile
from fedledger.store import ArtifactStore
from fedledger_network.consortium import Consortium
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode
from tests.unit.audit.members import ROLES, TrainingConsortium, founded
from tests.unit.contract.ledger import MSPS, Actor, Argument, Ledger, ViewT, encoded

NAMES = ("cleveland", "hungary", "long_beach", "switzerland")


@dataclass
class NodeLedger(Ledger):
    """Submits through the node's gateway, each actor by its own profile."""

    networks: dict[bytes, Network] = field(default_factory=dict)

    def submit(self, actor: Actor, function: str, *arguments: Argument) -> bytes:
        contract = self.networks[actor.creator].get_contract("fedledger")
        return contract.submit_transaction(function, *(encoded(argument) for argument in arguments))

    def evaluate(self, actor: Actor, view: type[ViewT], function: str, *arguments: str | int) -> ViewT:
        contract = self.networks[actor.creator].get_contract("fedledger")
        return view.decode(contract.evaluate_transaction(function, *(encoded(argument) for argument in arguments)))


@dataclass(frozen=True)
class Running:
    members: TrainingConsortium
    network: Network


def _actor(profile: Profile, role: str) -> Actor:
    credentials = profile.credentials()
    creator = serialize_identity(profile.msp_id, credentials.certificate_pem)
    return Actor(profile.msp_id, role, credentials.key, creator)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A node with a task of one whole round, whose artifacts lie in the validators' stores."""
    folder = NetworkFolder.create(tmp_path_factory.mktemp("network") / "n", Consortium.of_names(*NAMES))
    stores = tmp_path_factory.mktemp("stores")
    gateways = []
    with EmbeddedNode(folder):
        ledger = NodeLedger()
        actors: dict[str, dict[str, Actor]] = {role: {} for role in ROLES}
        for name in NAMES:
            for role in ROLES:
                profile = load_profile(folder.profiles, f"{name}-{role}")
                gateways.append(profile.connect())
                actor = _actor(profile, role)
                actors[role][profile.msp_id] = actor
                ledger.networks[actor.creator] = gateways[-1].get_network(profile.channel)
        members = founded(ledger, actors, 1, store=f"file://{stores}")
        for content in members.artifacts.values():
            ArtifactStore(f"file://{stores}/{MSPS[0]}/artifacts").put(content)
        yield Running(members, ledger.networks[actors["governor"][MSPS[0]].creator])
        for gateway in gateways:
            gateway.close()


def test_a_peers_ledger_passes_every_check(running: Running) -> None:
    report = verify_network(running.network)
    assert report.complete, report.checks
    assert report.check(CheckName.MODELS.value).count == 1


def test_an_export_passes_without_the_node(running: Running, tmp_path: Path) -> None:
    summary = export_network(running.network, tmp_path / "ledger")
    assert summary.missing == () and summary.artifacts == len(running.members.artifacts)
    assert verify_file(tmp_path / "ledger").complete


@pytest.mark.parametrize("number", [1, 7, -1])
def test_a_changed_byte_of_its_blocks_is_found(running: Running, number: int) -> None:
    blocks = list(network_blocks(running.network))
    number %= len(blocks)
    for position in _spread(len(blocks[number])):
        changed = bytearray(blocks[number])
        changed[position] ^= 0x10
        report = verify([*blocks[:number], bytes(changed)])
        assert not report.ok and report.first_bad_block == number


def test_a_refused_proposal_leaves_nothing_to_audit(running: Running) -> None:
    height = len(list(network_blocks(running.network)))
    participant = running.members.participants[MSPS[0]]
    with pytest.raises(EndorseError, match="WRONG_ROLE"):
        running.members.ledger.submit(participant, "OpenRound", running.members.task, 2)
    assert len(list(network_blocks(running.network))) == height


def _spread(length: int) -> Sequence[int]:
    return range(0, length, max(1, length // 8))
