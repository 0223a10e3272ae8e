"""Members enrol through Fabric CA's REST calls at the development CA, by hfc; what Fabric CA refuses, it refuses."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from hfc.fabric_ca.caservice import CAClient, Enrollment, ca_service

from fedledger.errors import BadInputError, FedledgerError
from fedledger.identity.authority import NodeRole, certificate_attributes, certificate_pem
from fedledger.identity.ca import UNLIMITED, FabricCa, Registration, signing_request
from fedledger.identity.ca_session import CaError, authorization_token
from fedledger.identity.errors import IdentityError
from fedledger.identity.keys import KeyType, generate_key
from fedledger.identity.msp import Msp, VerifiedIdentity, serialize_identity
from fedledger.identity.profile import Profile
from fedledger.identity.wallet import Credentials
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.in_process import InProcessAdapter, in_process_ca
from fedledger_network.ca.server import CaServer
from fedledger_network.ca.service import CaService
from fedledger_network.fabric import FabricError, find_programs

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
    identity = msp.identify(serialize_identity(msp.msp_id, credentials.certificate_pem))
    identity.refuse_expired(at or datetime.now(UTC))
    return identity


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


# The same client at both CAs


@pytest.fixture(params=["development", pytest.param("fabric", marks=pytest.mark.fabric)])
def any_ca(request, tmp_path) -> Iterator[FabricCa]:
    if request.param == "development":
        authority = opened(tmp_path / "ca")
        with CaServer(authority) as server:
            yield FabricCa(server.url)
        authority.close()
        return
    try:
        program = find_programs().require_certificate_authority()
    except FabricError as missing:
        pytest.skip(str(missing))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = ["start", "--boot", f"{REGISTRAR}:{REGISTRAR_SECRET}", "--address", "127.0.0.1", "--port", str(port)]
    log = tmp_path / "fabric-ca-server.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [program, *arguments, "--home", str(tmp_path)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "FABRIC_CA_SERVER_OPERATIONS_LISTENADDRESS": "127.0.0.1:0"},
        ) as process,
    ):
        try:
            ca = FabricCa(f"http://127.0.0.1:{port}")
            wait_until_answering(ca, process, log)
            yield ca
        finally:
            process.terminate()


def wait_until_answering(ca: FabricCa, process: subprocess.Popen[bytes], log: Path) -> None:
    while process.poll() is None:
        try:
            ca.info()
            return
        except CaError as error:
            if error.code != "CA_UNREACHABLE":
                raise
            time.sleep(0.05)
    pytest.fail(f"fabric-ca-server ended: {log.read_text()}")


@pytest.mark.parametrize("key_type", [KeyType.P256, KeyType.P384])
def test_a_member_is_registered_enrolled_renewed_and_revoked(any_ca, key_type):
    registrar = any_ca.enroll(REGISTRAR, REGISTRAR_SECRET, key_type=key_type)
    root = certificate_pem(any_ca.info().chain[0])
    registration = Registration("alice", attributes={"fedledger.role": "auditor"})
    secret = any_ca.register(registrar, registration)
    refused(CaError, "CA_ALREADY_REGISTERED", any_ca.register, registrar, registration)
    alice = any_ca.enroll("alice", secret, key_type=key_type)
    identity = validated(Msp("ClevelandMSP", (root,)), alice)
    assert (identity.role, identity.attributes["fedledger.role"]) == (NodeRole.CLIENT, "auditor")
    refused(CaError, "CA_AUTHENTICATION", any_ca.enroll, "alice", secret)
    refused(CaError, "CA_AUTHORISATION", any_ca.register, alice, Registration("bob"))
    shown = any_ca.identity(registrar, "alice")
    assert shown.attributes["fedledger.role"] == "auditor"
    assert "alice" in {entry.enrollment_id for entry in any_ca.identities(registrar)}
    renewed = any_ca.reenroll(alice)
    assert validated(Msp("ClevelandMSP", (root,)), renewed).attributes == identity.attributes
    tls = any_ca.enroll(REGISTRAR, REGISTRAR_SECRET, profile="tls", hosts=["localhost"])
    assert tls.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert len(any_ca.revoke_certificate(registrar, alice.certificate)) == 1
    assert len(any_ca.revoke(registrar, "alice", "keycompromise")) == 1
    refused(CaError, "CA_AUTHENTICATION", any_ca.reenroll, renewed)
    msp = Msp("ClevelandMSP", (root,), revocation_list=(any_ca.revocation_list(registrar),))
    for revoked in (alice, renewed):
        with pytest.raises(IdentityError, match="REVOKED"):
            validated(msp, revoked)
    validated(msp, registrar)


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
    refused(CaError, "CA_AUTHORISATION", served.ca.register, served.registrar, registration)
    body = json.dumps({"name": "cardiology.ward7"}).encode()
    assert signed(served, "POST", "/api/v1/affiliations", body).status_code == 404
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
        (b'{"id": "x", "max_enrollments": true}', 400, 5),
        (b'{"id": "x", "max_enrollments": "many"}', 400, 5),
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
