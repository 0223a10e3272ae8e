"""Updates of a channel's configuration are those that Fabric's own ``configtxlator`` computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fabric_protos.common import configtx_pb2

from fedledger.identity.profile import load_profile, profile_names, update_profiles
from fedledger_network.configuration.differences import update_between
from fedledger_network.configuration.edits import members, with_members, with_revocation_list
from fedledger_network.consortium import Consortium, Organisation
from fedledger_network.fabric import FabricConfig, FabricNetwork, Programs
from fedledger_network.fabric.commands import Command
from fedledger_network.fabric.identities import issue_nodes_anew, provision
from fedledger_network.fabric.profiles import drop_profiles, organisation_profiles
from tests.fabric.conftest import ORGANISATIONS

pytestmark = pytest.mark.fabric

FIFTH = Organisation("budapest", "BudapestMSP")
CHANNEL = "fedledger"


@pytest.fixture(scope="module")
def five(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> FabricNetwork:
    """Five organisations that have their certificates; nothing runs."""
    config = FabricConfig(Consortium.of_names(*ORGANISATIONS)).with_member(FIFTH)
    network = FabricNetwork(config, tmp_path_factory.mktemp("prepared"), programs)
    network.prepare()
    return network


def fresh(network: FabricNetwork, config: FabricConfig) -> Any:
    return FabricNetwork(config, network.layout.root, network.programs).fresh_config()


def without(network: FabricNetwork, name: str) -> Any:
    return fresh(network, network.config.without_member(network.config.organisation(name)))


def by_configtxlator(programs: Programs, folder: Path, current: Any, wanted: Any) -> Any:
    paths = [folder / name for name in ("current", "wanted", "update")]
    for path, config in zip(paths, (current, wanted), strict=False):
        path.write_bytes(config.SerializeToString(deterministic=True))
    options = zip(("--original", "--updated", "--output"), map(str, paths), strict=True)
    Command(
        (
            str(programs.path("configtxlator")),
            *("compute_update", "--channel_id", CHANNEL),
            *(word for option in options for word in option),
        )
    ).run().require_success()
    return configtx_pb2.ConfigUpdate.FromString(paths[2].read_bytes())


def changed_in_other_ways(config: Any) -> Any:
    """A policy that comes, a value that goes, another mod_policy, an older version of a group."""
    edited = configtx_pb2.Config()
    edited.CopyFrom(config)
    root = edited.channel_group
    root.policies["Auditors"].CopyFrom(root.policies["Readers"])
    root.groups["Application"].policies["Endorsement"].mod_policy = "Writers"
    root.groups["Orderer"].mod_policy = "Readers"
    del root.groups["Application"].groups["HungaryMSP"].values["AnchorPeers"]
    return edited


@pytest.mark.parametrize("change", ["joins", "leaves", "rotates", "revokes", "others"])
def test_updates_are_those_of_fabrics_own_program(
    five: FabricNetwork, programs: Programs, tmp_path: Path, change: str
) -> None:
    current = five.fresh_config()
    current.channel_group.groups["Orderer"].version = 3
    current.channel_group.groups["Orderer"].groups["HungaryMSP"].values["MSP"].version = 2
    wanted = {
        "joins": lambda: current,
        "leaves": lambda: with_members(current, without(five, "hungary")),
        "rotates": lambda: with_members(current, rotated(five)),
        "revokes": lambda: with_revocation_list(current, "HungaryMSP", [b"a list"]),
        "others": lambda: changed_in_other_ways(current),
    }[change]()
    if change == "joins":
        current = with_members(current, without(five, FIFTH.name))
    expected = by_configtxlator(programs, tmp_path, current, wanted)
    assert update_between(CHANNEL, current, wanted) == expected
    assert update_between(CHANNEL, current, current) is None


def rotated(network: FabricNetwork) -> Any:
    organisation = network.config.organisation("hungary")
    issue_nodes_anew(network.config, organisation, network.layout.organisation("hungary"))
    network.provide()
    return network.fresh_config()


def test_profiles_of_the_users_own_stay_in_the_networks_file(five: FabricNetwork) -> None:
    path = five.layout.profiles
    own = replace(load_profile(path, "hungary-participant"), name="ward-7", data=Path("/srv/ward-7.csv"))
    update_profiles(path, [own])
    five.provide()
    assert load_profile(path, "ward-7") == own
    drop_profiles(five.layout, FIFTH)
    assert not [name for name in profile_names(path) if name.startswith(FIFTH.name)]
    five.provide()
    assert f"{FIFTH.name}-governor" in profile_names(path)
    assert "ward-7" in profile_names(path)


def test_with_fabric_ca_the_registrar_has_a_profile_too(five: FabricNetwork) -> None:
    at_fabric_ca = replace(five.config, certificates="fabric-ca")
    organisation = five.config.organisation("hungary")
    identities = provision(five.config, organisation, five.layout.organisation("hungary"))
    found = {each.name: each for each in organisation_profiles(at_fabric_ca, five.layout, organisation, identities)}
    registrar = found["hungary-registrar"]
    assert registrar.credentials().certificate == identities.organisation.registrar.load().certificate
    assert registrar.ca == found["hungary-governor"].ca


def test_who_stays_keeps_the_definition_that_the_channel_has(five: FabricNetwork) -> None:
    config = with_revocation_list(five.fresh_config(), "HungaryMSP", [b"a list"])
    smaller = with_members(config, without(five, "cleveland"))
    assert members(smaller) == members(config) - {"ClevelandMSP"}
    for section in ("Application", "Orderer"):
        kept = [each.channel_group.groups[section].groups["HungaryMSP"] for each in (config, smaller)]
        assert kept[0] == kept[1]


def test_orderers_keep_their_numbers_and_ports_when_one_leaves(five: FabricNetwork) -> None:
    smaller = five.config.without_member(five.config.organisation("hungary"))
    for organisation in smaller.consortium.organisations:
        assert smaller.ports(organisation) == five.config.ports(organisation)
    again = smaller.with_member(Organisation("hungary", "HungaryMSP"))
    assert again.place(again.organisation("hungary")) == 5
    path = five.layout.root / "again.yaml"
    path.write_text(again.to_yaml())
    assert FabricConfig.load(path) == again
    assert not replace(smaller, places={}).has_members_of(smaller)
