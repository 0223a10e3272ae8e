"""``fedledger participant``: an organisation's governor admits, suspends and reinstates its participants."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from fedledger.cli.output import Format, show, table, tokens
from fedledger.cli.participant import app
from fedledger.cli.reputation import find_participant
from fedledger.cli.session import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    ProfileOption,
    TaskArgument,
    chosen_profile,
    session,
)
from fedledger.cli.task import ReasonOption
from fedledger.errors import BadInputError
from fedledger.identity.files import read_private, read_public, write_atomic
from fedledger.identity.keys import load_private_key, public_key_der, sign
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.round import Admission, SignedAdmission
from fedledger_chaincode.submitter import pseudonym_of

PseudonymArgument = Annotated[
    str, typer.Argument(help="A participant's pseudonym, or its beginning.", metavar="PSEUDONYM")
]


@app.command()
def request(
    task: TaskArgument,
    out: Annotated[Path, typer.Argument(help="Where to write the request.")],
    key: Annotated[Path, typer.Option("--key", help="The participant's private key, PEM; it stays where it is.")],
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Ask the organisation to admit a participant by its key, without a certificate; needs no connection."""
    acting = chosen_profile(config, profile)
    private = load_private_key(read_private(key))
    public = public_key_der(private.public_key())
    admission = Admission(channel=acting.channel, task=task, msp=acting.msp_id, public_key=public.hex())
    signature = base64.b64encode(sign(private, admission.canonical())).decode()
    write_atomic(out, SignedAdmission(admission=admission, signature=signature).canonical())
    show(
        {"file": str(out), "participant": pseudonym_of(public)},
        f"Wrote {out} for participant {pseudonym_of(public)}; the governor admits it.",
        output,
    )


@app.command()
def admit(
    requests: Annotated[list[Path], typer.Argument(help="Requests, up to 1,000 in one transaction.")],
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Let participants join a task by their keys, all in one transaction; the organisation vouches (governor)."""
    admissions = [_read(path) for path in requests]
    with session(config, profile) as opened:
        members = opened.ledger.admit_participants(admissions)
    show(
        [member.model_dump(mode="json") for member in members],
        table(
            "Admitted",
            ["participant", ">first round", ">stake"],
            [(member.participant, member.first_round, tokens(member.stake)) for member in members],
        ),
        output,
    )


def _read(path: Path) -> SignedAdmission:
    try:
        return SignedAdmission.decode(read_public(path).strip())
    except ContractError as error:
        raise BadInputError(
            "BAD_REQUEST", f"{path} is no request: {error.sentence}", "Make it with: fedledger participant request."
        ) from error


def _decision(name: str) -> Callable[..., None]:
    def command(
        task: TaskArgument,
        pseudonym: PseudonymArgument,
        reason: ReasonOption,
        config: ConfigOption = DEFAULT_CONFIG,
        profile: ProfileOption = None,
        output: FormatOption = Format.TEXT,
    ) -> None:
        with session(config, profile) as opened:
            ledger = opened.ledger
            call = {"suspend": ledger.suspend_participant, "reinstate": ledger.reinstate_participant}[name]
            member = call(task, find_participant(opened, task, pseudonym), reason)
        now = f"is suspended: {member.suspended}" if member.suspended else "takes part"
        show(member.model_dump(mode="json"), f"Participant {member.participant[:16]} {now}", output)

    return command


app.command("suspend", help="Take a participant of the own organisation out, at once (governor).")(_decision("suspend"))
app.command("reinstate", help="Let a suspended participant of the own organisation go on (governor).")(
    _decision("reinstate")
)
