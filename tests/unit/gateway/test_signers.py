"""Signers make signatures that a Fabric peer takes, and no key of another kind gets one."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from fedledger.gateway import Identity, SigningError, connect, new_private_key_signer, sha256, unhashed
from fedledger.gateway.identity import hash_for
from fedledger.identity.keys import verify

MESSAGE = b"a message"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=lambda curve: curve.name)
def test_ecdsa_signs_a_sha256_digest_with_low_s(curve):
    key = ec.generate_private_key(curve)
    sign = new_private_key_signer(key)
    # Half of all ECDSA signatures have a high S before normalisation.
    for _ in range(32):
        verify(key.public_key(), MESSAGE, sign(sha256(MESSAGE)))


def test_ed25519_signs_the_message_itself(make_client):
    client = make_client(ed25519.Ed25519PrivateKey.generate())
    assert hash_for(client.identity) is unhashed
    verify(client.key.public_key(), MESSAGE, client.sign(unhashed(MESSAGE)))


def test_an_ecdsa_certificate_goes_with_sha256(client):
    assert hash_for(client.identity)(MESSAGE) == hashlib.sha256(MESSAGE).digest()


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256K1()), b"pem"],
    ids=["RSA", "secp256k1", "bytes"],
)
def test_other_keys_are_refused(key):
    with pytest.raises(SigningError) as caught:
        new_private_key_signer(key)
    assert caught.value.code == "UNSUPPORTED_KEY"


def test_credentials_that_are_no_certificate_are_refused_when_connecting(client, channel):
    with pytest.raises(SigningError) as caught:
        connect(Identity("ClevelandMSP", b"-----BEGIN NOTHING-----"), client.sign, channel)
    assert caught.value.code == "MALFORMED_CERTIFICATE"


def test_a_hash_can_be_chosen(client, channel, peer):
    gateway = connect(client.identity, lambda digest: digest, channel, hash_message=lambda message: b"chosen")
    assert gateway.get_network("c").get_contract("k").new_proposal("F").get_digest() == b"chosen"
