"""Who submitted a transaction, as the contract reads it from the creator's bytes."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fabric_protos.msp import identities_pb2
from hypothesis import given
from hypothesis import strategies as st

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.submitter import ATTRIBUTES_OID, Submitter

KEY = ec.generate_private_key(ec.SECP256R1())
START = datetime(2026, 1, 1, tzinfo=UTC)
CN, OU = x509.NameOID.COMMON_NAME, x509.NameOID.ORGANIZATIONAL_UNIT_NAME


def certificate(
    *, names: Any = ((OU, "client"), (CN, "alice")), key: Any = KEY, attributes: bytes | None = None
) -> bytes:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.Name([x509.NameAttribute(CN, "ca")]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=1))
    )
    if attributes is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(ATTRIBUTES_OID, attributes), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def creator(pem: bytes, msp_id: str = "ClevelandMSP") -> bytes:
    return bytes(identities_pb2.SerializedIdentity(mspid=msp_id, id_bytes=pem).SerializeToString())


PLAIN = certificate()


def test_a_submitter_is_what_its_certificate_says():
    names = ((OU, "admin"), (OU, "cardiology"), (CN, "alice"))
    pem = certificate(names=names, attributes=b'{"attrs": {"fedledger.role": "governor", "n": "1"}}')
    submitter = Submitter.from_creator(creator(pem))
    der = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert submitter.msp_id == "ClevelandMSP"
    assert submitter.roles == ("admin",)
    assert submitter.attributes == {"fedledger.role": "governor", "n": "1"}
    assert submitter.common_name == "alice"
    assert submitter.public_key_der == der
    assert submitter.pseudonym == hashlib.sha256(der).hexdigest()


def test_a_renewed_certificate_of_one_key_is_one_pseudonym():
    first = Submitter.from_creator(creator(PLAIN))
    renewed = Submitter.from_creator(creator(certificate(names=((OU, "client"), (CN, "alice2")))))
    assert first.pseudonym == renewed.pseudonym


def test_the_same_bytes_are_read_once():
    assert Submitter.from_creator(creator(PLAIN)) is Submitter.from_creator(creator(PLAIN))


def test_a_submitter_cannot_be_changed_for_the_next_transaction():
    with pytest.raises(TypeError):
        Submitter.from_creator(creator(PLAIN)).attributes["fedledger.role"] = "governor"  # type: ignore[index]


def test_an_msp_without_node_roles_has_none():
    assert Submitter.from_creator(creator(certificate(names=((CN, "alice"),)))).roles == ()


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff\xff",
        creator(PLAIN, msp_id=""),
        creator(b""),
        creator(b"no certificate"),
        creator(PLAIN + PLAIN),
        creator(PLAIN.replace(b"A", b"B")),
        creator(certificate(names=((OU, "client"), (OU, "admin"), (CN, "alice")))),
        creator(certificate(names=((OU, "client"), (OU, "client"), (CN, "alice")))),
        creator(certificate(names=((OU, "client"),))),
        creator(certificate(names=((OU, "client"), (CN, "alice"), (CN, "bob")))),
        creator(certificate(key=rsa.generate_private_key(65537, 2048))),
        creator(certificate(key=ec.generate_private_key(ec.SECP256K1()))),
        creator(certificate(attributes=b"")),
        creator(certificate(attributes=b"\xff")),
        creator(certificate(attributes=b"[]")),
        creator(certificate(attributes=b'{"attrs": ["fedledger.role"]}')),
        creator(certificate(attributes=b'{"attrs": {"fedledger.role": 1}}')),
        creator(certificate(attributes=b'{"attrs": {"a": "1", "a": "2"}}')),
        creator(certificate(attributes=b'{"attrs": {}, "attrs": {}}')),
        creator(certificate(attributes=b"[" * 100_000)),
    ],
    ids=[
        "nothing",
        "no protobuf",
        "no msp",
        "no certificate",
        "text",
        "two certificates",
        "no base64 of a certificate",
        "two roles",
        "a role twice",
        "no name",
        "two names",
        "an rsa key",
        "another curve",
        "empty attributes",
        "attributes that are no utf-8",
        "attributes in a list",
        "attributes without values",
        "an attribute that is a number",
        "an attribute twice",
        "attributes twice",
        "attributes nested too deep",
    ],
)
def test_what_is_not_clear_is_refused(garbage):
    with pytest.raises(ContractError) as refusal:
        Submitter.from_creator(garbage)
    assert (refusal.value.status, refusal.value.code) == (403, "BAD_IDENTITY")


_DER = x509.load_pem_x509_certificate(PLAIN).public_bytes(serialization.Encoding.DER)


@given(st.integers(0, len(_DER) - 1), st.integers(1, 255))
def test_a_broken_certificate_is_refused_or_read_the_same_twice(position, flipped):
    """A contract that stumbled would answer 500 at one peer and something else at the next release."""
    broken = bytearray(_DER)
    broken[position] ^= flipped
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(bytes(broken)) + b"-----END CERTIFICATE-----\n"
    readings = []
    for _ in range(2):
        try:
            readings.append(Submitter.from_creator(creator(pem)))
        except ContractError as refusal:
            readings.append(refusal.code)
    assert readings[0] == readings[1]


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(received):
    with pytest.raises(ContractError, match="BAD_IDENTITY"):
        Submitter.from_creator(received)
