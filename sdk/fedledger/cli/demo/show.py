"""What a demo prints: one line per round on stderr as it ends, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from fedledger.audit.report import AuditReport
from fedledger.cli.audit import lines
from fedledger.cli.demo.comparison import Comparison
from fedledger.cli.demo.watch import RoundRow
from fedledger.cli.output import facts, safe, table, tokens
from fedledger_chaincode.messages.views import MemberView

_MARKS = {"accepted": "+", "absent": "."}
_FAULTS = {
    "convicted": "its validator was convicted",
    "rejected": "its validator's direction was rejected",
    "withheld": "its validator kept its direction back",
    "silent": "its validator was silent",
}


def heading(sites: Sequence[str], budget: float) -> str:
    """Column titles of the rounds."""
    columns = "  ".join(f"{site:>15}" for site in sites)
    privacy = f"epsilon of {budget:g}" if budget else "epsilon"
    titles = f"round  {columns}    worst  {privacy:>15}  seconds  block"
    judged = "AUC of the new model on each site's held-out records, as published"
    return f"{titles}\n(+ update accepted, ! refused, . none; {judged})"


def line(row: RoundRow, sites: Sequence[str], budget: float) -> str:
    """One round."""
    cells = []
    for site in sites:
        mark = "+" if site in row.accepted else "!" if site in row.refused else "."
        auc = f"{row.auc[site]:.2f}" if site in row.auc else "-"
        cells.append(f"{mark} {auc:>13}")
    worst = f"{min(row.auc.values()):.2f}" if row.auc else "-"
    spent = max(row.epsilon.values(), default=0.0)
    privacy = f"{spent:.2f}, left {max(0.0, budget - spent):.2f}" if budget else "no privacy"
    seconds = "-" if row.seconds is None else f"{row.seconds:.1f}"
    ended = "" if row.state == "finalised" else f"  aborted: {safe(row.reason)}"
    refused = "".join(f"\n       {site}: {verdict}" for site, verdict in row.refused.items())
    figures = f"{worst:>5}  {privacy:>15}  {seconds:>7}  {row.block:>5}"
    return f"{row.round:>5}  {'  '.join(cells)}    {figures}{ended}{refused}"


def summary(
    comparison: Comparison,
    members: Sequence[MemberView],
    sites: Mapping[str, str],
    audit: AuditReport,
    hints: Sequence[str],
) -> list[str | Table]:
    """The end of a demo: quality, tokens and reputation, audit, what to try next."""
    quality = table(
        "AUC on records that no model has seen",
        ["records of", ">shared model", ">pooled data", ">each site alone"],
        [
            (
                site,
                f"{comparison.federated_by_site[site]:.3f}",
                f"{comparison.pooled_by_site[site]:.3f}",
                f"{comparison.alone_by_site[site]:.3f}",
            )
            for site in comparison.federated_by_site
        ]
        + [("all", f"{comparison.federated:.3f}", f"{comparison.pooled:.3f}", "")],
    )
    standing = table(
        "Participants",
        ["site", "pseudonym", ">rounds", ">epsilon", ">reputation", ">tokens"],
        [
            (
                sites.get(view.member.msp, view.member.msp),
                view.member.participant[:16],
                view.standing.contributions,
                f"{view.standing.epsilon / 1e6:.2f}",
                f"{view.standing.reputation / 1e6:.3f}",
                tokens(view.balance),
            )
            for view in members
        ],
    )
    delta = f"delta = |V_FED - V_SUM| = {comparison.delta:.3f}: what federation and its protection cost in AUC."
    return [quality, delta, standing, "Audit", *lines(audit), "", "Try next:", *(f"  {hint}" for hint in hints)]


def fates(row: RoundRow) -> str:
    """What a round did to each participant, and to validators that did not do their duty."""
    title = f"       {'':>15}  agreement  weight  reputation   tokens   stake"
    lines = [title] if row.participants else []
    for fate in row.participants:
        agreed = "-" if fate.agreement is None else f"{fate.agreement:.2f}"
        figures = f"{agreed:>9}  {fate.share:>6.0%}  {fate.reputation:>10.2f}  {fate.paid:>+7.2f}  {fate.stake:>6.2f}"
        lines.append(f"       {fate.site:>15}  {figures}  {fate.reason}")
    lines += [f"       validator of {v.site}: {v.reason}" for v in row.validators]
    return "\n".join(lines)


def attack_page(report: Mapping[str, Any]) -> list[str | Table]:
    """What became of an attacker and of the model."""
    facts_of: dict[str, object] = {
        "attacker": report["attacker"],
        "its updates": ", ".join(f"{count} {verdict}" for verdict, count in Counter(report["verdicts"]).items()),
        "its part of the sum": ", ".join(f"{share:.0%}" for share in report["shares"]),
        "its reputation": ", ".join(f"{value:.2f}" for value in report["reputation"]),
        "it earned": f"{report['earned']:.2f} tokens",
        "left of its stake": f"{report['stake_left']:.2f} tokens",
        "its organisation gained": f"{report['organisation_gained']:+.2f} tokens on its own account",
    }
    for fault, said in _FAULTS.items():
        if report[f"validator_{fault}_in_rounds"]:
            rounds = ", ".join(str(number) for number in report[f"validator_{fault}_in_rounds"])
            facts_of[said] = f"in rounds {rounds}"
    names = {
        "plain": "nobody attacks, plain federated averaging",
        "plain_attacked": "the attack, plain federated averaging",
        "defended": "the attack, as the ledger decided",
    }
    quality = table(
        "The model with and without the defence, on records that no model has seen",
        ["", ">AUC", ">accuracy"],
        [
            (names[name], f"{figures['auc']:.3f}", f"{figures['accuracy']:.3f}")
            for name, figures in report["quality"].items()
        ],
    )
    missing = [report["not_compared"]] if report["not_compared"] else []
    return [f"Attack {report['attack']}", facts(facts_of), quality, *missing]
