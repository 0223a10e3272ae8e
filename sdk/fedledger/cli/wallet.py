"""``fedledger wallet``: an organisation's tokens."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from fedledger.cli.output import MICRO, Format, show, table, tokens
from fedledger.cli.session import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    ProfileOption,
    TaskArgument,
    session,
)
from fedledger.errors import BadInputError

app = typer.Typer(help="An organisation's tokens.", no_args_is_help=True)


@app.command("show")
def show_wallet(
    task: TaskArgument,
    msp: Annotated[str | None, typer.Option("--organisation", help="MSP id; else the profile's own.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show the organisation's account, its stakes, its participants' accounts and the task's pool."""
    with session(config, profile) as opened:
        wallet = opened.ledger.wallet(task, msp or opened.profile.msp_id)
    show(
        {"msp": wallet.msp, "accounts": {a.account: a.balance / MICRO for a in wallet.accounts}},
        table(
            f"Tokens of {wallet.msp} in {task}",
            ["account", ">tokens"],
            [(account.account, tokens(account.balance)) for account in wallet.accounts],
        ),
        output,
    )


@app.command()
def transfer(
    recipient: Annotated[str, typer.Argument(help="org:<MSP id> or participant:<pseudonym>.")],
    amount: Annotated[str, typer.Argument(help="Tokens, with up to six decimals.")],
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Pay tokens from the participant's own account, or as a governor from the organisation's."""
    micro = parse_tokens(amount)
    with session(config, profile) as opened:
        balance = opened.ledger.transfer(recipient, micro)
    show(
        {"recipient": recipient, "amount": micro / MICRO, "balance": balance / MICRO},
        f"Paid {tokens(micro)} tokens to {recipient}; {tokens(balance)} are left.",
        output,
    )


def parse_tokens(text: str) -> int:
    """Micro-tokens of a decimal number.

    Raises:
        BadInputError: ``BAD_AMOUNT``, not a positive number with at most six decimals.
    """
    try:
        micro = Decimal(text) * MICRO
    except InvalidOperation:
        micro = Decimal(0)
    if not micro.is_finite() or micro <= 0 or micro != micro.to_integral_value():
        raise BadInputError("BAD_AMOUNT", f"{text!r} is no amount of tokens.", "Give a positive number, such as 12.5.")
    return int(micro)
