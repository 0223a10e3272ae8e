"""Parameters under which the protocol would be unsafe are refused before anything is shared."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.secure_aggregation import Parameters, ParametersError
from fedledger_chaincode.rules.dealing import message_lengths, sealed_bytes
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.norm_bound import CHECKS, LARGEST_NORM, NormBound
from tests.protocol.parties import THRESHOLDS
from tests.unit.contract.ledger import task_spec


@pytest.mark.parametrize(("n", "t"), [*THRESHOLDS, (5, 1), (64, 21)])
@pytest.mark.parametrize("proof", ["none", "norm"])
def test_safe_thresholds(n: int, t: int, proof: str) -> None:
    assert Parameters(n, t, 100, 1 << 24, proof=proof).validators == n  # type: ignore[arg-type]


@pytest.mark.parametrize(("n", "t"), [(3, 1), (1, 0), (4, 0), (6, 2), (9, 3), (65, 21), (4, -1)])
def test_thresholds_at_which_a_lie_could_pass_are_refused(n: int, t: int) -> None:
    with pytest.raises(ParametersError, match="UNSAFE_THRESHOLD"):
        Parameters(n, t, 100, 1 << 24)


@pytest.mark.parametrize("dimension", [0, -1, (1 << 27) + 1])
def test_lengths_that_cannot_be_shared_are_refused(dimension: int) -> None:
    with pytest.raises(ParametersError, match="UNSAFE_DIMENSION"):
        Parameters(4, 1, dimension, 1 << 24)


@pytest.mark.parametrize("norm", [0, -5, 1 << 30, 1 << 40])
def test_norms_that_the_field_cannot_hold_are_refused(norm: int) -> None:
    with pytest.raises(ParametersError, match="UNSAFE_NORM"):
        Parameters(4, 1, 100, norm)


def test_the_norm_proof_needs_a_smaller_norm_than_the_field() -> None:
    assert Parameters(4, 1, 100, 1 << 29).proof == "none"
    assert Parameters(4, 1, 100, LARGEST_NORM, proof="norm").norm_bound is not None
    for norm in (LARGEST_NORM + 1, 1 << 25, 1 << 29):
        with pytest.raises(ParametersError, match=f"UNSAFE_PROOF: .*at most {LARGEST_NORM}"):
            Parameters(4, 1, 100, norm, proof="norm")


@given(st.integers(1, LARGEST_NORM), st.integers(1, 1 << 27))
def test_every_admitted_norm_has_a_sound_proof(norm: int, dimension: int) -> None:
    bound = NormBound(norm, dimension)
    # N and B - N are read without wrapping around (section 12.2).
    assert 2 * (2**bound.norm_bits - 1) < MODULUS + bound.bound
    # Honest projections stay inside: Hoeffding, 2 exp(-(W / C_q)^2) for each.
    assert CHECKS * 2 * math.exp(-((bound.window - 1) ** 2) / norm**2) < 2**-101
    # Wrapped updates leave it half the time: Berry-Esseen with Shevtsova's constant 0.56.
    ratio = bound.window / math.sqrt(MODULUS / 2)
    assert 2 * ratio / math.sqrt(2 * math.pi) + 2 * 0.56 * ratio <= 0.5
    # A sum of entries that are all inside twice the window does not wrap around.
    assert dimension * (2 * bound.window - 1) + bound.window < MODULUS


@pytest.mark.parametrize(("dimension", "overhead"), [(100_000, 0.05), (1_000_000, 0.005)])
def test_the_proof_is_a_small_part_of_a_share(dimension: int, overhead: float) -> None:
    plain = Parameters(4, 1, dimension, 1 << 24).plaintext_bytes
    assert Parameters(4, 1, dimension, 1 << 24, proof="norm").plaintext_bytes <= (1 + overhead) * plain


def test_the_parameters_of_a_task_and_its_aggregation_give_the_same_sizes() -> None:
    for proof in ("none", "norm"):
        spec = task_spec(aggregation={"proof": proof})
        parameters = Parameters.of_task(spec)
        assert parameters.sealed_bytes == sealed_bytes(spec.aggregation, spec.model.parameter_count)
        assert parameters.message_lengths == message_lengths(spec.aggregation, spec.model.parameter_count)


def test_a_wrap_around_stays_hidden_in_all_projections_with_a_probability_of_2_to_minus_108() -> None:
    # 2^106, 2^104, 2^102 trials for one success, for each set of honest readers that a cheat may decide on afterwards.
    assert CHECKS == 108
    trials = [CHECKS - math.ceil(math.log2(math.comb(2 * t + 1, t))) for _, t in THRESHOLDS]
    assert trials == [106, 104, 102]


def test_an_update_too_long_for_its_window_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        NormBound(1 << 24, 1 << 33)
