"""The story of a consortium over thirty rounds, on either engine; the page tells it with the table that comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedledger.audit import verify_network
from fedledger.errors import FedledgerError
from fedledger.identity.profile import load_profile
from fedledger.identity.wallet import Wallet
from fedledger_network.ca.in_process import in_process_ca
from fedledger_network.ca.organisation import REGISTRAR
from fedledger_network.ca.service import CaService
from fedledger_network.configuration.revocation import publish_revocation_list
from tests.scenarios.engines import Engine
from tests.scenarios.story import CAST, CONTRIBUTIONS, REVOKED_IN, ROUNDS, WITHDRAWS_IN, Site, Story, consortium

PAGE = Path(__file__).parents[2] / "docs" / "story.md"
pytestmark = pytest.mark.timeout(1200)


def named(part: str) -> Site:
    return next(site for site in CAST if part in site.name)


@dataclass
class Told:
    """What happened, round by round."""

    story: Story
    states: list[str] = field(default_factory=list)
    cohorts: list[set[str]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


def revoke(engine: Engine, site: Site) -> None:
    """By the organisation's CA and its governor, as `identity revoke` and `network revocations` do."""
    registrar = Wallet(engine.identities(site.organisation) / REGISTRAR).load()
    with engine.authority(site.organisation) as authority:
        ca = in_process_ca(CaService(authority), authority.name)
        ca.revoke_certificate(registrar, engine.profile(site.organisation).credentials().certificate, "keycompromise")
        revoked = ca.revocation_list(registrar)
    publish_revocation_list(engine.profile(site.organisation, "governor"), [revoked])
    engine.settle()


@pytest.fixture(scope="module")
def told(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with consortium(engine, tmp_path_factory.mktemp("story")) as story:
        told = Told(story)
        stolen = named("stolen")
        for number in range(1, ROUNDS + 1):
            if number == REVOKED_IN:
                revoke(engine, stolen)
                try:
                    story.play.ledger(stolen.organisation, "participant").leave_task("story")
                except FedledgerError as error:
                    told.refusals.append(str(error))
                story.governor(stolen).suspend_participant("story", story.pseudonym(stolen), "Its key was stolen.")
            told.states.append(story.round(number))
            told.cohorts.append({entry.participant for entry in story.play.view().cohort.participants})
        for organisation in ("cleveland", "hungary", "long_beach"):
            story.play.ledger(organisation, "governor").stop_task("story", "The model is good enough.")
        engine.settle()
        yield told


def rounds_of(told: Told, site: Site) -> list[int]:
    pseudonym = told.story.pseudonym(site)
    return [number for number, cohort in enumerate(told.cohorts, start=1) if pseudonym in cohort]


def test_the_model_gets_better_though_two_of_nine_do_not_help(told: Told) -> None:
    assert told.states.count("finalised") >= ROUNDS - 5
    head = told.story.play.ledger("cleveland", "auditor").task("story").head
    assert head is not None and head.version == told.states.count("finalised")


def test_whoever_does_not_help_is_found_out(told: Told) -> None:
    standings = {site.name: told.story.standing(site) for site in CAST}
    worst_honest = min(
        view.standing.reputation for name, view in standings.items() if named(name).behaviour == "honest"
    )
    for site in CAST:
        if site.behaviour != "honest":
            assert standings[site.name].standing.reputation < worst_honest
            assert standings[site.name].balance < min(
                view.balance for name, view in standings.items() if named(name).behaviour == "honest"
            )


def test_a_small_honest_site_is_paid_for_its_work(told: Told) -> None:
    village, town = told.story.standing(named("village")), told.story.standing(named("town"))
    assert village.balance / village.standing.contributions > 0.2 * town.balance / town.standing.contributions


def test_who_has_spent_its_budget_takes_part_no_more(told: Told) -> None:
    eager = named("eager")
    assert rounds_of(told, eager) == list(range(1, CONTRIBUTIONS + 1))
    spec = told.story.play.ledger("cleveland", "auditor").task("story").record.spec
    assert told.story.standing(eager).standing.epsilon == spec.privacy.epsilon_budget


def test_who_withdraws_takes_part_no_more_from_the_next_round_on(told: Told) -> None:
    assert rounds_of(told, named("withdraws")) == list(range(1, WITHDRAWS_IN))


def test_a_revoked_certificate_is_refused_at_once(told: Told) -> None:
    assert len(told.refusals) == 1
    assert rounds_of(told, named("stolen")) == list(range(1, REVOKED_IN))


def test_the_ledger_that_it_leaves_is_as_it_should_be(told: Told, engine: Engine) -> None:
    with load_profile(engine.profiles, "hungary-auditor").connect() as gateway:
        report = verify_network(gateway.get_network("fedledger"))
    assert report.ok, [check for check in report.checks if check.outcome.value != "passed"]


def test_the_page_has_the_table_that_comes_out(told: Told) -> None:
    assert told.story.table() in PAGE.read_text()
