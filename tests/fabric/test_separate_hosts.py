"""Organisations that share no secret: each has a folder of its own, as on a host of its own, and types its commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedledger.audit import CheckName, Outcome, verify_network
from fedledger.audit.findings import BLOCK_CHECKS
from fedledger.errors import AccessError, BadInputError
from fedledger.identity.profile import load_profile
from fedledger.ledger import TaskLedger
from fedledger_network.consortium import Consortium, Organisation
from fedledger_network.fabric import FabricConfig, Programs
from fedledger_network.fabric.layout import Layout
from fedledger_network.fabric.processes import listening_ports
from tests.fabric.commands import at_once, fedledger
from tests.fabric.conftest import ORGANISATIONS, free_ports
from tests.fabric.ledger import failures, repeated
from tests.unit.contract.ledger import task_spec

pytestmark = pytest.mark.fabric

FIRST, SECOND, *_ = ORGANISATIONS
FIFTH = Organisation("budapest", "BudapestMSP")


class Hosts:
    """Folders in the place of hosts; ``exchange`` is what the organisations send each other."""

    def __init__(self, root: Path) -> None:
        self.exchange = root / "exchange"
        self.consortium = root / "consortium.yaml"
        self.folders = {name: root / name for name in (*ORGANISATIONS, FIFTH.name)}

    def host(self, name: str, *words: str | Path) -> Any:
        """Type ``fedledger network host ...`` on the host of that name."""
        return fedledger("network", "host", *words, "--dir", self.folders[name])

    def each(self, names: Iterable[str], *words: str | Path) -> None:
        """Type the same on several hosts at the same time."""
        at_once(("network", "host", *words, "--dir", self.folders[name]) for name in names)

    def prepare(self, config: FabricConfig, *names: str) -> None:
        self.consortium.write_text(config.to_yaml())
        part = ("network", "host", "prepare", "--consortium", self.consortium)
        at_once((*part, "--organisation", name, "--dir", self.folders[name]) for name in names)

    def programs(self, name: str) -> dict[str, Any]:
        """What ``status`` says of the host's programs, by kind."""
        told = self.host(name, "status")["programs"]
        return {program.partition(".")[0]: each for program, each in told.items()}

    def layout(self, name: str) -> Layout:
        return Layout(self.folders[name])

    def ledger_of(self, name: str, member: str) -> Any:
        profile = load_profile(self.layout(name).organisation(name).root / "fedledger.toml", f"{name}-{member}")
        return profile, profile.connect()


@pytest.fixture(scope="module")
def config() -> FabricConfig:
    return FabricConfig(Consortium.of_names(*ORGANISATIONS), first_port=free_ports())


@pytest.fixture(scope="module")
def hosts(programs: Programs, tmp_path_factory: pytest.TempPathFactory, config: FabricConfig) -> Iterator[Hosts]:
    """Every organisation has prepared itself and taken what the others offer; nothing runs."""
    made = Hosts(tmp_path_factory.mktemp("hosts"))
    try:
        made.prepare(config, *ORGANISATIONS)
        offered = {name: made.host(name, "offer", made.exchange)["fingerprint"] for name in ORGANISATIONS}
        for name in ORGANISATIONS:
            answer = made.host(name, "accept", made.exchange)
            assert answer["missing"] == []
            assert answer["accepted"] == {other: offered[other] for other in ORGANISATIONS if other != name}
        yield made
    finally:
        for name, folder in made.folders.items():
            if folder.exists():
                made.host(name, "stop")


def private_keys(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()}


def propose(hosts: Hosts, name: str, task: str, **changes: object) -> set[str]:
    """Propose a task at the organisation's own peer, and say which ones are known there."""
    profile, connection = hosts.ledger_of(name, "governor")
    with connection as gateway:
        ledger = TaskLedger(gateway.get_network(profile.channel), profile.chaincode)
        repeated(lambda: ledger.propose_task(task_spec(task=task, **changes)))
        return {summary.task for summary in ledger.tasks()}


def test_nothing_secret_is_exchanged(hosts: Hosts) -> None:
    assert not private_keys(hosts.exchange)
    for name in ORGANISATIONS:
        own = hosts.layout(name).organisation(name).root
        assert private_keys(own)
        assert private_keys(hosts.folders[name]) == private_keys(own)


def test_what_is_missing_is_said(hosts: Hosts, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"NO_GENESIS.*host genesis"):
        hosts.host(FIRST, "join")
    (tmp_path / SECOND).mkdir()
    with pytest.raises(BadInputError, match=r"NOT_AN_OFFER.*msp/cacerts"):
        hosts.host(FIRST, "accept", tmp_path)
    with pytest.raises(BadInputError, match="NOT_PREPARED"):
        fedledger("network", "host", "start", "--dir", tmp_path)


def test_a_folder_of_one_organisation_is_no_network_on_this_machine(hosts: Hosts, config: FabricConfig) -> None:
    with pytest.raises(BadInputError, match=r"ONE_ORGANISATION.*network host"):
        fedledger("network", "up", "--dir", hosts.folders[FIRST])
    with pytest.raises(BadInputError, match="OTHER_CONSORTIUM"):
        prepared = hosts.folders[FIRST]
        fedledger(
            *("network", "host", "prepare", "--consortium", hosts.consortium),
            *("--organisation", SECOND, "--dir", prepared),
        )
    moved = replace(config, first_port=config.first_port + 1)
    with pytest.raises(BadInputError, match="other ports"):
        hosts.prepare(moved, FIRST)


def test_a_first_block_with_another_certificate_in_it_is_refused(hosts: Hosts) -> None:
    public = hosts.layout(FIRST).organisation(SECOND).node("orderer") / "tls" / "server.crt"
    genuine = public.read_bytes()
    own = hosts.layout(FIRST).organisation(FIRST).node("orderer") / "tls" / "server.crt"
    public.write_bytes(own.read_bytes())
    try:
        forged = hosts.host(FIRST, "genesis")["file"]
    finally:
        public.write_bytes(genuine)
    with pytest.raises(BadInputError, match="OTHER_GENESIS"):
        hosts.host(SECOND, "accept-genesis", forged)


def test_each_starts_joins_and_approves_for_itself_and_the_channel_serves_all(hosts: Hosts) -> None:
    made = hosts.host(FIRST, "genesis")
    for name in ORGANISATIONS[1:]:
        assert hosts.host(name, "accept-genesis", made["file"])["hash"] == made["hash"]
    for step in ("start", "join", "approve"):
        hosts.each(ORGANISATIONS, step)
    committed = hosts.host(FIRST, "commit")
    assert (committed["sequence"], committed["endorsements"]) == (1, 3)
    hosts.each(ORGANISATIONS, "ready")
    assert hosts.host(FIRST, "status")["running"]
    known = [propose(hosts, name, f"by-{name}") for name in ORGANISATIONS]
    assert known[-1] == {f"by-{name}" for name in ORGANISATIONS}


def test_new_certificates_are_signed_for_by_others_who_have_compared_them(hosts: Hosts, tmp_path: Path) -> None:
    update = tmp_path / "update.pb"
    hosts.host(SECOND, "renew-certificates")
    hosts.host(SECOND, "offer", hosts.exchange)
    assert hosts.host(SECOND, "propose", update)["signers"] == ["HungaryMSP"]
    with pytest.raises(BadInputError, match="NOTHING_TO_CHANGE"):
        hosts.host(FIRST, "sign", update)  # it does not have the new certificates yet
    with pytest.raises(AccessError, match="UPDATE_REFUSED"):
        hosts.host(SECOND, "submit", update)
    for name in ORGANISATIONS:
        if name != SECOND:
            hosts.host(name, "accept", hosts.exchange, SECOND)
    for name in ORGANISATIONS[2:]:
        signed = hosts.host(name, "sign", update)
    assert (len(signed["signers"]), signed["needed"]) == (3, 3)
    hosts.host(SECOND, "submit", update)
    hosts.host(SECOND, "stop")
    hosts.host(SECOND, "start")
    hosts.host(SECOND, "ready")
    assert propose(hosts, SECOND, "after-renewal")


def test_a_fifth_organisation_joins_from_a_host_of_its_own(hosts: Hosts, config: FabricConfig, tmp_path: Path) -> None:
    larger, everybody = config.with_member(FIFTH), (*ORGANISATIONS, FIFTH.name)
    update, newest = tmp_path / "update.pb", tmp_path / "config.block"
    hosts.prepare(larger, *everybody)
    hosts.host(FIFTH.name, "offer", hosts.exchange)
    for name in ORGANISATIONS:
        hosts.host(name, "accept", hosts.exchange, FIFTH.name)
    hosts.host(FIFTH.name, "accept", hosts.exchange)
    assert hosts.host(FIRST, "propose", update)["needed"] == 3
    for name in ORGANISATIONS[1:3]:
        hosts.host(name, "sign", update)
    hosts.host(FIRST, "submit", update)
    genesis = hosts.host(FIRST, "config-block", newest)["genesis"]
    with pytest.raises(BadInputError, match="OTHER_GENESIS"):
        hosts.host(FIFTH.name, "accept-genesis", genesis)
    for words in (("accept-genesis", genesis, "--config-block", newest), ("start",), ("join",)):
        hosts.host(FIFTH.name, *words)
    hosts.each(everybody, "approve")
    committed = hosts.host(FIRST, "commit")
    assert (committed["sequence"], committed["endorsements"]) == (2, 4)
    hosts.each(everybody, "ready")
    msps = sorted(organisation.msp_id for organisation in larger.consortium.organisations)
    known = propose(hosts, FIFTH.name, "by-budapest", organisations=msps, aggregation={"validators": msps})
    assert known > {f"by-{name}" for name in ORGANISATIONS}


def test_an_organisation_leaves_and_the_others_go_on_with_a_new_version_of_the_contract(
    hosts: Hosts, config: FabricConfig, tmp_path: Path
) -> None:
    larger = config.with_member(FIFTH)
    smaller = replace(larger.without_member(larger.organisation(SECOND)), chaincode_version="2.1")
    staying, update = [each.name for each in smaller.consortium.organisations], tmp_path / "update.pb"
    before = {name: hosts.programs(name)["chaincode"]["ports"] for name in staying}
    hosts.host(SECOND, "stop")
    hosts.prepare(smaller, *staying)
    for step in ("start", "approve"):
        hosts.each(staying, step)
    committed = hosts.host(FIRST, "commit")
    assert (committed["version"], committed["sequence"], committed["endorsements"]) == ("2.1", 3, 3)
    hosts.each(staying, "ready")
    for name in staying:
        assert hosts.programs(name)["chaincode"]["ports"] != before[name]
        assert not set(before[name]) & listening_ports()
    hosts.host(FIRST, "propose", update)
    for name in staying[1:3]:
        hosts.host(name, "sign", update)
    hosts.host(FIRST, "submit", update)
    msps = sorted(organisation.msp_id for organisation in smaller.consortium.organisations)
    known = propose(hosts, FIFTH.name, "without-hungary", organisations=msps, aggregation={"validators": msps})
    assert "by-hungary" in known


def test_the_audit_follows_from_the_first_block_on(hosts: Hosts) -> None:
    profile, connection = hosts.ledger_of(FIFTH.name, "auditor")
    with connection as gateway:
        report = verify_network(gateway.get_network(profile.channel))
    outcomes = {check.name: check.outcome for check in report.checks}
    assert {outcomes[name] for name in (*BLOCK_CHECKS, CheckName.ROUNDS)} == {Outcome.PASSED}, failures(report)
