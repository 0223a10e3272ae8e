"""``fedledger report``: what an organisation finds out with its own records about a model that it helped to train."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fedledger.cli.model import fetch
from fedledger.cli.output import MICRO, Format, facts, show, table
from fedledger.cli.participant import DataOption, PackageOption, pseudonym, records_of
from fedledger.cli.session import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    ProfileOption,
    TaskArgument,
    quiet_tensorflow,
    session,
)
from fedledger.privacy.accountant import membership_accuracy
from fedledger.privacy.membership import FALSE_POSITIVE_RATES, Bound, bound_of
from fedledger.training import load_task
from fedledger.training.membership import MembershipReport, attack_model
from fedledger.training.settings import PICO
from fedledger.training.specification import agreed_mechanism
from fedledger_chaincode.messages.records import StandingRecord
from fedledger_chaincode.messages.task import PrivacySpec

app = typer.Typer(help="What a model tells about the records it was trained on.", no_args_is_help=True)


@app.callback()
def _reports() -> None:
    """Reports by an organisation on its own records; nothing of them leaves it."""


@app.command()
def privacy(
    task: TaskArgument,
    version: Annotated[int | None, typer.Option(help="The model's version; else the newest.", min=0)] = None,
    package: PackageOption = None,
    data: DataOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Try to tell this site's training records from its held-out ones by a model, beside what its epsilon allows."""
    quiet_tensorflow()
    with session(config, profile) as opened:
        view = opened.ledger.task(task)
        spec = view.record.spec
        number = version if version is not None else view.head.version if view.head else 0
        model = opened.ledger.model(task, number)
        content = fetch(opened, task, model)
        member = opened.ledger.member(task, pseudonym(opened))
        source = records_of(opened, data)
    privacy, standing = spec.privacy_of(member.member.msp), member.standing
    definition = load_task(package or task).agree(spec).of_organisation(member.member.msp)
    report = attack_model(definition, content, definition.load_data(source))
    bound = allowed(privacy, standing)
    document = {
        "task": task,
        "version": model.version,
        "digest": model.model_digest,
        **_findings(report),
        "privacy": {
            "mechanism": privacy.mechanism,
            "contributions": standing.contributions,
            "epsilon": standing.epsilon / MICRO,
            "delta": privacy.delta_pico / PICO,
            "bound": None if bound is None else _rates(bound.auc, bound.advantage, bound.tpr_at),
        },
    }
    show(document, _text(document), output)


def allowed(privacy: PrivacySpec, standing: StandingRecord) -> Bound | None:
    """What a participant's epsilon leaves to any attacker; None without differential privacy.

    Contributions count, whether their rounds were finalised or aborted: they were released.
    """
    mechanism = agreed_mechanism(privacy)
    if mechanism is None:
        return None
    rounds = standing.contributions
    variation = 2.0 * membership_accuracy(mechanism, rounds) - 1.0 if rounds else 0.0
    return bound_of(standing.epsilon / MICRO, privacy.delta_pico / PICO, variation)


def _findings(report: MembershipReport) -> dict[str, Any]:
    return {
        "unit": report.unit,
        "members": report.members,
        "others": report.others,
        "advantage_by_chance": report.chance,
        "attacks": [
            {"attack": each.name, "auc_standard_error": each.auc_error, **_rates(each.auc, each.advantage, each.tpr_at)}
            for each in report.attacks
        ],
    }


def _rates(auc: float, advantage: float, tpr_at: Any) -> dict[str, Any]:
    return {"auc": auc, "advantage": advantage, "tpr_at_fpr": {f"{rate:g}": tpr_at[rate] for rate in tpr_at}}


def _text(document: dict[str, Any]) -> list[Any]:
    privacy, unit = document["privacy"], document["unit"]
    bound = privacy["bound"]
    rates = [f"{rate:g}" for rate in FALSE_POSITIVE_RATES]
    rows = [
        (
            each["attack"],
            f"{each['auc']:.3f} ± {each['auc_standard_error']:.3f}",
            f"{each['advantage']:.3f}",
            *(f"{each['tpr_at_fpr'][rate]:.3f}" for rate in rates),
        )
        for each in document["attacks"]
    ]
    if bound is not None:
        rows.append(
            (
                "any attack, at most",
                f"{bound['auc']:.3f}",
                f"{bound['advantage']:.3f}",
                *(f"{bound['tpr_at_fpr'][rate]:.3f}" for rate in rates),
            )
        )
    return [
        facts(
            {
                "model": f"version {document['version']} of {document['task']}",
                "guessed": f"whether a {unit} was trained on: {document['members']} were, {document['others']} not",
                "advantage by chance": f"{document['advantage_by_chance']:.3f} with so few",
                "epsilon spent": f"{privacy['epsilon']:.3f} at delta {privacy['delta']:g}, in "
                f"{privacy['contributions']} rounds, {privacy['mechanism']}"
                if bound is not None
                else "no differential privacy: nothing bounds an attacker",
            }
        ),
        table(
            "Membership inference",
            ["attack", ">AUC", ">advantage", *(f">hits at {rate} false" for rate in rates)],
            rows,
        ),
        "An attack shows what leaks at least. Only the last row holds for attacks that nobody has tried."
        if bound is not None
        else "An attack shows what leaks at least. Others may find more.",
    ]
