"""What a demo prints: one line per round on stderr as it ends, and a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from fedledger.audit.report import AuditReport
from fedledger.cli.audit import lines
from fedledger.cli.demo.comparison import Comparison
from fedledger.cli.demo.watch import RoundRow
from fedledger.cli.output import facts, table, tokens
from fedledger_chaincode.messages.views import MemberView

_MARKS = {"accepted": "+", "absent": "."}


def heading(sites: Sequence[str], budget: float) -> str:
    """Column titles of the rounds."""
    columns = "  ".join(f"{site:>15}" for site in sites)
    privacy = f"epsilon of {budget:g}" if budget else "epsilon"
    titles = f"round  {columns}    worst  {privacy:>15}  seconds  block"
    return f"{titles}\n(+ update accepted, ! refused, . none; AUC of the new model on each site's held-out records)"


def line(row: RoundRow, sites: Sequence[str], budget: float) -> str:
    """One round."""
    cells = []
    for site in sites:
        mark = "+" if site in row.accepted else "!" if site in row.refused else "."
        auc = f"{row.auc[site]:.3f}" if site in row.auc else "-"
        cells.append(f"{mark} {auc:>13}")
    worst = f"{min(row.auc.values()):.3f}" if row.auc else "-"
    spent = max(row.epsilon.values(), default=0.0)
    privacy = f"{spent:.2f}, left {max(0.0, budget - spent):.2f}" if budget else "no privacy"
    seconds = "-" if row.seconds is None else f"{row.seconds:.1f}"
    ended = "" if row.state == "finalised" else "  aborted"
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


def attack_page(report: Mapping[str, Any]) -> list[str | Table]:
    """What became of an attacker."""
    facts_of = {
        "attacker": report["attacker"],
        "its updates": ", ".join(report["verdicts"]),
        "its reputation": f"{report['reputation']:.3f}",
        "its organisation gained": f"{report['organisation_gained']:+.2f} tokens on its own account",
    }
    if report["validator_convicted_in_rounds"]:
        rounds = ", ".join(str(number) for number in report["validator_convicted_in_rounds"])
        facts_of["its validator was convicted"] = f"in rounds {rounds}"
    if "auc_without_defence" in report:
        facts_of["AUC without defence"] = f"{report['auc_without_defence']:.3f} (plain federated averaging, attacked)"
    return [f"Attack {report['attack']}", facts(facts_of)]
