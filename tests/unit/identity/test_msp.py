"""An MSP accepts its own members' certificates and refuses every other kind, each with its own code."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from fabric_protos.msp import msp_config_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedledger.identity.authority import CertificateAuthority, NodeRole, Validity, certificate_pem
from fedledger.identity.errors import IdentityError
from fedledger.identity.keys import KeyType, generate_key, has_low_s, sign, with_low_s
from fedledger.identity.msp import Msp, NodeOu, NodeOus, VerifiedIdentity, serialize_identity

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def refusal(msp: Msp, serialized: bytes) -> str:
    with pytest.raises(IdentityError) as caught:
        msp.identify(serialized)
    assert caught.value.message and caught.value.remedy
    return caught.value.code


@pytest.mark.parametrize("role", list(NodeRole))
@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_member_is_accepted_with_its_role_and_attributes_and_its_signatures_verify(org, role, key_type):
    member = org.enrol([role, "cardiology"], key_type=key_type, attributes={"fedledger.role": "validator"})
    identity = org.msp.identify(member.serialized)
    assert (identity.msp_id, identity.role, identity.common_name) == ("ClevelandMSP", role, "alice")
    assert dict(identity.attributes) == {"fedledger.role": "validator"}
    identity.verify(b"proposal", sign(member.key, b"proposal"))
    with pytest.raises(IdentityError, match="BAD_SIGNATURE"):
        identity.verify(b"another proposal", sign(member.key, b"proposal"))


@pytest.mark.parametrize("key_type", list(KeyType))
def test_authorities_of_each_key_type_are_accepted_and_sign_with_a_low_s(org, key_type):
    authority = org.new_authority(key_type=key_type)
    msp = Msp("ClevelandMSP", (certificate_pem(authority.certificate),))
    for _ in range(4):
        member = org.enrol(by=authority)
        assert has_low_s(member.certificate.signature, authority.key.public_key())
        assert msp.identify(member.serialized).role is NodeRole.CLIENT


def test_an_authority_with_the_same_name_and_another_key_is_unknown(org):
    assert refusal(org.msp, org.enrol(by=org.new_authority()).serialized) == "UNKNOWN_ISSUER"


def test_a_self_signed_leaf_is_unknown(org):
    key = ec.generate_private_key(ec.SECP256R1())
    name = org.enrol().certificate.subject
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, org.now, org.now + org.year)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    serialized = serialize_identity("ClevelandMSP", certificate_pem(certificate))
    assert refusal(org.msp, serialized) == "UNKNOWN_ISSUER"


def test_the_msp_id_must_be_the_organisations_own(org):
    pem = certificate_pem(org.enrol().certificate)
    assert refusal(org.msp, serialize_identity("HungaryMSP", pem)) == "WRONG_MSP"


def test_no_clock_decides_whose_a_certificate_is_but_whoever_has_one_can_ask(org):
    window = Validity(org.now, org.now + timedelta(days=1))
    identity = org.msp.identify(org.enrol(validity=window).serialized)
    identity.refuse_expired(window.not_before - timedelta(days=1))
    identity.refuse_expired(window.not_after)
    with pytest.raises(IdentityError, match="EXPIRED"):
        identity.refuse_expired(window.not_after + timedelta(seconds=1))


def test_an_authority_that_has_ended_certifies_nobody_who_begins_after_it(org):
    short = Validity(org.now, org.now + timedelta(days=1))
    authority = CertificateAuthority.self_signed(generate_key(), "ca", "cleveland", short)
    msp = Msp("ClevelandMSP", (certificate_pem(authority.certificate),))
    early = org.enrol(by=authority, validity=Validity(org.now, org.now + org.year))
    late = org.enrol(by=authority, validity=Validity(org.now + timedelta(days=2), org.now + org.year))
    assert msp.identify(early.serialized)
    assert refusal(msp, late.serialized) == "UNKNOWN_ISSUER"


def test_a_revoked_certificate_is_refused_and_others_are_not(org):
    revoked, other = org.enrol(), org.enrol()
    msp = org.revoking(revoked.certificate)
    assert refusal(msp, revoked.serialized) == "REVOKED"
    assert msp.identify(other.serialized)


@pytest.mark.parametrize("units", [(), ("cardiology",), ("client", "admin"), ("peer", "orderer"), ("Client",)])
def test_exactly_one_node_ou_role_is_required(org, units):
    assert refusal(org.msp, org.enrol(units).serialized) == "BAD_NODE_OU"


def test_a_role_bound_to_one_authority_is_not_granted_by_another(org):
    second = org.new_authority("ca2.cleveland.example")
    pems = tuple(certificate_pem(ca.certificate) for ca in (org.authority, second))
    ous = NodeOus(admin=NodeOu("admin", pems[0]))
    msp = Msp("ClevelandMSP", pems, node_ous=ous)
    assert msp.identify(org.enrol(["admin"]).serialized).role is NodeRole.ADMIN
    assert refusal(msp, org.enrol(["admin"], by=second).serialized) == "BAD_NODE_OU"
    assert msp.identify(org.enrol(["client"], by=second).serialized)


def test_a_certificate_and_its_twin_with_a_high_s_are_one_identity(org):
    member = org.enrol()
    r, s = decode_dss_signature(member.certificate.signature)
    high = encode_dss_signature(r, P256_ORDER - s)
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
    bits = b"\x03" + bytes([len(high) + 1]) + b"\x00" + high
    body = member.certificate.tbs_certificate_bytes + algorithm + bits
    malleated = x509.load_der_x509_certificate(b"\x30\x82" + len(body).to_bytes(2, "big") + body)
    twin = org.msp.identify(serialize_identity("ClevelandMSP", certificate_pem(malleated)))
    assert twin == org.msp.identify(member.serialized)
    assert twin.has_certificate(certificate_pem(malleated)) and twin.has_certificate(
        certificate_pem(member.certificate)
    )


def test_a_high_s_signature_is_refused_although_it_verifies_mathematically(org):
    member = org.enrol()
    identity = org.msp.identify(member.serialized)
    r, s = decode_dss_signature(sign(member.key, b"proposal"))
    with pytest.raises(IdentityError, match="HIGH_S_SIGNATURE"):
        identity.verify(b"proposal", encode_dss_signature(r, P256_ORDER - s))


@pytest.mark.parametrize("signature", [b"", b"\x30\x00", b"not DER", bytes(64)])
def test_bytes_that_are_no_signature_are_refused(org, signature):
    identity = org.msp.identify(org.enrol().serialized)
    with pytest.raises(IdentityError, match="BAD_SIGNATURE"):
        identity.verify(b"proposal", signature)


def test_an_authority_cannot_act_as_an_identity(org):
    serialized = serialize_identity("ClevelandMSP", org.msp.root_certificates[0])
    assert refusal(org.msp, serialized) == "BAD_CERTIFICATE"


def test_an_intermediate_is_followed_to_the_root_and_its_revocation_counts(org):
    intermediate = subordinate(org)
    pem = certificate_pem(intermediate.certificate)
    msp = replace(org.msp, intermediate_certificates=(pem,))
    member = org.enrol(by=intermediate)
    assert msp.identify(member.serialized).role is NodeRole.CLIENT
    assert refusal(org.msp, member.serialized) == "UNKNOWN_ISSUER"
    assert refusal(msp, org.enrol().serialized) == "BAD_CERTIFICATE"  # its issuer certifies the intermediate only
    with pytest.raises(IdentityError, match="is revoked"):
        replace(org.revoking(intermediate.certificate), intermediate_certificates=(pem,))


def test_a_leaf_cannot_issue(org):
    leaf = org.enrol()
    forged = org.enrol(by=CertificateAuthority(leaf.certificate, leaf.key))
    assert refusal(org.msp, forged.serialized) == "UNKNOWN_ISSUER"


def test_unknown_critical_extensions_and_rsa_keys_are_refused_and_p_521_is_not(org):
    now, issuer = org.now, org.authority
    subject = org.enrol().certificate.subject

    def certificate(public_key, extension=None):
        builder = x509.CertificateBuilder(issuer.certificate.subject, subject, public_key, 7, now, now + org.year)
        builder = builder.add_extension(extension, critical=True) if extension else builder
        return serialize_identity("ClevelandMSP", certificate_pem(builder.sign(issuer.key, hashes.SHA256())))

    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    assert refusal(org.msp, certificate(generate_key().public_key(), strange)) == "BAD_CERTIFICATE"
    key = rsa.generate_private_key(65537, 2048)
    assert refusal(org.msp, certificate(key.public_key())) == "UNSUPPORTED_KEY"
    key = ec.generate_private_key(ec.SECP521R1())
    identity = org.msp.identify(certificate(key.public_key()))
    identity.verify(b"proposal", with_low_s(key.sign(b"proposal", ec.ECDSA(hashes.SHA256())), key.public_key()))


@pytest.mark.parametrize("value", [b"no JSON", b'{"attrs": []}', b'{"attrs": {"a": 1}}', b"{}", b"[]"])
def test_a_malformed_attribute_extension_is_told_to_whoever_asks_for_attributes(org, value):
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1"), value)
    builder = x509.CertificateBuilder(
        org.authority.certificate.subject,
        org.enrol().certificate.subject,
        generate_key().public_key(),
        7,
        org.now,
        org.now + org.year,
    ).add_extension(extension, critical=False)
    pem = certificate_pem(builder.sign(org.authority.key, hashes.SHA256()))
    identity = org.msp.identify(serialize_identity("ClevelandMSP", pem))
    with pytest.raises(IdentityError, match="BAD_ATTRIBUTES"):
        _ = identity.attributes


@pytest.mark.parametrize("serialized", [b"\xff\xff", serialize_identity("ClevelandMSP", b"no PEM")])
def test_bytes_that_are_no_identity_are_refused(org, serialized):
    assert refusal(org.msp, serialized) == "MALFORMED_IDENTITY"


def test_of_two_certificates_in_one_identity_the_first_counts(org):
    first, second = org.enrol(), org.enrol()
    pem = certificate_pem(first.certificate) + certificate_pem(second.certificate)
    assert org.msp.identify(serialize_identity("ClevelandMSP", pem)) == org.msp.identify(first.serialized)


def test_an_msp_survives_fabrics_protobuf_unchanged(org):
    intermediate = certificate_pem(subordinate(org).certificate)
    msp = replace(org.revoking(org.enrol().certificate), intermediate_certificates=(intermediate,))
    assert Msp.from_proto(msp.to_proto()) == msp
    message = msp_config_pb2.FabricMSPConfig.FromString(msp.to_proto())
    assert message.crypto_config.signature_hash_family == "SHA2"
    assert message.fabric_node_ous.peer_ou_identifier.organizational_unit_identifier == "peer"


def test_an_msp_with_other_hash_functions_is_refused(org):
    message = msp_config_pb2.FabricMSPConfig.FromString(org.msp.to_proto())
    message.crypto_config.signature_hash_family = "SHA3"
    with pytest.raises(IdentityError, match="UNSUPPORTED_MSP"):
        Msp.from_proto(message.SerializeToString())


@pytest.mark.parametrize(
    "change",
    [
        lambda org: {"msp_id": ""},
        lambda org: {"root_certificates": ()},
        lambda org: {"root_certificates": (b"no PEM",)},
        lambda org: {"root_certificates": (certificate_pem(org.enrol().certificate),)},
        lambda org: {"tls_root_certificates": (certificate_pem(org.enrol().certificate),)},
        lambda org: {"revocation_list": (b"no PEM",)},
        lambda org: {"node_ous": None},
        lambda org: {"node_ous": NodeOus(admin=NodeOu("admin", certificate_pem(org.new_authority().certificate)))},
    ],
)
def test_a_malformed_msp_is_refused_on_construction(org, change):
    with pytest.raises(IdentityError, match="MALFORMED_MSP"):
        replace(org.msp, **change(org))


def test_bytes_that_are_no_msp_are_refused():
    with pytest.raises(IdentityError, match="MALFORMED_MSP"):
        Msp.from_proto(b"\xff\xff\xff")


def test_a_verified_identity_remembers_its_certificate(org):
    member = org.enrol()
    identity = org.msp.identify(member.serialized)
    assert isinstance(identity, VerifiedIdentity)
    assert identity.certificate.encoded == member.certificate.public_bytes(serialization.Encoding.DER)
    assert org.msp.identify(member.serialized) is identity


def subordinate(org) -> CertificateAuthority:
    key = generate_key()
    certificate = org.authority.issue(key.public_key(), "ica.cleveland", [], Validity.starting(org.now, org.year))
    builder = x509.CertificateBuilder(
        certificate.issuer,
        certificate.subject,
        key.public_key(),
        9,
        certificate.not_valid_before_utc,
        org.now + org.year,
    )
    usage = org.authority.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    for value, critical in (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (usage, True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ):
        builder = builder.add_extension(value, critical=critical)
    while True:
        signed = builder.sign(org.authority.key, hashes.SHA256())
        if has_low_s(signed.signature, org.authority.key.public_key()):
            return CertificateAuthority(signed, key)


@pytest.mark.parametrize("version", [0x05, 0x7F])
def test_a_certificate_of_an_unknown_version_is_refused_and_does_not_break_the_reader(org, version):
    member = org.enrol()
    der = bytearray(member.certificate.public_bytes(serialization.Encoding.DER))
    place = der.index(bytes.fromhex("a003020102")) + 4
    der[place] = version
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(bytes(der)) + b"-----END CERTIFICATE-----\n"
    with pytest.raises(IdentityError) as refusal:
        org.msp.identify(serialize_identity(org.msp.msp_id, pem))
    assert refusal.value.code == "MALFORMED_IDENTITY"


@pytest.fixture(scope="module")
def member(org):
    return org.enrol()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 100_000), bit=st.integers(0, 7))
def test_no_flipped_bit_of_a_certificate_raises_anything_but_a_refusal(org, member, place, bit):
    der = bytearray(member.certificate.public_bytes(serialization.Encoding.DER))
    der[place % len(der)] ^= 1 << bit
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(bytes(der)) + b"-----END CERTIFICATE-----\n"
    with pytest.raises(IdentityError):
        org.msp.identify(serialize_identity(org.msp.msp_id, pem))
