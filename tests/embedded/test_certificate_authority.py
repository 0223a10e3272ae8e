"""Members enrol through Fabric CA's REST calls at the development CA, by hfc; what Fabric CA refuses, it refuses."""

from __future__ import annotations

import base64
import dataclasses
import json
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from fedledger.errors import BadInputError, DeadlineError, FedledgerError
from fedledger.identity.authority import NodeRole, certificate_attributes, certificate_pem
from fedledger.identity.ca import UNLIMITED, FabricCa, Registration, signing_request
from fedledger.identity.ca_session import CaError, authorization_token
from fedledger.identity.errors import IdentityError
from fedledger.identity.keys import KeyType, generate_key
from fedledger.identity.msp import Msp, VerifiedIdentity, serialize_identity
from fedledger.identity.profile import Profile
from fedledger.identity.wallet import Credentials, Wallet
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.in_process import InProcessAdapter, in_process_ca
from fedledger_network.ca.organisation import MEMBERS, Member, authority_folder, provision_organisation
from fedledger_network.ca.server import CaServer
from fedledger_network.ca.service import CaService
from hfc.fabric_ca.caservice import CAClient, Enrollment, ca_service

REGISTRAR, REGISTRAR_SECRET = "registrar", "registrar-secret"


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now


def opened(folder: Path, msp_id: str = "ClevelandMSP", **options) -> DevelopmentAuthority:
    authority = DevelopmentAuthority.open(folder, msp_id, **options)
    authority.set_registrar(REGISTRAR, REGISTRAR_SECRET)
    return authority


@dataclass(frozen=True)
class Served:
    authority: DevelopmentAuthority
    ca: FabricCa
    url: str
    registrar: Credentials
    counter: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))

    def register(self, **options) -> tuple[str, str]:
        registration = Registration(f"member-{next(self.counter)}", **options)
        return registration.enrollment_id, self.ca.register(self.registrar, registration)

    def member(self, **options) -> Credentials:
        return self.ca.enroll(*self.register(**options))


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    authority = opened(tmp_path_factory.mktemp("cleveland") / "ca")
    with CaServer(authority) as server:
        ca = FabricCa(server.url)
        yield Served(authority, ca, server.url, ca.enroll(REGISTRAR, REGISTRAR_SECRET))
    authority.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def local(tmp_path, clock) -> Iterator[Served]:
    """An authority with a clock of its own, called in this process."""
    authority = opened(tmp_path / "ca", clock=clock)
    ca = in_process_ca(CaService(authority))
    yield Served(authority, ca, "", ca.enroll(REGISTRAR, REGISTRAR_SECRET))
    authority.close()


def validated(msp: Msp, credentials: Credentials, at: datetime | None = None) -> VerifiedIdentity:
    return msp.validate(serialize_identity(msp.msp_id, credentials.certificate_pem), at or datetime.now(UTC))


def refused(error: type[FedledgerError], code: str, call, *arguments, **options) -> FedledgerError:
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    assert caught.value.code == code
    assert caught.value.message and caught.value.remedy
    return caught.value


def common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


# Enrolment


@pytest.mark.parametrize("key_type", list(KeyType))
@pytest.mark.parametrize("role", [NodeRole.CLIENT, NodeRole.ADMIN])
def test_a_registered_member_enrols_and_its_msp_accepts_it_with_role_and_attribute(served, key_type, role):
    name, secret = served.register(node_role=role, attributes={"fedledger.role": "validator"})
    credentials = served.ca.enroll(name, secret, key_type=key_type)
    identity = validated(served.authority.msp(), credentials)
    assert (identity.role, identity.common_name) == (role, name)
    assert identity.attributes["fedledger.role"] == "validator"
    assert identity.attributes["hf.EnrollmentID"] == name
    assert credentials.chain == (served.authority.identity_ca.certificate,)


def test_info_names_the_ca_and_its_root(served):
    info = served.ca.info()
    assert info.name == "ca-ClevelandMSP"
    assert info.chain == (served.authority.identity_ca.certificate,)


def test_only_the_attributes_that_were_asked_for_are_in_the_certificate(served):
    name, secret = served.register(attributes={"a": "1", "b": "2"}, max_enrollments=UNLIMITED)
    credentials = served.ca.enroll(name, secret, attributes=["b"])
    assert certificate_attributes(credentials.certificate) == {"b": "2"}
    error = refused(CaError, "CA_REFUSED", served.ca.enroll, name, secret, attributes=["c"])
    assert "attributes are missing" in error.message


def test_a_tls_enrolment_is_signed_by_the_tls_authority_for_the_hosts_asked_for(served):
    name, secret = served.register(node_role=NodeRole.PEER)
    credentials = served.ca.enroll(name, secret, profile="tls", hosts=["peer.cleveland.example", "127.0.0.1"])
    assert credentials.chain == (served.authority.tls_ca.certificate,)
    names = credentials.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["peer.cleveland.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    with pytest.raises(IdentityError, match="UNKNOWN_ISSUER"):
        validated(served.authority.msp(), credentials)


def test_wrong_secret_used_up_secret_and_unknown_id_are_refused_alike(served):
    name, secret = served.register()
    served.ca.enroll(name, secret)
    used_up = refused(CaError, "CA_AUTHENTICATION", served.ca.enroll, name, secret)
    wrong = refused(CaError, "CA_AUTHENTICATION", served.ca.enroll, served.register()[0], "wrong")
    unknown = refused(CaError, "CA_AUTHENTICATION", served.ca.enroll, "nobody", "secret")
    assert used_up.message == wrong.message == unknown.message
    assert {error.status for error in (used_up, wrong, unknown)} == {401}


def test_a_secret_lasts_as_often_as_was_registered(served):
    name, secret = served.register(max_enrollments=2)
    served.ca.enroll(name, secret)
    served.ca.enroll(name, secret)
    refused(CaError, "CA_AUTHENTICATION", served.ca.enroll, name, secret)


def test_a_secret_for_one_enrolment_serves_one_of_many_who_try_at_once(served):
    name, secret = served.register()

    def outcome(_: int) -> str:
        try:
            served.ca.enroll(name, secret)
        except CaError as error:
            return error.code
        return "enrolled"

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(outcome, range(6)))
    assert sorted(outcomes) == ["CA_AUTHENTICATION"] * 5 + ["enrolled"]


def test_ten_wrong_secrets_lock_an_identity_and_a_right_one_in_between_does_not_count(local):
    name, secret = local.register(max_enrollments=UNLIMITED)
    for _ in range(9):
        refused(CaError, "CA_AUTHENTICATION", local.ca.enroll, name, "wrong")
    local.ca.enroll(name, secret)
    for _ in range(10):
        refused(CaError, "CA_AUTHENTICATION", local.ca.enroll, name, "wrong")
    refused(CaError, "CA_LOCKED", local.ca.enroll, name, secret)


def test_reenrolment_gives_a_new_key_and_keeps_name_role_and_attributes(served):
    old = served.member(attributes={"fedledger.role": "participant"})
    new = served.ca.reenroll(old)
    assert new.certificate.public_key() != old.certificate.public_key()
    msp = served.authority.msp()
    before, after = validated(msp, old), validated(msp, new)
    assert (after.common_name, after.role, after.attributes) == (before.common_name, before.role, before.attributes)


def test_an_expired_certificate_is_refused_by_ca_and_msp_and_a_new_enrolment_mends_it(local, clock):
    name, secret = local.register(max_enrollments=UNLIMITED)
    old = local.ca.enroll(name, secret)
    clock.now += timedelta(days=366)
    refused(CaError, "CA_AUTHENTICATION", local.ca.reenroll, old)
    with pytest.raises(IdentityError, match="EXPIRED"):
        validated(local.authority.msp(), old, clock.now)
    assert validated(local.authority.msp(), local.ca.enroll(name, secret), clock.now).common_name == name


def test_no_certificate_outlives_its_authority(local, clock):
    clock.now += timedelta(days=15 * 365 - 30)
    credentials = local.ca.enroll(REGISTRAR, REGISTRAR_SECRET)
    root = local.authority.identity_ca.certificate
    assert credentials.certificate.not_valid_after_utc == root.not_valid_after_utc


# Registration


def test_a_second_registration_of_the_same_id_is_refused(served):
    name, _ = served.register()
    error = refused(CaError, "CA_ALREADY_REGISTERED", served.ca.register, served.registrar, Registration(name))
    assert (error.status, error.ca_code) == (409, 74)


def test_a_member_who_is_no_registrar_may_neither_register_nor_look_nor_revoke(served):
    member = served.member()
    for call in (
        lambda: served.ca.register(member, Registration("friend")),
        lambda: served.ca.identities(member),
        lambda: served.ca.identity(member, REGISTRAR),
        lambda: served.ca.revoke(member, REGISTRAR),
        lambda: served.ca.revoke_certificate(member, served.registrar.certificate),
        lambda: served.ca.revocation_list(member),
    ):
        assert refused(CaError, "CA_AUTHORISATION", call).status == 403


def test_a_limited_registrar_passes_on_no_more_than_it_has(served):
    limited = served.member(attributes={"hf.Registrar.Roles": "client", "hf.Registrar.Attributes": "fedledger.*"})
    allowed = Registration("limited-1", attributes={"fedledger.role": "participant"})
    served.ca.register(limited, allowed)
    for registration in (
        Registration("limited-2", NodeRole.ADMIN),
        Registration("limited-3", attributes={"hf.Revoker": "true"}),
        Registration("limited-4", attributes={"other": "x"}),
    ):
        refused(CaError, "CA_AUTHORISATION", served.ca.register, limited, registration)


def test_what_was_registered_can_be_read_back(served):
    name, _ = served.register(node_role=NodeRole.PEER, attributes={"a": "1"}, max_enrollments=3)
    shown = served.ca.identity(served.registrar, name)
    assert (shown.enrollment_id, shown.node_role, shown.max_enrollments) == (name, "peer", 3)
    assert shown.attributes == {"a": "1"}
    assert shown in served.ca.identities(served.registrar)
    assert refused(CaError, "CA_REFUSED", served.ca.identity, served.registrar, "no/body").status == 404


def test_an_affiliation_must_exist_and_becomes_units_of_the_certificate(served):
    registration = Registration("nurse", affiliation="cardiology.ward7")
    refused(CaError, "CA_REFUSED", served.ca.register, served.registrar, registration)
    body = json.dumps({"name": "cardiology.ward7"}).encode()
    assert signed(served, "POST", "/api/v1/affiliations", body).status_code == 400
    assert signed(served, "POST", "/api/v1/affiliations?force=true", body).status_code == 201
    assert signed(served, "POST", "/api/v1/affiliations", body).status_code == 409
    credentials = served.ca.enroll("nurse", served.ca.register(served.registrar, registration))
    units = credentials.certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
    assert [unit.value for unit in units] == ["client", "cardiology", "ward7"]


# Revocation


def test_a_revoked_member_is_refused_by_ca_and_msp_while_others_stay(served):
    name, secret = served.register(max_enrollments=UNLIMITED)
    revoked, other = served.ca.enroll(name, secret), served.member()
    entries = served.ca.revoke(served.registrar, name, "keycompromise")
    assert [int(entry.serial, 16) for entry in entries] == [revoked.certificate.serial_number]
    refused(CaError, "CA_AUTHENTICATION", served.ca.enroll, name, secret)
    refused(CaError, "CA_AUTHENTICATION", served.ca.reenroll, revoked)
    msp = served.authority.msp(served.ca.revocation_list(served.registrar))
    with pytest.raises(IdentityError, match="REVOKED"):
        validated(msp, revoked)
    validated(msp, other)
    listed = x509.load_pem_x509_crl(msp.revocation_list[0])
    entry = listed.get_revoked_certificate_by_serial_number(revoked.certificate.serial_number)
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise


def test_a_member_may_revoke_the_certificate_that_it_signs_with_and_keeps_the_other(served):
    old = served.member()
    new = served.ca.reenroll(old)
    assert len(served.ca.revoke_certificate(old, old.certificate, "superseded")) == 1
    refused(CaError, "CA_AUTHENTICATION", served.ca.revoke_certificate, old, new.certificate)
    error = refused(CaError, "CA_REFUSED", served.ca.revoke_certificate, served.registrar, old.certificate)
    assert error.ca_code == 66
    msp = served.authority.msp(served.ca.revocation_list(served.registrar))
    with pytest.raises(IdentityError, match="REVOKED"):
        validated(msp, old)
    validated(msp, new)


def test_a_peers_certificate_can_be_revoked(local):
    peer = local.authority.issue_identity("peer", NodeRole.PEER)
    local.ca.revoke_certificate(local.registrar, peer.certificate)
    with pytest.raises(IdentityError, match="REVOKED"):
        validated(local.authority.msp(local.ca.revocation_list(local.registrar)), peer)


def test_revocation_lists_are_numbered_upwards_even_after_a_restart(tmp_path):
    numbers = []
    for _ in range(2):
        authority = opened(tmp_path / "ca")
        ca = in_process_ca(CaService(authority))
        registrar = ca.enroll(REGISTRAR, REGISTRAR_SECRET)
        for _ in range(2):
            crl = x509.load_pem_x509_crl(ca.revocation_list(registrar))
            numbers.append(crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
        authority.close()
    assert numbers == sorted(set(numbers))


def test_a_list_can_be_limited_to_a_time(local, clock):
    start, early, late = clock.now, local.member(), local.member()
    local.ca.revoke_certificate(local.registrar, early.certificate)
    clock.now += timedelta(days=10)
    local.ca.revoke_certificate(local.registrar, late.certificate)
    service = CaService(local.authority)
    in_between = (start + timedelta(days=5)).isoformat()
    for bound, expected in (("revokedafter", late), ("revokedBefore", early)):
        body = json.dumps({bound: in_between}).encode()
        session = requests.Session()
        session.mount("http://", InProcessAdapter(service))
        answer = send(session, "http://localhost", local.registrar, "POST", "/api/v1/gencrl", body).json()
        crl = x509.load_pem_x509_crl(base64.b64decode(answer["result"]["CRL"]))
        assert [entry.serial_number for entry in crl] == [expected.certificate.serial_number]


# Tokens


def send(session, url, registrar, method, target, body, token_for: tuple | None = None):
    method_signed, target_signed, body_signed = token_for or (method, target, body)
    token = authorization_token(registrar, method_signed, target_signed, body_signed)
    return session.request(method, url + target, data=body, headers={"Authorization": token}, timeout=10)


def signed(served: Served, method: str, target: str, body: bytes, token_for: tuple | None = None):
    with requests.Session() as session:
        return send(session, served.url, served.registrar, method, target, body, token_for)


BODY = b'{"id": "somebody", "type": "client"}'


@pytest.mark.parametrize(
    "token_for",
    [
        ("PUT", "/api/v1/register", BODY),
        ("POST", "/api/v1/revoke", BODY),
        ("POST", "/api/v1/register?ca=x", BODY),
        ("POST", "/api/v1/register", BODY.replace(b"client", b"admin")),
    ],
)
def test_a_token_for_another_method_path_query_or_body_is_refused(served, token_for):
    answer = signed(served, "POST", "/api/v1/register", BODY, token_for)
    assert answer.status_code == 401
    assert answer.json() == {
        "result": "",
        "errors": [{"code": 20, "message": "Authentication failure"}],
        "messages": [],
        "success": False,
    }


def test_a_token_of_another_organisations_member_is_refused(served, tmp_path):
    other = opened(tmp_path / "ca", "HungaryMSP")
    foreign = in_process_ca(CaService(other)).enroll(REGISTRAR, REGISTRAR_SECRET)
    other.close()
    refused(CaError, "CA_AUTHENTICATION", served.ca.identities, foreign)
    msp = served.authority.msp()
    with pytest.raises(IdentityError, match="UNKNOWN_ISSUER"):
        validated(msp, foreign)


def test_a_token_by_another_key_is_refused(served):
    token = authorization_token(served.member(), "GET", "/api/v1/identities", b"")
    encoded = base64.b64encode(served.registrar.certificate_pem).decode()
    forged = f"{encoded}.{token.partition('.')[2]}"
    answer = requests.get(f"{served.url}/api/v1/identities", headers={"Authorization": forged}, timeout=10)
    assert answer.status_code == 401


@pytest.mark.parametrize("header", ["", "x", "Basic !", "Basic eA==", ".", "a.b.c", "é"])
def test_a_malformed_authorization_is_refused(served, header):
    headers = {"Authorization": header.encode()} if header else {}
    for path in ("register", "enroll"):
        answer = requests.post(f"{served.url}/api/v1/{path}", data=BODY, headers=headers, timeout=10)
        assert answer.status_code == 401
        assert answer.json()["success"] is False


def test_a_netrc_file_does_not_replace_the_token(served, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert served.ca.identities(served.registrar)


# hfc's own client, without this project's repairs


def test_hfc_as_released_enrols_and_its_weaker_token_works_in_compatibility_mode_only(served):
    key = generate_key()
    csr = x509.load_pem_x509_csr(signing_request(key, REGISTRAR).encode())
    enrollment = ca_service(served.url).enroll(REGISTRAR, REGISTRAR_SECRET, csr=csr)
    request = {"id": "by-hfc", "type": "client", "affiliation": "", "max_enrollments": 1}
    registrar = Enrollment(key, enrollment.cert)
    with pytest.raises(ValueError, match="Authentication failure"):
        CAClient(served.url).register(request, registrar)
    with CaServer(served.authority, accept_v1_tokens=True) as compatible:
        secret = CAClient(compatible.url).register(request, registrar)
    assert common_name(served.ca.enroll("by-hfc", secret).certificate) == "by-hfc"


def test_a_profile_leads_to_its_organisations_ca(served, tmp_path):
    profile = Profile(
        name="registrar",
        gateway="unix:peer.sock",
        channel="fedledger",
        chaincode="fedledger",
        msp_id="ClevelandMSP",
        certificate=tmp_path / "certificate.pem",
        key=tmp_path / "key.pem",
        store="store",
        ca=served.url,
        ca_name="ca-ClevelandMSP",
    )
    assert profile.certificate_authority().info() == served.ca.info()
    refused(BadInputError, "PROFILE_MALFORMED", dataclasses.replace(profile, ca=None).certificate_authority)


def test_one_server_answers_for_several_cas_by_name(tmp_path):
    authorities = [opened(tmp_path / name, name) for name in ("AMSP", "BMSP")]
    with CaServer(*authorities) as server:
        for authority in authorities:
            ca = FabricCa(server.url, ca_name=authority.name)
            assert ca.info().name == authority.name
            registrar = ca.enroll(REGISTRAR, REGISTRAR_SECRET)
            secret = ca.register(registrar, Registration("alice"))
            assert validated(authority.msp(), ca.enroll("alice", secret)).common_name == "alice"
            assert ca.identity(registrar, "alice").enrollment_id == "alice"
            ca.revoke(registrar, "alice")
            assert len(list(x509.load_pem_x509_crl(ca.revocation_list(registrar)))) == 1
        assert FabricCa(server.url).info().name == "ca-AMSP"
        refused(CaError, "CA_UNKNOWN_NAME", FabricCa(server.url, ca_name="ca-C").info)
    for authority in authorities:
        authority.close()


# Signing requests and bodies


def enrolment(served: Served, document: object) -> requests.Response:
    return requests.post(f"{served.url}/api/v1/enroll", json=document, auth=(REGISTRAR, REGISTRAR_SECRET), timeout=10)


def request_pem(name: str = REGISTRAR, extension: x509.ExtensionType | None = None) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    request = builder.sign(generate_key(), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def broken_signature() -> str:
    der = bytearray(x509.load_pem_x509_csr(request_pem().encode()).public_bytes(serialization.Encoding.DER))
    der[der.index(REGISTRAR.encode())] ^= 1
    body = base64.encodebytes(bytes(der)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        ({"certificate_request": request_pem("somebody else")}, 403, 77),
        ({"certificate_request": request_pem(extension=x509.BasicConstraints(True, None))}, 403, 71),
        ({"certificate_request": broken_signature()}, 400, 31),
        ({"certificate_request": "no request"}, 400, 31),
        ({"certificate_request": 7}, 400, 5),
        ({}, 400, 31),
        ({"certificate_request": request_pem(), "profile": "ca"}, 500, 0),
        ({"certificate_request": request_pem(), "attr_reqs": "all"}, 400, 5),
        ({"certificate_request": "x" * 2**20}, 400, 3),
        ([], 400, 5),
    ],
)
def test_a_signing_request_that_asks_for_too_much_is_refused(served, document, status, code):
    answer = enrolment(served, document)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, 4),
        (b"not json", 400, 5),
        (b'{"id": ""}', 400, 52),
        (b'{"id": "x", "attrs": [{"name": 1}]}', 400, 5),
        (b'{"id": "x", "max_enrollments": -2}', 400, 82),
        (b'{"id": "x", "max_enrollments": "many"}', 400, 82),
    ],
)
def test_a_malformed_registration_is_refused(served, body, status, code):
    answer = signed(served, "POST", "/api/v1/register", body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "enroll", 405), ("PUT", "identities/x", 405), ("POST", "nothing", 404), ("GET", "", 404)],
)
def test_unknown_paths_and_methods_are_refused_in_the_same_envelope(served, method, path, status):
    answer = requests.request(method, f"{served.url}/api/v1/{path}", timeout=10)
    assert answer.status_code == status
    assert answer.json()["success"] is False


def test_identities_are_not_removed(served):
    answer = signed(served, "DELETE", f"/api/v1/identities/{REGISTRAR}", b"")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, 56)


# Connections


def test_the_servers_tls_certificate_must_chain_to_the_given_roots(local, tmp_path):
    server_tls = Wallet(tmp_path / "server-tls")
    server_tls.save(local.authority.issue_tls("ca", NodeRole.CLIENT, ["127.0.0.1"]))
    right, wrong = tmp_path / "tlsca.pem", tmp_path / "ca.pem"
    right.write_bytes(certificate_pem(local.authority.tls_ca.certificate))
    wrong.write_bytes(certificate_pem(local.authority.identity_ca.certificate))
    with CaServer(local.authority, tls=server_tls) as server:
        assert server.url.startswith("https://")
        assert FabricCa(server.url, roots=right).enroll(REGISTRAR, REGISTRAR_SECRET)
        refused(CaError, "CA_UNTRUSTED", FabricCa(server.url, roots=wrong).info)
        refused(CaError, "CA_UNTRUSTED", FabricCa(server.url).info)
        elsewhere = server.url.replace("127.0.0.1", "localhost")
        refused(CaError, "CA_UNTRUSTED", FabricCa(elsewhere, roots=right).info)


def test_a_secret_is_not_sent_in_plain_text_to_another_machine(tmp_path):
    refused(BadInputError, "CA_PLAIN_TEXT", FabricCa, "http://ca.cleveland.example:7054")
    refused(BadInputError, "CA_URL", FabricCa, "ca.cleveland.example:7054")
    refused(BadInputError, "MISSING_FILE", FabricCa, "https://ca.example", roots=tmp_path / "no.pem")


def test_a_silent_an_absent_and_a_foreign_server_are_told_apart():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        refused(DeadlineError, "CA_TIMEOUT", FabricCa(url, deadline=0.2).info)
    refused(CaError, "CA_UNREACHABLE", FabricCa(url, deadline=1).info)
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        url = f"http://127.0.0.1:{foreign.getsockname()[1]}"
        thread = threading.Thread(target=answer_once, args=(foreign, b"HTTP/1.0 200 OK\r\n\r\n{}"))
        thread.start()
        refused(CaError, "CA_PROTOCOL", FabricCa(url).info)
        thread.join()


def test_an_answer_with_a_certificate_for_another_key_is_not_accepted(served):
    answer = enrolment(served, {"certificate_request": request_pem()}).content
    with socket.create_server(("127.0.0.1", 0)) as impostor:
        url = f"http://127.0.0.1:{impostor.getsockname()[1]}"
        thread = threading.Thread(target=answer_once, args=(impostor, b"HTTP/1.0 201 OK\r\n\r\n" + answer))
        thread.start()
        refused(IdentityError, "KEY_MISMATCH", FabricCa(url).enroll, REGISTRAR, REGISTRAR_SECRET)
        thread.join()


def answer_once(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def test_a_port_in_use_is_said_so(served):
    port = int(served.url.rpartition(":")[2])
    assert str(port) in refused(BadInputError, "ADDRESS_IN_USE", CaServer, served.authority, port=port).message


# The authority's folder


def test_root_keys_and_registry_are_the_owners_alone(served, tmp_path):
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
