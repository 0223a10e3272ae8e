"""Profiles say whose identity talks to which channel; a wrong one is refused with file, line and remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedledger.errors import BadInputError, ExitCode
from fedledger.gateway import GatewayError, Identity
from fedledger.identity.errors import IdentityError
from fedledger.identity.profile import (
    DEFAULT_STORES,
    FurtherGateway,
    Profile,
    load_profile,
    profile_names,
    update_profiles,
    write_profiles,
)
from fedledger.identity.wallet import Credentials, Wallet

ALICE = """\
[profiles.alice]
gateway = "127.0.0.1:7051"
channel = "fedledger"
chaincode = "fedledger"
msp_id = "ClevelandMSP"
certificate = "alice/certificate.pem"
key = "alice/key.pem"
store = "store"
"""


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "fedledger.toml"


def refusal(path: Path, text: str | bytes, name: str = "alice") -> BadInputError:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInputError) as caught:
        load_profile(path, name)
    assert caught.value.exit_code is ExitCode.BAD_ARGUMENTS
    assert caught.value.remedy
    return caught.value


def test_relative_paths_are_relative_to_the_file(path):
    path.write_text(ALICE)
    profile = load_profile(path, "alice")
    assert profile.certificate == path.parent / "alice" / "certificate.pem"
    assert profile.key == path.parent / "alice" / "key.pem"
    assert profile.store == str(path.parent / "store")
    assert (profile.gateway, profile.channel, profile.msp_id) == ("127.0.0.1:7051", "fedledger", "ClevelandMSP")
    assert profile.tls_roots is None


def test_a_store_may_be_a_url_and_a_gateway_a_unix_socket(path):
    path.write_text(ALICE.replace("127.0.0.1:7051", "unix:run/peer.sock").replace('"store"', '"s3://bucket/x"'))
    profile = load_profile(path, "alice")
    assert profile.gateway == f"unix:{path.parent}/run/peer.sock"
    assert profile.store == "s3://bucket/x"


def test_stores_that_others_name_may_be_of_few_protocols_unless_the_profile_lists_them(path):
    path.write_text(ALICE)
    assert load_profile(path, "alice").stores == DEFAULT_STORES
    assert not {"ssh", "sftp", "ftp", "http", "github", "reference", "zip", "simplecache"} & set(DEFAULT_STORES)
    path.write_text(ALICE + 'stores = ["file", "sftp"]\n')
    assert load_profile(path, "alice").stores == ("file", "sftp")
    path.write_text(ALICE + "stores = []\n")
    assert load_profile(path, "alice").stores == ()


@pytest.mark.parametrize(
    "value", ['"file"', "[1]", '[["file"]]', '["file://"]', '["a::b"]', '[""]', '["f"]', '["File"]', "{ file = true }"]
)
def test_a_list_of_protocols_of_no_known_form_is_refused_at_its_line(path, value):
    refused = refusal(path, ALICE + f"stores = {value}\n")
    assert refused.code == "PROFILE_MALFORMED"
    assert "line 9" in refused.message


def test_a_list_of_protocols_survives_writing_and_what_only_the_file_says_of_it_stays(path):
    path.write_text(ALICE + 'stores = ["file", "sftp"]\n')
    listed = load_profile(path, "alice")
    for stores in (("s3",), (), DEFAULT_STORES):
        write_profiles(path, [replace(listed, stores=stores)])
        assert load_profile(path, "alice").stores == stores
    write_profiles(path, [listed])
    update_profiles(path, [replace(listed, stores=DEFAULT_STORES, channel="other")])
    assert load_profile(path, "alice") == replace(listed, channel="other")


def test_several_profiles_are_written_and_read_back(path):
    path.write_text(ALICE)
    alice = load_profile(path, "alice")
    bob = replace(
        alice,
        name="bob-2",
        gateway="peer.hungary.example:7051",
        tls_roots=path.parent / "tlsca.pem",
        data=Path("/srv/data.csv"),
        validator=path.parent / "bob",
        ca="https://ca.hungary.example:7054",
        further_gateways=(
            FurtherGateway("peer.cleveland.example:7051", path.parent / "tls" / "cleveland.pem"),
            FurtherGateway("localhost:7051"),
            FurtherGateway(f"unix:{path.parent}/run/peer.sock"),
        ),
    )
    write_profiles(path, [alice, bob])
    assert profile_names(path) == ("alice", "bob-2")
    assert load_profile(path, "alice") == alice
    assert load_profile(path, "bob-2") == bob
    assert str(path.parent) not in path.read_text()


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(channel=TEXT, msp_id=TEXT, file=TEXT.filter(lambda text: "/" not in text and text not in ("..", ".")))
def test_any_text_survives_writing(path, channel, msp_id, file):
    profile = Profile(
        name="p",
        gateway="localhost:1",
        channel=channel,
        chaincode="c",
        msp_id=msp_id,
        certificate=path.parent / file,
        key=path.parent / "key.pem",
        store="memory://x",
    )
    write_profiles(path, [profile])
    assert load_profile(path, "p") == profile


def test_a_missing_file_and_a_missing_profile_are_told_apart(path):
    with pytest.raises(BadInputError, match=r"PROFILE_MISSING.*cannot be read"):
        load_profile(path, "alice")
    error = refusal(path, ALICE, "bob")
    assert error.code == "PROFILE_MISSING"
    assert "alice" in error.remedy


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[profiles.alice\n", "line 1"),
        (ALICE + "key = 3\n", "line 9"),
        (ALICE.replace('"fedledger"', "7", 1), "line 3"),
        (ALICE.replace("channel", "# channel"), "line 1"),
        (ALICE.replace("127.0.0.1:7051", "127.0.0.1"), "line 2"),
        (ALICE.replace(":7051", ":70510"), "line 2"),
        (ALICE.replace("127.0.0.1", "https://peer"), "line 2"),
        (ALICE.replace("127.0.0.1:7051", "unix:/" + "x" * 107), "line 2"),
        (ALICE.replace('"store"', '""'), "line 8"),
        (ALICE + 'ca = "ca.example"\n', "line 9"),
        ("profiles = 1\n", ""),
        ("[profiles]\nalice = 1\n", ""),
    ],
)
def test_a_malformed_file_is_refused_at_its_line(path, text, place):
    error = refusal(path, text)
    assert error.code == "PROFILE_MALFORMED"
    assert str(path) in error.message
    assert place in error.message


def test_a_file_that_is_no_text_is_refused(path):
    assert refusal(path, b"\xff\xfe").code == "PROFILE_MALFORMED"


@pytest.mark.parametrize(
    "value",
    [
        '"127.0.0.1:7061"',
        '["127.0.0.1:7061"]',
        '[{ tls_roots = "tls.pem" }]',
        '[{ gateway = "127.0.0.1" }]',
        "[{ gateway = 7061 }]",
        '[{ gateway = "peer.hungary.example:7051" }]',
        '[{ gateway = "127.0.0.1:7061", roots = "tls.pem" }]',
    ],
)
def test_further_gateways_of_no_known_form_are_refused_at_their_line(path, value):
    refused = refusal(path, ALICE + f"further_gateways = {value}\n")
    assert refused.code == "PROFILE_MALFORMED"
    assert "line 9" in refused.message


def test_further_gateways_are_relative_to_the_file(path):
    path.write_text(
        ALICE + 'further_gateways = [{ gateway = "peer.hungary.example:7051", tls_roots = "tls/hungary.pem" }]\n'
    )
    (further,) = load_profile(path, "alice").further_gateways
    assert further == FurtherGateway("peer.hungary.example:7051", path.parent / "tls" / "hungary.pem")


def test_an_unknown_key_is_refused_at_its_line_with_the_known_ones(path):
    error = refusal(path, '[profiles.bob]\nchanel = "x"\n' + ALICE + 'chanel = "fedledger"\n')
    assert error.code == "UNKNOWN_KEY"
    assert "line 11" in error.message
    assert "channel" in error.remedy
    assert refusal(path, ALICE + "[profile.x]\n").code == "UNKNOWN_KEY"


@pytest.mark.parametrize("host", ["peer.example", "10.0.0.1", "localhost.example"])
def test_plain_text_leaves_no_machine(path, host):
    error = refusal(path, ALICE.replace("127.0.0.1", host))
    assert "plain text" in error.message
    path.write_text(ALICE.replace("127.0.0.1", host) + 'tls_roots = "tlsca.pem"\n')
    assert load_profile(path, "alice").tls_roots == path.parent / "tlsca.pem"


@pytest.mark.parametrize("host", ["localhost", "[::1]", "127.0.0.7"])
def test_plain_text_on_this_machine_is_allowed(path, host):
    path.write_text(ALICE.replace("127.0.0.1", host))
    assert load_profile(path, "alice").gateway == f"{host}:7051"


@pytest.mark.parametrize("names", [["a.b"], [""], ["a", "a"], ["a b"]])
def test_names_that_are_no_bare_keys_or_repeat_are_not_written(path, names):
    path.write_text(ALICE)
    alice = load_profile(path, "alice")
    with pytest.raises(BadInputError, match="PROFILE_MALFORMED"):
        write_profiles(path, [replace(alice, name=name) for name in names])
    assert load_profile(path, "alice") == alice


@pytest.fixture
def profile(org, path) -> Profile:
    member = org.enrol()
    Wallet(path.parent / "alice").save(Credentials(member.certificate, member.key))
    path.write_text(ALICE.replace("127.0.0.1:7051", "unix:no-peer.sock"))
    return load_profile(path, "alice")


def test_a_profile_connects_to_its_gateway_as_its_identity(profile):
    with profile.connect() as gateway:
        assert gateway.identity == Identity("ClevelandMSP", profile.certificate.read_bytes())
        contract = gateway.get_network(profile.channel).get_contract(profile.chaincode)
        with pytest.raises(GatewayError):
            contract.evaluate_transaction("ListTasks")


def test_a_profile_with_an_exposed_key_or_unusable_roots_does_not_connect(profile):
    profile.key.chmod(0o644)
    with pytest.raises(IdentityError, match="KEY_EXPOSED"):
        profile.connect()
    profile.key.chmod(0o600)
    roots = profile.key.with_name("roots.pem")
    with pytest.raises(BadInputError, match="MISSING_FILE"):
        replace(profile, tls_roots=roots).connect()
    roots.write_text("no certificate")
    with pytest.raises(BadInputError, match="BAD_TLS_MATERIAL"):
        replace(profile, tls_roots=roots).connect()


def test_other_profiles_stay_when_some_are_brought_up_to_date(path):
    path.write_text(ALICE)
    alice = load_profile(path, "alice")
    bob, carol = replace(alice, name="bob"), replace(alice, name="carol")
    update_profiles(path, [bob, carol])
    update_profiles(path, [replace(bob, gateway="127.0.0.1:1")], dropped=["carol"])
    assert profile_names(path) == ("alice", "bob")
    assert load_profile(path, "alice") == alice
    assert load_profile(path, "bob").gateway == "127.0.0.1:1"


def test_what_only_the_file_says_of_a_profile_stays(path):
    path.write_text(ALICE + 'data = "records.csv"\n')
    named = load_profile(path, "alice")
    update_profiles(path, [replace(named, data=None, channel="other")])
    assert load_profile(path, "alice") == replace(named, channel="other")


def test_a_file_that_needs_no_change_keeps_its_comments(path):
    path.write_text("# the ward's\n" + ALICE)
    update_profiles(path, [load_profile(path, "alice")])
    assert path.read_text() == "# the ward's\n" + ALICE


def test_a_file_with_a_mistake_is_refused_and_left_alone(path):
    path.write_text(ALICE)
    alice = load_profile(path, "alice")
    broken = ALICE + "colour = 'red'\n"
    path.write_text(broken)
    with pytest.raises(BadInputError, match="UNKNOWN_KEY"):
        update_profiles(path, [replace(alice, name="bob")])
    assert path.read_text() == broken
