"""What goes wrong on the way of a user: each with its code, what to do, the exit code, and nothing on stdout."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from fedledger.cli.main import run
from fedledger.identity.authority import NodeRole, Revocation, Validity
from fedledger.identity.keys import generate_key
from fedledger.identity.profile import write_profiles
from fedledger.identity.wallet import Credentials, Wallet
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.organisation import authority_folder
from fedledger_network.embedded import running

from .hospitals import TASK, Hospitals, hospitals

SPEC = ["--organisation", "ClevelandMSP", "--organisation", "HungaryMSP"]
SPEC += ["--organisation", "LongBeachVaMSP", "--organisation", "SwitzerlandMSP"]


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> Iterator[Hospitals]:
    with hospitals(tmp_path_factory.mktemp("hospitals"), privacy__mechanism='"none"') as running_ones:
        running_ones.agree()
        yield running_ones


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    exit_code: int
    out: str
    err: str


@pytest.fixture
def command(capsys) -> Callable[..., Said]:
    def call(*arguments: object) -> Said:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture
def as_profile(together, command, tmp_path) -> Callable[..., Said]:
    """Commands as somebody, with another certificate or other settings than the consortium's."""

    def call(*arguments: object, who: str = "cleveland-participant", **changes: object) -> Said:
        path = tmp_path / "profiles.toml"
        write_profiles(path, [replace(together.profile(who), **changes)])
        return command(*arguments, "--config", path, "--profile", who)

    return call


def refused(said: Said, code: str, exit_code: int) -> None:
    assert said.err.startswith(f"Error {code}: "), said.err
    assert len(said.err.splitlines()) >= 2, "what to do next is missing"
    assert said.exit_code == exit_code
    assert said.out == ""


# Profiles


def test_no_profile_is_named(together, command):
    refused(command("task", "list", "--config", together.network.profiles), "PROFILE_MISSING", 4)


def test_the_profile_file_is_not_there(command, tmp_path):
    refused(command("task", "list", "--config", tmp_path / "none.toml", "--profile", "x"), "PROFILE_MISSING", 4)


def test_the_profile_is_not_in_the_file(together, command):
    said = command("task", "list", "--config", together.network.profiles, "--profile", "boston-governor")
    refused(said, "PROFILE_MISSING", 4)
    assert "cleveland-governor" in said.err


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[profiles.x\n", "PROFILE_MALFORMED"),
        ('[profiles.x]\ngateway = "unix:s"\n', "PROFILE_MALFORMED"),
        ('[profiles.x]\ngatewy = "unix:s"\n', "UNKNOWN_KEY"),
        ('[profiles.x]\ngateway = "far.example:7051"\nchannel="c"\nchaincode="c"\nmsp_id="M"\n', "PROFILE_MALFORMED"),
    ],
)
def test_a_malformed_profile_is_refused_with_its_line(command, tmp_path, text, code):
    path = tmp_path / "fedledger.toml"
    path.write_text(text)
    said = command("task", "list", "--config", path, "--profile", "x")
    refused(said, code, 4)
    assert "line" in said.err


# Connections


def test_nobody_answers_at_the_gateway(as_profile, tmp_path):
    refused(as_profile("task", "list", gateway=f"unix:{tmp_path}/gone.sock"), "EVALUATE_UNAVAILABLE", 2)


def test_a_private_key_that_others_can_read_is_not_used(as_profile, together, tmp_path):
    exposed = tmp_path / "key.pem"
    shutil.copy(together.profile("cleveland-participant").key, exposed)
    exposed.chmod(0o644)
    refused(as_profile("task", "list", key=exposed), "KEY_EXPOSED", 2)


# Certificates


def issued(folder: Path, authority: DevelopmentAuthority, role: str = "participant") -> dict[str, Path]:
    """Certificate and key of a new identity, as a profile names them."""
    wallet = Wallet(folder / "wallet")
    wallet.save(authority.issue_identity("ward-7", NodeRole.CLIENT, {"fedledger.role": role}))
    return {"certificate": wallet.certificate_path, "key": wallet.key_path}


def own_authority(together: Hospitals, **options: object) -> DevelopmentAuthority:
    cleveland = together.organisations[0]
    return DevelopmentAuthority.open(
        authority_folder(together.network.organisation(cleveland)), cleveland.msp_id, **options
    )


def test_a_certificate_of_another_ca_is_refused(as_profile, tmp_path):
    stranger = DevelopmentAuthority.open(tmp_path / "ca", "ClevelandMSP")
    said = as_profile("task", "list", **issued(tmp_path, stranger))
    assert said.exit_code == 2
    assert "was not issued by a CA of that organisation" in said.err
    assert said.out == ""


def test_an_expired_certificate_is_refused(as_profile, together, tmp_path):
    authority, key = own_authority(together).identity_ca, generate_key()
    validity = Validity(authority.certificate.not_valid_before_utc, datetime.now(UTC) - timedelta(seconds=1))
    certificate = authority.issue(
        key.public_key(), "ward-7", [NodeRole.CLIENT], validity, {"fedledger.role": "participant"}
    )
    wallet = Wallet(tmp_path / "wallet")
    wallet.save(Credentials(certificate, key))
    said = as_profile("task", "list", certificate=wallet.certificate_path, key=wallet.key_path)
    assert said.exit_code == 2
    assert "expired" in said.err.lower()
    assert said.out == ""


def test_a_certificate_works_until_it_is_revoked(as_profile, command, together, tmp_path):
    authority = own_authority(together)
    certificate = issued(tmp_path, authority)
    assert as_profile("task", "list", **certificate).exit_code == 0
    wallet = Wallet(tmp_path / "wallet")
    crl = authority.identity_ca.revocation_list(
        [_revocation(wallet.load().certificate.serial_number)], datetime.now(UTC), timedelta(days=7), 1
    )
    (tmp_path / "crl.pem").write_bytes(crl)
    published = command(
        *("network", "revocations", tmp_path / "crl.pem", "--format", "json"),
        *("--config", together.network.profiles, "--profile", "cleveland-governor"),
    )
    assert published.exit_code == 0, published.err
    assert json.loads(published.out)["msp"] == "ClevelandMSP"
    said = as_profile("task", "list", **certificate)
    assert said.exit_code == 2
    assert "revoked" in said.err.lower()
    assert as_profile("task", "list").exit_code == 0, "others of the organisation are not affected"


def _revocation(serial: int) -> Revocation:
    return Revocation(serial, datetime.now(UTC) - timedelta(minutes=1), x509.ReasonFlags.key_compromise)


# Roles


@pytest.mark.parametrize(
    ("who", "arguments"),
    [
        ("cleveland-participant", ["task", "propose", "heart-disease", "--rounds", "2", *SPEC]),
        ("cleveland-auditor", ["task", "stop", TASK, "--reason", "because"]),
        ("cleveland-governor", ["participant", "join", TASK]),
        ("cleveland-auditor", ["participant", "leave", TASK]),
        ("cleveland-participant", ["model", "deprecate", TASK, "0", "--reason", "old"]),
    ],
)
def test_what_a_role_may_not_do_is_refused_by_the_contract(together, command, who, arguments):
    package = ["--package", together.package] if arguments[:2] == ["participant", "join"] else []
    said = command(*arguments, *package, "--config", together.network.profiles, "--profile", who)
    assert said.exit_code == 2, said.err
    assert said.err.startswith("Error WRONG_ROLE"), said.err
    assert said.out == ""


# Tasks and data


def test_a_task_that_is_not_on_the_ledger(as_profile):
    assert as_profile("task", "show", "diabetes").err.startswith("Error NOT_FOUND")


def test_another_package_than_the_agreed_one_is_not_trained_with(as_profile, together, tmp_path):
    other = tmp_path / "task"
    shutil.copytree(together.package, other)
    (other / "data.py").write_text((other / "data.py").read_text() + "\n# changed\n")
    refused(as_profile("participant", "run", TASK, "--package", other, "--data", "cleveland"), "TASK_DIFFERS", 4)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], "DATASET_EMPTY"),
        (["60,Male,asymptomatic,140,250,TRUE,normal,150,TRUE,1.5,flat,0,normal,0"] * 12, "ONE_CLASS"),
        (["nan,Male,asymptomatic,140,250,TRUE,normal,150,TRUE,1.5,flat,0,normal,0"] * 12, "DATASET_VALUE"),
    ],
)
def test_records_that_nothing_can_be_learnt_from(as_profile, together, tmp_path, rows, code):
    columns = "age,sex,cp,trestbps,chol,fbs,restecg,thalch,exang,oldpeak,slope,ca,thal,num"
    data = tmp_path / "ward.csv"
    data.write_text("\n".join([columns, *rows]) + "\n")
    refused(as_profile("participant", "run", TASK, "--package", together.package, "--data", data), code, 4)


def test_a_model_whose_file_was_changed_in_every_store_is_not_handed_out(as_profile, command, together, tmp_path):
    pull = ("model", "pull", TASK, "0", "--out", tmp_path / "model.safetensors")
    assert as_profile(*pull).exit_code == 0
    (tmp_path / "model.safetensors").unlink()
    files = [path for path in together.network.path.glob("organisations/*/store/artifacts/??/*") if path.is_file()]
    assert len(files) == 4
    held = files[0].read_bytes()
    for path in files:
        path.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    refused(as_profile(*pull), "ARTIFACT_CORRUPT", 1)
    assert not (tmp_path / "model.safetensors").exists()
    files[2].write_bytes(held)
    assert as_profile(*pull).exit_code == 0, "one honest store is enough"
    for path in files:
        path.write_bytes(held)


def test_a_round_that_was_never_opened(as_profile):
    refused(as_profile("round", "status", TASK), "NO_ROUND", 4)


# Networks


def test_a_second_node_of_a_ledger_that_runs_is_the_first_one(together, command):
    before = running.status(together.network)
    said = command("network", "up", "--dir", together.network.path)
    assert said.exit_code == 0
    assert running.status(together.network) == before


def test_a_folder_that_holds_no_network(command, tmp_path):
    refused(command("network", "status", "--dir", tmp_path), "NOT_A_NETWORK", 4)


def test_a_demo_in_a_folder_that_holds_something_else(command, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    refused(command("demo", "--dir", tmp_path), "NOT_A_DEMO", 4)


def test_a_ledger_of_a_newer_version_is_named_and_left_alone(command, tmp_path):
    folder = tmp_path / "network"
    assert command("network", "up", "--dir", folder).exit_code == 0
    assert command("network", "down", "--dir", folder).exit_code == 0
    (ledger,) = (folder / "ledger").glob("*.sqlite*")
    with sqlite3.connect(ledger) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.close()
    said = command("network", "up", "--dir", folder)
    assert "Error NEWER_LEDGER" in said.err
    assert said.exit_code == 1
    assert said.out == ""


def test_the_cas_port_is_in_use(together, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = command("network", "ca", "--dir", together.network.path, "--port", port)
    refused(said, "ADDRESS_IN_USE", 4)


# Arguments


@pytest.mark.parametrize("arguments", [["frobnicate"], ["task", "show"], ["demo", "--rounds", "0"]])
def test_arguments_that_are_not_understood(command, arguments):
    said = command(*arguments)
    assert said.exit_code == 4
    assert said.out == ""


def test_a_privacy_budget_and_no_privacy_exclude_each_other(command, tmp_path):
    refused(command("demo", "--epsilon", "1", "--no-dp", "--dir", tmp_path / "d"), "BAD_ARGUMENTS", 4)
