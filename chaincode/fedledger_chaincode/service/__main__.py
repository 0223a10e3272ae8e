"""``python -m fedledger_chaincode.service``: serve the contract to the peers that connect, until SIGTERM.

Settings come from the environment, under the names that Fabric's own chaincode services use:
CHAINCODE_ID, CHAINCODE_SERVER_ADDRESS, and for TLS the files CHAINCODE_TLS_KEY, CHAINCODE_TLS_CERT and
CHAINCODE_CLIENT_CA_CERT.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from fedledger_chaincode.service.errors import ServiceError
from fedledger_chaincode.service.server import ChaincodeService, TlsCredentials

DEFAULT_CONTRACT = "fedledger_chaincode.contract:Contract"
_BAD_ARGUMENTS = 4
_FAILED = 1


def main() -> int:
    """Serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fedledger_chaincode.service", description=__doc__)
    parser.add_argument("--contract", default=DEFAULT_CONTRACT, help="module:Class (default: %(default)s)")
    arguments = parser.parse_args()
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
    )
    try:
        service, address = from_environment(os.environ, load_contract(arguments.contract))
        with service:
            service.start(address)
            _wait_for_the_end()
    except ServiceError as error:
        sys.stderr.write(f"{error}\n")
        return _FAILED
    except (LookupError, OSError, ImportError, AttributeError) as error:
        sys.stderr.write(f"The chaincode service cannot start: {error}\n")
        return _BAD_ARGUMENTS
    return 0


def load_contract(name: str) -> Any:
    """An instance of the class ``module:Class``."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)()


def from_environment(environment: Mapping[str, str], contract: Any) -> tuple[ChaincodeService, str]:
    """The service that the environment describes, and the address to serve at.

    Raises:
        LookupError: a variable is missing.
        OSError: a TLS file cannot be read.
    """
    for name in ("CHAINCODE_ID", "CHAINCODE_SERVER_ADDRESS"):
        if not environment.get(name):
            raise LookupError(f"set {name}")
    tls = None
    if environment.get("CHAINCODE_TLS_KEY") or environment.get("CHAINCODE_TLS_CERT"):
        client_ca = environment.get("CHAINCODE_CLIENT_CA_CERT")
        tls = TlsCredentials(
            key=_file(environment, "CHAINCODE_TLS_KEY"),
            certificate=_file(environment, "CHAINCODE_TLS_CERT"),
            client_ca=Path(client_ca).read_bytes() if client_ca else None,
        )
    service = ChaincodeService(contract.invoke, environment["CHAINCODE_ID"], metadata=contract.metadata(), tls=tls)
    return service, environment["CHAINCODE_SERVER_ADDRESS"]


def _file(environment: Mapping[str, str], name: str) -> bytes:
    if not environment.get(name):
        raise LookupError(f"set {name} too: TLS needs a key and a certificate")
    return Path(environment[name]).read_bytes()


def _wait_for_the_end() -> None:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


if __name__ == "__main__":
    sys.exit(main())
