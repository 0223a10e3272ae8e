"""``fedledger reputation``: how a participant's reputation came about."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from fedledger.cli.output import MICRO, Format, facts, show, table
from fedledger.cli.session import DEFAULT_CONFIG, ConfigOption, FormatOption, ProfileOption, Session, session
from fedledger.errors import BadInputError, FedledgerError
from fedledger.ledger.reputation import ExplainedRound, Explanation, explain
from fedledger_chaincode.messages.task import ReputationSpec

app = typer.Typer(help="How a participant's reputation came about.", no_args_is_help=True)


@app.command("explain")
def explain_reputation(
    participant: Annotated[
        str, typer.Argument(help="A participant's pseudonym, or its beginning.", metavar="PSEUDONYM")
    ],
    task: Annotated[str, typer.Option("--task", help="The task's name on the ledger.")],
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Do the arithmetic of every settled round again, and compare it with what the contract stored."""
    with session(config, profile) as opened:
        explanation = explain(opened.ledger.reputation(task, find_participant(opened, task, participant)))
    show(document(explanation), _text(explanation, task), output)
    if explanation.differences:
        raise FedledgerError(
            "REPUTATION_DIFFERS",
            "The ledger holds another reputation than follows from it: " + "; ".join(explanation.differences) + ".",
            "Find out where the ledger was changed with: fedledger audit verify.",
        )


def find_participant(opened: Session, task: str, beginning: str) -> str:
    """The one pseudonym of a task that begins so.

    Raises:
        BadInputError: ``BAD_PSEUDONYM``, there is none, or more than one.
    """
    pseudonyms = [view.member.participant for view in opened.ledger.members(task)]
    found = [pseudonym for pseudonym in pseudonyms if pseudonym.startswith(beginning)]
    if len(found) != 1:
        raise BadInputError(
            "BAD_PSEUDONYM",
            f"{len(found)} participants of task {task} begin with {beginning!r}.",
            "fedledger task show lists all participants.",
        )
    return found[0]


def document(explanation: Explanation) -> dict[str, Any]:
    """The explanation for programs; reputations, scores and weights as fractions of 1."""
    history = explanation.history
    return {
        "participant": history.member.participant,
        "organisation": history.member.msp,
        "rules": {name: _fraction(name, value) for name, value in history.rules.model_dump().items()},
        "began_with": explanation.initial / MICRO,
        "reputation": history.standing.reputation / MICRO,
        "quarantined_until": history.standing.quarantined_until,
        "rounds": [_round(each) for each in explanation.rounds],
        "differences": list(explanation.differences),
    }


def _fraction(name: str, value: int) -> float:
    return value if name == "quarantine_rounds" else value / MICRO


def _round(each: ExplainedRound) -> dict[str, Any]:
    scored, update = each.scored, each.scored.update
    return {
        "round": scored.round,
        "state": scored.state,
        "verdict": update.verdict,
        "proven": update.proven,
        "reason": each.reason,
        "examples": scored.num_examples,
        "agreement_with_direction": None if update.agreement is None else update.agreement / MICRO,
        "trust": update.trust,
        "weight": update.weight,
        "terms": None if each.terms is None else {name: value / MICRO for name, value in asdict(each.terms).items()},
        "score": each.score / MICRO,
        "before": each.before / MICRO,
        "after": each.after / MICRO,
        "quarantined": scored.quarantined,
        "quarantined_until": each.quarantined_until,
    }


def _text(explanation: Explanation, task: str) -> list[Any]:
    history, rules = explanation.history, explanation.history.rules
    until = history.standing.quarantined_until
    return [
        facts(
            {
                "participant": history.member.participant,
                "organisation": history.member.msp,
                "began with": _six(explanation.initial),
                "reputation": _six(history.standing.reputation),
                "quarantined": f"until round {until}" if until else "no",
                "score": _score_rule(rules),
                "afterwards": f"{_six(rules.memory)} of what was before + {_six(MICRO - rules.memory)} of the score, "
                "rounded down",
                "quarantine": f"below {_six(rules.quarantine_threshold)}, for {rules.quarantine_rounds} rounds",
            }
        ),
        table(
            f"Reputation of {history.member.participant[:16]} in {task}",
            [">round", ">score", "=  agreement + reliability + honesty", "after", "quarantine", ">weight", "because"],
            [_row(each, rules) for each in explanation.rounds],
        ),
        "All of it is what the contract stored." if not explanation.differences else "It is not what is stored.",
    ]


def _score_rule(rules: ReputationSpec) -> str:
    return (
        f"{_six(rules.agreement_weight)} agreement + {_six(rules.reliability_weight)} reliability + "
        f"{_six(rules.honesty_weight)} honesty"
    )


def _row(each: ExplainedRound, rules: ReputationSpec) -> tuple[object, ...]:
    memory = rules.memory
    return (
        each.scored.round,
        _six(each.score),
        _products(each, rules),
        f"{_short(memory)} x {_six(each.before)} + {_short(MICRO - memory)} x {_six(each.score)} = {_six(each.after)}",
        f"until {each.quarantined_until}" if each.quarantined_until >= each.scored.round else "",
        each.scored.update.weight,
        each.reason,
    )


def _products(each: ExplainedRound, rules: ReputationSpec) -> str:
    terms = each.terms
    if terms is None:
        return "=  reputation when the round opened"
    products = (
        (rules.agreement_weight, terms.agreement),
        (rules.reliability_weight, terms.reliability),
        (rules.honesty_weight, terms.honesty),
    )
    return "=  " + " + ".join(f"{_short(weight)} x {_short(term)}" for weight, term in products)


def _six(micro: int) -> str:
    return f"{micro / MICRO:.6f}"


def _short(micro: int) -> str:
    return f"{micro / MICRO:.6f}".rstrip("0").rstrip(".")
