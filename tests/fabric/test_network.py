"""A consortium on Hyperledger Fabric: brought up, used through our gateway client, audited, stopped and continued."""

from __future__ import annotations

import json
import secrets

import pytest
from fabric_protos.peer import transaction_pb2

from fedledger.errors import BadInputError
from fedledger.gateway.blocks import block_signatures, header_hash, validation_codes
from fedledger.identity.profile import profile_names
from fedledger.ledger import TaskLedger
from fedledger_network.consortium import Consortium
from fedledger_network.fabric import FabricConfig, FabricNetwork, Programs
from tests.fabric.conftest import ORGANISATIONS
from tests.fabric.ledger import CHAINCODE, channel, commit_hashes
from tests.unit.contract.ledger import MSPS, task_spec

pytestmark = pytest.mark.fabric


def new_task() -> str:
    return f"task-{secrets.token_hex(4)}"


def test_once_up_every_peer_gets_the_endorsements_of_all_others(network: FabricNetwork) -> None:
    for organisation in ORGANISATIONS:
        with channel(network, f"{organisation}-governor") as opened:
            contract = opened.get_contract(CHAINCODE)
            contract.new_proposal("org.hyperledger.fabric:GetMetadata", endorsing_organizations=MSPS).endorse()


def test_every_organisation_runs_a_peer_an_orderer_and_the_contract(network: FabricNetwork) -> None:
    status = network.status()
    assert {each.name for each in status} == {
        f"{kind}.{organisation}" for kind in ("orderer", "peer", "chaincode") for organisation in ORGANISATIONS
    }
    assert all(each.pid is not None and each.memory for each in status)


def test_up_again_leaves_what_runs_alone(network: FabricNetwork) -> None:
    before = network.status()
    network.up()
    assert [each.pid for each in network.status()] == [each.pid for each in before]


def test_there_is_a_profile_for_every_role_of_every_organisation(network: FabricNetwork) -> None:
    assert set(profile_names(network.layout.profiles)) == {
        f"{organisation}-{role}"
        for organisation in ORGANISATIONS
        for role in ("participant", "validator", "governor", "auditor")
    }


def test_an_organisations_folder_holds_its_own_secrets_and_profiles_only(network: FabricNetwork) -> None:
    folders = [network.layout.organisation(name).root for name in ORGANISATIONS]
    outside = [
        path
        for path in network.layout.root.rglob("*")
        if path.is_file() and not any(path.is_relative_to(folder) for folder in folders)
    ]
    assert not [path for path in outside if b"PRIVATE KEY" in path.read_bytes()]
    for name, folder in zip(ORGANISATIONS, folders, strict=True):
        assert {profile.split("-")[0] for profile in profile_names(folder / "fedledger.toml")} == {name}


def test_a_transaction_is_in_a_valid_block_and_its_event_is_told(network: FabricNetwork) -> None:
    task = new_task()
    with channel(network, "cleveland-governor") as opened:
        contract = opened.get_contract("fedledger")
        submitted = contract.submit_async("ProposeTask", task_spec(task=task).canonical())
        status = submitted.status()
        assert status.successful
        with opened.chaincode_events("fedledger", start_block=status.block_number) as events:
            event = next(event for event in events if event.transaction_id == submitted.transaction_id)
        assert json.loads(event.payload)["task"] == task
        first = status.block_number - 1
        with opened.block_events(start_block=first, end_block=status.block_number) as blocks:
            previous, block = list(blocks)
    assert block.header.previous_hash == header_hash(previous.header)
    assert set(validation_codes(block)) == {transaction_pb2.VALID}
    assert len({signature.consenter_id for signature in block_signatures(block)}) >= 3


def test_all_peers_have_the_same_state(network: FabricNetwork) -> None:
    assert len(set(commit_hashes(network).values())) == 1


def test_a_network_that_was_stopped_goes_on_with_its_state(network: FabricNetwork) -> None:
    task = new_task()
    with channel(network, "long_beach-governor") as opened:
        TaskLedger(opened, "fedledger").propose_task(task_spec(task=task))
    before = commit_hashes(network)
    network.down()
    assert all(each.pid is None for each in network.status())
    FabricNetwork.existing(network.layout.root, network.programs)
    network.up()
    assert commit_hashes(network) == before
    with channel(network, "switzerland-governor") as opened:
        ledger = TaskLedger(opened, "fedledger")
        assert ledger.task(task).record.state == "proposed"
        ledger.propose_task(task_spec(task=new_task()))


def test_the_folder_of_another_consortium_is_refused(network: FabricNetwork, programs: Programs) -> None:
    other = FabricConfig(Consortium.of_names("a", "b", "c", "d"))
    with pytest.raises(BadInputError, match="OTHER_CONSORTIUM"):
        FabricNetwork(other, network.layout.root, programs).up()
