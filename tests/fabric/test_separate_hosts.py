"""Four organisations that share no secret: each has a folder of its own, as on a host of its own, and does its part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedledger.errors import BadInputError
from fedledger.identity.profile import load_profile
from fedledger.ledger import TaskLedger
from fedledger_network.consortium import Consortium
from fedledger_network.fabric import FabricConfig, Programs
from fedledger_network.fabric.hosts import OrganisationHost
from tests.fabric.conftest import ORGANISATIONS, free_ports
from tests.fabric.ledger import repeated
from tests.unit.contract.ledger import task_spec

pytestmark = pytest.mark.fabric

Hosts = dict[str, OrganisationHost]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the organisations send each other."""
    return tmp_path_factory.mktemp("exchange")


@pytest.fixture(scope="module")
def hosts(programs: Programs, tmp_path_factory: pytest.TempPathFactory, exchange: Path) -> Iterator[Hosts]:
    """Every organisation has prepared itself and taken what the others offer; nothing runs."""
    config = FabricConfig(Consortium.of_names(*ORGANISATIONS), first_port=free_ports())
    parts = {
        name: OrganisationHost.of(config, tmp_path_factory.mktemp(name), programs, name, attached=True)
        for name in ORGANISATIONS
    }
    try:
        at_each(parts, OrganisationHost.prepare)
        for part in parts.values():
            part.offer(exchange)
        for part in parts.values():
            for name in ORGANISATIONS:
                part.accept(name, exchange)
        yield parts
    finally:
        for part in parts.values():
            part.stop()


def at_each(hosts: Hosts, step: Callable[[OrganisationHost], object]) -> None:
    with ThreadPoolExecutor(len(hosts)) as pool:
        list(pool.map(step, hosts.values()))


def private_keys(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()}


def test_nothing_secret_is_exchanged(hosts: Hosts, exchange: Path) -> None:
    assert not private_keys(exchange)
    for name, host in hosts.items():
        root = host.inventory.layout.root
        own = host.inventory.layout.organisation(name).root
        assert private_keys(own)
        assert private_keys(root) == private_keys(own)


def test_a_first_block_with_another_certificate_in_it_is_refused(hosts: Hosts) -> None:
    first, second, *_ = hosts.values()
    public = first.inventory.layout.organisation(second.organisation.name).node("orderer") / "tls" / "server.crt"
    genuine = public.read_bytes()
    own = first.inventory.layout.organisation(first.organisation.name).node("orderer") / "tls" / "server.crt"
    public.write_bytes(own.read_bytes())
    try:
        forged = first.make_first_block()
    finally:
        public.write_bytes(genuine)
    with pytest.raises(BadInputError, match="OTHER_GENESIS"):
        second.accept_first_block(forged)


def test_each_starts_joins_and_approves_for_itself_and_the_channel_serves_all(hosts: Hosts) -> None:
    first, *others = hosts.values()
    block = first.make_first_block()
    for host in others:
        host.accept_first_block(block)
    for host in hosts.values():
        host.start()
    at_each(hosts, OrganisationHost.join)
    at_each(hosts, OrganisationHost.approve)
    first.commit()
    at_each(hosts, OrganisationHost.wait_until_ready)
    for name, host in hosts.items():
        profile = load_profile(host.inventory.layout.organisation(name).root / "fedledger.toml", f"{name}-governor")
        with profile.connect() as gateway:
            ledger = TaskLedger(gateway.get_network(profile.channel), profile.chaincode)
            repeated(lambda ledger=ledger, name=name: ledger.propose_task(task_spec(task=f"by-{name}")))  # type: ignore[misc]
            known = {summary.task for summary in ledger.tasks()}
    assert known == {f"by-{name}" for name in ORGANISATIONS}
