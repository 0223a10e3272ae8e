"""Every step of a validator has its words."""

from __future__ import annotations

from typing import get_args

import pytest

from fedledger.agents import duties
from fedledger.agents.duties import Duty
from fedledger.agents.steps import Step
from fedledger.cli.validator import told


@pytest.mark.parametrize("step", Step)
def test_each_step_has_words_of_its_own(step: Step) -> None:
    assert step.words
    assert [other for other in Step if other.words == step.words] == [step]
    assert told(Duty(step, 3, 0)) == f"Round 3: {step.words}."
    assert step == step.value == f"{step}"


def test_each_step_that_validators_know_is_among_them() -> None:
    known = get_args(duties.Step) or list(duties.Step)
    assert set(known) <= set(Step)
    assert {"commit-reference", "reveal-reference"} <= set(known)


def test_a_step_without_words_cannot_be_defined() -> None:
    with pytest.raises(TypeError, match="words"):
        Step._new_member_(Step, "forgotten")
