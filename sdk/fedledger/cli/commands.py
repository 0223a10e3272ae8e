"""The commands, each loaded when it is asked for: together they take several times as long to start as any of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("demo.command", "Let four hospitals train one heart-disease model over a ledger, on real data."),
    "doctor": (
        "doctor",
        "Look at Python, packages, Fabric's programs, and each profile's certificate, gateways and store.",
    ),
    "network": (
        "network",
        "A consortium on this machine: embedded, one process and for development only, or Hyperledger Fabric.",
    ),
    "identity": ("identity", "Keys and certificates, by the organisation's Fabric CA."),
    "task": ("task_changes", "Propose, read, approve and end tasks: the data-sharing agreements."),
    "participant": ("participant_admission", "Join a task, train in it, leave it."),
    "validator": ("validator", "Register the organisation's validator and keep it running."),
    "round": ("round", "Where a round stands and what it waits for."),
    "model": ("model", "The registry of global models, and the models themselves."),
    "wallet": ("wallet", "What an organisation holds in one task."),
    "token": ("token", "Balances, payments, allowances, and minting by vote."),
    "reputation": ("reputation", "How a participant's reputation came about."),
    "audit": ("audit", "Recompute everything that a ledger decided, trusting its genesis block alone."),
    "privacy": ("privacy", "What a task's differential privacy costs, round by round."),
    "report": ("report", "What a model tells about the records it was trained on."),
}
"""Module below ``fedledger.cli``, and what the list of commands says, by name."""


class Commands(TyperGroup):
    """Has them without having loaded them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]
        """Names only, from which Typer guesses what was meant by one that does not exist."""
        self._is_listed = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; while all are listed, only what is told of it."""
        if cmd_name not in COMMANDS:
            return None
        if self._is_listed:
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])
        return load(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Of all commands."""
        self._is_listed = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._is_listed = False


def load(name: str) -> Any:
    """Import a command or a group of commands."""
    module = import_module(f"fedledger.cli.{COMMANDS[name][0]}")
    commands = getattr(module, "app", None)
    if commands is not None:
        found: Any = get_group(commands)
    else:
        alone = typer.Typer(add_completion=False)
        alone.command()(getattr(module, name))
        found = get_command(alone)
    found.name = name
    return found
