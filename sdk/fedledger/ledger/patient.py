"""The contract for who looks on while others work: a peer that goes away is waited for, or another one is asked."""

from __future__ import annotations

import threading

import structlog

from fedledger.gateway import GatewayError, Network
from fedledger.gateway.errors import refuses_identity
from fedledger.ledger.client import Argument, TaskLedger

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 5.0

_log = structlog.get_logger(__name__)


class GivenUp(Exception):
    """Nobody wants the answer any more."""


class PatientLedger(TaskLedger):
    """Its queries wait until there is an answer; what the contract refuses is one. It submits as any other."""

    def __init__(self, network: Network, chaincode: str) -> None:
        super().__init__(network, chaincode)
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Let whoever waits for an answer raise ``GivenUp``, now and from now on; from any thread."""
        self._given_up.set()

    def _evaluate_raw(self, function: str, *arguments: Argument) -> bytes:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return super()._evaluate_raw(function, *arguments)
            except GatewayError as error:
                if refuses_identity(error):
                    raise
                if pause == _FIRST_PAUSE_SECONDS:
                    _log.warning("the ledger does not answer, will ask again", reason=str(error))
            if self._given_up.wait(pause):
                raise GivenUp
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
