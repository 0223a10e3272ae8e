"""``fedledger wallet``: what an organisation holds in one task; ``token`` pays."""

from __future__ import annotations

from typing import Annotated

import typer

from fedledger.cli.output import MICRO, Format, show, table
from fedledger.cli.session import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    ProfileOption,
    TaskArgument,
    session,
)
from fedledger.cli.token import exactly

app = typer.Typer(help="What an organisation holds in one task.", no_args_is_help=True)


@app.command("show")
def show_wallet(
    task: TaskArgument,
    msp: Annotated[str | None, typer.Option("--organisation", help="MSP id; else the profile's own.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show the organisation's account, its stakes, its participants' accounts, the task's pool and insurance."""
    with session(config, profile) as opened:
        wallet = opened.ledger.wallet(task, msp or opened.profile.msp_id)
    show(
        {"msp": wallet.msp, "accounts": {a.account: a.balance / MICRO for a in wallet.accounts}},
        table(
            f"Tokens of {wallet.msp} in {task}",
            ["account", ">tokens"],
            [(account.account, exactly(account.balance)) for account in wallet.accounts],
        ),
        output,
    )


@app.command()
def reclaim(
    task: TaskArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Take all stakes home after withdrawing, or when suspended: participants leave, the validator goes on unpaid
    (governor)."""
    with session(config, profile) as opened:
        left = opened.ledger.reclaim_stakes(task)
        wallet = opened.ledger.wallet(task, opened.profile.msp_id)
    held = sum(account.balance for account in wallet.accounts if account.account.startswith("stake:"))
    still = f"; {exactly(held)} are held for accusations" if held else ""
    show(
        {"msp": wallet.msp, "left": [member.participant for member in left], "held": held / MICRO},
        f"The stakes of {wallet.msp} in {task} are on its account, {len(left)} participants have left{still}.",
        output,
    )
