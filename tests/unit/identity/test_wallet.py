"""A wallet gives back what was saved, to its owner alone, and survives a crash between any two of its writes."""

from __future__ import annotations

import stat
from dataclasses import replace

import pytest

from fedledger.errors import FedledgerError
from fedledger.identity.authority import certificate_pem
from fedledger.identity.errors import IdentityError
from fedledger.identity.files import read_private, write_private
from fedledger.identity.keys import KeyType, private_key_pem, public_key_der
from fedledger.identity.wallet import Credentials, Wallet, load_credentials


def credentials(org, **options) -> Credentials:
    member = org.enrol(**options)
    return Credentials(member.certificate, member.key, (org.authority.certificate,))


def same(left: Credentials, right: Credentials) -> bool:
    return (left.certificate, left.chain, public_key_der(left.key.public_key())) == (
        right.certificate,
        right.chain,
        public_key_der(right.key.public_key()),
    )


@pytest.fixture
def wallet(tmp_path) -> Wallet:
    return Wallet(tmp_path / "alice")


@pytest.mark.parametrize("key_type", list(KeyType))
def test_what_was_saved_is_loaded(org, wallet, key_type):
    saved = credentials(org, key_type=key_type)
    assert not wallet.exists()
    wallet.save(saved)
    assert wallet.exists()
    assert same(wallet.load(), saved)


def test_only_the_owner_can_read_the_key_whatever_the_umask(org, wallet):
    wallet.save(credentials(org))
    wallet.save(credentials(org))
    assert stat.S_IMODE(wallet.key_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(wallet.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_a_key_that_others_can_reach_is_refused(org, wallet, mode):
    wallet.save(credentials(org))
    wallet.key_path.chmod(mode)
    with pytest.raises(IdentityError) as caught:
        wallet.load()
    assert caught.value.code == "KEY_EXPOSED"
    assert f"{mode:04o}" in caught.value.message


def test_an_empty_folder_is_a_missing_wallet_and_says_how_to_enrol(wallet):
    with pytest.raises(IdentityError, match=r"WALLET_MISSING.*fedledger identity enroll"):
        wallet.load()


def test_a_certificate_of_another_key_is_refused(org, wallet):
    first, second = credentials(org), credentials(org)
    with pytest.raises(IdentityError, match="KEY_MISMATCH"):
        replace(first, key=second.key)
    wallet.save(first)
    wallet.certificate_path.write_bytes(second.certificate_pem)
    with pytest.raises(IdentityError, match="KEY_MISMATCH"):
        wallet.load()


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        ("key.pem", b"not a key", "BAD_KEY"),
        ("certificate.pem", b"not a certificate", "MALFORMED_IDENTITY"),
        ("chain.pem", b"not a certificate", "MALFORMED_IDENTITY"),
    ],
)
def test_a_damaged_file_is_named(org, wallet, file, content, code):
    wallet.save(credentials(org))
    (wallet.folder / file).write_bytes(content)
    with pytest.raises(IdentityError) as caught:
        wallet.load()
    assert caught.value.code == code


def test_a_missing_key_is_named(org, wallet):
    wallet.save(credentials(org))
    wallet.key_path.unlink()
    with pytest.raises(FedledgerError, match=r"MISSING_FILE.*key\.pem"):
        wallet.load()


def test_a_crash_before_the_new_certificate_is_in_place_leaves_the_old_identity(org, wallet):
    old, new = credentials(org), credentials(org)
    wallet.save(old)
    write_private(wallet.folder / "key.next.pem", private_key_pem(new.key))
    assert same(wallet.load(), old)
    wallet.save(new)
    assert same(wallet.load(), new)


def test_a_crash_after_the_new_certificate_is_in_place_leaves_the_new_identity(org, wallet):
    old, new, newest = credentials(org), credentials(org), credentials(org)
    wallet.save(old)
    write_private(wallet.folder / "key.next.pem", private_key_pem(new.key))
    wallet.certificate_path.write_bytes(certificate_pem(new.certificate))
    assert same(wallet.load(), new)
    assert same(load_credentials(wallet.certificate_path, wallet.key_path, wallet.chain_path), new)
    wallet.save(newest)
    assert same(wallet.load(), newest)
    assert not (wallet.folder / "key.next.pem").exists()


def test_a_crashed_second_save_after_a_crashed_first_one_does_not_lose_the_key_in_use(org, wallet):
    old, new, newest = credentials(org), credentials(org), credentials(org)
    wallet.save(old)
    write_private(wallet.folder / "key.next.pem", private_key_pem(new.key))
    wallet.certificate_path.write_bytes(certificate_pem(new.certificate))
    wallet.chain_path.unlink()
    wallet.chain_path.mkdir()  # the next save fails after it wrote its own next key
    with pytest.raises(FedledgerError, match="UNWRITABLE_FILE"):
        wallet.save(newest)
    wallet.chain_path.rmdir()
    assert same(wallet.load(), replace(new, chain=()))


def test_writing_where_no_folder_can_be_made_is_a_clear_error(org, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FedledgerError, match="UNWRITABLE_FILE"):
        Wallet(tmp_path / "file" / "alice").save(credentials(org))


def test_a_private_file_replaces_an_open_one_without_inheriting_its_mode(tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_private(path) == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.pem"]
