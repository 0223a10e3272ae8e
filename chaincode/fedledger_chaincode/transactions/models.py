"""The registry's own transactions: participants' evaluations, and marking a model as deprecated."""

from __future__ import annotations

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import EvaluationRecord, ModelRecord
from fedledger_chaincode.messages.round import EvaluationReport
from fedledger_chaincode.rules.evaluations import check_evaluation
from fedledger_chaincode.state import evaluation_key, model_key
from fedledger_chaincode.transactions.context import Context, check_reason, reply


def report_evaluation(context: Context, report: bytes) -> bytes:
    """``ReportEvaluation(report)``: how a model version does on a participant's own held-out data, said once."""
    context.require_role("participant")
    message = EvaluationReport.decode(report)
    pseudonym = context.submitter.pseudonym
    member = context.member(message.task, pseudonym)
    model = context.state.get(ModelRecord, model_key(message.task, message.version), f"model version {message.version}")
    key = evaluation_key(message.task, message.version, pseudonym)
    mine = EvaluationRecord(participant=pseudonym, msp=context.submitter.msp_id, report=message)
    earlier = context.state.find_one(EvaluationRecord, key)
    if earlier is None:
        check_evaluation(message, context.task(message.task).spec, member, model)
        context.state.put(key, mine)
        context.event("ModelEvaluated", task=message.task, version=message.version, participant=pseudonym)
        return reply(mine)
    if earlier.report != message:
        raise ContractError(
            409,
            "ALREADY_RECORDED",
            f"Another evaluation of version {message.version} is recorded.",
            "The first one stands.",
        )
    return reply(earlier)


def deprecate_model(context: Context, task: str, version: int, reason: str) -> bytes:
    """``DeprecateModel(task, version, reason)`` by a governor of one of the task's organisations."""
    context.require_role("governor")
    record = context.task(task)
    msp = context.voice(record)
    check_reason(reason)
    model = context.state.get(ModelRecord, model_key(task, version), f"model version {version} of task {task}")
    if model.deprecated:
        if model.deprecated == reason:
            return reply(model)
        raise ContractError(409, "DEPRECATED", f"Version {version} is deprecated already: {model.deprecated}")
    marked = model.model_copy(update={"deprecated": reason})
    context.state.put(model_key(task, version), marked)
    context.event("ModelDeprecated", task=task, version=version, msp=msp)
    return reply(marked)
