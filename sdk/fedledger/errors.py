"""The errors that a user of the SDK meets: each has a code, a sentence and what to do next.

Nothing is caught here and nothing is retried here; a layer raises, the command line prints and chooses the exit code.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every ``fedledger`` command."""

    OK = 0
    FAILED = 1
    CONNECTION = 2
    TIMEOUT = 3
    BAD_ARGUMENTS = 4
    BUG = 5


class FedledgerError(Exception):
    """Base of all errors that are the user's to mend.

    ``code`` is stable and for programs (``PROFILE_MISSING``), ``message`` says what happened,
    ``remedy`` says what to do next and may be empty when there is nothing to do.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, code: str, message: str, remedy: str = "") -> None:
        super().__init__(f"{code}: {message}" + (f" {remedy}" if remedy else ""))
        self.code = code
        self.message = message
        self.remedy = remedy


class BadInputError(FedledgerError):
    """An argument, a file or a setting that cannot be used as it is."""

    exit_code = ExitCode.BAD_ARGUMENTS


class AccessError(FedledgerError):
    """No connection, or no right to do what was asked."""

    exit_code = ExitCode.CONNECTION


class DeadlineError(FedledgerError):
    """Something was waited for and did not come in time."""

    exit_code = ExitCode.TIMEOUT
