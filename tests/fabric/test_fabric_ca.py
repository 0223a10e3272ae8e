"""Every certificate of a network by Fabric CA: enrolment, roles, re-enrolment, revocation into the channel."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from fedledger.gateway import EvaluateError
from fedledger.identity.ca import Registration
from fedledger.identity.profile import load_profile
from fedledger.identity.wallet import Wallet
from fedledger.ledger import LedgerRefusal, TaskLedger
from fedledger_network.configuration.revocation import publish_revocation_list
from fedledger_network.consortium import Consortium
from fedledger_network.fabric import FabricConfig, FabricError, FabricNetwork, Programs
from fedledger_network.fabric.changes import rotate_certificates
from tests.fabric.conftest import ORGANISATIONS, free_ports
from tests.fabric.ledger import channel, commit_hashes
from tests.unit.contract.ledger import task_spec

pytestmark = pytest.mark.fabric


@pytest.fixture(scope="module")
def network(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricNetwork]:
    """A network with a Fabric CA of every organisation."""
    try:
        programs.require_certificate_authority()
    except FabricError as error:
        pytest.skip(f"NOTHING WAS TESTED WITH FABRIC CA. {error}")
    config = FabricConfig(Consortium.of_names(*ORGANISATIONS), first_port=free_ports(), certificates="fabric-ca")
    running = FabricNetwork(config, tmp_path_factory.mktemp("fabric-ca"), programs, attached=True)
    try:
        running.up()
        yield running
    finally:
        running.down()


def propose(network: FabricNetwork, profile: str) -> None:
    with channel(network, profile) as opened:
        TaskLedger(opened, "fedledger").propose_task(task_spec(task=f"task-{secrets.token_hex(4)}"))


def test_members_act_in_the_roles_that_their_certificates_name(network: FabricNetwork) -> None:
    for organisation in ORGANISATIONS:
        propose(network, f"{organisation}-governor")
        with pytest.raises(LedgerRefusal):
            propose(network, f"{organisation}-participant")
    assert len(set(commit_hashes(network).values())) == 1


def test_a_member_re_enrols_and_acts_under_its_new_certificate(network: FabricNetwork) -> None:
    profile = load_profile(network.layout.profiles, "cleveland-governor")
    old = profile.credentials()
    Wallet(profile.certificate.parent).save(profile.certificate_authority().reenroll(old))
    assert profile.credentials().certificate != old.certificate
    propose(network, "cleveland-governor")


def test_a_revoked_member_is_refused_and_a_new_one_takes_its_place(network: FabricNetwork) -> None:
    profile = load_profile(network.layout.profiles, "hungary-auditor")
    ca = profile.certificate_authority()
    registrar = Wallet(network.layout.organisation("hungary").identities / "registrar").load()
    assert ca.revoke(registrar, "auditor@HungaryMSP", "keycompromise")
    publish_revocation_list(load_profile(network.layout.profiles, "hungary-governor"), [ca.revocation_list(registrar)])
    with channel(network, "hungary-auditor") as opened, pytest.raises(EvaluateError):
        TaskLedger(opened, "fedledger").tasks()
    successor = Registration("second-auditor", attributes={"fedledger.role": "auditor"})
    secret = ca.register(registrar, successor)
    Wallet(profile.certificate.parent).save(ca.enroll("second-auditor", secret))
    with channel(network, "hungary-auditor") as opened:
        assert TaskLedger(opened, "fedledger").tasks()


def test_nodes_get_new_certificates_from_the_running_authority(network: FabricNetwork) -> None:
    rotate_certificates(network, "switzerland")
    propose(network, "switzerland-governor")


def test_up_again_finds_every_identity_and_the_authorities(network: FabricNetwork) -> None:
    network.down()
    network.up()
    propose(network, "long_beach-governor")
