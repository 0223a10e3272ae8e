"""Parameters under which the protocol would be unsafe are refused before anything is shared."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.secure_aggregation import Parameters, ParametersError
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.norm_bound import CHECKS, LARGEST_NORM, NormBound
from tests.protocol.parties import THRESHOLDS


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
    assert CHECKS * 2 * math.exp(-((bound.window - 1) ** 2) / norm**2) < 2**-100
    # Wrapped updates leave it half the time: Berry-Esseen with Shevtsova's constant 0.56.
    ratio = bound.window / math.sqrt(MODULUS / 2)
    assert 2 * ratio / math.sqrt(2 * math.pi) + 2 * 0.56 * ratio <= 0.5
    # A sum of entries that are all inside twice the window does not wrap around.
    assert dimension * (2 * bound.window - 1) + bound.window < MODULUS


def test_the_proof_adds_as_many_elements_whatever_the_length() -> None:
    for dimension in (1, 10_000, 10_000_000):
        bound = NormBound(1 << 24, dimension)
        assert bound.share_length + bound.proof_length - dimension == 3_002


@pytest.mark.parametrize(("dimension", "overhead"), [(100_000, 0.15), (1_000_000, 0.01)])
def test_the_proof_is_a_small_part_of_a_share(dimension: int, overhead: float) -> None:
    plain = Parameters(4, 1, dimension, 1 << 24).plaintext_bytes
    assert Parameters(4, 1, dimension, 1 << 24, proof="norm").plaintext_bytes <= (1 + overhead) * plain


def test_an_update_too_long_for_its_window_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        NormBound(1 << 24, 1 << 33)
