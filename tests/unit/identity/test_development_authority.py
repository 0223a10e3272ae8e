"""A development authority keeps what it answered, and an organisation gets all its identities from it, once."""

from __future__ import annotations

import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from fedledger.errors import BadInputError, FedledgerError
from fedledger.identity.authority import NodeRole
from fedledger.identity.ca import Registration
from fedledger.identity.ca_session import CaError
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import Msp, VerifiedIdentity, serialize_identity
from fedledger.identity.wallet import Credentials
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.in_process import in_process_ca
from fedledger_network.ca.organisation import MEMBERS, Member, authority_folder, provision_organisation
from fedledger_network.ca.service import CaService

REGISTRAR, REGISTRAR_SECRET = "registrar", "registrar-secret"


def opened(folder: Path, msp_id: str = "ClevelandMSP") -> DevelopmentAuthority:
    authority = DevelopmentAuthority.open(folder, msp_id)
    authority.set_registrar(REGISTRAR, REGISTRAR_SECRET)
    return authority


def refused(error: type[FedledgerError], code: str, call, *arguments, **options) -> FedledgerError:
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    assert caught.value.code == code
    assert caught.value.message and caught.value.remedy
    return caught.value


def validated(msp: Msp, credentials: Credentials) -> VerifiedIdentity:
    return msp.identify(serialize_identity(msp.msp_id, credentials.certificate_pem))


def common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def test_root_keys_and_registry_are_the_owners_alone(tmp_path):
    opened(tmp_path / "ca").close()
    private = ["root/key.pem", "tls-root/key.pem", "registry.sqlite"]
    assert [stat.S_IMODE((tmp_path / "ca" / name).stat().st_mode) for name in private] == [0o600] * 3
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700
    (tmp_path / "ca" / "root" / "key.pem").chmod(0o644)
    refused(IdentityError, "KEY_EXPOSED", opened, tmp_path / "ca")


def test_a_reopened_authority_has_the_same_roots_and_members(tmp_path):
    first = opened(tmp_path / "ca")
    ca = in_process_ca(CaService(first))
    registrar = ca.enroll(REGISTRAR, REGISTRAR_SECRET)
    secret = ca.register(registrar, Registration("alice"))
    first.close()
    second = DevelopmentAuthority.open(tmp_path / "ca", "ClevelandMSP")
    assert second.msp() == first.msp()
    assert in_process_ca(CaService(second)).enroll("alice", secret)
    second.close()


def test_no_secret_lies_in_the_registry(tmp_path):
    authority = opened(tmp_path / "ca")
    authority.close()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "ca").glob("registry.sqlite*"))
    assert REGISTRAR.encode() in stored
    assert REGISTRAR_SECRET.encode() not in stored


def test_a_registry_of_a_newer_version_is_left_alone(tmp_path):
    opened(tmp_path / "ca").close()
    with sqlite3.connect(tmp_path / "ca" / "registry.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    refused(BadInputError, "CA_NEWER_VERSION", opened, tmp_path / "ca")


REGISTER_FOR_EVER = """
import logging, pathlib, sys, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
from fedledger.identity.ca import Registration
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.in_process import InProcessAdapter, in_process_ca
from fedledger_network.ca.service import CaService
authority = DevelopmentAuthority.open(pathlib.Path(sys.argv[1]), "ClevelandMSP")
authority.set_registrar("registrar", "registrar-secret")
ca = in_process_ca(CaService(authority))
registrar = ca.enroll("registrar", "registrar-secret")
for number in range(10**6):
    name = f"member-{sys.argv[2]}-{number}"
    secret = ca.register(registrar, Registration(name))
    sys.stdout.write(f"{name} {secret}\\n")
    sys.stdout.flush()
"""


def test_what_a_killed_ca_answered_is_still_known(tmp_path):
    answered: list[tuple[str, str]] = []
    for run in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", REGISTER_FOR_EVER, str(tmp_path / "ca"), str(run)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            for _ in range(10):
                name, secret = process.stdout.readline().split()
                answered.append((name, secret))
            process.send_signal(signal.SIGKILL)
    authority = DevelopmentAuthority.open(tmp_path / "ca", "ClevelandMSP")
    ca = in_process_ca(CaService(authority))
    for name, secret in answered:
        assert common_name(ca.enroll(name, secret).certificate) == name
    authority.close()


# A whole organisation


def test_an_organisation_is_provisioned_once_and_each_identity_is_what_its_role_needs(tmp_path):
    first = provision_organisation(tmp_path / "org", "ClevelandMSP")
    again = provision_organisation(tmp_path / "org", "ClevelandMSP")
    assert first == again
    expected = {
        "participant": NodeRole.CLIENT,
        "validator": NodeRole.CLIENT,
        "governor": NodeRole.ADMIN,
        "auditor": NodeRole.CLIENT,
    }
    for name, role in expected.items():
        credentials = again.members[name].load()
        identity = validated(first.msp, credentials)
        assert (identity.role, identity.attributes["fedledger.role"]) == (role, name)
    assert validated(first.msp, first.peer.load()).role is NodeRole.PEER
    assert validated(first.msp, first.orderer.load()).role is NodeRole.ORDERER
    for tls in (first.peer_tls, first.orderer_tls):
        names = tls.load().certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    keys = list((tmp_path / "org").rglob("*key*.pem"))
    assert len(keys) == 11
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


def test_provisioning_completes_what_an_interrupted_run_left(tmp_path):
    organisation = provision_organisation(tmp_path / "org", "ClevelandMSP")
    kept = organisation.members["validator"].load().certificate
    for wallet in (organisation.members["participant"], organisation.peer):
        wallet.certificate_path.unlink()
    again = provision_organisation(
        tmp_path / "org", "ClevelandMSP", members=[*MEMBERS, Member("ward-2", "participant")]
    )
    assert again.members["validator"].load().certificate == kept
    assert validated(again.msp, again.peer.load()).role is NodeRole.PEER
    assert validated(again.msp, again.members["participant"].load()).common_name == "participant@ClevelandMSP"
    assert validated(again.msp, again.members["ward-2"].load()).attributes["fedledger.role"] == "participant"


def test_a_revoked_member_is_not_enrolled_again_by_provisioning(tmp_path):
    organisation = provision_organisation(tmp_path / "org", "ClevelandMSP")
    authority = DevelopmentAuthority.open(authority_folder(tmp_path / "org"), "ClevelandMSP")
    ca = in_process_ca(CaService(authority))
    ca.revoke(organisation.registrar.load(), "participant@ClevelandMSP")
    authority.close()
    organisation.members["participant"].certificate_path.unlink()
    refused(CaError, "CA_ALREADY_REGISTERED", provision_organisation, tmp_path / "org", "ClevelandMSP")


def test_msps_of_provisioned_organisations_do_not_accept_each_other(tmp_path):
    cleveland, hungary = (provision_organisation(tmp_path / name, name) for name in ("AMSP", "BMSP"))
    foreign = hungary.members["participant"].load()
    with pytest.raises(IdentityError, match="UNKNOWN_ISSUER"):
        validated(cleveland.msp, foreign)
