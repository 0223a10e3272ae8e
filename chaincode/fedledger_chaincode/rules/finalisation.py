"""What n - t equal reports make of a settled round: the model's registry entry and who did its duty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fedledger_chaincode.messages.records import (
    AggregateReference,
    AggregateShareRecord,
    Contribution,
    ModelRecord,
    Payment,
    RoundRecord,
    SettlementRecord,
)
from fedledger_chaincode.messages.round import ModelReport
from fedledger_chaincode.messages.task import AggregationSpec


@dataclass(frozen=True)
class Consensus:
    """The model on which a quorum agrees, who reported it and which validators they prove to have lied."""

    report: ModelReport
    reported_by: tuple[str, ...]
    liars: tuple[str, ...]


def agreed_report(aggregation: AggregationSpec, reports: Mapping[str, ModelReport]) -> Consensus | None:
    """The report that at least n - t validators share, None while there is none.

    Reports are equal when aggregate and model are; they may name different liars, for one may have decoded before a
    share arrived. A validator counts as a liar when t + 1 of the agreeing reports name it: one of them is honest.
    """
    groups: dict[tuple[str, str, int], list[str]] = {}
    for msp in aggregation.validators:
        if msp in reports:
            report = reports[msp]
            groups.setdefault((report.aggregate_digest, report.model_digest, report.model_size), []).append(msp)
    for agreeing in groups.values():
        if len(agreeing) >= aggregation.quorum:
            named = {
                msp: sum(1 for reporter in agreeing if msp in reports[reporter].liars) for msp in aggregation.validators
            }
            liars = tuple(msp for msp, count in named.items() if count > aggregation.tolerated_faults)
            return Consensus(reports[agreeing[0]], tuple(agreeing), liars)
    return None


def dutiful_validators(
    aggregation: AggregationSpec,
    settlement: SettlementRecord,
    posted: Sequence[AggregateShareRecord],
    agreed: Consensus,
    unpaid: AbstractSet[str],
) -> tuple[str, ...]:
    """Validators that did what was theirs to do: those who are paid.

    They attested, did not lie, and posted their share of the sum, but for those whom participants left without one.

    Args:
        unpaid: those whom a dispute has found at fault already, or who have taken their stake home.
    """
    shared = {share.validator for share in posted}
    liars = {*agreed.liars, *settlement.convicted, *unpaid}
    return tuple(
        msp
        for msp in aggregation.validators
        if msp in settlement.attested and msp not in liars and (msp in shared or msp not in settlement.summers)
    )


def new_model(
    round_record: RoundRecord,
    settlement: SettlementRecord,
    epsilons: Mapping[str, int],
    posted: Sequence[AggregateShareRecord],
    agreed: Consensus,
    payments: tuple[Payment, ...],
    dutiful: tuple[str, ...],
    purposes: tuple[str, ...],
    transaction_id: str,
) -> ModelRecord:
    """The next version's registry entry."""
    return ModelRecord(
        task=round_record.task,
        version=round_record.base_version + 1,
        parent=round_record.base_model,
        model_digest=agreed.report.model_digest,
        model_size=agreed.report.model_size,
        round=round_record.round,
        aggregate_digest=agreed.report.aggregate_digest,
        weight_sum=settlement.weight_sum,
        contributions=tuple(
            Contribution(
                participant=update.participant,
                msp=update.msp,
                weight=update.weight,
                epsilon=epsilons[update.participant],
            )
            for update in settlement.updates
            if update.weight > 0
        ),
        aggregate_shares=tuple(
            AggregateReference(validator=share.validator, digest=share.share.digest, size=share.share.size)
            for share in posted
        ),
        reported_by=agreed.reported_by,
        liars=agreed.liars,
        payments=payments,
        dutiful=dutiful,
        purposes=purposes,
        transaction_id=transaction_id,
    )


def inherited_purposes(parent: Sequence[str] | None, agreed: Sequence[str]) -> tuple[str, ...]:
    """What a model may be used for: what the agreement under which it is trained allows, and what its parent may be
    used for. The initial model, with None, holds nothing of anybody's records."""
    return tuple(purpose for purpose in agreed if parent is None or purpose in parent)
