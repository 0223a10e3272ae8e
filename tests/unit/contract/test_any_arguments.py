"""Whatever anybody sends to any transaction is answered or refused with a reason; the contract never breaks."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger_chaincode.contract import TRANSACTIONS, Contract
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import Value
from fedledger_chaincode.messages.round import (
    AbortRequest,
    AggregateShare,
    DealingVote,
    DealingVotes,
    DisclosedShare,
    Disclosure,
    LateClaim,
    ReferenceCommitment,
)
from fedledger_chaincode.replay import ReplayStub
from fedledger_chaincode.rules.dealing import plaintext_bytes
from tests.unit.contract.ledger import CHANNEL, MSPS, Actor, Consortium, digest, task_spec

ROLES = ("governor", "validator", "participant")


@cache
def running() -> Consortium:
    """A task in the middle of its second round, with a dispute about the first, never written to."""
    consortium = Consortium.active(task_spec(training={"rounds": 5}))
    consortium.opened(1)
    for msp in MSPS:
        lies = {consortium.pseudonym(MSPS[1]): consortium.contradiction} if msp == MSPS[0] else None
        consortium.attest(msp, 1, openings=lies)
    consortium.sum_up(1)
    consortium.open(2)
    consortium.submit(MSPS[0], 2)
    return consortium


def members() -> list[Actor]:
    consortium = running()
    return [actors[MSPS[0]] for actors in (consortium.governors, consortium.validators, consortium.participants)]


@cache
def messages() -> list[bytes]:
    """What was said in earnest: mutated below."""
    consortium = running()
    pseudonym = consortium.pseudonym(MSPS[1])
    size = plaintext_bytes(consortium.spec.aggregation, consortium.spec.model.parameter_count)
    share = DisclosedShare(participant=pseudonym, digest=digest("share"), size=size)
    vote = DealingVote(participant=pseudonym, validator=MSPS[0], vote="denies")
    said: list[Value] = [
        consortium.spec,
        consortium.signed(MSPS[1], consortium.manifest(MSPS[1], 2)),
        consortium.attestation(1),
        LateClaim(task="heart", round=2, phase="updates"),
        Disclosure(task="heart", round=1, shares=(share,)),
        DealingVotes(task="heart", round=1, votes=(vote,)),
        AggregateShare(task="heart", round=1, digest=digest("share"), size=88),
        AbortRequest(task="heart", round=2, reason="late"),
        ReferenceCommitment(task="heart", round=2, commitment=digest("direction")),
    ]
    return [*(each.canonical() for each in said), b'{"schema":"fedledger/join/1","task":"heart"}', b"{}"]


def near(number: int) -> st.SearchStrategy[bytes]:
    return st.sampled_from(messages()).map(lambda message: message[:number] + b"\x00" + message[number + 1 :])


arguments = st.one_of(
    st.sampled_from([b"heart", b"1", b"2", b"3", b"ClevelandMSP", b"HungaryMSP", b"suspend", b"approve", b"research"]),
    st.sampled_from([b"org:ClevelandMSP", b"participant:" + b"a" * 64, b"pool:heart", b"9007199254740991", b"-1"]),
    st.deferred(lambda: st.sampled_from(messages())),
    st.integers(0, 300).flatmap(near),
    st.binary(max_size=30),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@pytest.mark.parametrize("function", TRANSACTIONS)
@given(data=st.data())
@settings(max_examples=100)
def test_any_arguments_are_answered_or_refused(function: str, data: st.DataObject) -> None:
    count = len(TRANSACTIONS[function].arguments)
    given_arguments = data.draw(st.lists(arguments, min_size=count, max_size=count))
    consortium = running()
    stub = ReplayStub(
        world=consortium.ledger.world,
        transaction_id="f" * 64,
        channel_id=CHANNEL,
        function=function,
        arguments=given_arguments,
        creator=data.draw(st.sampled_from(members())).creator,
        timestamp=consortium.ledger.now,
    )
    try:
        answer = Contract().invoke(stub)
    except ContractError as refusal:
        assert 400 <= refusal.status < 600 and refusal.code and refusal.sentence
        assert refusal.code != "STATE"
    else:
        assert isinstance(answer, bytes)
