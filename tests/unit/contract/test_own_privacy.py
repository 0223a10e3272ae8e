"""An organisation with a privacy mechanism and a budget of its own, beside others that go by the task's."""

from __future__ import annotations

from typing import Any

import pytest

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import CohortEntry
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.settlement import Judged, Rules, weigh
from fedledger_chaincode.rules.submission import agreed_privacy
from tests.unit.contract.ledger import MSPS, Consortium, digest, task_spec
from tests.unit.contract.test_agreements import amended, approve
from tests.unit.contract.test_tasks import refused

CAREFUL = MSPS[3]


def own(msp: str = CAREFUL, factor: int = MICRO, **changes: Any) -> dict[str, Any]:
    """Twice the noise, half the epsilon, and a budget that two rounds spend."""
    privacy = task_spec().privacy.model_dump(mode="json") | {
        "noise_multiplier": 2_200_000,
        "epsilon_budget": 1_000_000,
        "epsilon_schedule": [500_000, 1_000_000, 1_500_000, 2_000_000],
    }
    return {"msp": msp, "privacy": privacy | changes, "agreement_factor": factor}


def spec_with(*owners: dict[str, Any], **changes: Any) -> TaskSpec:
    return task_spec(own_privacy=list(owners or [own()]), **{"training": {"rounds": 4}} | changes)


def epsilons(consortium: Consortium) -> dict[str, int]:
    return {view.member.msp: view.standing.epsilon for view in consortium.members().members}


def test_each_is_charged_by_its_own_schedule_and_stopped_by_its_own_budget() -> None:
    consortium = Consortium.active(spec_with())
    for number in (1, 2):
        consortium.through(number)
    assert epsilons(consortium) == {msp: 1_000_000 if msp == CAREFUL else 2_000_000 for msp in MSPS}
    consortium.open(3)
    assert {entry.msp for entry in consortium.round(3).cohort.participants} == set(MSPS[:3])
    with refused("NOT_IN_COHORT"):
        consortium.submit(CAREFUL, 3)


def test_each_states_the_mechanism_that_was_agreed_for_it_and_no_other() -> None:
    consortium = Consortium.active(spec_with())
    consortium.open(1)
    for msp, other in ((CAREFUL, MSPS[0]), (MSPS[0], CAREFUL)):
        with pytest.raises(ContractError, match=f"that the task has for {msp}") as error:
            consortium.submit(msp, 1, privacy=agreed_privacy(consortium.spec, other))
        assert error.value.code == "PRIVACY_PARAMETERS"
        consortium.submit(msp, 1)


def test_a_new_name_goes_on_in_the_organisations_own_schedule() -> None:
    consortium = Consortium.active(spec_with())
    consortium.through(1)
    consortium.ledger.submit(consortium.participants[CAREFUL], "LeaveTask", "heart")
    consortium.participants[CAREFUL] = consortium.ledger.actor(CAREFUL, "participant", name="somebody else")
    consortium.join(CAREFUL)
    pseudonym = consortium.participants[CAREFUL].pseudonym
    (view,) = [view for view in consortium.members().members if view.member.participant == pseudonym]
    assert (view.standing.contributions, view.standing.epsilon) == (1, 500_000)


def test_its_budget_can_be_amended_and_its_mechanism_cannot() -> None:
    consortium = Consortium.active(spec_with())
    for number in (1, 2):
        consortium.through(number)
    for changed, named in (
        (own(noise_multiplier=900_000), f"own_privacy.{CAREFUL}.privacy.noise_multiplier"),
        (own(factor=900_000), f"own_privacy.{CAREFUL}.agreement_factor"),
        (own(epsilon_schedule=[1, 2, 3, 4]), f"epsilon of {CAREFUL}"),
        (own(MSPS[2]), "own_privacy"),
    ):
        with pytest.raises(ContractError, match=named) as error:
            amended(consortium, own_privacy=[changed], training={"rounds": 4})
        assert error.value.code == "NOT_AMENDABLE"
    larger = amended(consortium, own_privacy=[own(epsilon_budget=1_500_000)], training={"rounds": 4})
    approve(consortium, larger, *MSPS)
    consortium.spec = larger
    consortium.through(3)
    assert epsilons(consortium)[CAREFUL] == 1_500_000


@pytest.mark.parametrize("owners", [[own("StrangeMSP")], [own(), own()], [own(MSPS[2]), own(MSPS[1])]])
def test_it_belongs_to_organisations_of_the_task_once_each(owners: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="own_privacy must be of organisations of the task"):
        spec_with(*owners)


def test_agreement_is_divided_by_what_the_own_noise_leaves_of_it() -> None:
    spec = spec_with(
        own(factor=500_000),
        aggregation={"proof": "norm"},
        robustness={"trust_weighting": "last-step", "no_trust": 100_000, "full_trust": 400_000},
    )
    cohort = [CohortEntry(participant=digest(msp), msp=msp, quarantined=False, reputation=500_000) for msp in MSPS]
    square = spec.aggregation.quantised_norm**2
    products = [square // 2, square // 2, square // 4, square // 4]
    judged = {
        entry.participant: Judged("accepted", inner_product=product)
        for entry, product in zip(cohort, products, strict=True)
    }
    settled = weigh(Rules.of(spec), cohort, {entry.participant: 100 for entry in cohort}, judged)
    assert [update.agreement for update in settled] == [500_000, 500_000, 250_000, 500_000]
    assert settled[3].trust == settled[0].trust == 15
    assert settled[2].trust < 10


def test_noise_excuses_half_of_what_is_missing_and_no_more() -> None:
    with pytest.raises(ValueError, match="agreement_factor"):
        spec_with(own(factor=499_999))
