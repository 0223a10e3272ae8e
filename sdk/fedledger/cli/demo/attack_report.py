"""What became of an attacker over a whole demo, and of the model with and without the defence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedledger.cli.demo.attacks import EXPLAINED, Attack
from fedledger.cli.demo.comparison import without_defence
from fedledger.cli.demo.fates import Fault
from fedledger.cli.demo.watch import RoundRow
from fedledger.ledger import TaskLedger
from fedledger.training import Split, TaskDefinition, concatenate, evaluate
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.transactions.context import organisation_account
from fedledger_network.consortium import Organisation

_NOT_COMPARED: Mapping[Attack, str] = {
    Attack.LYING_VALIDATOR: "Without error correction one false share makes every number of the sum random.",
    Attack.BOGUS_REVEAL: "Where whoever is asked has to prove an update, one silent voice keeps all of them out.",
    Attack.EARLY_CLOSE: "Where one clock decides, whoever has a fast one decides whose updates are in time.",
    Attack.WITHHELD_REFERENCE: "Where one validator gives the direction, it decides whether anybody is weighed by it.",
    Attack.DROPOUT: "Plain federated averaging that waits for everybody would wait for ever.",
}


def attack_report(
    ledger: TaskLedger,
    definition: TaskDefinition,
    rows: Sequence[RoundRow],
    attack: Attack,
    attacker: Organisation,
    data: Mapping[str, Split],
    shared_model: bytes,
) -> dict[str, Any]:
    """As JSON.

    Args:
        data: by site.
        shared_model: the newest model file.
    """
    incentive = ledger.task(definition.name).record.spec.incentive
    accounts = {e.account: e.balance for e in ledger.wallet(definition.name, attacker.msp_id).accounts}
    fates = [fate for row in rows for fate in row.participants if fate.site == attacker.name]
    return {
        "attack": attack.value,
        "attacker": attacker.name,
        "explanation": EXPLAINED[attack],
        "verdicts": [fate.verdict for fate in fates],
        "shares": [fate.share for fate in fates],
        "reputation": [fate.reputation for fate in fates],
        "earned": sum(fate.paid for fate in fates),
        "stake_left": fates[-1].stake if fates else incentive.participant_stake / MICRO,
        "validator_convicted_in_rounds": _rounds_with(rows, attacker.name, "convicted"),
        "validator_rejected_in_rounds": _rounds_with(rows, attacker.name, "rejected"),
        "validator_withheld_in_rounds": _rounds_with(rows, attacker.name, "withheld"),
        "validator_silent_in_rounds": _rounds_with(rows, attacker.name, "silent"),
        "organisation_gained": (accounts[organisation_account(attacker.msp_id)] - incentive.endowment) / MICRO,
        "quality": _quality(definition, attack, attacker.name, data, shared_model),
        "not_compared": _NOT_COMPARED.get(attack),
    }


def _rounds_with(rows: Sequence[RoundRow], site: str, fault: Fault) -> list[int]:
    return [row.round for row in rows if any((v.site, v.fault) == (site, fault) for v in row.validators)]


def _quality(
    definition: TaskDefinition, attack: Attack, attacker: str, data: Mapping[str, Split], shared_model: bytes
) -> dict[str, dict[str, float | None]]:
    """AUC and accuracy on all sites' held-out records, of models that were trained by the same settings."""
    models: dict[str, Any] = {"plain": without_defence(definition, data, None, attacker)}
    if attack not in _NOT_COMPARED:
        models["plain_attacked"] = without_defence(definition, data, attack, attacker)
    models["defended"] = shared_model
    everybody = concatenate([split.test for split in data.values()])
    judged = {name: evaluate(definition, model, everybody) for name, model in models.items()}
    return {name: {"auc": metrics.auc, "accuracy": metrics.accuracy} for name, metrics in judged.items()}
