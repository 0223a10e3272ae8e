"""Disputes about dealing: an accused validator shows its share, the others vote, the last vote needed is carried out.

docs/protocol/secure-aggregation.md, section 11. They decide about stakes alone and hold up no round; there is no
deadline, for a ruling always comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import (
    AccusationRecord,
    DisclosureRecord,
    DisputeRecord,
    DocketRecord,
    ModelRecord,
    OpenAccusation,
    SettlementRecord,
    TaskRecord,
    VotesRecord,
)
from fedledger_chaincode.messages.round import DealingVote, DealingVotes, DisclosedShare, Disclosure
from fedledger_chaincode.rules.dealing import plaintext_bytes
from fedledger_chaincode.rules.disputes import Vote, liars_in, ruling_of
from fedledger_chaincode.rules.settlement import faults_of
from fedledger_chaincode.state import disclosure_key, dispute_key, docket_key, model_key, settlement_key, votes_key
from fedledger_chaincode.transactions.context import Context, check_size, reply
from fedledger_chaincode.transactions.treasury import release_stakes, slash, take_back_duty


def open_dispute(context: Context, record: TaskRecord, number: int, settlement: SettlementRecord) -> None:
    """Record whom a settlement accuses; their stakes are held until there is a ruling."""
    if not settlement.accused:
        return
    task = record.spec.task
    accusations = tuple(
        AccusationRecord(participant=each.participant, validator=each.validator) for each in settlement.accused
    )
    context.state.put(dispute_key(task, number), DisputeRecord(accusations=accusations))
    pending = tuple(
        OpenAccusation(round=number, participant=each.participant, validator=each.validator) for each in accusations
    )
    docket = docket_of(context, task)
    context.state.put(docket_key(task), docket.model_copy(update={"pending": (*docket.pending, *pending)}))


def docket_of(context: Context, task: str) -> DocketRecord:
    """What is not ruled yet in a task."""
    return context.state.find_one(DocketRecord, docket_key(task)) or DocketRecord()


def disclose_shares(context: Context, disclosure: bytes) -> bytes:
    """``DiscloseShares(disclosure)`` by an accused validator: names what was sealed to it, for everybody to check. That
    is its own vote for itself. Later ones may add to the first, never change it."""
    message = Disclosure.decode(disclosure)
    task, number = message.task, message.round
    record = context.task(task)
    msp = context.acting_validator(record)
    dispute = _dispute(context, task, number)
    wanted = {each.participant for each in dispute.accusations if each.validator == msp}
    strangers = [share.participant for share in message.shares if share.participant not in wanted]
    if strangers:
        raise ContractError(
            403,
            "NOT_ACCUSED",
            f"{msp} is not accused of its values of the update of {strangers[0][:16]} in round {number}.",
            "Disclose no share but those that are asked for: it is one of the secrets that protect an update.",
        )
    for share in message.shares:
        check_size(
            "A disclosed share", share.size, plaintext_bytes(record.spec.aggregation, record.spec.model.parameter_count)
        )
    key = disclosure_key(task, number, msp)
    earlier = context.state.find_one(DisclosureRecord, key)
    known = () if earlier is None else earlier.disclosure.shares
    shares = _joined(known, message.shares)
    mine = DisclosureRecord(validator=msp, disclosure=message.model_copy(update={"shares": shares}))
    if earlier == mine:
        return reply(mine)
    context.state.put(key, mine)
    rulings = _rule(context, record, number, dispute)
    context.event("SharesDisclosed", task=task, round=number, validator=msp, updates=len(shares), rulings=rulings)
    return reply(mine)


def _joined(known: tuple[DisclosedShare, ...], told: tuple[DisclosedShare, ...]) -> tuple[DisclosedShare, ...]:
    first = {share.participant: share for share in known}
    changed = [share for share in told if first.get(share.participant, share) != share]
    if changed:
        raise ContractError(
            409, "ALREADY_RECORDED", "Another share of the same update is disclosed already.", "The first one stands."
        )
    return (*known, *(share for share in told if share.participant not in first))


def vote_dealing(context: Context, votes: bytes) -> bytes:
    """``VoteDealing(votes)`` by a validator on all accused of a round. A denial may become a confirmation later."""
    message = DealingVotes.decode(votes)
    task, number = message.task, message.round
    record = context.task(task)
    judge = context.acting_validator(record)
    dispute = _dispute(context, task, number)
    accused = {(each.participant, each.validator) for each in dispute.accusations}
    for vote in message.votes:
        if (vote.participant, vote.validator) not in accused:
            raise ContractError(
                404,
                "NOT_FOUND",
                f"{vote.validator} is not accused of its values of the update of {vote.participant[:16]} in round "
                f"{number}.",
                "Vote on what the round's dispute lists.",
            )
        if vote.validator == judge:
            raise ContractError(403, "OWN_SHARE", "Nobody votes on itself.", "Disclose the share instead.")
    key = votes_key(task, number, judge)
    earlier = context.state.find_one(VotesRecord, key)
    known = () if earlier is None else earlier.votes.votes
    mine = VotesRecord(judge=judge, votes=message.model_copy(update={"votes": _revised(known, message.votes)}))
    if earlier == mine:
        return reply(mine)
    context.state.put(key, mine)
    rulings = _rule(context, record, number, dispute)
    context.event("DealingJudged", task=task, round=number, judge=judge, rulings=rulings)
    return reply(mine)


def _revised(known: tuple[DealingVote, ...], told: tuple[DealingVote, ...]) -> tuple[DealingVote, ...]:
    """Votes after some more: a confirmation stands."""
    votes = {(vote.participant, vote.validator): vote for vote in known}
    for vote in told:
        before = votes.get((vote.participant, vote.validator))
        if before is None or before.vote == "denies":
            votes[vote.participant, vote.validator] = vote
    return tuple(votes.values())


def _dispute(context: Context, task: str, number: int) -> DisputeRecord:
    return context.state.get(DisputeRecord, dispute_key(task, number), f"dispute in round {number}")


def _rule(context: Context, record: TaskRecord, number: int, dispute: DisputeRecord) -> list[dict[str, str]]:
    """Carry out what has votes enough now; returns the new rulings."""
    spec, task = record.spec, record.spec.task
    votes = _votes(context, record, number)
    new: list[AccusationRecord] = []
    accusations = []
    for each in dispute.accusations:
        if each.ruling is None:
            said = votes.get((each.participant, each.validator), {})
            ruling = ruling_of(said, spec.aggregation.quorum, spec.aggregation.tolerated_faults)
            if ruling is not None:
                each = each.model_copy(update={"ruling": ruling})
                new.append(each)
        accusations.append(each)
    if not new:
        return []
    after = DisputeRecord(accusations=tuple(accusations))
    context.state.put(dispute_key(task, number), after)
    closed = {(number, each.participant, each.validator) for each in new}
    docket = docket_of(context, task)
    pending = tuple(each for each in docket.pending if (each.round, each.participant, each.validator) not in closed)
    docket = docket.model_copy(update={"pending": pending})
    context.state.put(docket_key(task), docket)
    faults = _faults(record, accusations) - _faults(record, dispute.accusations)
    settlement = context.state.get(SettlementRecord, settlement_key(task, number), f"settlement of round {number}")
    model = _model_of(context, task, number)
    charged = {owner for owner, rate in faults_of(record.spec.incentive, settlement) if rate}
    if model is not None and record.spec.incentive.slashing_validator:
        charged.update(model.liars)
    slash(context, record, sorted((owner, rate) for owner, rate in faults if owner not in charged))
    if model is not None:
        liars = liars_in(after) - liars_in(dispute)
        take_back_duty(context, record, [msp for msp in model.dutiful if msp in liars])
    if record.state != "active":
        parties = {party for each in new for party in (each.participant, each.validator)}
        release_stakes(context, record, sorted(party for party in parties if not docket.holds(party)))
    return [each.model_dump(mode="json") for each in new]


def _model_of(context: Context, task: str, number: int) -> ModelRecord | None:
    """The model of a round, when it is finalised."""
    record = context.round(task, number)
    if record.state != "finalised":
        return None
    return context.state.get(ModelRecord, model_key(task, record.base_version + 1), f"model of round {number}")


def ruled_liars(context: Context, task: str, number: int) -> set[str]:
    """Validators that a dispute about a round has convicted so far."""
    dispute = context.state.find_one(DisputeRecord, dispute_key(task, number))
    return set() if dispute is None else liars_in(dispute)


def _faults(record: TaskRecord, accusations: Iterable[AccusationRecord]) -> set[tuple[str, int]]:
    """(owner, rate) of everybody whom a ruling finds at fault: once for a round."""
    incentive = record.spec.incentive
    return {
        (each.participant, incentive.slashing_dealing)
        if each.ruling == "confirms"
        else (each.validator, incentive.slashing_validator)
        for each in accusations
        if each.ruling is not None
    }


def _votes(context: Context, record: TaskRecord, number: int) -> Mapping[tuple[str, str], Mapping[str, Vote]]:
    """(participant, accused validator) -> judge -> vote."""
    task, validators = record.spec.task, record.spec.aggregation.validators
    said: dict[tuple[str, str], dict[str, Vote]] = {}
    for judged in context.state.find(VotesRecord, [votes_key(task, number, msp) for msp in validators]):
        if judged is not None:
            for vote in judged.votes.votes:
                said.setdefault((vote.participant, vote.validator), {})[judged.judge] = vote.vote
    for shown in context.state.find(DisclosureRecord, [disclosure_key(task, number, msp) for msp in validators]):
        if shown is not None:
            for share in shown.disclosure.shares:
                said.setdefault((share.participant, shown.validator), {})[shown.validator] = "confirms"
    return said
