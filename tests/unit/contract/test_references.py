"""Reference directions: whose counts, who goes to the end of the row, and that another's stands in."""

from __future__ import annotations

from typing import Literal

import pytest

from fedledger_chaincode.messages.records import ReferenceFaultsRecord, ReferenceRecord
from fedledger_chaincode.messages.round import AbortRequest, ReferenceCommitment, RevealedReference
from fedledger_chaincode.rules.commitments import reference_commitment
from fedledger_chaincode.rules.references import chosen
from fedledger_chaincode.state import reference_faults_key
from tests.unit.contract.ledger import MSPS, Consortium, digest, task_spec
from tests.unit.contract.test_tasks import refused

SALT = "5a" * 16
Word = Literal["none", "used", "rejected"]


def trusting(source: str = "reference-data") -> Consortium:
    robustness: dict[str, object] = {"trust_weighting": source, "no_trust": 100_000, "full_trust": 400_000}
    if source == "reference-data":
        robustness["reference_digest"] = digest("reference data")
    privacy = {"epsilon_budget": 9_000_000, "epsilon_schedule": [1_000_000 * count for count in range(1, 10)]}
    tables = {"robustness": robustness, "privacy": privacy, "training": {"rounds": 9}}
    return Consortium.active(task_spec(aggregation={"proof": "norm"}, **tables))


def commit(consortium: Consortium, msp: str, number: int, direction: str = "the direction") -> None:
    commitment = reference_commitment(bytes.fromhex(SALT), digest(direction))
    message = ReferenceCommitment(task="heart", round=number, commitment=commitment)
    consortium.ledger.submit(consortium.validators[msp], "CommitReference", message)


def reveal(consortium: Consortium, msp: str, number: int, direction: str = "the direction", size: int = 32) -> None:
    message = RevealedReference(task="heart", round=number, salt=SALT, digest=digest(direction), size=size)
    consortium.ledger.submit(consortium.validators[msp], "RevealReference", message)


def begun(consortium: Consortium, number: int, committing: tuple[str, ...] = MSPS) -> None:
    """A closed round to which all have submitted."""
    consortium.open(number)
    for msp in committing:
        commit(consortium, msp, number)
    for msp in MSPS:
        consortium.submit(msp, number)
    consortium.close(number)


def row(consortium: Consortium, number: int) -> list[str]:
    return [reference.committed_by for reference in consortium.round(number).references]


def faults(consortium: Consortium) -> dict[str, int]:
    stored = consortium.ledger.world.get(reference_faults_key("heart"))
    record = ReferenceFaultsRecord() if stored is None else ReferenceFaultsRecord.decode(stored)
    return {fault.msp: fault.count for fault in record.faults}


def used(consortium: Consortium, number: int) -> str | None:
    found: ReferenceRecord | None = chosen(consortium.round(number).references)
    return None if found is None else found.committed_by


def finished(consortium: Consortium, number: int, words: tuple[Word, Word, Word, Word] = ("used",) * 4) -> None:
    for msp, word in zip(MSPS, words, strict=True):
        consortium.attest(msp, number, reference=word)
    consortium.sum_up(number)


def test_turns_are_the_contract_s_and_go_round() -> None:
    consortium = trusting()
    first = []
    for number in (1, 2, 3, 4, 5):
        begun(consortium, number)
        first.append(row(consortium, number)[0])
        assert len(row(consortium, number)) == 4
        for msp in MSPS:
            reveal(consortium, msp, number)
        finished(consortium, number)
    assert first == [MSPS[1], MSPS[2], MSPS[3], MSPS[0], MSPS[1]]
    assert faults(consortium) == {}


def test_each_validator_commits_under_a_key_of_its_own_while_the_round_is_open() -> None:
    consortium = trusting()
    consortium.open(1)
    commitment = reference_commitment(bytes.fromhex(SALT), digest("the direction"))
    message = ReferenceCommitment(task="heart", round=1, commitment=commitment)
    stubs = [consortium.ledger._run(consortium.validators[msp], "CommitReference", (message,))[0] for msp in MSPS]
    for stub in stubs:
        assert not any(set(stub.writes) & (other.reads | set(other.writes)) for other in stubs if other is not stub)
    for msp in MSPS[:2]:
        commit(consortium, msp, 1)
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.close(1)
    with refused("ROUND_STATE"):
        commit(consortium, MSPS[2], 1)


def test_committing_or_revealing_again_changes_nothing_and_another_direction_is_refused() -> None:
    consortium = trusting()
    consortium.open(1)
    for msp in MSPS:
        commit(consortium, msp, 1)
        consortium.submit(msp, 1)
    with refused("ALREADY_RECORDED"):
        commit(consortium, MSPS[0], 1, "another")
    consortium.close(1)
    with refused("OTHER_REFERENCE"):
        reveal(consortium, MSPS[0], 1, "another")
    reveal(consortium, MSPS[0], 1)
    before = dict(consortium.ledger.world)
    commit(consortium, MSPS[0], 1)
    reveal(consortium, MSPS[0], 1)
    assert consortium.ledger.world == before
    with refused("ALREADY_RECORDED"):
        reveal(consortium, MSPS[0], 1, "another")


def test_a_direction_has_the_size_of_the_model() -> None:
    consortium = trusting()
    begun(consortium, 1)
    for size in (31, 1 << 53 >> 1):
        with refused("WRONG_SIZE"):
            reveal(consortium, MSPS[0], 1, size=size)


def test_a_round_is_not_closed_before_one_honest_direction_is_committed_to_but_that_can_be_late() -> None:
    consortium = trusting()
    consortium.open(1)
    commit(consortium, MSPS[0], 1)
    for msp in MSPS:
        consortium.submit(msp, 1)
    with refused("TOO_EARLY"):
        consortium.close(1)
    consortium.late(1, "updates", 1)
    with refused("TOO_EARLY"):
        consortium.close(1)
    commit(consortium, MSPS[1], 1)
    assert consortium.close(1).state == "closed"
    other = trusting()
    other.open(1)
    for msp in MSPS:
        other.submit(msp, 1)
    other.late(1, "updates")
    assert other.close(1).state == "closed"


def test_attestations_wait_until_it_is_known_which_direction_counts() -> None:
    consortium = trusting()
    begun(consortium, 1)
    for msp in MSPS[:3]:
        reveal(consortium, msp, 1)
    with refused("TOO_EARLY"):
        consortium.attest(MSPS[0], 1)
    with refused("NOT_IN_PHASE"):
        consortium.claim(MSPS[0], 1, "attestations")
    consortium.late(1, "reference", 1)
    with refused("TOO_EARLY"):
        consortium.attest(MSPS[0], 1)
    consortium.late(1, "reference", 2)
    consortium.attest(MSPS[0], 1, reference="used")
    with refused("TOO_LATE"):
        reveal(consortium, MSPS[3], 1)


def test_who_withholds_its_direction_loses_its_place_and_another_s_stands_in() -> None:
    consortium = trusting()
    begun(consortium, 1)
    assert row(consortium, 1)[:2] == [MSPS[1], MSPS[2]]
    for msp in (MSPS[0], MSPS[2], MSPS[3]):
        reveal(consortium, msp, 1)
    consortium.late(1, "reference")
    assert used(consortium, 1) == MSPS[2]
    finished(consortium, 1)
    assert consortium.round(1).settlement is not None and consortium.round(1).settlement.with_reference
    assert faults(consortium) == {MSPS[1]: 1}
    for number in (2, 3, 4, 5):
        begun(consortium, number)
        assert row(consortium, number)[-1] == MSPS[1]
        for msp in MSPS:
            reveal(consortium, msp, number)
        finished(consortium, number)
    assert faults(consortium) == {MSPS[1]: 1}


def test_whose_direction_t_plus_1_reject_goes_to_the_end_of_the_row() -> None:
    consortium = trusting()
    begun(consortium, 1)
    for msp in MSPS:
        reveal(consortium, msp, 1)
    assert used(consortium, 1) == MSPS[1]
    finished(consortium, 1, ("rejected", "used", "rejected", "rejected"))
    settlement = consortium.round(1).settlement
    assert settlement is not None and not settlement.with_reference
    assert all(update.by_reputation for update in settlement.updates)
    assert faults(consortium) == {MSPS[1]: 1}
    assert settlement.reference_by == MSPS[1]
    assert consortium.round(1).references[0].committed_by == MSPS[1], "the row of a settled round is what it was"
    begun(consortium, 2)
    assert row(consortium, 2) == [MSPS[2], MSPS[3], MSPS[0], MSPS[1]]


def test_t_that_reject_an_honest_one_s_direction_change_nothing() -> None:
    consortium = trusting()
    begun(consortium, 1)
    for msp in MSPS:
        reveal(consortium, msp, 1)
    finished(consortium, 1, ("used", "used", "used", "rejected"))
    settlement = consortium.round(1).settlement
    assert settlement is not None and settlement.with_reference
    assert faults(consortium) == {}


def test_who_withholds_in_a_round_that_is_aborted_loses_its_place_too() -> None:
    consortium = trusting()
    begun(consortium, 1)
    for msp in (MSPS[0], MSPS[2], MSPS[3]):
        reveal(consortium, msp, 1)
    consortium.late(1, "reference")
    consortium.late(1, "attestations", consortium.quorum)
    request = AbortRequest(task="heart", round=1, reason="nobody attests")
    consortium.ledger.submit(consortium.validators[MSPS[0]], "AbortRound", request)
    assert faults(consortium) == {MSPS[1]: 1}


def test_a_round_to_which_nobody_committed_goes_on_without_and_blames_nobody() -> None:
    consortium = trusting()
    consortium.open(1)
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.late(1, "updates")
    consortium.close(1)
    finished(consortium, 1, ("none",) * 4)
    settlement = consortium.round(1).settlement
    assert settlement is not None and not settlement.with_reference
    assert faults(consortium) == {}


def test_no_direction_is_given_where_the_task_has_none_from_data() -> None:
    consortium = trusting("last-step")
    consortium.open(1)
    with refused("REFERENCE"):
        commit(consortium, MSPS[0], 1)
    plain = Consortium.active()
    plain.opened(1)
    with refused("REFERENCE"):
        plain.attest(MSPS[0], 1, reference="used")


@pytest.mark.parametrize("revealing", [(), (MSPS[3],)])
def test_the_reference_phase_is_over_with_t_plus_1_claims_whoever_revealed(revealing: tuple[str, ...]) -> None:
    consortium = trusting()
    begun(consortium, 1)
    for msp in revealing:
        reveal(consortium, msp, 1)
    consortium.late(1, "reference")
    word: Word = "used" if revealing else "none"
    finished(consortium, 1, (word,) * 4)
    assert faults(consortium) == {msp: 1 for msp in MSPS if msp not in revealing}
