"""A network of the version before is upgraded while a round is open: what is there is read, ended and audited.

The version before is that of the repository's history, run by its own sources; without it the tests are left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from fedledger.audit import AuditReport, Outcome
from fedledger.audit.findings import CheckName
from fedledger.audit.sources import verify_network
from fedledger.identity.profile import load_profile
from fedledger.ledger import TaskLedger
from fedledger_chaincode.contract import VERSION
from fedledger_chaincode.messages.records import ModelRecord
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode
from fedledger_network.fabric import FabricNetwork, Programs
from tests.fabric.commands import fedledger
from tests.fabric.conftest import free_ports
from tests.fabric.ledger import consortium, failures
from tests.scenarios.released import TERMS
from tests.unit.audit.make_contract import REPOSITORY
from tests.unit.audit.test_kept_contracts import PINNED, has_commit
from tests.unit.contract.ledger import MSPS, Consortium, task_spec

BEFORE = "1.0"
COMMIT, _ = PINNED[BEFORE]
SOURCES = ("chaincode", "network", "sdk", "tests")
REASON = "Its norm bound does not hold against colluding validators."

pytestmark = pytest.mark.skipif(not has_commit(COMMIT), reason=f"The history to version {BEFORE} is not here.")


@dataclass
class Upgraded:
    """A ledger that version 1.0 has begun and the present one goes on with."""

    members: Consortium
    profiles: Path

    @property
    def ledger(self) -> TaskLedger:
        """As a governor sees it."""
        return self._ledger

    def __post_init__(self) -> None:
        self._stack = ExitStack()
        profile = load_profile(self.profiles, "cleveland-governor")
        gateway = self._stack.enter_context(profile.connect())
        self.network = gateway.get_network(profile.channel)
        self._ledger = TaskLedger(self.network, "fedledger")

    def close(self) -> None:
        self._stack.close()

    def audit(self) -> AuditReport:
        return verify_network(self.network)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the version before."""
    folder = tmp_path_factory.mktemp("before")
    packed = subprocess.run(
        ["git", "archive", COMMIT, *SOURCES], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE
    ).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(
    scope="module", params=["embedded", pytest.param("fabric", marks=pytest.mark.fabric)], ids=["embedded", "fabric"]
)
def upgraded(
    request: pytest.FixtureRequest, sources: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upgraded]:
    folder = tmp_path_factory.mktemp("upgraded") / "network"
    with ExitStack() as stack:
        if request.param == "fabric":
            programs: Programs = request.getfixturevalue("programs")
            stack.callback(lambda: FabricNetwork.existing(folder, programs).down())
        begun(sources, request.param, folder)
        if request.param == "fabric":
            assert fedledger("network", "upgrade", VERSION, "--dir", folder)["version"] == VERSION
            profiles = FabricNetwork.existing(folder, programs).layout.profiles
        else:
            network = NetworkFolder.existing(folder)
            stack.enter_context(EmbeddedNode(network))
            profiles = network.profiles
        members = stack.enter_context(consortium(profiles, task_spec(**TERMS)))
        opened = Upgraded(members, profiles)
        stack.callback(opened.close)
        yield opened


def begun(sources: Path, engine: str, folder: Path) -> None:
    """What the version before does, in processes of its own."""
    path = os.pathsep.join(str(sources / part) for part in ("chaincode", "network", "sdk", ""))
    subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("released.py")), engine, folder, str(free_ports())],
        env=os.environ | {"PYTHONPATH": path},
        check=True,
        timeout=400,
    )


def test_what_the_version_before_wrote_is_read(upgraded: Upgraded) -> None:
    view = upgraded.ledger.task("heart")
    assert view.record.spec.protocol == 1
    assert [model.version for model in upgraded.ledger.models("heart")] == [0, 1]
    current = upgraded.ledger.round("heart", 2)
    assert current.record.state in ("open", "aborted")
    assert {update.signed.manifest.schema_ for update in current.updates} == {"fedledger/manifest/1"}
    assert len(current.updates) == 2 and len(current.equivocations) == 1


def test_its_open_round_does_not_go_on_and_its_task_is_ended_with_all_stakes_given_back(upgraded: Upgraded) -> None:
    members = upgraded.members
    for attempt in (lambda: members.close(2), lambda: members.submit(MSPS[2], 2), lambda: members.call(3)):
        with pytest.raises(Exception, match="PROTOCOL_VERSION"):
            attempt()
    for msp in MSPS[:3]:
        members.ledger.submit(members.governors[msp], "StopTask", "heart", REASON)
    assert members.view().record.state == "stopped"
    assert {upgraded.ledger.balance_of(f"stake:heart:{owner}") for owner in MSPS} == {0}


def test_a_task_of_the_present_version_runs_beside_it(upgraded: Upgraded) -> None:
    members = upgraded.members
    members.spec = task_spec(task="lungs", **TERMS)
    members.begin()
    model = ModelRecord.decode(members.through(1))
    assert model.version == 1
    assert upgraded.ledger.task("lungs").record.spec.protocol == 2


def test_the_audit_runs_each_block_by_the_version_that_made_it(upgraded: Upgraded) -> None:
    report = upgraded.audit()
    found = {check.name: check for check in report.checks}
    assert not failures(report)
    assert found[CheckName.CONTRACT].outcome is Outcome.PASSED
    assert f"version {BEFORE} of the contract, which comes with this release" in found[CheckName.VERSION].detail
