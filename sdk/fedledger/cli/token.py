"""``fedledger token``: the token as a whole, as Fabric's token samples know it; ``wallet`` shows one organisation's."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer
from pydantic import ValidationError

from fedledger.cli.output import MICRO, Format, facts, show, table, tokens
from fedledger.cli.session import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    ProfileOption,
    TaskArgument,
    session,
)
from fedledger.errors import BadInputError
from fedledger_chaincode.messages.records import MintRecord
from fedledger_chaincode.messages.tokens import MintDecision, MintProposal

app = typer.Typer(help="Balances, payments, allowances, and minting by vote.", no_args_is_help=True)

AccountArgument = Annotated[
    str | None, typer.Argument(help="org:<MSP id>, participant:<pseudonym>, ...; else the profile's own.")
]
RecipientArgument = Annotated[str, typer.Argument(help="org:<MSP id>, participant:<pseudonym> or insurance:<task>.")]
SpenderArgument = Annotated[str, typer.Argument(help="Whose: org:<MSP id> or participant:<pseudonym>.")]
OwnerArgument = Annotated[str, typer.Argument(help="From: org:<MSP id> or participant:<pseudonym>.")]
AmountArgument = Annotated[str, typer.Argument(help="Tokens, with up to six decimals.")]


@app.command()
def balance(
    account: AccountArgument = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show the tokens on an account."""
    with session(config, profile) as opened:
        of = account or opened.ledger.client_account_id()
        held = opened.ledger.balance_of(of)
    show({"account": of, "balance": held / MICRO}, f"{of} holds {exactly(held)} tokens.", output)


@app.command()
def supply(
    config: ConfigOption = DEFAULT_CONFIG, profile: ProfileOption = None, output: FormatOption = Format.TEXT
) -> None:
    """Show how many tokens exist: on all accounts, as stakes, in pools and insurances."""
    with session(config, profile) as opened:
        total = opened.ledger.total_supply()
    show({"supply": total / MICRO}, f"{exactly(total)} tokens exist.", output)


@app.command()
def transfer(
    recipient: RecipientArgument,
    amount: AmountArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Pay tokens from the participant's own account, or as a governor from the organisation's."""
    micro = parse_tokens(amount)
    with session(config, profile) as opened:
        left = opened.ledger.transfer(recipient, micro)
    show(
        {"recipient": recipient, "amount": micro / MICRO, "balance": left / MICRO},
        f"Paid {exactly(micro)} tokens to {recipient}; {exactly(left)} are left.",
        output,
    )


@app.command()
def approve(
    spender: SpenderArgument,
    amount: Annotated[str, typer.Argument(help="Tokens that may be taken in all; 0 takes the allowance back.")],
    more: Annotated[bool, typer.Option("--more", help="So many more than now.")] = False,
    less: Annotated[bool, typer.Option("--less", help="So many fewer than now.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Let somebody else take tokens from the own account. What stands is changed with --more and --less."""
    if more and less:
        raise BadInputError("BAD_OPTIONS", "An allowance becomes more or less, not both.", "Give one of the two.")
    micro = parse_tokens(amount, zero=not (more or less))
    with session(config, profile) as opened:
        ledger = opened.ledger
        change = ledger.increase_allowance if more else ledger.decrease_allowance if less else ledger.approve
        allowed = change(spender, micro)
    show({"spender": spender, "allowance": allowed / MICRO}, f"{spender} may take {exactly(allowed)} tokens.", output)


@app.command()
def allowance(
    spender: SpenderArgument,
    owner: Annotated[str | None, typer.Option("--owner", help="Whose tokens; else the profile's own.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show how many tokens somebody may still take from an account."""
    with session(config, profile) as opened:
        of = owner or opened.ledger.client_account_id()
        allowed = opened.ledger.allowance(of, spender)
    show(
        {"owner": of, "spender": spender, "allowance": allowed / MICRO},
        f"{spender} may take {exactly(allowed)} tokens from {of}.",
        output,
    )


@app.command("transfer-from")
def transfer_from(
    owner: OwnerArgument,
    recipient: RecipientArgument,
    amount: AmountArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Take tokens from another's account, as far as it allows."""
    micro = parse_tokens(amount)
    with session(config, profile) as opened:
        left = opened.ledger.transfer_from(owner, recipient, micro)
    show(
        {"owner": owner, "recipient": recipient, "amount": micro / MICRO, "allowance": left / MICRO},
        f"Paid {exactly(micro)} tokens of {owner} to {recipient}; {exactly(left)} more may be taken.",
        output,
    )


@app.command("mint-propose")
def mint_propose(
    task: TaskArgument,
    recipient: Annotated[str, typer.Argument(help="org:<MSP id> of the task, or insurance:<task>.")],
    amount: AmountArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; all governors read it.")],
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Propose to make new tokens, and vote for it (governor)."""
    proposal = _proposal(task, recipient, parse_tokens(amount), reason)
    with session(config, profile) as opened:
        mint = opened.ledger.propose_mint(proposal)
    _show_mint(mint, output)


@app.command("mint-vote")
def mint_vote(
    task: TaskArgument,
    proposal: Annotated[str, typer.Argument(help="The proposal's name, or its beginning.")],
    reject: Annotated[bool, typer.Option("--reject", help="Vote against it.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Vote on a proposal to make new tokens (governor). The organisation's last vote counts."""
    decision: MintDecision = "reject" if reject else "approve"
    with session(config, profile) as opened:
        found = [mint.id for mint in opened.ledger.mints(task) if mint.id.startswith(proposal)]
        if len(found) != 1:
            raise BadInputError(
                "BAD_PROPOSAL",
                f"{len(found)} proposals of task {task} begin with {proposal!r}.",
                "fedledger token mint-list shows their names.",
            )
        mint = opened.ledger.vote_mint(task, found[0], decision)
    _show_mint(mint, output)


@app.command("mint-list")
def mint_list(
    task: TaskArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show all proposals to make new tokens, and how organisations voted."""
    with session(config, profile) as opened:
        mints = opened.ledger.mints(task)
    rows = [
        (mint.id[:16], mint.state, mint.proposal.recipient, exactly(mint.proposal.amount), _votes(mint), _reason(mint))
        for mint in mints
    ]
    columns = ["proposal", "state", "recipient", ">tokens", "votes", "reason"]
    show(
        {"task": task, "mints": [mint.model_dump(mode="json", by_alias=True) for mint in mints]},
        table(f"Proposals to mint in {task}", columns, rows),
        output,
    )


def exactly(micro: int) -> str:
    """Micro-tokens as tokens: two decimals, or all six where two would not be exact."""
    return tokens(micro) if micro % (MICRO // 100) == 0 else f"{Decimal(micro) / MICRO:,.6f}"


def parse_tokens(text: str, *, zero: bool = False) -> int:
    """Micro-tokens of a decimal number.

    Args:
        zero: whether 0 is an amount, too.

    Raises:
        BadInputError: ``BAD_AMOUNT``, not a positive number with at most six decimals.
    """
    try:
        micro = Decimal(text) * MICRO
    except InvalidOperation:
        micro = Decimal(-1)
    if not micro.is_finite() or micro < 0 or (micro == 0 and not zero) or micro != micro.to_integral_value():
        raise BadInputError("BAD_AMOUNT", f"{text!r} is no amount of tokens.", "Give a positive number, such as 12.5.")
    return int(micro)


def _proposal(task: str, recipient: str, amount: int, reason: str) -> MintProposal:
    try:
        return MintProposal(task=task, recipient=recipient, amount=amount, reason=reason.strip())
    except ValidationError as error:
        field = str(error.errors(include_url=False)[0]["loc"][0])
        raise BadInputError(
            "BAD_PROPOSAL",
            f"The proposal's {field} is none.",
            "Mint for org:<MSP id> of one of the task's organisations or for insurance:<task>, and say why.",
        ) from error


def _show_mint(mint: MintRecord, output: Format) -> None:
    show(
        mint.model_dump(mode="json", by_alias=True),
        facts(
            {
                "proposal": mint.id,
                "state": mint.state,
                "recipient": mint.proposal.recipient,
                "tokens": exactly(mint.proposal.amount),
                "reason": _reason(mint),
                "votes": _votes(mint),
            }
        ),
        output,
    )


def _votes(mint: MintRecord) -> str:
    return ", ".join(f"{'+' if vote.decision == 'approve' else '-'}{vote.msp}" for vote in mint.votes)


def _reason(mint: MintRecord) -> str:
    return " ".join(mint.proposal.reason.split())
