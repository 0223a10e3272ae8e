"""Entry point: the commands, and how errors become messages and exit codes."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from fedledger.cli.commands import Commands
from fedledger.cli.output import complain, configure_logging, messages, say
from fedledger.errors import ExitCode, FedledgerError

app = typer.Typer(
    name="fedledger",
    cls=Commands,
    help="Organisations train one model together; a ledger that they run together decides.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
_SIGNALLED = 128
_SIGINT = 2


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens, on stderr.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")] = False,
) -> None:
    configure_logging(verbose=verbose, quiet=quiet)
    messages.quiet = quiet


def main() -> None:
    """Run the command; exit codes are those of ``ExitCode``."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of the command with these arguments."""
    configure_logging(verbose=False, quiet=False)
    try:
        app(arguments, standalone_mode=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        return ExitCode.BAD_ARGUMENTS if code == typer_usage_error() else code
    except FedledgerError as error:
        from fedledger.agents.follow import is_refused_identity

        complain("Error", f"{error.code}: {error.message}" + (f"\n{error.remedy}" if error.remedy else ""))
        return ExitCode.CONNECTION if is_refused_identity(error) else error.exit_code
    except KeyboardInterrupt:
        say("Interrupted. The same command goes on where it stopped.")
        return _SIGNALLED + _SIGINT
    except BrokenPipeError:
        return ExitCode.OK
    except Exception:
        complain("This is a bug in fedledger. Please report it with these lines:", "")
        say(traceback.format_exc())
        return ExitCode.BUG
    return ExitCode.OK


def typer_usage_error() -> int:
    """The code with which the argument parser ends on arguments that it does not understand."""
    return 2
