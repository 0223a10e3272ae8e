"""Deciding a closed round: attestations, verdicts, aggregate shares, reports, and the new version or the end."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import (
    AggregateShareRecord,
    AttestationRecord,
    BarredReaders,
    CohortRecord,
    EquivocationRecord,
    FixedSetRecord,
    ModelRecord,
    ReferenceFaultsRecord,
    ReportRecord,
    ReputationChange,
    RoundRecord,
    SettlementRecord,
    StandingRecord,
    TaskRecord,
)
from fedledger_chaincode.messages.round import (
    AbortRequest,
    AggregateShare,
    Attestation,
    DealingOpening,
    ModelReport,
    NormOpening,
    Phase,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.dealing import aggregate_bytes
from fedledger_chaincode.rules.finalisation import agreed_report, dutiful_validators, inherited_purposes, new_model
from fedledger_chaincode.rules.references import chosen, with_faults
from fedledger_chaincode.rules.reputation import updated_standing
from fedledger_chaincode.rules.settlement import faults_of, settle
from fedledger_chaincode.rules.transitions import check_round, check_task
from fedledger_chaincode.state import (
    aggregate_key,
    attestation_key,
    barred_key,
    cohort_key,
    equivocation_key,
    fixed_key,
    model_key,
    reference_faults_key,
    report_key,
    settlement_key,
    standing_key,
    task_key,
)
from fedledger_chaincode.transactions.context import Context, already_recorded, check_size, is_repeated, reply
from fedledger_chaincode.transactions.disputes import open_dispute, ruled_liars
from fedledger_chaincode.transactions.lateness import (
    attestations_of,
    clock_after,
    is_hopeless,
    is_late,
    reference_is_settled,
    references_in_row,
)
from fedledger_chaincode.transactions.rounds import aborted, change_round
from fedledger_chaincode.transactions.treasury import pay_compensation, pay_rewards, slash, wind_up


def attest_updates(context: Context, attestation: bytes) -> bytes:
    """``AttestUpdates(attestation)``: one validator's findings about exactly the fixed set, in its order."""
    message = Attestation.decode(attestation)
    task, number = message.task, message.round
    record = context.task(task)
    msp = context.acting_validator(record)
    key = attestation_key(task, number, msp)
    earlier = context.state.find_one(AttestationRecord, key)
    if earlier is not None:
        if earlier.attestation != message:
            raise already_recorded(f"attestation of round {number}")
        return reply(earlier)
    check_round(context.round(task, number).state, "AttestUpdates", number)
    if not reference_is_settled(context, record.spec, number):
        raise ContractError(
            409,
            "TOO_EARLY",
            f"It is not known yet which reference direction counts in round {number}.",
            "Wait until all are revealed, or t + 1 validators say that it is late.",
        )
    fixed = context.state.get(FixedSetRecord, fixed_key(task, number), f"fixed set of round {number}")
    expected = [update.participant for update in fixed.updates]
    if [finding.participant for finding in message.findings] != expected:
        raise ContractError(
            400,
            "WRONG_SET",
            f"The attestation does not cover exactly the {len(expected)} updates of round {number} in their order.",
            "Attest the fixed set as the round shows it.",
        )
    _check_openings(record.spec, message)
    mine = AttestationRecord(validator=msp, attestation=message, at=context.now)
    context.state.put(key, mine)
    context.event("UpdatesAttested", task=task, round=number, validator=msp)
    return reply(mine)


def _check_openings(spec: TaskSpec, message: Attestation) -> None:
    wanted = NormOpening if spec.aggregation.proof == "norm" else DealingOpening
    for finding in message.findings:
        if finding.readable and not isinstance(finding.opening, wanted):
            raise ContractError(
                400,
                "OPENING",
                f"The finding on {finding.participant[:16]} has not the values of an update with proof "
                f"{spec.aggregation.proof}.",
                "Attest with the task's parameters.",
            )
    if message.reference != "none" and spec.robustness.trust_weighting == "off":
        raise ContractError(400, "REFERENCE", "The task has no reference direction.", "Attest without one.")


def settle_round(context: Context, task: str, number: int) -> bytes:
    """``SettleRound(task, round)``: verdicts, readers and weights, with all attestations, or with n - t when t + 1
    validators say that it is late. Who contradicts the others is accused; no round waits for that."""
    record = context.task(task)
    context.acting_validator(record)
    settled_before = context.state.find_one(SettlementRecord, settlement_key(task, number))
    if settled_before is not None:
        return reply(settled_before)
    round_record = context.round(task, number)
    check_task(record.state, "SettleRound")
    check_round(round_record.state, "SettleRound", number)
    spec = record.spec
    attested = _attested_in_time(context, spec, number)
    attestations = {each.validator: each.attestation for each in attested if isinstance(each.attestation, Attestation)}
    cohort = context.state.get(CohortRecord, cohort_key(task, number), f"cohort of round {number}")
    fixed = context.state.get(FixedSetRecord, fixed_key(task, number), f"fixed set of round {number}")
    proofs = context.state.find(
        EquivocationRecord, [equivocation_key(task, number, update.participant) for update in fixed.updates]
    )
    equivocated = frozenset(proof.first.manifest.participant for proof in proofs if proof is not None)
    barred = frozenset(_barred(context, task).sets)
    settled = settle(spec, cohort, fixed, attestations, equivocated, barred)
    settlement = _scored(context, record, settled.record, number)
    settlement = settlement.model_copy(update={"reference_by": _reference_by(context, spec, number)})
    context.state.put(settlement_key(task, number), settlement)
    slash(context, record, faults_of(spec.incentive, settlement))
    open_dispute(context, record, number, settlement)
    _count_reference_faults(context, spec, number, attestations)
    clock = clock_after(round_record.clock, spec, attested)
    if settled.obstacle:
        changed = aborted(round_record, settled.obstacle).model_copy(update={"clock": clock})
        pay_compensation(context, record, settlement)
    else:
        changed = round_record.model_copy(update={"state": "settled", "clock": clock})
    change_round(context, context.head(task), changed)
    accepted = sum(1 for update in settlement.updates if update.verdict == "accepted")
    context.event("RoundSettled", task=task, round=number, state=changed.state, accepted=accepted)
    return reply(settlement)


def _attested_in_time(context: Context, spec: TaskSpec, number: int) -> list[AttestationRecord]:
    """All attestations, or at least n - t of them when it is late; raises 409 ``TOO_EARLY``."""
    aggregation = spec.aggregation
    attested = attestations_of(context, spec, number)
    if len(attested) == aggregation.n:
        return attested
    if len(attested) < aggregation.quorum or not is_late(context, spec, number, "attestations"):
        raise ContractError(
            409,
            "TOO_EARLY",
            f"{len(attested)} of {aggregation.n} validators have attested round {number}; {aggregation.quorum} suffice "
            f"when {aggregation.tolerated_faults + 1} say that it is late.",
            "Wait for the others or for the deadline.",
        )
    return attested


def _barred(context: Context, task: str) -> BarredReaders:
    return context.state.find_one(BarredReaders, barred_key(task)) or BarredReaders()


def _reference_by(context: Context, spec: TaskSpec, number: int) -> str:
    """Who gave the direction that counts: the row is another one when its faults are counted."""
    if spec.robustness.trust_weighting != "reference-data":
        return ""
    used = chosen(references_in_row(context, spec, number))
    return "" if used is None else used.committed_by


def _count_reference_faults(
    context: Context, spec: TaskSpec, number: int, attestations: Mapping[str, Attestation]
) -> None:
    """Who withheld its direction, or gave a false one, goes to the end of the row."""
    if spec.robustness.trust_weighting != "reference-data":
        return
    key = reference_faults_key(spec.task)
    before = context.state.find_one(ReferenceFaultsRecord, key) or ReferenceFaultsRecord()
    references = references_in_row(context, spec, number)
    after = with_faults(before, references, attestations, spec.aggregation.tolerated_faults)
    if after != before:
        context.state.put(key, after)


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


def _slash_liars(context: Context, record: TaskRecord, settlement: SettlementRecord, model: ModelRecord) -> None:
    """Of those whose share of the sum is false, whom the round has cost nothing yet."""
    if not model.liars:
        return
    charged = {*settlement.convicted, *ruled_liars(context, record.spec.task, model.round)}
    rate = record.spec.incentive.slashing_validator
    slash(context, record, [(msp, rate) for msp in model.liars if msp not in charged])


def post_aggregate_share(context: Context, share: bytes) -> bytes:
    """``PostAggregateShare(share)``: where a validator put its share of the weighted sum. It is taken from those alone
    whose shares of all its updates belong to their dealings: another's may be false without its fault."""
    message = AggregateShare.decode(share)
    task, number = message.task, message.round
    record = context.task(task)
    msp = context.acting_validator(record)
    key = aggregate_key(task, number, msp)
    mine = AggregateShareRecord(validator=msp, share=message)
    if is_repeated(context, AggregateShareRecord, key, mine, f"aggregate share of round {number}"):
        return reply(mine)
    check_round(context.round(task, number).state, "PostAggregateShare", number)
    settlement = context.state.get(SettlementRecord, settlement_key(task, number), f"settlement of round {number}")
    if msp not in settlement.summers:
        raise ContractError(
            403,
            "NOT_A_SUMMER",
            f"{msp} has not a share of each update in the sum of round {number}.",
            "Leave the sum to the others; who attested in time is paid all the same.",
        )
    check_size("An aggregate share", message.size, aggregate_bytes(record.spec.model.parameter_count))
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
    check_size("A model of the task", message.model_size, record.spec.model.initial_weights_size)
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
    head = context.head(task)
    dutiful = dutiful_validators(spec.aggregation, settlement, posted, agreed, _unpaid(context, spec, number))
    paid = pay_rewards(context, record, settlement, dutiful)
    counted = [entry for entry in settlement.updates if entry.weight > 0]
    standings = context.state.find(StandingRecord, [standing_key(task, entry.participant) for entry in counted])
    model = new_model(
        round_record,
        settlement,
        {entry.participant: 0 if s is None else s.epsilon for entry, s in zip(counted, standings, strict=True)},
        posted,
        agreed,
        paid,
        dutiful,
        inherited_purposes(head.purposes, spec.agreement.purposes),
        context.stub.transaction_id,
    )
    context.state.put(model_key(task, model.version), model)
    _slash_liars(context, record, settlement, model)
    newest = head.model_copy(
        update={
            "version": model.version,
            "model_digest": model.model_digest,
            "model_size": model.model_size,
            "purposes": model.purposes,
        }
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


def _unpaid(context: Context, spec: TaskSpec, number: int) -> frozenset[str]:
    """Validators whom a dispute has found at fault in this round, and those without a stake."""
    cohort = context.state.get(CohortRecord, cohort_key(spec.task, number), f"cohort of round {number}")
    bare = {each.msp for each in cohort.validators if not each.stake and spec.incentive.validator_stake}
    return frozenset(bare | ruled_liars(context, spec.task, number))


def _reports(context: Context, record: TaskRecord, number: int) -> dict[str, ModelReport]:
    keys = [report_key(record.spec.task, number, msp) for msp in record.spec.aggregation.validators]
    found = context.state.find(ReportRecord, keys)
    return {entry.validator: entry.report for entry in found if entry is not None}


def abort_round(context: Context, request: bytes) -> bytes:
    """``AbortRound(request)``: when n - t validators say that it is late and the quorum that the round needs is not
    there. No reward is paid; whose updates counted is compensated from the task's insurance."""
    message = AbortRequest.decode(request)
    task, number = message.task, message.round
    record = context.task(task)
    context.acting_validator(record)
    round_record = context.round(task, number)
    if round_record.state == "aborted":
        return reply(round_record)
    check_task(record.state, "AbortRound")
    check_round(round_record.state, "AbortRound", number)
    _check_hopeless(context, record, round_record)
    settlement = context.state.find_one(SettlementRecord, settlement_key(task, number))
    if settlement is None:
        _count_reference_faults(context, record.spec, number, {})
    else:
        _bar(context, record.spec, settlement)
        pay_compensation(context, record, settlement)
    changed = aborted(round_record, message.reason)
    change_round(context, context.head(task), changed)
    context.event("RoundAborted", task=task, round=number, reason=message.reason)
    return reply(changed)


def _bar(context: Context, spec: TaskSpec, settlement: SettlementRecord) -> None:
    """Readers that brought no sum about are not chosen again, until all sets have had their round."""
    aggregation = spec.aggregation
    failed = tuple(aggregation.validators.index(msp) + 1 for msp in settlement.readers)
    sets = {*_barred(context, spec.task).sets, failed}
    if len(sets) == comb(aggregation.n, aggregation.quorum):
        sets = {failed}
    context.state.put(barred_key(spec.task), BarredReaders(sets=tuple(sorted(sets))))


def _check_hopeless(context: Context, record: TaskRecord, round_record: RoundRecord) -> None:
    spec, number = record.spec, round_record.round
    quorum = spec.aggregation.quorum
    if round_record.state == "closed":
        phase: Phase = "attestations"
        enough = len(attestations_of(context, spec, number)) >= quorum
    else:
        phase = "aggregates"
        enough = agreed_report(spec.aggregation, _reports(context, record, number)) is not None
    if enough:
        raise ContractError(409, "CAN_GO_ON", f"Round {number} has the quorum that it needs.", "Settle or finalise it.")
    if not is_hopeless(context, spec, number, phase):
        raise ContractError(
            409,
            "TOO_EARLY",
            f"Fewer than {quorum} validators say that round {number} waits too long for {phase}.",
            "Wait for the deadline.",
        )
