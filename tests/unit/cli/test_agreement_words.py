"""An approver sees every field of an agreement, how it differs, and what of it weakens protection."""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fedledger.cli.agreement_warnings import RULES, warnings_of
from fedledger.cli.agreement_words import WORDS, differences, meaning, rows, words_of
from fedledger.cli.shown import remember, was_shown
from fedledger.cli.task_text import agreement_of, changes, open_amendment, to_be_read
from fedledger.errors import BadInputError
from fedledger.training import load_task
from fedledger.training.comparison import differing, fields_of, nearest
from fedledger.training.specification import check_bounds, recomputed_schedule
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.task import (
    MAXIMUM_DELTA,
    MAXIMUM_ENTRIES,
    MAXIMUM_EPSILON,
    MAXIMUM_STEPS,
    TaskSpec,
)
from tests.unit.contract.ledger import MSPS, Consortium, task_spec

OWN = [{"msp": MSPS[1], "privacy": task_spec().privacy.model_dump(mode="json"), "agreement_factor": 900_000}]
NOISY = {"published": "noisy", "noise_multiplier": 5_000_000, "epsilon_schedule": [800_000, 1_200_000, 4_000_000]}
SPEC = task_spec(own_privacy=OWN, agreement={"evaluations": NOISY})


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every field of the models that a specification consists of, as the models declare them."""
    for name in type(value).model_fields:
        inner = getattr(value, name)
        if isinstance(inner, BaseModel):
            yield from leaves(inner, (*path, name))
        elif name == "own_privacy":
            for own in inner:
                yield from (each for each in leaves(own, (*path, name, own.msp)) if each[-1] != "msp")
        else:
            yield (*path, name)


def changed(spec: Any, path: tuple[str, ...]) -> Any:
    """The same with another value there, whether it is allowed or not."""
    name, *rest = path
    if name == "own_privacy":
        (own,) = spec.own_privacy
        return spec.model_copy(update={"own_privacy": (changed(own, tuple(rest[1:])),)})
    value = getattr(spec, name)
    return spec.model_copy(update={name: changed(value, tuple(rest)) if rest else other(value)})


def other(value: Any) -> Any:
    match value:
        case None:
            return 5
        case int():
            return value + 1
        case str():
            return f"{value}x"
        case _:
            return value[:-1]


ALL = list(leaves(SPEC))


@pytest.mark.parametrize("path", ALL, ids=".".join)
def test_no_field_of_a_specification_changes_unseen(path: tuple[str, ...]) -> None:
    named = ".".join(path).replace("schema_", "schema")
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        after = changed(SPEC, path)
        assert differing(SPEC, after) == (named,)
        (difference,) = differences(SPEC, after)
    assert difference.path == named
    assert difference.before != difference.after
    assert difference.name != named or named in WORDS, "a field without words"


def test_every_field_is_shown_once_under_a_name_of_its_own() -> None:
    assert (
        {row.path for row in rows(SPEC)}
        == set(fields_of(SPEC))
        == {".".join(path).replace("schema_", "schema") for path in ALL}
    )
    assert len(agreement_of(SPEC)) == len(rows(SPEC)) == len(ALL)


def test_a_field_that_is_unknown_here_is_shown_by_its_path() -> None:
    assert words_of("privacy.invented").name == "privacy.invented"


def test_an_msp_id_may_hold_dots() -> None:
    assert words_of("own_privacy.a.b.privacy.mechanism").name == "privacy of a.b: mechanism"


def test_an_amendment_of_deadlines_alone_is_shown() -> None:
    consortium = Consortium.active()
    short = dict.fromkeys(("updates", "attestations", "aggregates", "disputes"), 1)
    consortium.ledger.submit(consortium.governors[MSPS[0]], "ProposeAmendment", task_spec(deadlines=short))
    lines = open_amendment(consortium.view(), MSPS[1])
    assert "  time for updates: 120 s -> 1 s" in lines
    assert sum(line.startswith("  WARNING (new): time for") for line in lines) == 4


WEAK: dict[str, dict[str, Any]] = {
    "aggregation.proof": {"aggregation": {"proof": "none"}},
    "aggregation.minimum_accepted": {
        "organisations": [f"S{n}" for n in range(7)],
        "aggregation": {"validators": [f"S{n}" for n in range(4)]},
    },
    "aggregation.max_share": {"aggregation": {"max_share": 1_000_000}},
    "aggregation.max_examples": {"aggregation": {"max_examples": 1 << 32}},
    "aggregation.clip_norm": {"aggregation": {"clip_norm": 1_000_000_000}},
    "aggregation.quantised_norm": {"aggregation": {"quantised_norm": 256}},
    "aggregation.validators": {"organisations": [*MSPS, "VisitorMSP"]},
    "deadlines.updates": {"deadlines": {"updates": 1}},
    "deadlines.attestations": {"deadlines": {"attestations": 1}},
    "deadlines.aggregates": {"deadlines": {"aggregates": 1}},
    "deadlines.disputes": {"deadlines": {"disputes": 1}},
    "incentive.participant_stake": {"incentive": {"participant_stake": 0}},
    "incentive.validator_stake": {"incentive": {"validator_stake": 0}},
    "incentive.slashing_equivocation": {"incentive": {"slashing_equivocation": 0}},
    "incentive.slashing_norm": {"incentive": {"slashing_norm": 0}},
    "incentive.slashing_dealing": {"incentive": {"slashing_dealing": 0}},
    "incentive.slashing_validator": {"incentive": {"slashing_validator": 0}},
    "incentive.endowment": {"incentive": {"endowment": 1 << 50}},
    "incentive.equal_share": {"incentive": {"equal_share": 999_999}},
    "incentive.reward_per_round": {"incentive": {"reward_per_round": 0}},
    "incentive.validator_share": {"incentive": {"validator_share": 1_000_000}},
    "reputation.quarantine_rounds": {"reputation": {"quarantine_threshold": 0}},
    "reputation.initial": {"reputation": {"initial": 100_000}},
    "reputation.honesty_weight": {"reputation": {"honesty_weight": 0, "reliability_weight": 1_000_000}},
    "training.server_optimizer.learning_rate": {
        "training": {"server_optimizer": {"name": "sgd", "learning_rate": 100_000_000, "momentum": 0}}
    },
    "training.local_epochs": {"training": {"local_epochs": 9_999}},
    "privacy.mechanism": {
        "privacy": {
            "mechanism": "none",
            "epsilon_schedule": [],
            **dict.fromkeys(
                (
                    "noise_multiplier",
                    "record_clip_norm",
                    "sampling_rate",
                    "steps_per_round",
                    "delta_pico",
                    "epsilon_budget",
                ),
                0,
            ),
        }
    },
    "agreement.evaluations.figure_step": {"agreement": {"evaluations": {"figure_step": 1}}},
    "agreement.evaluations.count_step": {"agreement": {"evaluations": {"count_step": 1}}},
    "privacy.noise_multiplier": {"privacy": {"noise_multiplier": 400_000}},
    "privacy.epsilon_budget": {"privacy": {"epsilon_budget": 50_000_000, "epsilon_schedule": [50_000_000]}},
    "privacy.delta_pico": {"privacy": {"delta_pico": 1_000_000_000}},
}
WEAK["agreement.minimum_examples"] = WEAK["privacy.mechanism"]
"""A specification of which each rule has something to say."""

BEYOND: dict[str, dict[str, Any]] = {
    "noise": {"noise_multiplier": 1},
    "steps": {"steps_per_round": MAXIMUM_STEPS},
    "delta": {"delta_pico": MAXIMUM_DELTA + 1},
    "epsilon": {"epsilon_schedule": (MAXIMUM_EPSILON + 1,)},
    "entries": {"epsilon_schedule": (1,) * (MAXIMUM_ENTRIES + 1)},
}


class TestWarnings:
    def sound(self, **changes: Any) -> TaskSpec:
        slashing = dict.fromkeys(("slashing_norm", "slashing_dealing", "slashing_validator"), 500_000)
        slashing |= {"equal_share": 1_000_000}
        fit = {
            "aggregation": {"proof": "norm"} | changes.pop("aggregation", {}),
            "incentive": slashing | changes.pop("incentive", {}),
        }
        return task_spec(**fit, **changes)

    def test_is_said_by_every_rule_of_what_it_is_about_and_by_none_of_a_sound_agreement(self) -> None:
        assert warnings_of(self.sound(), MSPS[0]) == []
        assert {rule.path for rule in RULES} == set(WEAK)

    @pytest.mark.parametrize("path", sorted(WEAK))
    def test_names_the_field_and_gives_a_reason(self, path: str) -> None:
        spec = self.sound(**WEAK[path])
        msp = "VisitorMSP" if path == "aggregation.validators" else spec.aggregation.validators[0]
        found = {rule.path: rule.reason for rule in warnings_of(spec, msp)}
        assert found[path]
        assert {*found} <= {path, "privacy.mechanism", "agreement.minimum_examples", "aggregation.validators"}

    @pytest.mark.parametrize("task", ["heart-disease", "bearing-wear"])
    def test_none_is_said_of_a_task_that_is_shipped(self, task: str) -> None:
        assert warnings_of(load_task(task).to_spec(organisations=MSPS), MSPS[0]) == []


class TestBounds:
    """What would cost whoever looks at it memory or hours is refused before anything is computed."""

    @pytest.mark.parametrize("case", sorted(BEYOND))
    def test_the_contract_refuses_it(self, case: str) -> None:
        good = task_spec()
        privacy = good.privacy.model_copy(
            update={k: tuple(v) if isinstance(v, list) else v for k, v in BEYOND[case].items()}
        )
        consortium = Consortium.founded()
        bomb = good.model_copy(update={"privacy": privacy})
        with pytest.raises(ContractError) as refusal:
            consortium.ledger.submit(consortium.governors[MSPS[0]], "ProposeTask", bomb)
        assert refusal.value.code == "BAD_MESSAGE"

    @pytest.mark.parametrize("case", sorted(BEYOND))
    def test_nobody_computes_anything_of_one_that_another_contract_has_let_through(self, case: str) -> None:
        privacy = task_spec().privacy.model_copy(update=BEYOND[case])
        old = task_spec().model_copy(update={"privacy": privacy, "schema_": "fedledger/task/1"})
        with pytest.raises(BadInputError) as error:
            check_bounds(old)
        assert error.value.code == "PRIVACY_BOUNDS"
        if case != "entries":
            with pytest.raises(BadInputError):
                recomputed_schedule(privacy)

    def test_a_task_in_which_no_round_could_begin_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no round could ever end"):
            task_spec(aggregation={"minimum_accepted": 5})


@pytest.fixture(scope="module")
def shipped() -> TaskSpec:
    return load_task("heart-disease").to_spec(organisations=MSPS)


class TestBeforeApproval:
    def view(self, spec: TaskSpec) -> Any:
        consortium = Consortium.founded(spec)
        consortium.propose()
        return consortium.view()

    def test_the_shipped_task_is_as_the_package_has_it(self, shipped: TaskSpec) -> None:
        lines = to_be_read(self.view(shipped), shipped, MSPS[1], nearest(load_task("heart-disease"), shipped))
        assert lines[:2] == [
            "Every field is as the package at hand has it.",
            "No rule finds that it weakens protection.",
        ]
        assert lines[2] == f"What it means for {MSPS[1]}:"
        assert any("epsilon 2.99" in line for line in lines)

    def test_a_variant_is_compared_with_itself(self) -> None:
        guarded = load_task("heart-disease").override(variant="guarded")
        spec = guarded.to_spec(organisations=MSPS)
        assert nearest(load_task("heart-disease"), spec) == spec

    def test_what_differs_and_what_weakens_comes_first(self, shipped: TaskSpec) -> None:
        weak = shipped.model_copy(
            update={
                "aggregation": shipped.aggregation.model_copy(update={"proof": "none", "max_share": 1_000_000}),
                "incentive": shipped.incentive.model_copy(update={"endowment": 1 << 50}),
            }
        )
        lines = to_be_read(self.view(weak), weak, MSPS[1], shipped)
        assert lines[0] == "Other than the package at hand:"
        assert "  proof of the clip norm: each update proves that it keeps it -> none: of any size" in lines
        assert sum(line.startswith("  WARNING (new)") for line in lines) == 3

    def test_no_package_at_hand_is_said(self, shipped: TaskSpec) -> None:
        assert to_be_read(self.view(shipped), shipped, MSPS[1], None)[0].startswith("There is no package")

    def test_the_meaning_is_the_organisations_own(self) -> None:
        own = [{"msp": MSPS[1], "privacy": replace_budget(2_000_000)}]
        spec = task_spec(own_privacy=own)
        assert "epsilon 2," in meaning(spec, MSPS[1])[0]
        assert "epsilon 3," in meaning(spec, MSPS[0])[0]
        assert any("without noise" in each and "not bounded" in each for each in meaning(spec, MSPS[0]))
        noisy = task_spec(own_privacy=own, agreement={"evaluations": NOISY})
        assert any("with noise, 2 times at most" in each and "is then 1.2." in each for each in meaning(noisy, MSPS[1]))
        none = task_spec(agreement={"evaluations": {"published": "none"}})
        assert any(each.startswith("Nothing is published of how models do") for each in meaning(none, MSPS[0]))
        assert meaning(spec, "StrangerMSP") == ["StrangerMSP is no party to this agreement."]


def replace_budget(budget: int) -> dict[str, Any]:
    return task_spec().privacy.model_dump(mode="json") | {"epsilon_budget": budget}


class TestWhatWasShown:
    def test_is_remembered_by_profile(self, tmp_path: Path) -> None:
        config = tmp_path / "profiles.toml"
        assert not was_shown(config, "a", "1" * 64)
        remember(config, "a", "1" * 64)
        assert was_shown(config, "a", "1" * 64)
        assert not was_shown(config, "b", "1" * 64)
        assert not was_shown(config, "a", "2" * 64)

    @pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 3}', b"\xff"])
    def test_of_a_file_that_is_not_ours_nothing(self, tmp_path: Path, content: bytes) -> None:
        config = tmp_path / "profiles.toml"
        remember(config, "a", "1" * 64)
        (tmp_path / "fedledger-shown.json").write_bytes(content)
        assert not was_shown(config, "a", "1" * 64)
        remember(config, "a", "1" * 64)
        assert was_shown(config, "a", "1" * 64)


def test_changes_hold_no_line_of_somebody_elses() -> None:
    forged = task_spec().model_copy(update={"title": "a\nWARNING: nothing"})
    assert len(changes(task_spec(), forged)) == 1
    assert "\n" not in changes(task_spec(), forged)[0]
