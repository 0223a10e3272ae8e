"""Whatever happens, in whatever order: tokens are conserved, states follow the tables, records stay readable."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.round import AbortRequest
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.transitions import ROUND_TRANSITIONS
from fedledger_chaincode.rules.weights import capped_weights, fit_field
from tests.unit.contract.ledger import MSPS, Consortium, task_spec

STEPS = (
    "open",
    "submit",
    "submit another",
    "close",
    "attest",
    "attest unreadable",
    "settle",
    "share",
    "report",
    "lie",
    "finalise",
    "abort",
    "leave",
    "stop",
    "transfer",
    "wait",
)
step = st.tuples(st.sampled_from(STEPS), st.sampled_from(MSPS))


def act(consortium: Consortium, name: str, msp: str) -> None:
    head = consortium.view().head
    assert head is not None
    number = max(head.round, 1)
    ledger = consortium.ledger
    match name:
        case "open":
            consortium.open(head.round + 1, by=msp)
        case "submit":
            consortium.submit(msp, number)
        case "submit another":
            consortium.submit(msp, number, num_examples=77)
        case "close":
            consortium.close(number, by=msp)
        case "attest":
            consortium.attest(msp, number)
        case "attest unreadable":
            consortium.attest(msp, number, unreadable=(consortium.participants[MSPS[0]].pseudonym,))
        case "settle":
            consortium.settle(number, by=msp)
        case "share":
            consortium.post_share(msp, number)
        case "report":
            consortium.report(msp, number)
        case "lie":
            consortium.report(msp, number, model="poisoned", liars=(MSPS[0],))
        case "finalise":
            consortium.finalise(number, by=msp)
        case "abort":
            request = AbortRequest(task="heart", round=number, reason="no quorum")
            ledger.submit(consortium.validators[msp], "AbortRound", request)
        case "leave":
            ledger.submit(consortium.participants[msp], "LeaveTask", "heart")
        case "stop":
            ledger.submit(consortium.governors[msp], "StopTask", "heart")
        case "transfer":
            recipient = f"participant:{consortium.participants[MSPS[1]].pseudonym}"
            ledger.submit(consortium.governors[msp], "Transfer", recipient, 12_345)
        case "wait":
            ledger.now += 61


PROLOGUE = [("open", MSPS[0]), *(("submit", msp) for msp in MSPS)]


@settings(max_examples=120, deadline=None)
@given(st.booleans(), st.lists(step, min_size=5, max_size=40))
def test_no_sequence_of_transactions_makes_or_loses_a_token(begun: bool, steps: list[tuple[str, str]]) -> None:
    consortium = Consortium.active(task_spec(training={"rounds": 3}))
    supply = consortium.supply()
    state = None
    for name, msp in [*(PROLOGUE if begun else []), *steps]:
        try:
            act(consortium, name, msp)
        except ContractError as refusal:
            assert refusal.status < 500
        balances = consortium.balances()
        assert sum(balances.values()) == consortium.supply() <= supply
        assert min(balances.values()) >= 0
        head = consortium.view().head
        assert head is not None
        if head.round_state != state and state is not None and head.round_state != "open":
            assert any(start == state and head.round_state in ends for (start, _), ends in ROUND_TRANSITIONS.items())
        state = head.round_state


counts = st.lists(st.integers(0, 1 << 40), min_size=1, max_size=40)


@given(counts, st.integers(1, 1 << 32), st.integers(1, 1_000_000))
def test_capped_weights_respect_both_caps_and_leave_nobody_out(examples: list[int], most: int, share: int) -> None:
    weights = capped_weights(examples, most, share)
    total = sum(weights)
    assert all((weight > 0) == (count > 0) for weight, count in zip(weights, examples, strict=True))
    assert all(weight <= min(count, most) for weight, count in zip(weights, examples, strict=True))
    positive = [weight for weight in weights if weight]
    if positive and max(positive) * 1_000_000 > share * total:
        assert len(set(positive)) == 1


@given(counts, st.integers(8, 29))
def test_fitted_weights_cannot_wrap_around_the_field(examples: list[int], bits: int) -> None:
    weights = fit_field(examples, 1 << bits)
    assert 2 * sum(weights) * (1 << bits) < MODULUS
    assert all((weight > 0) == (count > 0) for weight, count in zip(weights, examples, strict=True))
