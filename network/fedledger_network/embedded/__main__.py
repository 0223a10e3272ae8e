"""``python -m fedledger_network.embedded FOLDER``: run the node of a network's folder until SIGTERM.

It is no distributed ledger: one process on one machine stands in for all peers and orderers.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

import structlog

from fedledger.errors import FedledgerError
from fedledger.identity.files import write_atomic
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import CONTRACT, EmbeddedNode


def main() -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fedledger_network.embedded", description=__doc__)
    parser.add_argument("folder", type=Path, help="the network's folder")
    parser.add_argument("--contract", default=CONTRACT, help="module:Class (default: %(default)s)")
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
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        folder = NetworkFolder.existing(arguments.folder)
        with EmbeddedNode(folder, contract=arguments.contract) as node:
            status = {"pid": os.getpid(), "gateway": node.address}
            write_atomic(folder.status, json.dumps(status).encode())
            ended.wait()
            folder.status.unlink(missing_ok=True)
    except FedledgerError as error:
        sys.stderr.write(json.dumps({"code": error.code, "message": error.message, "remedy": error.remedy}) + "\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
