"""Changing the channel's configuration: read the current one, compute the update, sign it, have it ordered.

On separate hosts the update travels as bytes: each administrator signs it with ``signed`` and passes it on. Nothing
here decides whether enough have signed; the orderers do.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2, ledger_pb2

from fedledger.gateway import Network
from fedledger.gateway.blocks import last_config_index
from fedledger.identity.keys import sign
from fedledger.identity.msp import serialize_identity
from fedledger.identity.wallet import Credentials
from fedledger_network.fabric.commands import Command
from fedledger_network.fabric.config_edits import config_of_block
from fedledger_network.fabric.errors import FabricError, FabricTimeout
from fedledger_network.fabric.programs import Programs

NONCE_BYTES = 24
SECONDS_TO_APPLY = 60.0
_NO_DIFFERENCES = "no differences detected"
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class ChannelUpdate:
    """A ``common.ConfigUpdate`` and who has signed it; ``bytes`` of ``common.ConfigSignature``."""

    channel: str
    update: bytes
    signatures: tuple[bytes, ...] = ()

    def signed(self, msp_id: str, credentials: Credentials) -> ChannelUpdate:
        """The update with the signature of one more administrator."""
        header = common_pb2.SignatureHeader(
            creator=serialize_identity(msp_id, credentials.certificate_pem), nonce=os.urandom(NONCE_BYTES)
        ).SerializeToString()
        signature = configtx_pb2.ConfigSignature(
            signature_header=header, signature=sign(credentials.key, header + self.update)
        )
        return ChannelUpdate(self.channel, self.update, (*self.signatures, signature.SerializeToString()))

    def envelope(self) -> bytes:
        """The ``common.Envelope`` that ``peer channel update`` signs and sends to an orderer."""
        content = configtx_pb2.ConfigUpdateEnvelope(
            config_update=self.update,
            signatures=[configtx_pb2.ConfigSignature.FromString(signature) for signature in self.signatures],
        )
        header = common_pb2.ChannelHeader(type=common_pb2.HeaderType.CONFIG_UPDATE, channel_id=self.channel)
        payload = common_pb2.Payload(
            header=common_pb2.Header(channel_header=header.SerializeToString()), data=content.SerializeToString()
        )
        return bytes(common_pb2.Envelope(payload=payload.SerializeToString()).SerializeToString())


def last_config_block(network: Network) -> Any:
    """The channel's newest configuration block, as ``common.Block``, by the gateway's peer."""
    newest = _block(network, _height(network) - 1)
    number = 0 if newest.header.number == 0 else last_config_index(newest)
    return newest if number == newest.header.number else _block(network, number)


def current_config(network: Network) -> Any:
    """The channel's ``common.Config``."""
    return config_of_block(last_config_block(network))


def compute_update(programs: Programs, channel: str, current: Any, wanted: Any) -> ChannelUpdate | None:
    """The update from one configuration to another, by ``configtxlator``; None when they are the same.

    Raises ``COMMAND_FAILED``.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("current", "wanted", "update")]
        for path, config in zip(paths, (current, wanted), strict=False):
            path.write_bytes(config.SerializeToString(deterministic=True))
        output = Command(
            (
                str(programs.path("configtxlator")),
                "compute_update",
                "--channel_id",
                channel,
                "--original",
                str(paths[0]),
                "--updated",
                str(paths[1]),
                "--output",
                str(paths[2]),
            )
        ).run()
        if output.code and output.says(_NO_DIFFERENCES):
            return None
        output.require_success()
        return ChannelUpdate(channel, paths[2].read_bytes())


def wait_for_config(networks: Iterable[Network], sequence: int, seconds: float = SECONDS_TO_APPLY) -> None:
    """Wait until the configuration on every peer has at least that sequence number; raises ``NOT_CONVERGED``."""
    deadline = time.monotonic() + seconds
    for network in networks:
        while current_config(network).sequence < sequence:
            if time.monotonic() > deadline:
                raise FabricTimeout(
                    "NOT_CONVERGED",
                    f"The channel's configuration {sequence} has not reached every peer.",
                    "See with `fedledger network status` whether all peers and orderers run.",
                )
            time.sleep(_POLL_SECONDS)


def require_update(update: ChannelUpdate | None) -> ChannelUpdate:
    """Return ``update``, or raise ``NOTHING_TO_CHANGE``."""
    if update is None:
        raise FabricError("NOTHING_TO_CHANGE", "The channel's configuration is what it would become.", "")
    return update


def _height(network: Network) -> int:
    answer = network.get_contract("qscc").evaluate_transaction("GetChainInfo", network.name)
    return int(ledger_pb2.BlockchainInfo.FromString(answer).height)


def _block(network: Network, number: int) -> Any:
    with network.block_events(start_block=number, end_block=number) as blocks:
        return next(iter(blocks))
