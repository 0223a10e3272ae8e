"""The options that every command shares, and the connection that they describe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fedledger.cli.output import Format
from fedledger.errors import BadInputError
from fedledger.gateway import Network
from fedledger.identity.profile import FILE_NAME, Profile, load_profile
from fedledger.ledger import TaskLedger

ConfigOption = Annotated[
    Path, typer.Option("--config", envvar="FEDLEDGER_CONFIG", help="File with the profiles.", show_default=True)
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", envvar="FEDLEDGER_PROFILE", help="Who acts: a profile of the file.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How results are printed.")]
TaskArgument = Annotated[str, typer.Argument(help="The task's name on the ledger.", metavar="TASK")]
DEFAULT_CONFIG = Path(FILE_NAME)


@dataclass(frozen=True)
class Session:
    """A connection as one profile."""

    profile: Profile
    network: Network
    ledger: TaskLedger


def chosen_profile(config: Path, name: str | None) -> Profile:
    """The named profile.

    Raises:
        BadInputError: ``PROFILE_MISSING`` when none is named, and as ``load_profile`` does.
    """
    if name is None:
        raise BadInputError(
            "PROFILE_MISSING", "No profile is named.", "Say who acts with --profile NAME, or set FEDLEDGER_PROFILE."
        )
    return load_profile(config, name)


@contextmanager
def session(config: Path, name: str | None) -> Iterator[Session]:
    """Connect as a profile, and hang up at the end."""
    with connected(chosen_profile(config, name)) as opened:
        yield opened


@contextmanager
def connected(profile: Profile) -> Iterator[Session]:
    """Connect as ``profile``, and hang up at the end."""
    with profile.connect() as gateway:
        network = gateway.get_network(profile.channel)
        yield Session(profile, network, TaskLedger(network, profile.chaincode))


def quiet_tensorflow() -> None:
    """Keep TensorFlow's start-up chatter off the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
