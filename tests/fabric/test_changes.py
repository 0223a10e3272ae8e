"""A network that runs is changed, each time by a command: members, certificates, nodes, contract.

The others go on meanwhile, and the audit follows.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedledger.audit import CheckName, Outcome, verify_network
from fedledger.audit.findings import BLOCK_CHECKS
from fedledger.errors import BadInputError
from fedledger.gateway import EndorseError, EvaluateError
from fedledger.identity.profile import profile_names
from fedledger.ledger import TaskLedger
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.in_process import in_process_ca
from fedledger_network.ca.organisation import authority_folder
from fedledger_network.ca.service import CaService
from fedledger_network.consortium import Consortium, Organisation
from fedledger_network.fabric import FabricConfig, FabricError, FabricNetwork, Programs
from fedledger_network.fabric.identities import provision
from tests.fabric.commands import fedledger
from tests.fabric.conftest import ORGANISATIONS, free_ports
from tests.fabric.ledger import channel, commit_hashes, failures
from tests.fabric.load import under_load
from tests.unit.contract.ledger import task_spec

pytestmark = pytest.mark.fabric

FIFTH = Organisation("budapest", "BudapestMSP")


@pytest.fixture(scope="module")
def network(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricNetwork]:
    """A network for changes alone; one of them makes it larger."""
    config = FabricConfig(Consortium.of_names(*ORGANISATIONS), first_port=free_ports())
    running = FabricNetwork(config, tmp_path_factory.mktemp("changing"), programs, attached=True)
    try:
        running.up()
        yield running
    finally:
        running.down()
        present(running).down()


def changed(network: FabricNetwork, *words: str) -> Any:
    """What a command prints that changes the network in its folder."""
    return fedledger("network", *words, "--dir", network.layout.root)


def present(network: FabricNetwork) -> FabricNetwork:
    """The network as the commands have left it."""
    return FabricNetwork.existing(network.layout.root, network.programs)


def proposed(network: FabricNetwork, organisation: str = "cleveland", **changes: object) -> str:
    task = f"task-{secrets.token_hex(4)}"
    with channel(network, f"{organisation}-governor") as opened:
        TaskLedger(opened, "fedledger").propose_task(task_spec(task=task, **changes))
    return task


def among_all(network: FabricNetwork) -> dict[str, Any]:
    """Terms of a task in which all members of the network take part and validate."""
    members = sorted(organisation.msp_id for organisation in network.config.consortium.organisations)
    return {"organisations": members, "aggregation": {"validators": members}}


def is_known_everywhere(network: FabricNetwork, task: str) -> bool:
    commit_hashes(network)
    for organisation in network.config.consortium.organisations:
        with channel(network, f"{organisation.name}-auditor") as opened:
            if TaskLedger(opened, "fedledger").task(task).record.state != "proposed":
                return False
    return True


def test_a_revoked_certificate_is_refused_by_every_peer(network: FabricNetwork, tmp_path: Path) -> None:
    organisation = network.config.organisation("hungary")
    folder = network.layout.organisation("hungary")
    authority = DevelopmentAuthority.open(authority_folder(folder.identities), organisation.msp_id)
    try:
        ca = in_process_ca(CaService(authority), authority.name)
        registrar = provision(network.config, organisation, folder).organisation.registrar.load()
        assert ca.revoke(registrar, f"participant@{organisation.msp_id}")
        revocation_list = ca.revocation_list(registrar)
    finally:
        authority.close()
    crl = tmp_path / "crl.pem"
    crl.write_bytes(revocation_list)
    acting = ("--config", network.layout.profiles, "--profile", "hungary-governor")
    block = fedledger("network", "revocations", crl, *acting)["block"]
    with channel(network, "hungary-participant") as opened:
        contract = opened.get_contract("fedledger")
        with pytest.raises(EvaluateError):
            contract.evaluate_transaction("ListTasks")
        with pytest.raises(EndorseError):
            contract.submit_transaction("LeaveTask", "any")
    with pytest.raises(BadInputError, match="NOTHING_TO_CHANGE"):
        fedledger("network", "revocations", crl, *acting)
    assert block > 0
    assert is_known_everywhere(network, proposed(network, "hungary"))


def test_peer_and_orderer_get_new_certificates_while_others_submit(network: FabricNetwork) -> None:
    before = network.layout.organisation("hungary").node("orderer") / "msp" / "signcerts" / "0.pem"
    old = before.read_bytes()
    with under_load(network, "long_beach", "switzerland") as load:
        load.goes_on()
        changed(network, "rotate-certificates", "hungary")
        load.goes_on()
    assert before.read_bytes() != old
    assert is_known_everywhere(network, proposed(network, "hungary"))


@pytest.mark.parametrize("node", ["orderer.switzerland", "peer.switzerland"])
def test_a_node_that_lost_its_data_fetches_it_from_the_others(network: FabricNetwork, node: str) -> None:
    with under_load(network, "cleveland", "long_beach") as load:
        load.goes_on()
        assert changed(network, "replace", node)["program"] == node
        load.goes_on()
    assert len(set(commit_hashes(network).values())) == 1
    assert is_known_everywhere(network, proposed(network, "switzerland"))


def test_a_fifth_organisation_joins_and_validates_in_the_next_task(network: FabricNetwork) -> None:
    earlier = proposed(network)
    with under_load(network, "long_beach", "switzerland") as load:
        load.goes_on()
        answer = changed(network, "add-organisation", FIFTH.name, "--msp-id", FIFTH.msp_id)
        load.goes_on()
    assert answer["endorsements"] == 4
    larger = present(network)
    assert is_known_everywhere(larger, earlier)
    assert is_known_everywhere(larger, proposed(larger, FIFTH.name, **among_all(larger)))
    larger.kill(f"orderer.{ORGANISATIONS[1]}")
    assert proposed(larger, FIFTH.name, **among_all(larger))
    larger.start(f"orderer.{ORGANISATIONS[1]}")
    with pytest.raises(BadInputError, match="ALREADY_MEMBER"):
        changed(network, "add-organisation", FIFTH.name)


def test_an_organisation_that_does_not_answer_is_taken_out_and_the_others_keep_their_places(
    network: FabricNetwork,
) -> None:
    larger = present(network)
    places = {each.name: larger.config.ports(each) for each in larger.config.consortium.organisations}
    larger.kill("orderer.hungary", "peer.hungary")
    with under_load(network, "long_beach", "switzerland") as load:
        load.goes_on()
        answer = changed(network, "remove-organisation", "hungary")
        load.goes_on()
    assert answer["endorsements"] == 3
    smaller = present(network)
    assert {each.name: smaller.config.ports(each) for each in smaller.config.consortium.organisations} == {
        name: ports for name, ports in places.items() if name != "hungary"
    }
    assert all(larger.inventory.named(f"{kind}.hungary").pid() is None for kind in larger.inventory.kinds)
    assert not [name for name in profile_names(smaller.layout.profiles) if name.startswith("hungary-")]
    assert is_known_everywhere(smaller, proposed(smaller, FIFTH.name, **among_all(smaller)))
    smaller.kill("orderer.cleveland")
    assert proposed(smaller, FIFTH.name, **among_all(smaller))
    smaller.start("orderer.cleveland")
    with pytest.raises(BadInputError, match="TOO_FEW_ORGANISATIONS"):
        changed(network, "remove-organisation", FIFTH.name)
    larger.save()  # as it is when the command was killed before its last step
    with pytest.raises(FabricError, match="NOT_A_MEMBER") as refused:
        present(network).up()
    assert "network remove-organisation hungary" in refused.value.remedy
    changed(network, "remove-organisation", "hungary")
    assert present(network).config == smaller.config
    assert all(larger.inventory.named(f"{kind}.hungary").pid() is None for kind in larger.inventory.kinds)


def test_the_audit_follows_every_change(network: FabricNetwork) -> None:
    with channel(network, "cleveland-auditor") as opened:
        report = verify_network(opened)
    outcomes = {check.name: check.outcome for check in report.checks}
    assert {outcomes[name] for name in (*BLOCK_CHECKS, CheckName.ROUNDS)} == {Outcome.PASSED}, failures(report)


def test_the_contract_is_upgraded_and_its_state_is_kept(network: FabricNetwork) -> None:
    older = present(network)
    task = proposed(older)
    before = {service.name: service.pid for service in older.status()}
    with under_load(network, "long_beach", "switzerland") as load:
        load.goes_on()
        answer = changed(network, "upgrade", "9.0")
        load.goes_on()
    assert answer["version"] == "9.0"
    newer = present(network)
    for organisation in newer.config.consortium.organisations:
        definition = newer.administrator(organisation).definition()
        assert definition is not None
        assert definition.version == "9.0"
    after = {service.name: service.pid for service in newer.status()}
    assert {name for name in before if before[name] != after[name]} == {
        f"chaincode.{organisation.name}" for organisation in newer.config.consortium.organisations
    }
    assert is_known_everywhere(newer, task)
    with pytest.raises(BadInputError, match="NOTHING_TO_CHANGE"):
        changed(network, "upgrade", "9.0")


def test_an_approval_goes_by_another_orderer_when_the_own_one_is_gone(network: FabricNetwork) -> None:
    running = present(network)
    administrator = running.administrator(running.config.organisation("long_beach"))
    current = administrator.definition()
    assert current is not None
    running.kill("orderer.long_beach")
    try:
        wanted = replace(current, sequence=current.sequence + 1, version="10.0")
        assert administrator.approve(wanted, running.inventory.release().package_id)
        assert not administrator.approve(wanted, running.inventory.release().package_id)
    finally:
        running.start("orderer.long_beach")
