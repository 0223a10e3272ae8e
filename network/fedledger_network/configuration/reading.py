"""A channel's configuration as the gateway's peer has it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from fabric_protos.common import ledger_pb2

from fedledger.errors import DeadlineError
from fedledger.gateway import Network
from fedledger.gateway.blocks import last_config_index
from fedledger_network.configuration.edits import config_of_block

SECONDS_TO_APPLY = 60.0
_POLL_SECONDS = 0.1


def last_config_block(network: Network) -> Any:
    """The channel's newest configuration block, as ``common.Block``, by the gateway's peer."""
    newest = _block(network, _height(network) - 1)
    number = 0 if newest.header.number == 0 else last_config_index(newest)
    return newest if number == newest.header.number else _block(network, number)


def current_config(network: Network) -> Any:
    """The channel's ``common.Config``."""
    return config_of_block(last_config_block(network))


def wait_for_config(networks: Iterable[Network], sequence: int, seconds: float = SECONDS_TO_APPLY) -> None:
    """Wait until the configuration on every peer has at least that sequence number; raises ``NOT_CONVERGED``."""
    deadline = time.monotonic() + seconds
    for network in networks:
        while current_config(network).sequence < sequence:
            if time.monotonic() > deadline:
                raise DeadlineError(
                    "NOT_CONVERGED",
                    f"The channel's configuration {sequence} has not reached every peer.",
                    "See whether all peers and orderers run, and what their logs say.",
                )
            time.sleep(_POLL_SECONDS)


def _height(network: Network) -> int:
    answer = network.get_contract("qscc").evaluate_transaction("GetChainInfo", network.name)
    return int(ledger_pb2.BlockchainInfo.FromString(answer).height)


def _block(network: Network, number: int) -> Any:
    with network.block_events(start_block=number, end_block=number) as blocks:
        return next(iter(blocks))
