"""Who reads and writes is named in one rule at every level of the channel, and stays so when members come and go."""

from __future__ import annotations

from typing import Any

import pytest
from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2

from fedledger_network.configuration.edits import members, with_members
from fedledger_network.consortium import Consortium, Organisation
from fedledger_network.fabric import FabricConfig, FabricNetwork, Programs
from tests.fabric.conftest import ORGANISATIONS

pytestmark = pytest.mark.fabric

FIFTH = Organisation("budapest", "BudapestMSP")
NAMED = ("Readers", "Writers")


@pytest.fixture(scope="module")
def configs(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """The first configurations of four organisations and of five; nothing runs."""
    folder = tmp_path_factory.mktemp("prepared")
    four = FabricConfig(Consortium.of_names(*ORGANISATIONS))
    five = four.with_member(FIFTH)
    FabricNetwork(five, folder, programs).prepare()
    return {count: FabricNetwork(config, folder, programs).fresh_config() for count, config in ((4, four), (5, five))}


def levels(config: Any) -> list[Any]:
    root = config.channel_group
    return [root, root.groups["Application"], root.groups["Orderer"]]


def named(policy: Any) -> set[str]:
    """MSP ids in a policy that checks a signature once."""
    assert policy.policy.type == policies_pb2.Policy.SIGNATURE
    rule = policies_pb2.SignaturePolicyEnvelope.FromString(policy.policy.value)
    return {msp_principal_pb2.MSPRole.FromString(each.principal).msp_identifier for each in rule.identities}


@pytest.mark.parametrize(("before", "after"), [(4, 4), (4, 5), (5, 4)])
def test_readers_and_writers_are_the_members(configs: dict[int, Any], before: int, after: int) -> None:
    config = with_members(configs[before], configs[after])
    assert len(members(config)) == after
    assert [named(level.policies[name]) for level in levels(config) for name in NAMED] == [members(config)] * 6
