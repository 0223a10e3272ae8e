"""The sum is exact whoever of the validators is silent or lies, and who lies is named."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.secure_aggregation import (
    Accumulator,
    AggregateError,
    OpenedShare,
    Parameters,
    WeightedSum,
    read_aggregate_share,
    reconstruct,
)
from fedledger.secure_aggregation.kernels import Elements
from fedledger_chaincode.rules.field import MODULUS
from tests.protocol.parties import THRESHOLDS, Validators, context_of, manifest_of, readable

DIMENSION = 9
NORM = 1 << 24


class Round:
    """Three updates with weights, as every validator holds them."""

    def __init__(self, n: int, t: int, weights: tuple[int, ...] = (3, 1, 500), seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.parameters = Parameters(n, t, DIMENSION, NORM)
        validators = Validators.of(self.parameters)
        self.updates = [generator.integers(-1_000_000, 1_000_000, DIMENSION, dtype=np.int64) for _ in weights]
        self.shares: list[dict[int, OpenedShare]] = []
        for participant, update in enumerate(self.updates, start=1):
            context = context_of(participant)
            prepared = validators.prepare(update, context)
            opened = validators.open_all(prepared, manifest_of(prepared, context))
            self.shares.append({j: readable(share) for j, share in opened.items()})
        roots = [shares[1].root for shares in self.shares]
        self.wanted = WeightedSum("heart-disease", 1, tuple(zip(roots, weights, strict=True)))
        self.total = np.sum([weight * update for weight, update in zip(weights, self.updates, strict=True)], axis=0)

    def file_of(self, validator: int) -> bytes:
        accumulator = Accumulator(self.parameters, validator, self.wanted)
        for shares in reversed(self.shares):
            accumulator.add(shares[validator])
        return accumulator.finish()

    def aggregates(self) -> dict[int, Elements]:
        return {
            j: read_aggregate_share(self.file_of(j), self.parameters, j, self.wanted)
            for j in range(1, self.parameters.validators + 1)
        }


@pytest.fixture(scope="module", params=THRESHOLDS, ids=str)
def settled(request: pytest.FixtureRequest) -> Round:
    return Round(*request.param)


def corrupted(share: Elements, position: int, difference: int) -> Elements:
    changed = share.copy()
    changed[position] = (int(changed[position]) + difference) % MODULUS
    return changed


def test_all_honest(settled: Round) -> None:
    result = reconstruct(settled.aggregates(), settled.parameters.tolerated_faults)
    assert result.total.tolist() == settled.total.tolist()
    assert result.liars == ()


def test_any_t_validators_may_be_silent(settled: Round) -> None:
    t, aggregates = settled.parameters.tolerated_faults, settled.aggregates()
    for silent in combinations(aggregates, t):
        present = {j: share for j, share in aggregates.items() if j not in silent}
        result = reconstruct(present, t)
        assert result.total.tolist() == settled.total.tolist() and result.liars == ()


def test_any_t_validators_may_lie_and_are_named(settled: Round) -> None:
    t, aggregates = settled.parameters.tolerated_faults, settled.aggregates()
    for liars in combinations(aggregates, t):
        # Each lies in another coordinate only.
        lies = {j: corrupted(aggregates[j], place, 1 + place) for place, j in enumerate(liars)}
        result = reconstruct(aggregates | lies, t)
        assert result.total.tolist() == settled.total.tolist()
        assert result.liars == liars


@given(data=st.data())
@settings(max_examples=25)
def test_up_to_t_validators_in_all_may_be_silent_or_lie(data: st.DataObject) -> None:
    n, t = data.draw(st.sampled_from(THRESHOLDS))
    settled = ROUNDS[n]
    order = data.draw(st.permutations(range(1, n + 1)))
    present = order[data.draw(st.integers(0, t)) :]
    liars = present[: data.draw(st.integers(0, len(present) - 2 * t - 1))]
    aggregates = {j: share for j, share in settled.aggregates().items() if j in present}
    for j in liars:
        offsets = data.draw(st.lists(st.integers(0, MODULUS - 1), min_size=DIMENSION, max_size=DIMENSION))
        offsets[data.draw(st.integers(0, DIMENSION - 1))] |= 1
        lie = [(int(x) + y) % MODULUS for x, y in zip(aggregates[j], offsets, strict=True)]
        aggregates[j] = np.array(lie, dtype=np.uint64)
    result = reconstruct(aggregates, t)
    assert result.total.tolist() == settled.total.tolist()
    assert list(result.liars) == sorted(liars)


ROUNDS = {n: Round(n, t) for n, t in THRESHOLDS}


def test_more_lies_than_can_be_corrected_are_refused_not_guessed() -> None:
    aggregates = ROUNDS[4].aggregates()
    two_lie = aggregates | {j: corrupted(aggregates[j], 0, j) for j in (1, 2)}
    one_silent_one_lies = {j: share for j, share in two_lie.items() if j > 1}
    for shares in (two_lie, one_silent_one_lies):
        with pytest.raises(AggregateError, match="AGGREGATE_UNDECODABLE"):
            reconstruct(shares, 1)


@pytest.mark.parametrize(("n", "t"), THRESHOLDS)
def test_2t_shares_are_too_few(n: int, t: int) -> None:
    aggregates = ROUNDS[n].aggregates()
    with pytest.raises(AggregateError, match="TOO_FEW_SHARES"):
        reconstruct({j: aggregates[j] for j in range(1, 2 * t + 1)}, t)


def test_two_quick_liars_of_seven_cannot_pass_off_another_sum_while_two_honest_validators_are_late() -> None:
    aggregates = ROUNDS[7].aggregates()
    honest = {j: aggregates[j] for j in (1, 2, 3)}
    # The polynomials through the shares of 1 and 2 and a forged sum: 6 and 7 post shares of those.
    forged = {6: aggregates[6].copy(), 7: aggregates[7].copy()}
    for j in forged:
        # Adding (x - 1)(x - 2) to one polynomial leaves the shares of 1 and 2 as they are.
        forged[j][0] = (int(forged[j][0]) + (j - 1) * (j - 2)) % MODULUS
    with pytest.raises(AggregateError, match="no 5 of them agree"):
        reconstruct(honest | forged, 2)
    everybody = reconstruct(aggregates | forged, 2)
    assert everybody.total.tolist() == ROUNDS[7].total.tolist() and everybody.liars == (6, 7)


@pytest.mark.parametrize("weights", [(1, 1, 1), ((1 << 35) - 1, 1, 7), (1 << 20, 1 << 30, 1)])
def test_weights_up_to_what_the_field_holds(weights: tuple[int, ...]) -> None:
    settled = Round(4, 1, weights)
    assert sum(weights) * NORM * 2 < MODULUS
    assert reconstruct(settled.aggregates(), 1).total.tolist() == settled.total.tolist()


# What the accumulator and the file refuse.


def test_an_update_counts_once() -> None:
    settled = ROUNDS[4]
    accumulator = Accumulator(settled.parameters, 1, settled.wanted)
    accumulator.add(settled.shares[0][1])
    with pytest.raises(AggregateError, match="NOT_IN_SUM"):
        accumulator.add(settled.shares[0][1])


def test_an_update_that_the_ledger_did_not_accept_does_not_count() -> None:
    settled = ROUNDS[4]
    accumulator = Accumulator(settled.parameters, 1, WeightedSum("heart-disease", 1, settled.wanted.weights[:2]))
    with pytest.raises(AggregateError, match="NOT_IN_SUM"):
        accumulator.add(settled.shares[2][1])


def test_the_share_of_another_validator_does_not_count() -> None:
    settled = ROUNDS[4]
    accumulator = Accumulator(settled.parameters, 1, settled.wanted)
    with pytest.raises(AggregateError, match="NOT_IN_SUM"):
        accumulator.add(settled.shares[0][2])
    accumulator.add(settled.shares[0][1])


def test_an_incomplete_sum_is_not_published() -> None:
    settled = ROUNDS[4]
    accumulator = Accumulator(settled.parameters, 1, settled.wanted)
    accumulator.add(settled.shares[0][1])
    with pytest.raises(AggregateError, match="2 updates of the sum are missing"):
        accumulator.finish()


@pytest.mark.parametrize("weights", [(1 << 36,), (1 << 35, 1 << 35), (MODULUS,)])
def test_attack_weights_that_take_the_sum_around_the_field(weights: tuple[int, ...]) -> None:
    wanted = WeightedSum("heart-disease", 1, tuple((f"{i:064x}", w) for i, w in enumerate(weights)))
    with pytest.raises(AggregateError, match="WEIGHT_OVERFLOW"):
        Accumulator(ROUNDS[4].parameters, 1, wanted)


@pytest.mark.parametrize("weight", [0, -1])
def test_a_weight_that_is_none_is_refused(weight: int) -> None:
    wanted = WeightedSum("heart-disease", 1, (("00" * 32, weight),))
    with pytest.raises(AggregateError, match="BAD_WEIGHT"):
        Accumulator(ROUNDS[4].parameters, 1, wanted)


def test_an_update_cannot_be_in_the_sum_twice() -> None:
    wanted = WeightedSum("heart-disease", 1, (("00" * 32, 1), ("00" * 32, 2)))
    with pytest.raises(AggregateError, match="REPEATED_UPDATE"):
        Accumulator(ROUNDS[4].parameters, 1, wanted)


def test_the_file_of_another_sum_or_validator_is_refused() -> None:
    settled = ROUNDS[4]
    file, parameters = settled.file_of(1), settled.parameters
    (root, weight), *others = settled.wanted.weights
    for validator, wanted in (
        (2, settled.wanted),
        (1, WeightedSum("other", 1, settled.wanted.weights)),
        (1, WeightedSum("heart-disease", 2, settled.wanted.weights)),
        (1, WeightedSum("heart-disease", 1, ((root, weight + 1), *others))),
        (1, WeightedSum("heart-disease", 1, (*others, (root, weight)))),
    ):
        with pytest.raises(AggregateError, match="AGGREGATE_FILE"):
            read_aggregate_share(file, parameters, validator, wanted)


@given(data=st.data())
@settings(max_examples=50)
def test_damaged_files_are_refused_or_hold_other_elements(data: st.DataObject) -> None:
    settled = ROUNDS[4]
    file = bytearray(settled.file_of(1))
    position = data.draw(st.integers(0, len(file) - 1))
    file[position] ^= data.draw(st.integers(1, 255))
    try:
        elements = read_aggregate_share(bytes(file), settled.parameters, 1, settled.wanted)
    except AggregateError as error:
        assert error.code == "AGGREGATE_FILE"
        return
    assert position >= len(file) - 8 * DIMENSION
    assert int(elements.max()) < MODULUS
    assert reconstruct(settled.aggregates() | {1: elements}, 1).liars == (1,)


@given(st.binary(max_size=200))
def test_other_bytes_are_no_aggregate_share(data: bytes) -> None:
    with pytest.raises(AggregateError, match="AGGREGATE_FILE"):
        read_aggregate_share(data, ROUNDS[4].parameters, 1, ROUNDS[4].wanted)
