"""The contract in several versions, for a ledger on which it was upgraded: each transaction is run by its own.

The installed version runs in this process. Another one runs from where its package lies, in a process of its own, over
the same state. Those of earlier releases are kept in ``contracts/`` and start when a block first names them. What lies
elsewhere is code that the auditor chooses, like the installed one, and should have read.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedledger.errors import BadInputError
from fedledger_chaincode.contract import VERSION, Contract
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.replay import ReplayStub

Invoke = Callable[[ReplayStub], bytes]
"""Runs one transaction: returns its payload and leaves its effects in the stub. Raises ``ContractError``."""
KEPT = Path(__file__).with_name("contracts")
"""The folder of earlier releases' contracts, ``fedledger_chaincode-VERSION.zip`` each."""
_KEPT_NAME = "fedledger_chaincode-"
_WORKER = Path(__file__).with_name("version_worker.py")
_REFUSED = 400


class ContractFailure(Exception):
    """Another version of the contract failed in a way that is no refusal; its argument names the exception."""


@dataclass(frozen=True)
class _Version:
    start: Callable[[], Invoke]
    origin: str = ""


class Versions:
    """The versions of the contract that are here, by the names that blocks give them."""

    def __init__(self, versions: Mapping[str, _Version]) -> None:
        self._versions = versions
        self._running: dict[str, Invoke] = {}

    def __contains__(self, version: str) -> bool:
        return version in self._versions

    def __getitem__(self, version: str) -> Invoke:
        """What runs a version's transactions; it starts when it is first asked for.

        Raises:
            KeyError: there is no such version.
            BadInputError: ``NOT_A_CONTRACT``, the one that is kept cannot be run.
        """
        if version not in self._running:
            self._running[version] = self._versions[version].start()
        return self._running[version]

    def origin(self, version: str) -> str:
        """Where a version that is not the installed one was found, in words; empty for the installed one."""
        return self._versions[version].origin


@contextmanager
def contract_versions(paths: Sequence[Path] = (), *, folder: Path = KEPT) -> Iterator[Versions]:
    """The installed version of the contract, those at ``paths``, and of all others those that are kept here.

    Args:
        paths: wheels of ``fedledger``, or folders that hold ``fedledger_chaincode``, such as the ``site-packages`` of
            an environment with another release. One of them is used in the place of a kept one of its version.
        folder: where contracts of earlier releases are kept.

    Raises:
        BadInputError: ``NOT_A_CONTRACT`` when there is no contract at a path, ``SAME_VERSION`` for one that is
            installed or that is named twice.
    """
    with ExitStack() as stack:
        versions = {VERSION: _Version(lambda: Contract().invoke)}
        kept = kept_contracts(folder)
        for path in paths:
            version, invoke = _started(stack, path)
            if version in versions:
                raise BadInputError(
                    "SAME_VERSION",
                    f"{path} is version {version} of the contract, which is here already.",
                    "Leave it out.",
                )
            instead = ", in the place of the one that comes with this release" if version in kept else ""
            versions[version] = _Version(_always(invoke), f"from {path}{instead}")
        for version in kept.keys() - versions.keys():
            versions[version] = _Version(_when_asked(stack, kept[version]), "which comes with this release")
        yield Versions(versions)


def kept_contracts(folder: Path = KEPT) -> dict[str, Path]:
    """The contracts of earlier releases that are kept in a folder, by version."""
    return {path.stem.removeprefix(_KEPT_NAME): path for path in sorted(folder.glob(f"{_KEPT_NAME}*.zip"))}


def _always(invoke: Invoke) -> Callable[[], Invoke]:
    return lambda: invoke


def _when_asked(stack: ExitStack, path: Path) -> Callable[[], Invoke]:
    return lambda: _started(stack, path)[1]


def _started(stack: ExitStack, path: Path) -> tuple[str, Invoke]:
    """The version at a path and what runs it, in a process that ends with ``stack``."""
    process = stack.enter_context(_process(path))
    return _introduced(process, path), _OtherVersion(process).invoke


@contextmanager
def _process(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-P", str(_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(path.absolute())},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _introduced(process: subprocess.Popen[str], path: Path) -> str:
    line = process.stdout.readline() if process.stdout else ""
    told = json.loads(line) if line else None
    if told is None or not Path(told["file"]).is_relative_to(path.absolute()):
        raise BadInputError(
            "NOT_A_CONTRACT",
            f"{path} holds no contract that can be run here.",
            "Name a wheel of fedledger, or a folder in which the package fedledger_chaincode lies.",
        )
    return str(told["version"])


class _OtherVersion:
    """The near end of a ``version_worker``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def invoke(self, stub: ReplayStub) -> bytes:
        self._send(
            {
                "transaction_id": stub.transaction_id,
                "channel_id": stub.channel_id,
                "function": stub.function,
                "arguments": [_text(argument) for argument in stub.arguments],
                "creator": _text(stub.creator),
                "timestamp": stub.timestamp,
            }
        )
        while True:
            match self._receive():
                case {"get": keys}:
                    self._send([None if value is None else _text(value) for value in stub.get_state(keys)])
                case {"range": [start, end]}:
                    self._send([[key, _text(value)] for key, value in stub.get_state_range(start, end)])
                case {"put": key, "value": value}:
                    stub.put_state(key, base64.b64decode(value))
                case {"delete": key}:
                    stub.delete_state(key)
                case {"event": name, "payload": payload}:
                    stub.set_event(name, base64.b64decode(payload))
                case {"refused": code, "sentence": sentence}:
                    raise ContractError(_REFUSED, code, sentence)
                case {"failed": name}:
                    raise ContractFailure(name)
                case {"payload": payload}:
                    return base64.b64decode(payload)
                case other:
                    raise ContractFailure(f"an answer that means nothing: {other!r}")

    def _send(self, message: Any) -> None:
        if self._process.stdin is None:
            raise ContractFailure("no input")
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ContractFailure("the process has ended") from error

    def _receive(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise ContractFailure("the process has ended")
        return json.loads(line)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
