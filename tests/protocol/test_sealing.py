"""Sealing is RFC 9180's base mode: its own vectors, and a library that knows nothing of ours."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.identity.keys import generate_key, private_key_pem
from fedledger.secure_aggregation import KeyFileError, SealingKey, UpdateError
from fedledger.secure_aggregation.sealing import (
    OVERHEAD_BYTES,
    derive_private_key,
    new_seed,
    open_with_seed,
    seal,
    sender_schedule,
)

# RFC 9180, appendix A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode.
RFC_INFO = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
RFC_SEED = bytes.fromhex("7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234")
RFC_EPHEMERAL = "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736"
RFC_ENCAPSULATED = "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"
RFC_RECIPIENT = "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d"
RFC_KEY = "4531685d41d65f03dc48f6b8302c05b0"
RFC_NONCE = "56d890e5accaaf011cff4b7d"
RFC_PLAINTEXT = bytes.fromhex("4265617574792069732074727574682c20747275746820626561757479")
RFC_CIPHERTEXT = "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"


def test_key_schedule_is_that_of_the_rfc() -> None:
    assert derive_private_key(RFC_SEED).hex() == RFC_EPHEMERAL
    encapsulated, key, nonce = sender_schedule(RFC_RECIPIENT, RFC_INFO, RFC_SEED)
    assert (encapsulated.hex(), key.hex(), nonce.hex()) == (RFC_ENCAPSULATED, RFC_KEY, RFC_NONCE)
    assert AESGCM(key).encrypt(nonce, RFC_PLAINTEXT, b"Count-0").hex() == RFC_CIPHERTEXT


@given(st.binary(max_size=300), st.binary(max_size=100))
@settings(max_examples=30)
def test_the_recipient_opens_what_was_sealed(plaintext: bytes, info: bytes) -> None:
    key, seed = SealingKey.generate(), new_seed()
    sealed = seal(plaintext, key.public_key, info, seed)
    assert len(sealed) == len(plaintext) + OVERHEAD_BYTES
    assert key.open(sealed, info) == plaintext
    assert open_with_seed(sealed, key.public_key, info, seed) == plaintext


def test_another_implementation_opens_it_and_is_opened() -> None:
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw().hex()
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
    assert suite.decrypt(seal(b"share", public, b"info", new_seed()), private, info=b"info") == b"share"
    assert SealingKey(private).open(suite.encrypt(b"share", private.public_key(), info=b"info"), b"info") == (b"share")


@given(st.data())
@settings(max_examples=60)
def test_nothing_altered_opens(data: st.DataObject) -> None:
    key, seed = SealingKey.generate(), new_seed()
    sealed = bytearray(seal(b"a share of an update", key.public_key, b"info", seed))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 127))
    assert key.open(bytes(sealed), b"info") is None
    assert open_with_seed(bytes(sealed), key.public_key, b"info", seed) is None


@pytest.mark.parametrize("length", [0, 1, 31, 32, 47])
def test_what_is_too_short_does_not_open(length: int) -> None:
    key = SealingKey.generate()
    assert key.open(bytes(length), b"info") is None
    assert open_with_seed(bytes(length), key.public_key, b"info", new_seed()) is None


def test_other_keys_other_contexts_and_other_seeds_do_not_open() -> None:
    key, seed = SealingKey.generate(), new_seed()
    sealed = seal(b"share", key.public_key, b"info", seed)
    assert SealingKey.generate().open(sealed, b"info") is None
    assert key.open(sealed, b"other") is None
    assert open_with_seed(sealed, key.public_key, b"info", new_seed()) is None
    assert open_with_seed(sealed, key.public_key, b"other", seed) is None


@pytest.mark.parametrize("public_key", ["00" * 32, "01" + "00" * 31, "ab", "no hex"])
def test_a_public_key_that_gives_no_secret_is_refused(public_key: str) -> None:
    with pytest.raises(UpdateError, match="SEALING_KEY"):
        seal(b"share", public_key, b"info", new_seed())


def test_a_sealing_key_survives_its_file() -> None:
    key = SealingKey.generate()
    again = SealingKey.from_pem(key.to_pem())
    assert again.public_key == key.public_key
    assert again.open(seal(b"share", key.public_key, b"", new_seed()), b"") == b"share"


def test_a_file_without_a_sealing_key_is_refused() -> None:
    for pem in (
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        private_key_pem(generate_key()),
    ):
        with pytest.raises(KeyFileError, match="SEALING_KEY"):
            SealingKey.from_pem(pem)
