"""``python -m fedledger_chaincode.service``: serve a contract to the peers that connect, until SIGTERM.

Settings come from the environment, under the names that Fabric's own chaincode services use: CHAINCODE_ID,
CHAINCODE_SERVER_ADDRESS, and for TLS the files CHAINCODE_TLS_KEY, CHAINCODE_TLS_CERT and CHAINCODE_CLIENT_CA_CERT
(CHAINCODE_TLS_DISABLED=true ignores them, =false insists on them).
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys

import structlog

from fedledger_chaincode.service.errors import ServiceError
from fedledger_chaincode.service.execution import MAXIMUM_CLOCK_SKEW
from fedledger_chaincode.service.server import ChaincodeServer
from fedledger_chaincode.service.settings import Settings, load_contract

DEFAULT_CONTRACT = "fedledger_chaincode.contract:Contract"
_ENDINGS = (signal.SIGTERM, signal.SIGINT)
_CUT_OFF = 1
_BAD_ARGUMENTS = 4


def main() -> int:
    """Serve; returns the exit code: 0, 1 when stopping cut transactions off, 4 when it cannot start."""
    arguments = _arguments()
    _log_as_json(arguments.log_level)
    # A handler would only run once the main thread does, and a signal that another thread takes does not wake it.
    # Blocked before there are threads, which inherit that, the signals wait for sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
    try:
        settings = Settings.from_environment(os.environ)
        server = ChaincodeServer(
            load_contract(arguments.contract),
            settings.address,
            chaincode_id=settings.chaincode_id,
            tls=settings.tls,
            workers=arguments.workers,
            maximum_clock_skew=arguments.clock_skew,
        )
        server.start()
    except ServiceError as error:
        sys.stderr.write(f"{error}\n")
        return _BAD_ARGUMENTS
    signal.sigwait(_ENDINGS)
    return 0 if server.stop(arguments.grace) else _CUT_OFF


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m fedledger_chaincode.service",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--contract", default=DEFAULT_CONTRACT, help="module:Class (default: %(default)s)")
    parser.add_argument(
        "--workers", type=_positive, default=64, help="transactions that run at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--clock-skew",
        type=_positive,
        default=MAXIMUM_CLOCK_SKEW,
        metavar="SECONDS",
        help="refuse proposals whose time is further from this host's clock (default: %(default)s)",
    )
    parser.add_argument(
        "--grace",
        type=_positive,
        default=5,
        metavar="SECONDS",
        help="what transactions under way get to end when the service stops (default: %(default)s)",
    )
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def _log_as_json(level: str) -> None:
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        cache_logger_on_first_use=True,
    )


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # A contract that never returns keeps its thread, and the interpreter would wait for it for ever.
    os._exit(code)
