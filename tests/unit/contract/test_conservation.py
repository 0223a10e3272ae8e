"""Whatever happens, in whatever order: tokens are conserved, states follow the tables, records stay readable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER
from fedledger_chaincode.messages.records import BalanceRecord, TaskRecord
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.transitions import ROUND_TRANSITIONS
from fedledger_chaincode.rules.weights import capped_weights, fit_field
from fedledger_chaincode.state import gifts_key, task_key
from fedledger_chaincode.transactions.context import VOID
from tests.unit.contract.histories import ACTS, AMOUNTS, BEGINNINGS, Step, beginning, faulty_spec, head_of
from tests.unit.contract.ledger import MSPS, Consortium, digest

organisation = st.sampled_from(MSPS)
acts = st.one_of(st.just("go on"), st.sampled_from(sorted(ACTS)))
step = st.builds(Step, acts, organisation, organisation, st.sampled_from(AMOUNTS))


def moved(events: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, int]:
    """Balances as somebody who only hears events computes them; the void's is less than 0 by the supply."""
    accounts: Counter[str] = Counter()
    for name, fields in events:
        for movement in [fields] if name == "Transfer" else fields.get("transfers", []):
            accounts[movement["from"]] -= movement["value"]
            accounts[movement["to"]] += movement["value"]
    return {account: amount for account, amount in accounts.items() if amount}


def check_tokens(consortium: Consortium) -> None:
    balances, supply = consortium.balances(), consortium.supply()
    assert sum(balances.values()) == supply
    assert all(0 <= balance <= MAXIMUM_INTEGER for balance in balances.values())
    heard = moved(consortium.ledger.said)
    assert heard.pop(VOID, 0) == -supply
    assert heard == {account: balance for account, balance in balances.items() if balance}
    if TaskRecord.decode(consortium.ledger.world[task_key(consortium.task)]).state != "active":
        too_late = consortium.ledger.world.get(gifts_key(consortium.task, head_of(consortium).round))
        gifts = 0 if too_late is None else BalanceRecord.decode(too_late).balance
        kept = {account: balance for account, balance in balances.items() if balance}
        assert kept.pop(f"insurance:{consortium.task}", 0) == gifts
        held = consortium.docket().holds
        assert all(
            account.startswith(("org:", "participant:")) or held(account.removeprefix("stake:heart:"))
            for account in kept
        )


def check_that_all_can_be_spent(consortium: Consortium) -> None:
    """The contract finds what an account holds wherever it lies, and so do its debits."""
    for account, held in consortium.balances().items():
        _, told = consortium.ledger._run(consortium.governors[MSPS[0]], "BalanceOf", [account])
        assert int(told) == held
    for msp in MSPS:
        for actor in (consortium.governors[msp], consortium.participants[msp]):
            account = f"org:{msp}" if actor.role == "governor" else f"participant:{actor.pseudonym}"
            if held := consortium.balances().get(account, 0):
                assert consortium.ledger.submit(actor, "Transfer", f"participant:{digest('purse')}", held) == b"0"


@settings(max_examples=100, deadline=None)
@given(st.booleans(), st.sampled_from(sorted(BEGINNINGS)), st.lists(step, min_size=8, max_size=32))
def test_no_history_makes_or_loses_a_token(proof: bool, start: str, steps: list[Step]) -> None:
    consortium = Consortium.active(faulty_spec(proof=proof))
    check_tokens(consortium)
    before = head_of(consortium)
    for each in [*beginning(start), *steps]:
        try:
            ACTS[each.name](consortium, each)
            event(each.name)
        except ContractError as refusal:
            assert refusal.status < 500
        check_tokens(consortium)
        head = head_of(consortium)
        if head.round != before.round:
            assert before.idle and head.round_state in ("open", "aborted")
        elif head.round_state != before.round_state:
            assert any(
                start == before.round_state and head.round_state in ends
                for (start, _), ends in ROUND_TRANSITIONS.items()
            )
        before = head
    check_that_all_can_be_spent(consortium)
    check_tokens(consortium)


counts = st.lists(st.integers(0, 1 << 40), min_size=1, max_size=40)


@given(counts, st.integers(1, 1 << 32), st.integers(1, 1_000_000))
def test_capped_weights_respect_both_caps_and_leave_nobody_out(examples: list[int], most: int, share: int) -> None:
    weights = capped_weights(examples, range(len(examples)), most, share)
    total = sum(weights)
    assert all((weight > 0) == (count > 0) for weight, count in zip(weights, examples, strict=True))
    assert all(weight <= min(count, most) for weight, count in zip(weights, examples, strict=True))
    positive = [weight for weight in weights if weight]
    if positive and max(positive) * 1_000_000 > share * total:
        assert len(set(positive)) == 1


@given(st.lists(st.integers(1, 1 << 20), min_size=2, max_size=12), st.integers(1, 1_000_000), st.data())
def test_an_organisation_has_the_same_share_under_however_many_names(
    totals: list[int], share: int, data: st.DataObject
) -> None:
    examples, owners = [], []
    for owner, total in enumerate(totals):
        names = data.draw(st.integers(1, min(total, 50)))
        cuts = sorted(
            data.draw(st.lists(st.integers(1, total - 1), max_size=names - 1, unique=True)) if total > 1 else []
        )
        parts = [end - start for start, end in zip([0, *cuts], [*cuts, total], strict=True)]
        examples += parts
        owners += [owner] * len(parts)
    whole = capped_weights(totals, range(len(totals)), 1 << 40, share)
    split = capped_weights(examples, owners, 1 << 40, share)
    assert all(split)
    for owner, weight in enumerate(whole):
        part = sum(each for each, of in zip(split, owners, strict=True) if of == owner)
        assert abs(Fraction(part, sum(split)) - Fraction(weight, sum(whole))) <= Fraction(len(split), sum(split))


@given(counts, st.integers(8, 29))
def test_fitted_weights_cannot_wrap_around_the_field(examples: list[int], bits: int) -> None:
    weights = fit_field(examples, 1 << bits)
    assert 2 * sum(weights) * (1 << bits) < MODULUS
    assert all((weight > 0) == (count > 0) for weight, count in zip(weights, examples, strict=True))
