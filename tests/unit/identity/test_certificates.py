"""Certificates and MSP definitions are judged as Fabric judges them: by its own judgement of several hundred kinds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import Msp, serialize_identity
from tests.fabric.judge.certificates import Member as Signer
from tests.unit.identity.certificate_table import make_table
from tests.unit.identity.certificate_vectors import MESSAGE, Definition, Member, Vectors

VECTORS = Vectors.load()


@pytest.fixture(scope="module")
def organisations() -> Mapping[str, Msp]:
    return {name: Msp.from_proto(definition) for name, definition in VECTORS.organisations.items()}


def accepts(msp: Msp, identity: bytes, signature: bytes) -> bool:
    """Whether a signature is taken for that of a member."""
    try:
        msp.identify(identity).verify(MESSAGE, signature)
    except IdentityError as refusal:
        assert refusal.message and refusal.remedy
        return False
    return True


def loads(definition: bytes) -> bool:
    try:
        Msp.from_proto(definition)
    except IdentityError as refusal:
        assert refusal.code == "MALFORMED_MSP"
        return False
    return True


@pytest.mark.parametrize("member", VECTORS.members, ids=lambda member: member.name)
def test_a_member_is_one_here_where_it_is_one_for_fabric(organisations: Mapping[str, Msp], member: Member) -> None:
    identity = serialize_identity(member.organisation, member.pem)
    assert accepts(organisations[member.organisation], identity, member.signature) is member.accepted


@pytest.mark.parametrize("definition", VECTORS.definitions, ids=lambda definition: definition.name)
def test_a_definition_is_taken_here_where_fabric_takes_it(definition: Definition) -> None:
    assert loads(definition.definition) is not bool(definition.refusal)


def test_the_same_kinds_made_anew_are_judged_alike(tmp_path: Path) -> None:
    """Signatures and keys are others, so that nothing hangs on those of one run."""
    table = make_table(int(time.time()), tmp_path)
    members = {member.name: member.accepted for member in VECTORS.members}
    msps = {name: Msp.from_proto(definition) for name, definition in table.organisations.items()}
    for case in table.cases:
        signer = Signer.of(case)
        assert accepts(msps[case.organisation], signer.identity, signer.sign(MESSAGE)) is members[case.name], case.name
    refused = {definition.name: bool(definition.refusal) for definition in VECTORS.definitions}
    for name, definition in table.definitions.items():
        assert loads(definition) is not refused[name], name


def test_there_are_good_and_bad_ones_of_many_kinds() -> None:
    assert len(VECTORS.members) > 400
    assert len(VECTORS.definitions) > 60
    assert 0.3 < sum(member.accepted for member in VECTORS.members) / len(VECTORS.members) < 0.8
