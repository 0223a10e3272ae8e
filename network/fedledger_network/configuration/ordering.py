"""Handing an update to the channel's orderers, whose addresses and TLS roots the channel's configuration names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from fabric_protos.common import common_pb2, configuration_pb2
from fabric_protos.msp import msp_config_pb2
from fabric_protos.orderer import ab_pb2_grpc

from fedledger.errors import AccessError
from fedledger.gateway import open_channel
from fedledger_network.configuration.edits import MSP, ORDERER

SECONDS_TO_ANSWER = 30.0
_ENDPOINTS = "Endpoints"


@dataclass(frozen=True)
class OrdererEndpoint:
    """Where an orderer takes envelopes; without ``tls_roots`` (PEM) not encrypted, on this machine only."""

    address: str
    tls_roots: bytes | None = None


def orderer_endpoints(config: Any, msp_id: str) -> list[OrdererEndpoint]:
    """The orderers that a ``common.Config`` names, those of ``msp_id`` first; none on the embedded engine."""
    groups = config.channel_group.groups[ORDERER].groups
    endpoints: list[OrdererEndpoint] = []
    for name in sorted(groups, key=lambda name: (name != msp_id, name)):
        if _ENDPOINTS not in groups[name].values:
            continue
        wrapper = msp_config_pb2.MSPConfig.FromString(groups[name].values[MSP].value)
        msp = msp_config_pb2.FabricMSPConfig.FromString(wrapper.config)
        roots = b"".join(_line_ended(root) for root in msp.tls_root_certs)
        addresses = configuration_pb2.OrdererAddresses.FromString(groups[name].values[_ENDPOINTS].value).addresses
        endpoints += [OrdererEndpoint(address, roots) for address in addresses]
    return endpoints


def broadcast(orderers: Sequence[OrdererEndpoint], envelope: bytes) -> None:
    """Hand an envelope to the first of the orderers that answers.

    Raises:
        AccessError: ``UPDATE_REFUSED`` by an orderer, ``NO_ORDERER`` when none answers.
    """
    silent: list[str] = []
    for orderer in orderers:
        try:
            answer = _handed_over(orderer, envelope)
        except grpc.RpcError as error:
            silent.append(f"{orderer.address}: {error.code().name}, {error.details()}")
            continue
        if answer.status == common_pb2.SUCCESS:
            return
        told = f"{common_pb2.Status.Name(answer.status)}: {answer.info}"
        if answer.status != common_pb2.SERVICE_UNAVAILABLE:
            raise AccessError(
                "UPDATE_REFUSED",
                f"The orderers did not take the update of the channel: {told}.",
                "Sign with an administrator's certificate that is valid, and make the update for the newest "
                "configuration.",
            )
        silent.append(f"{orderer.address}: {told}")
    raise AccessError(
        "NO_ORDERER", f"No orderer takes the update of the channel: {'; '.join(silent)}.", "Start an orderer."
    )


def _handed_over(orderer: OrdererEndpoint, envelope: bytes) -> Any:
    with open_channel(orderer.address, orderer.tls_roots) as connection:
        stub = ab_pb2_grpc.AtomicBroadcastStub(connection)
        call = stub.Broadcast(iter((common_pb2.Envelope.FromString(envelope),)), timeout=SECONDS_TO_ANSWER)
        return next(iter(call))


def _line_ended(pem: bytes) -> bytes:
    return pem if pem.endswith(b"\n") else pem + b"\n"
