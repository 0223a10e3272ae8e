"""A real peer judges the table of certificates: as fedledger does, and as the vectors say that it did before."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedledger.audit import CheckName, verify
from fedledger.audit.archive import write_archive
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import Msp
from fedledger_network.fabric import FabricError, Programs
from tests.fabric.conftest import free_ports
from tests.fabric.judge.certificates import CHANNEL, Member, answered_members, judged_definitions, judged_members
from tests.fabric.judge.fabric_ca import enrolled
from tests.fabric.judge.peer import judging_peer
from tests.fabric.ledger import failures
from tests.unit.identity import certificate_vectors as vectors
from tests.unit.identity.certificate_table import Issued, Table, make_table

pytestmark = pytest.mark.fabric

NO_CHAINCODE = "none of these"
REWRITE = "FEDLEDGER_WRITE_VECTORS"
"""Set in the environment, the run becomes the vectors."""


@dataclass(frozen=True)
class Judged:
    table: Table
    members: dict[str, bool]
    answers: dict[str, str]
    definitions: dict[str, str]
    blocks: list[bytes]
    """Of the channel whose transactions the members have created."""


@pytest.fixture(scope="module")
def judged(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("certificates")
    table = make_table(int(time.time()), folder / "openssl", _by_fabric_ca(programs, folder / "ca"))
    with judging_peer(programs, folder / "peer", free_ports()) as peer:
        found = Judged(
            table,
            judged_members(peer, table),
            answered_members(peer, table),
            judged_definitions(peer, table),
            peer.ledger(CHANNEL),
        )
    if REWRITE in os.environ:
        _write(found, programs.version)
    return found


def test_members_are_those_that_fabric_takes_for_members(judged: Judged) -> None:
    msps = {name: Msp.from_proto(definition) for name, definition in judged.table.organisations.items()}
    different = {
        case.name: judged.members[case.name]
        for case in judged.table.cases
        if _accepts(msps[case.organisation], Member.of(case)) is not judged.members[case.name]
    }
    assert not different


def test_the_audit_of_the_ledger_that_they_have_written_is_right(judged: Judged) -> None:
    report = verify(judged.blocks, chaincode=NO_CHAINCODE)
    assert report.ok, failures(report)
    assert report.check(CheckName.CODES.value).count == len(judged.table.cases) + 1


def test_definitions_are_taken_where_fabric_takes_them(judged: Judged) -> None:
    different = {
        name: judged.definitions[name]
        for name, definition in judged.table.definitions.items()
        if _loads(definition) is bool(judged.definitions[name])
    }
    assert not different


def test_who_is_a_member_is_answered_unless_the_certificate_has_ended(judged: Judged) -> None:
    for name, answer in judged.answers.items():
        if answer != "proposal client identity expired":
            assert bool(answer) is not judged.members[name], (name, answer)


def test_the_vectors_are_what_fabric_still_says(judged: Judged) -> None:
    kept = vectors.Vectors.load()
    assert {member.name: member.accepted for member in kept.members} == judged.members
    assert {each.name: bool(each.refusal) for each in kept.definitions} == {
        name: bool(refusal) for name, refusal in judged.definitions.items()
    }


def _by_fabric_ca(programs: Programs, folder: Path) -> list[Issued]:
    try:
        programs.require_certificate_authority()
    except FabricError as error:
        pytest.skip(f"NOTHING WAS TESTED WITH FABRIC CA. {error}")
    return enrolled(programs, folder, free_ports())


def _accepts(msp: Msp, member: Member) -> bool:
    try:
        msp.identify(member.identity).verify(vectors.MESSAGE, member.sign(vectors.MESSAGE))
    except IdentityError:
        return False
    return True


def _loads(definition: bytes) -> bool:
    try:
        Msp.from_proto(definition)
    except IdentityError:
        return False
    return True


def _write(judged: Judged, version: str) -> None:
    members = tuple(
        vectors.Member(
            case.name,
            case.organisation,
            case.pem,
            Member.of(case).sign(vectors.MESSAGE),
            judged.members[case.name],
            judged.answers[case.name],
        )
        for case in judged.table.cases
    )
    definitions = tuple(
        vectors.Definition(name, definition, judged.definitions[name])
        for name, definition in judged.table.definitions.items()
    )
    write_archive(vectors.LEDGER, judged.blocks, lambda block: (), lambda digest: None)
    vectors.Vectors(version, judged.table.organisations, members, definitions).save()
