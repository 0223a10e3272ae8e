"""Minting: only by the vote of a majority of a task's organisations that take part in it."""

from __future__ import annotations

from typing import Any

import pytest

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER
from fedledger_chaincode.messages.records import MintRecord
from fedledger_chaincode.messages.tokens import MintProposal
from fedledger_chaincode.messages.views import MintRecords
from tests.unit.contract.ledger import MSPS, Consortium

FOR_CLEVELAND = MintProposal(task="heart", recipient=f"org:{MSPS[0]}", amount=5_000_000, reason="a second campaign")


@pytest.fixture
def consortium() -> Consortium:
    return Consortium.active()


def refused(code: str) -> pytest.RaisesExc[ContractError]:
    return pytest.raises(ContractError, check=lambda error: error.code == code)


def propose(consortium: Consortium, msp: str = MSPS[0], **changes: Any) -> MintRecord:
    proposal = FOR_CLEVELAND.model_copy(update=changes)
    return MintRecord.decode(consortium.ledger.submit(consortium.governors[msp], "ProposeMint", proposal))


def vote(consortium: Consortium, msp: str, mint: MintRecord, decision: str = "approve") -> MintRecord:
    governor = consortium.governors[msp]
    return MintRecord.decode(consortium.ledger.submit(governor, "VoteMint", "heart", mint.id, decision))


def test_the_third_of_four_organisations_mints(consortium: Consortium) -> None:
    supply, balance = consortium.supply(), consortium.balances()[f"org:{MSPS[0]}"]
    mint = propose(consortium)
    assert mint.id == FOR_CLEVELAND.sha256() and mint.proposer == MSPS[0]
    assert vote(consortium, MSPS[1], mint).state == "open"
    assert consortium.supply() == supply
    assert vote(consortium, MSPS[2], mint).state == "minted"
    assert consortium.supply() == supply + 5_000_000
    assert consortium.balances()[f"org:{MSPS[0]}"] == balance + 5_000_000
    said = {"from": "0x0", "to": f"org:{MSPS[0]}", "value": 5_000_000}
    assert consortium.ledger.said[-1] == ("Transfer", said)


def test_votes_that_are_sent_again_count_once(consortium: Consortium) -> None:
    mint = propose(consortium)
    for _ in range(3):
        assert propose(consortium, MSPS[1]).votes == propose(consortium).votes == vote(consortium, MSPS[0], mint).votes
    for _ in range(3):
        assert vote(consortium, MSPS[1], mint).state == propose(consortium).state == "open"
    vote(consortium, MSPS[2], mint)
    before = dict(consortium.ledger.world)
    assert vote(consortium, MSPS[2], mint).state == "minted"
    assert propose(consortium).state == "minted"
    assert consortium.ledger.world == before


def test_two_governors_of_an_organisation_have_one_vote(consortium: Consortium) -> None:
    mint = propose(consortium)
    consortium.governors[MSPS[1]] = consortium.ledger.actor(MSPS[0], "governor", name="deputy")
    assert len(vote(consortium, MSPS[1], mint).votes) == 1


def test_a_vote_of_an_organisation_that_withdrew_does_not_count(consortium: Consortium) -> None:
    mint = propose(consortium)
    vote(consortium, MSPS[1], mint)
    consortium.ledger.submit(consortium.governors[MSPS[1]], "WithdrawConsent", "heart", "Because.")
    assert vote(consortium, MSPS[2], mint).state == "open"
    assert vote(consortium, MSPS[3], mint).state == "minted"


def test_an_organisation_that_withdrew_has_no_vote_until_it_consents_again(consortium: Consortium) -> None:
    mint = propose(consortium)
    consortium.ledger.submit(consortium.governors[MSPS[1]], "WithdrawConsent", "heart", "Because.")
    with refused("NO_CONSENT"):
        vote(consortium, MSPS[1], mint)
    with refused("NO_CONSENT"):
        propose(consortium, MSPS[1], reason="another")
    consortium.approve(MSPS[1])
    assert len(vote(consortium, MSPS[1], mint).votes) == 2


def test_an_organisation_that_is_suspended_has_no_vote(consortium: Consortium) -> None:
    mint = propose(consortium)
    vote(consortium, MSPS[1], mint)
    for msp in (MSPS[0], MSPS[2], MSPS[3]):
        consortium.ledger.submit(
            consortium.governors[msp], "VoteSuspension", "heart", MSPS[1], "suspend", "It broke the agreement."
        )
    with refused("ORGANISATION_SUSPENDED"):
        vote(consortium, MSPS[1], mint, "reject")
    assert vote(consortium, MSPS[2], mint).state == "open"
    assert vote(consortium, MSPS[3], mint).state == "minted"


def test_the_majority_is_that_of_all_organisations_however_many_have_left(consortium: Consortium) -> None:
    for msp in MSPS[2:]:
        consortium.ledger.submit(consortium.governors[msp], "WithdrawConsent", "heart", "Because.")
    assert vote(consortium, MSPS[1], propose(consortium)).state == "open"


def test_an_organisation_may_think_again_until_it_is_decided(consortium: Consortium) -> None:
    mint = propose(consortium)
    assert vote(consortium, MSPS[0], mint, "reject").state == "open"
    assert vote(consortium, MSPS[1], mint, "reject").state == "rejected"
    with refused("DECIDED"):
        vote(consortium, MSPS[2], mint)
    assert propose(consortium).state == "rejected"
    assert propose(consortium, reason="a third campaign").state == "open"


def test_strangers_and_other_roles_have_no_vote(consortium: Consortium) -> None:
    mint = propose(consortium)
    ledger = consortium.ledger
    with refused("NOT_A_PARTY"):
        ledger.submit(ledger.actor("StrangerMSP", "governor"), "VoteMint", "heart", mint.id, "approve")
    for actor in (consortium.validators[MSPS[1]], consortium.participants[MSPS[1]]):
        with refused("WRONG_ROLE"):
            ledger.submit(actor, "VoteMint", "heart", mint.id, "approve")
        with refused("WRONG_ROLE"):
            ledger.submit(actor, "ProposeMint", FOR_CLEVELAND)


@pytest.mark.parametrize("recipient", ["org:StrangerMSP", "insurance:other"])
def test_only_organisations_of_the_task_and_its_insurance_are_given_tokens(
    consortium: Consortium, recipient: str
) -> None:
    with refused("BAD_ACCOUNT"):
        propose(consortium, recipient=recipient)


@pytest.mark.parametrize(
    "changes",
    [
        {"recipient": "pool:heart"},
        {"recipient": "participant:" + "0" * 64},
        {"amount": 0},
        {"amount": -5},
        {"amount": MAXIMUM_INTEGER + 1},
        {"reason": ""},
        {"task": "Heart"},
    ],
)
def test_a_proposal_that_is_none_is_refused(consortium: Consortium, changes: dict[str, Any]) -> None:
    with refused("BAD_MESSAGE"):
        propose(consortium, **changes)


def test_what_would_pass_the_largest_supply_is_not_minted_and_stays_open(consortium: Consortium) -> None:
    mint = propose(consortium, amount=MAXIMUM_INTEGER)
    vote(consortium, MSPS[1], mint)
    before = dict(consortium.ledger.world)
    with refused("SUPPLY_LIMIT"):
        vote(consortium, MSPS[2], mint)
    assert consortium.ledger.world == before


def test_nothing_is_minted_for_a_task_that_has_ended(consortium: Consortium) -> None:
    mint = propose(consortium)
    for msp in MSPS[:3]:
        consortium.ledger.submit(consortium.governors[msp], "StopTask", "heart", "Because.")
    with refused("TASK_STATE"):
        vote(consortium, MSPS[1], mint)
    with refused("TASK_STATE"):
        propose(consortium, reason="another")


def test_proposals_are_listed_and_shown(consortium: Consortium) -> None:
    mint = propose(consortium)
    governor = consortium.governors[MSPS[3]]
    assert consortium.ledger.evaluate(governor, MintRecord, "GetMint", "heart", mint.id) == mint
    assert consortium.ledger.evaluate(governor, MintRecords, "ListMints", "heart").mints == (mint,)
    with refused("NOT_FOUND"):
        vote(consortium, MSPS[1], mint.model_copy(update={"id": "0" * 64}))
    with refused("BAD_ARGUMENTS"):
        vote(consortium, MSPS[1], mint, "perhaps")
