"""``fedledger audit``: recompute everything that a ledger decided."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from fedledger.audit.contract_versions import contract_versions
from fedledger.audit.report import AuditReport, Outcome
from fedledger.audit.sources import export_network, verify_file, verify_network
from fedledger.audit.verify import CHAINCODE
from fedledger.cli.output import Format, safe, show
from fedledger.cli.session import DEFAULT_CONFIG, ConfigOption, FormatOption, ProfileOption, session
from fedledger.errors import BadInputError, ExitCode
from fedledger.identity.profile import FILE_NAME, profile_names

app = typer.Typer(
    help="Recompute everything that a ledger decided, trusting its genesis block alone.", no_args_is_help=True
)

DirOption = Annotated[
    Path | None, typer.Option("--dir", help="Folder of a network that runs: its first auditor is used.")
]
GenesisOption = Annotated[
    str | None, typer.Option("--genesis", help="Hex header hash of the genesis block that is trusted.")
]

ChaincodeOption = Annotated[
    str | None, typer.Option("--chaincode", help="The contract's name on the channel; else the profile's.")
]


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="Where to write the ledger.")],
    folder: DirOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    chaincode: ChaincodeOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write all blocks, models and aggregate shares into one file that can be verified offline."""
    with session(*_auditor(folder, config, profile)) as opened:
        summary = export_network(
            opened.network, out, allowed=opened.profile.stores, chaincode=chaincode or opened.profile.chaincode
        )
    show(
        {
            "file": str(out),
            "blocks": summary.blocks,
            "artifacts": summary.artifacts,
            "bytes": summary.size,
            "missing": list(summary.missing),
        },
        f"Wrote {summary.blocks} blocks and {summary.artifacts} artifacts to {out} ({summary.size:,} bytes)"
        + (f"; {len(summary.missing)} artifacts were not to be had." if summary.missing else "."),
        output,
    )


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="An exported ledger; else one is read from a peer.")] = None,
    folder: DirOption = None,
    genesis: GenesisOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    chaincode: ChaincodeOption = None,
    contracts: Annotated[
        list[Path] | None,
        typer.Option(
            "--contract",
            help="Wheel of another release, or folder with its fedledger_chaincode, for a version of the contract that "
            "does not come with this one, or in its place; may be repeated.",
        ),
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Check a ledger from its first block on; exit code 1 when anything is wrong."""
    with ExitStack() as stack:
        versions = stack.enter_context(contract_versions(contracts or ()))
        if file is not None:
            named = chaincode or CHAINCODE
            report = verify_file(file, trusted_genesis=genesis, chaincode=named, versions=versions)
        else:
            opened = stack.enter_context(session(*_auditor(folder, config, profile)))
            named = chaincode or opened.profile.chaincode
            report = verify_network(
                opened.network,
                allowed=opened.profile.stores,
                trusted_genesis=genesis,
                chaincode=named,
                versions=versions,
            )
    show(report.document(), lines(report), output)
    if not report.ok:
        raise typer.Exit(ExitCode.FAILED)


_MARKS = {
    Outcome.PASSED: "ok",
    Outcome.FAILED: "FAILED",
    Outcome.SKIPPED: "skipped",
    Outcome.LIMITED: "LIMITED",
    Outcome.STOPPED: "stopped",
}


def lines(report: AuditReport) -> list[str]:
    """One line per check, and the verdict."""
    found = [f"{_MARKS[check.outcome]:8} {check.name}: {safe(check.detail)}" for check in report.checks]
    if not report.ok:
        where = "" if report.first_bad_block is None else f" The first bad block is {report.first_bad_block}."
        return [*found, f"The ledger of channel {report.channel} is NOT as it should be.{where}"]
    limits = ", ".join(check.name for check in report.checks if check.outcome is Outcome.LIMITED)
    how = "as the rules of its versions make it" if limits else "as it should be"
    closing = f"The ledger of channel {report.channel} is {how}: {report.blocks} blocks."
    if limits:
        closing += f" They do not prove everything that it claims: see {limits}."
    if any(check.outcome is Outcome.SKIPPED for check in report.checks):
        closing += " Some checks could not be carried out; see above."
    return [*found, closing]


def _auditor(folder: Path | None, config: Path, profile: str | None) -> tuple[Path, str | None]:
    if folder is None:
        return config, profile
    profiles = folder / FILE_NAME
    auditors = [name for name in profile_names(profiles) if name.endswith("-auditor")]
    if not auditors:
        raise BadInputError("PROFILE_MISSING", f"{profiles} has no auditor.", "Name a profile with --profile.")
    return profiles, auditors[0]
