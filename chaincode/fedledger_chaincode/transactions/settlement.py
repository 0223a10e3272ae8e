"""Deciding a closed round: attestations, verdicts, aggregate shares, reports, and the new version or the end."""

from __future__ import annotations

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import (
    AggregateShareRecord,
    AttestationRecord,
    CohortRecord,
    EquivocationRecord,
    FixedSetRecord,
    ModelRecord,
    ReportRecord,
    ReputationChange,
    RoundRecord,
    SettlementRecord,
    StandingRecord,
    TaskRecord,
)
from fedledger_chaincode.messages.round import AbortRequest, AggregateShare, Attestation, ModelReport
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.evidence import NO_EVIDENCE, find_disputes
from fedledger_chaincode.rules.finalisation import agreed_report, dutiful_validators, new_model
from fedledger_chaincode.rules.reputation import updated_standing
from fedledger_chaincode.rules.settlement import settle
from fedledger_chaincode.rules.transitions import check_round, check_task
from fedledger_chaincode.state import (
    aggregate_key,
    attestation_key,
    cohort_key,
    equivocation_key,
    fixed_key,
    model_key,
    report_key,
    settlement_key,
    standing_key,
    task_key,
)
from fedledger_chaincode.transactions.context import Context, is_repeated, reply
from fedledger_chaincode.transactions.disputes import attestations_in_time, read_attestations, read_evidence
from fedledger_chaincode.transactions.rounds import aborted, change_round
from fedledger_chaincode.transactions.treasury import pay_compensation, pay_rewards, slash, wind_up


def attest_updates(context: Context, attestation: bytes) -> bytes:
    """``AttestUpdates(attestation)``: one validator's findings about exactly the fixed set, in its order."""
    message = Attestation.decode(attestation)
    task, number = message.task, message.round
    msp = context.acting_validator(context.task(task))
    key = attestation_key(task, number, msp)
    mine = AttestationRecord(validator=msp, attestation=message)
    if is_repeated(context, AttestationRecord, key, mine, f"attestation of round {number}"):
        return reply(mine)
    check_round(context.round(task, number).state, "AttestUpdates", number)
    fixed = context.state.get(FixedSetRecord, fixed_key(task, number), f"fixed set of round {number}")
    expected = [update.participant for update in fixed.updates]
    if [finding.participant for finding in message.findings] != expected:
        raise ContractError(
            400,
            "WRONG_SET",
            f"The attestation does not cover exactly the {len(expected)} updates of round {number} in their order.",
            "Attest the fixed set as the round shows it.",
        )
    _check_openings(context.task(task).spec, message)
    context.state.put(key, mine)
    context.event("UpdatesAttested", task=task, round=number, validator=msp)
    return reply(mine)


def _check_openings(spec: TaskSpec, message: Attestation) -> None:
    wanted = spec.aggregation.proof == "norm"
    for finding in message.findings:
        if finding.readable and (finding.opening is not None) != wanted:
            raise ContractError(
                400,
                "OPENING",
                f"The finding on {finding.participant[:16]} has {'no' if wanted else 'an'} opening; the task's proof "
                f"is {spec.aggregation.proof}.",
                "Attest with the task's parameters.",
            )
    if message.reference != "none" and spec.robustness.trust_weighting == "off":
        raise ContractError(400, "REFERENCE", "The task has no reference direction.", "Attest without one.")


def settle_round(context: Context, task: str, number: int) -> bytes:
    """``SettleRound(task, round)``: verdicts and weights, with all attestations, or n - t and the deadline passed.

    A round with contested updates is disputed first.
    """
    record = context.task(task)
    context.acting_validator(record)
    settled_before = context.state.find_one(SettlementRecord, settlement_key(task, number))
    if settled_before is not None:
        return reply(settled_before)
    round_record = context.round(task, number)
    check_round(round_record.state, "SettleRound", number)
    spec = record.spec
    attestations = attestations_in_time(context, record, round_record)
    cohort = context.state.get(CohortRecord, cohort_key(task, number), f"cohort of round {number}")
    fixed = context.state.get(FixedSetRecord, fixed_key(task, number), f"fixed set of round {number}")
    if round_record.state == "closed" and find_disputes(fixed, attestations, spec.aggregation):
        raise ContractError(
            409, "CONTESTED", f"Validators contradict each other about updates of round {number}.", "Dispute the round."
        )
    proofs = context.state.find(
        EquivocationRecord, [equivocation_key(task, number, update.participant) for update in fixed.updates]
    )
    equivocated = frozenset(proof.first.manifest.participant for proof in proofs if proof is not None)
    evidence = read_evidence(context, record, round_record) if round_record.state == "disputed" else NO_EVIDENCE
    settlement = settle(spec, cohort, fixed, attestations, equivocated, evidence)
    if settlement is None:
        raise ContractError(
            409, "TOO_EARLY", f"Disputes of round {number} are not settled yet.", "Wait for judgements or the deadline."
        )
    settlement = _scored(context, record, settlement, number)
    context.state.put(settlement_key(task, number), settlement)
    _slash(context, record, settlement)
    accepted = sum(1 for update in settlement.updates if update.verdict == "accepted")
    # A sum of few tells much about each: only those count that are in it.
    weighted = len(settlement.weights())
    if weighted < spec.aggregation.minimum_accepted:
        reason = f"{accepted} updates were accepted and {weighted} of them have a weight; the task needs "
        changed = aborted(round_record, f"{reason}{spec.aggregation.minimum_accepted}")
    else:
        due = context.now + spec.deadlines.aggregates
        changed = round_record.model_copy(update={"state": "settled", "aggregates_due": due})
    if changed.state == "aborted":
        pay_compensation(context, record, settlement)
    change_round(context, context.head(task), changed)
    context.event("RoundSettled", task=task, round=number, state=changed.state, accepted=accepted)
    return reply(settlement)


def _scored(context: Context, record: TaskRecord, settlement: SettlementRecord, number: int) -> SettlementRecord:
    """Write every participant's new standing, and into the settlement what became of its reputation."""
    keys = [standing_key(record.spec.task, update.participant) for update in settlement.updates]
    updates = []
    for key, before, update in zip(keys, context.state.find(StandingRecord, keys), settlement.updates, strict=True):
        if before is None:
            raise ContractError(500, "STATE", f"Participant {update.participant} has no standing.")
        after = updated_standing(before, update.score, number, record.spec.reputation)
        context.state.put(key, after)
        change = ReputationChange(
            before=before.reputation,
            after=after.reputation,
            quarantined_before=before.quarantined_until,
            quarantined_until=after.quarantined_until,
        )
        updates.append(update.model_copy(update={"reputation": change}))
    return settlement.model_copy(update={"updates": tuple(updates)})


def _slash(context: Context, record: TaskRecord, settlement: SettlementRecord) -> None:
    """Move part of the stake of everybody with a proven fault to the task's insurance."""
    incentive = record.spec.incentive
    rates = {
        "refused: equivocation": incentive.slashing_equivocation,
        "refused: norm": incentive.slashing_norm,
        "refused: dealing": incentive.slashing_dealing,
    }
    faults = [(update.participant, rates[update.verdict]) for update in settlement.updates if update.proven]
    faults += [(msp, incentive.slashing_validator) for msp in settlement.convicted]
    slash(context, record, faults)


def post_aggregate_share(context: Context, share: bytes) -> bytes:
    """``PostAggregateShare(share)``: where a validator put its share of the weighted sum."""
    message = AggregateShare.decode(share)
    task, number = message.task, message.round
    msp = context.acting_validator(context.task(task))
    key = aggregate_key(task, number, msp)
    mine = AggregateShareRecord(validator=msp, share=message)
    if is_repeated(context, AggregateShareRecord, key, mine, f"aggregate share of round {number}"):
        return reply(mine)
    check_round(context.round(task, number).state, "PostAggregateShare", number)
    context.state.put(key, mine)
    context.event("AggregateSharePosted", task=task, round=number, validator=msp)
    return reply(mine)


def report_model(context: Context, report: bytes) -> bytes:
    """``ReportModel(report)``: the model that a validator made of the aggregate shares."""
    message = ModelReport.decode(report)
    task, number = message.task, message.round
    record = context.task(task)
    msp = context.acting_validator(record)
    strangers = sorted(set(message.liars) - set(record.spec.aggregation.validators))
    if strangers:
        raise ContractError(400, "BAD_MESSAGE", f"{', '.join(strangers)} are named as liars but are no validators.")
    key = report_key(task, number, msp)
    mine = ReportRecord(validator=msp, report=message)
    if is_repeated(context, ReportRecord, key, mine, f"model report of round {number}"):
        return reply(mine)
    check_round(context.round(task, number).state, "ReportModel", number)
    context.state.put(key, mine)
    context.event("ModelReported", task=task, round=number, validator=msp, model=message.model_digest)
    return reply(mine)


def finalise_round(context: Context, task: str, number: int) -> bytes:
    """``FinaliseRound(task, round)``: n - t equal reports become the next model version; the round's reward is paid."""
    record = context.task(task)
    context.acting_validator(record)
    round_record = context.round(task, number)
    if round_record.state == "finalised":
        return reply(context.state.get(ModelRecord, model_key(task, round_record.base_version + 1), "model"))
    check_task(record.state, "FinaliseRound")
    check_round(round_record.state, "FinaliseRound", number)
    spec = record.spec
    agreed = agreed_report(spec.aggregation, _reports(context, record, number))
    if agreed is None:
        raise ContractError(
            409,
            "TOO_EARLY",
            f"No {spec.aggregation.quorum} validators have reported the same model for round {number}.",
            "Wait for more reports, or abort the round after its deadline.",
        )
    settlement = context.state.get(SettlementRecord, settlement_key(task, number), f"settlement of round {number}")
    shares = context.state.find(
        AggregateShareRecord, [aggregate_key(task, number, msp) for msp in spec.aggregation.validators]
    )
    posted = [share for share in shares if share is not None]
    paid = pay_rewards(context, record, settlement, dutiful_validators(spec.aggregation, settlement, posted, agreed))
    counted = [entry for entry in settlement.updates if entry.weight > 0]
    standings = context.state.find(StandingRecord, [standing_key(task, entry.participant) for entry in counted])
    model = new_model(
        round_record,
        settlement,
        {entry.participant: 0 if s is None else s.epsilon for entry, s in zip(counted, standings, strict=True)},
        posted,
        agreed,
        paid,
        context.stub.transaction_id,
    )
    context.state.put(model_key(task, model.version), model)
    slash(context, record, [(msp, spec.incentive.slashing_validator) for msp in model.liars])
    head = context.head(task)
    newest = head.model_copy(
        update={"version": model.version, "model_digest": model.model_digest, "model_size": model.model_size}
    )
    change_round(context, head, round_record.model_copy(update={"state": "finalised"}), newest)
    completed = model.version == spec.training.rounds
    if completed:
        context.state.put(task_key(task), record.model_copy(update={"state": "completed"}))
        wind_up(context, record)
    context.event(
        "ModelPublished",
        task=task,
        round=number,
        version=model.version,
        model=model.model_digest,
        completed=completed,
    )
    return reply(model)


def _reports(context: Context, record: TaskRecord, number: int) -> dict[str, ModelReport]:
    keys = [report_key(record.spec.task, number, msp) for msp in record.spec.aggregation.validators]
    found = context.state.find(ReportRecord, keys)
    return {entry.validator: entry.report for entry in found if entry is not None}


def abort_round(context: Context, request: bytes) -> bytes:
    """``AbortRound(request)``: after a deadline, when the quorum that the round needs is not there. No reward is paid;
    whose updates counted is compensated from the task's insurance."""
    message = AbortRequest.decode(request)
    task, number = message.task, message.round
    record = context.task(task)
    context.acting_validator(record)
    round_record = context.round(task, number)
    if round_record.state == "aborted":
        return reply(round_record)
    check_round(round_record.state, "AbortRound", number)
    _check_hopeless(context, record, round_record)
    settlement = context.state.find_one(SettlementRecord, settlement_key(task, number))
    if settlement is not None:
        pay_compensation(context, record, settlement)
    changed = aborted(round_record, message.reason)
    change_round(context, context.head(task), changed)
    context.event("RoundAborted", task=task, round=number, reason=message.reason)
    return reply(changed)


def _check_hopeless(context: Context, record: TaskRecord, round_record: RoundRecord) -> None:
    aggregation = record.spec.aggregation
    if round_record.state == "closed":
        due = round_record.attestations_due
        enough = len(read_attestations(context, record, round_record.round)) >= aggregation.quorum
    else:
        due = round_record.aggregates_due
        enough = agreed_report(aggregation, _reports(context, record, round_record.round)) is not None
    if due is None or context.now < due:
        raise ContractError(
            409,
            "TOO_EARLY",
            f"Round {round_record.round} may be aborted after {due}.",
            "Wait for the deadline.",
        )
    if enough:
        raise ContractError(
            409,
            "CAN_GO_ON",
            f"Round {round_record.round} has the quorum that it needs.",
            "Settle or finalise it.",
        )
