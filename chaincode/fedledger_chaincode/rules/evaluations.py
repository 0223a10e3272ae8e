"""How exactly a participant may tell how a model does on its held-out records: no finer than was agreed."""

from __future__ import annotations

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import MemberRecord, ModelRecord
from fedledger_chaincode.messages.round import EvaluationReport
from fedledger_chaincode.messages.task import EvaluationTerms, TaskSpec


def told_records(terms: EvaluationTerms, number: int) -> int:
    """A number of held-out records as it is told: rounded down; 0 of fewer than a step, of which nothing is told."""
    return number - number % terms.count_step


def figure_step(terms: EvaluationTerms, told: int) -> int:
    """Micro-units of which figures on so many records are told in multiples: the least multiple of the agreed step that
    one record's share of ``told`` >= 1 records does not exceed.

    So no figure is finer than one record, and each may be that of any number of records that is told as ``told``.
    """
    return terms.figure_step * -(-MICRO // (terms.figure_step * told))


def check_evaluation(report: EvaluationReport, spec: TaskSpec, member: MemberRecord, model: ModelRecord) -> None:
    """Raise a ``ContractError`` for what the data-sharing agreement does not allow to tell."""
    check_due(spec, member, model)
    terms = spec.agreement.evaluations
    step = figure_step(terms, report.examples)
    figures = [figure for figure in (report.auc, report.accuracy, report.loss) if figure is not None]
    if report.examples % terms.count_step or any(figure % step for figure in figures):
        raise ContractError(
            400,
            "EVALUATION_TOO_FINE",
            f"Task {spec.task} tells numbers of records in multiples of {terms.count_step}, and figures on "
            f"{report.examples} of them in multiples of {step} millionths.",
            "Round them as the task says.",
        )
    if terms.published == "noisy" and report.auc is not None:
        raise ContractError(
            400,
            "EVALUATION_TOO_FINE",
            "What one record changes in an area under the ROC curve has no bound, and so no noise hides it.",
            "Report accuracy and loss.",
        )


def check_due(spec: TaskSpec, member: MemberRecord, model: ModelRecord) -> None:
    """Raise a ``ContractError`` when nothing may be told of a model version; a participant asks before it draws noise.

    With noise a name tells of models of rounds that it takes part in. Where it takes another's place it does so from
    one round to the next, so that each record is told of once in a version.
    """
    terms = spec.agreement.evaluations
    if terms.published == "none":
        raise ContractError(
            403,
            "EVALUATIONS_NOT_AGREED",
            f"The organisations of task {spec.task} agreed to publish nothing of how models do on held-out records.",
            "Keep it to yourself.",
        )
    noisy = terms.published == "noisy"
    took_part = member.first_round <= model.round <= (model.round if member.last_round is None else member.last_round)
    if model.version % terms.every or (noisy and not took_part):
        raise ContractError(
            403,
            "EVALUATION_NOT_DUE",
            f"Participant {member.participant[:16]} is not to tell of version {model.version} of round {model.round}.",
            f"It may tell of every version whose number is a multiple of {terms.every}"
            + (", of rounds that it takes part in." if noisy else "."),
        )
    number = model.version // terms.every
    budget = spec.privacy_of(member.msp).epsilon_budget
    if noisy and (number > len(terms.epsilon_schedule) or terms.epsilon_schedule[number - 1] > budget):
        raise ContractError(
            403,
            "EPSILON_SPENT",
            f"Evaluation {number} would exceed the privacy budget of held-out records of {member.msp}.",
            "Publish no further evaluation of this task.",
        )
