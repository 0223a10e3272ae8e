"""Sealing is RFC 9180's base mode: the library that does it opens the RFC's own vector."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.identity.keys import generate_key, private_key_pem
from fedledger.secure_aggregation import KeyFileError, SealingKey, UpdateError
from fedledger.secure_aggregation.sealing import seal
from fedledger_chaincode.rules.dealing import SEALING_BYTES

# RFC 9180, appendix A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode.
RFC_INFO = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
RFC_RECIPIENT = bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
RFC_ENCAPSULATED = bytes.fromhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
RFC_KEY = bytes.fromhex("4531685d41d65f03dc48f6b8302c05b0")
RFC_NONCE = bytes.fromhex("56d890e5accaaf011cff4b7d")
RFC_PLAINTEXT = bytes.fromhex("4265617574792069732074727574682c20747275746820626561757479")
RFC_CIPHERTEXT = bytes.fromhex(
    "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
)


def test_the_library_opens_the_vector_of_the_rfc() -> None:
    # The RFC's ciphertext has additional data, and this library's have none: the tag is made anew under the RFC's key.
    assert AESGCM(RFC_KEY).encrypt(RFC_NONCE, RFC_PLAINTEXT, b"Count-0") == RFC_CIPHERTEXT
    sealed = RFC_ENCAPSULATED + AESGCM(RFC_KEY).encrypt(RFC_NONCE, RFC_PLAINTEXT, None)
    key = SealingKey(X25519PrivateKey.from_private_bytes(RFC_RECIPIENT))
    assert key.open(sealed, RFC_INFO) == RFC_PLAINTEXT


@given(st.binary(max_size=300), st.binary(max_size=100))
@settings(max_examples=30)
def test_the_recipient_opens_what_was_sealed(plaintext: bytes, info: bytes) -> None:
    key = SealingKey.generate()
    sealed = seal(plaintext, key.public_key, info)
    assert len(sealed) == len(plaintext) + SEALING_BYTES
    assert key.open(sealed, info) == plaintext


def test_the_suite_is_the_one_that_the_specification_names() -> None:
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw().hex()
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
    assert suite.decrypt(seal(b"share", public, b"info"), private, info=b"info") == b"share"
    assert SealingKey(private).open(suite.encrypt(b"share", private.public_key(), info=b"info"), b"info") == b"share"


def test_each_sealing_is_another() -> None:
    key = SealingKey.generate()
    assert seal(b"share", key.public_key, b"info") != seal(b"share", key.public_key, b"info")


@given(st.data())
@settings(max_examples=60)
def test_nothing_altered_opens(data: st.DataObject) -> None:
    key = SealingKey.generate()
    sealed = bytearray(seal(b"a share of an update", key.public_key, b"info"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 127))
    assert key.open(bytes(sealed), b"info") is None


@pytest.mark.parametrize("length", [0, 1, 31, 32, 47])
def test_what_is_too_short_does_not_open(length: int) -> None:
    assert SealingKey.generate().open(bytes(length), b"info") is None


def test_other_keys_and_other_contexts_do_not_open() -> None:
    key = SealingKey.generate()
    sealed = seal(b"share", key.public_key, b"info")
    assert SealingKey.generate().open(sealed, b"info") is None
    assert key.open(sealed, b"other") is None


# The points of order 1, 2, 4 and 8 in the encodings that X25519 takes (RFC 7748, section 6.1, and cr.yp.to/ecdh.html).
SMALL_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
]


@pytest.mark.parametrize("public_key", SMALL_ORDER)
def test_a_key_of_small_order_gets_random_bytes_of_the_right_length(public_key: str) -> None:
    first, second = (seal(b"a share", public_key, b"info") for _ in range(2))
    assert len(first) == len(second) == len(b"a share") + SEALING_BYTES
    assert first != second and b"a share" not in first


@pytest.mark.parametrize("public_key", ["", "ab", "ab" * 33, "no hex"])
def test_a_malformed_public_key_is_refused(public_key: str) -> None:
    with pytest.raises(UpdateError, match="SEALING_KEY"):
        seal(b"share", public_key, b"info")


def test_a_sealing_key_survives_its_file() -> None:
    key = SealingKey.generate()
    again = SealingKey.from_pem(key.to_pem())
    assert again.public_key == key.public_key
    assert again.open(seal(b"share", key.public_key, b""), b"") == b"share"


def test_a_file_without_a_sealing_key_is_refused() -> None:
    for pem in (
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        private_key_pem(generate_key()),
    ):
        with pytest.raises(KeyFileError, match="SEALING_KEY"):
            SealingKey.from_pem(pem)
