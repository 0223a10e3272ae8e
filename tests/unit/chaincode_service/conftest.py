"""A chaincode server with the ward's contract on a Unix socket, stopped when its test is over."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fedledger_chaincode.service import ChaincodeServer
from tests.unit.chaincode_service.ward import Ward

CHAINCODE_ID = "ward_1.0:4ac5"


@pytest.fixture
def socket_path() -> Iterator[Path]:
    # pytest's own folders have names too long for a socket's 107 characters.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "cc.sock"


@pytest.fixture
def serve(socket_path: Path) -> Iterator[Callable[..., ChaincodeServer]]:
    """Start a server of a contract (default: a ``Ward``)."""
    with ExitStack() as servers:

        def start(contract: Any = None, address: str | None = None, **options: Any) -> ChaincodeServer:
            server = ChaincodeServer(
                Ward() if contract is None else contract,
                address or f"unix:{socket_path}",
                chaincode_id=CHAINCODE_ID,
                **options,
            )
            server.start()
            servers.callback(server.stop, 0.5)
            return server

        yield start
