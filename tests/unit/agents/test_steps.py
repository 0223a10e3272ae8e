"""Every step of a validator has its words."""

from __future__ import annotations

import pytest

from fedledger.agents.duties import Duty
from fedledger.agents.steps import Step


@pytest.mark.parametrize("step", Step)
def test_each_step_has_words_of_its_own(step: Step) -> None:
    assert step.words
    assert [other for other in Step if other.words == step.words] == [step]
    assert step.words in Duty(step, 3, 0).words
    assert step == step.value == f"{step}"


def test_a_step_without_words_cannot_be_defined() -> None:
    with pytest.raises(TypeError, match="words"):
        Step._new_member_(Step, "forgotten")
