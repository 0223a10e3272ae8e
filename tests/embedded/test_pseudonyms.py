"""A participant is somebody else in every task: keys and certificates made for one task alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from fedledger.agents.participant import pseudonym_of
from fedledger.cli.main import run
from fedledger.identity.profile import Profile, load_profile, write_profiles
from fedledger.ledger import TaskLedger
from fedledger_chaincode.submitter import ATTRIBUTES_OID
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.organisation import REGISTRAR, authority_folder
from fedledger_network.ca.server import CaServer
from fedledger_network.consortium import Consortium
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode

BASE = "cleveland-participant"


@dataclass(frozen=True)
class Organisation:
    profiles: Path
    ca: str

    def pseudonym(self, task: str) -> int:
        words = ["identity", "pseudonym", task, "--for", BASE, "--profile", "cleveland-registrar"]
        return run([*words, "--config", str(self.profiles)])

    def profile(self, task: str) -> Profile:
        return load_profile(self.profiles, f"{BASE}-{task}")


@pytest.fixture(scope="module")
def cleveland(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organisation]:
    consortium = Consortium.of_names("cleveland", "hungary", "long_beach", "switzerland")
    network = NetworkFolder.create(tmp_path_factory.mktemp("pseudonyms"), consortium)
    with EmbeddedNode(network):
        place = network.organisation(consortium.organisations[0])
        authority = DevelopmentAuthority.open(authority_folder(place), "ClevelandMSP")
        with CaServer(authority) as server:
            base = replace(load_profile(network.profiles, BASE), ca=server.url, ca_name=authority.name)
            registrar = place / REGISTRAR
            profiles = network.path / "ca.toml"
            write_profiles(
                profiles,
                [
                    base,
                    replace(
                        base,
                        name="cleveland-registrar",
                        certificate=registrar / "certificate.pem",
                        key=registrar / "key.pem",
                    ),
                ],
            )
            yield Organisation(profiles, server.url)
        authority.close()


def attributes(certificate: x509.Certificate) -> bytes:
    return certificate.extensions.get_extension_for_oid(ATTRIBUTES_OID).value.public_bytes()


def subject(certificate: x509.Certificate, oid: Any) -> str:
    (name,) = certificate.subject.get_attributes_for_oid(oid)
    return str(name.value)


def test_two_tasks_see_two_participants_who_have_nothing_in_common(cleveland: Organisation) -> None:
    for task in ("heart", "lungs"):
        assert cleveland.pseudonym(task) == 0
    profiles = [cleveland.profile(task) for task in ("heart", "lungs")]
    first, second = (profile.credentials() for profile in profiles)
    own = load_profile(cleveland.profiles, BASE).credentials()
    names = {subject(each.certificate, x509.NameOID.COMMON_NAME) for each in (first, second, own)}
    assert len(names) == 3
    assert len({pseudonym_of(each.key) for each in (first, second, own)}) == 3
    assert (
        attributes(first.certificate) == attributes(second.certificate) == b'{"attrs":{"fedledger.role":"participant"}}'
    )
    for name in names - {subject(own.certificate, x509.NameOID.COMMON_NAME)}:
        assert "cleveland" not in name and "heart" not in name and "lungs" not in name
    assert len({profile.participant for profile in profiles}) == 2


def test_the_ledger_takes_the_new_one_for_a_participant(cleveland: Organisation) -> None:
    assert cleveland.pseudonym("liver") == 0
    with cleveland.profile("liver").connect() as gateway:
        ledger = TaskLedger(gateway.get_network("fedledger"), "fedledger")
        assert ledger.tasks() == ()


def test_a_second_one_for_the_same_task_is_refused(cleveland: Organisation, capsys: pytest.CaptureFixture[str]) -> None:
    assert cleveland.pseudonym("kidneys") == 0
    before = cleveland.profile("kidneys").credentials().certificate_pem
    assert cleveland.pseudonym("kidneys") != 0
    assert "ALREADY_ENROLLED" in capsys.readouterr().err
    assert cleveland.profile("kidneys").credentials().certificate_pem == before
