"""Fabric's command line programs, run to their end; a failure shows command and output."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fedledger_network.fabric.errors import FabricError, FabricTimeout

SECONDS = 90.0
_SHOWN_LINES = 12


@dataclass(frozen=True)
class Command:
    """One run of a program."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def run(self, seconds: float = SECONDS) -> Output:
        """Run it to its end, whatever its exit code.

        Raises:
            FabricError: ``COMMAND_FAILED`` when it cannot be executed.
            FabricTimeout: ``COMMAND_SILENT``.
        """
        try:
            done = subprocess.run(
                self.arguments,
                env={**os.environ, **self.environment},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except OSError as error:
            raise FabricError("COMMAND_FAILED", f"{self.title} cannot be run: {error}.", "") from error
        except subprocess.TimeoutExpired as error:
            raise FabricTimeout(
                "COMMAND_SILENT",
                f"{self.title} did not end within {seconds:.0f} seconds.",
                "See with `fedledger network status` whether peers and orderers run.",
            ) from error
        return Output(self, done.returncode, done.stdout, done.stderr)

    @property
    def title(self) -> str:
        """The command without its options."""
        program, *rest = self.arguments
        words = []
        for word in rest:
            if word.startswith("-"):
                break
            words.append(word)
        return " ".join([Path(program).name, *words])


@dataclass(frozen=True)
class Output:
    """How a command ended and what it said."""

    command: Command
    code: int
    out: str
    error: str

    def says(self, text: str) -> bool:
        """Tell whether its output holds ``text``."""
        return text in self.out or text in self.error

    def require_success(self) -> Output:
        """Return this, or raise ``COMMAND_FAILED`` with the end of the output."""
        if self.code:
            raise self.failure()
        return self

    def failure(self) -> FabricError:
        """The error of a command whose output is not what was hoped for."""
        lines = (self.out + self.error).strip().splitlines()[-_SHOWN_LINES:]
        return FabricError(
            "COMMAND_FAILED",
            f"{self.command.title} ended with {self.code}:\n" + "\n".join(lines),
            "See with `fedledger network status` and `fedledger network logs` what peers and orderers say.",
        )
