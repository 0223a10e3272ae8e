"""The channel's first configuration: members, consenters, policies; written by ``configtxgen``.

The contract needs n - t organisations; the configuration itself Fabric's majority of administrators; a block the
BFT quorum of its orderers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fedledger_network.consortium import Consortium, Organisation
from fedledger_network.fabric.commands import Command
from fedledger_network.fabric.config import FabricConfig
from fedledger_network.fabric.identities import TLS_CERTIFICATE_FILE
from fedledger_network.fabric.layout import Layout
from fedledger_network.fabric.programs import Programs

PROFILE = "Consortium"
PREFERRED_BLOCK_BYTES = 2 * 1024 * 1024
READERS = ("client", "peer", "admin", "orderer")
"""Who may read, the most frequent first: Fabric checks a certificate's chain once for each role that it tries. Orderers
read each other's blocks when they catch up."""
WRITERS = ("client", "admin", "orderer")


def endorsement_policy(consortium: Consortium) -> str:
    """The contract's endorsement policy: peers of any n - t organisations."""
    peers = ", ".join(f"'{organisation.msp_id}.peer'" for organisation in consortium.organisations)
    return f"OutOf({consortium.quorum}, {peers})"


def configtx(config: FabricConfig, layout: Layout) -> dict[str, Any]:
    """The content of ``configtx.yaml``; paths are absolute."""
    consortium = config.consortium
    organisations = [organisation_section(config, each, layout) for each in consortium.organisations]
    policies = {
        "Readers": _any_of(consortium.organisations, *READERS),
        "Writers": _any_of(consortium.organisations, *WRITERS),
        "Admins": _meta("MAJORITY Admins"),
    }
    orderer = {
        "OrdererType": "BFT",
        "Capabilities": {"V2_0": True},
        "BatchTimeout": f"{config.ordering.batch_milliseconds}ms",
        "BatchSize": {
            "MaxMessageCount": consortium.blocks.most_transactions,
            "AbsoluteMaxBytes": consortium.blocks.most_bytes,
            "PreferredMaxBytes": min(PREFERRED_BLOCK_BYTES, consortium.blocks.most_bytes),
        },
        "SmartBFT": smart_bft(config),
        "ConsenterMapping": [consenter(config, each, layout) for each in consortium.organisations],
        "Organizations": organisations,
        "Policies": {**policies, "BlockValidation": _meta("ANY Writers")},
    }
    application = {
        "Capabilities": {"V2_5": True},
        "Organizations": organisations,
        "Policies": {
            **policies,
            "LifecycleEndorsement": _meta("MAJORITY Endorsement"),
            "Endorsement": _meta("MAJORITY Endorsement"),
        },
    }
    channel = {"Capabilities": {"V3_0": True}, "Policies": policies, "Orderer": orderer, "Application": application}
    return {"Profiles": {PROFILE: channel}}


def organisation_section(config: FabricConfig, organisation: Organisation, layout: Layout) -> dict[str, Any]:
    """One member, as orderer's and as application's organisation."""
    msp_id = organisation.msp_id

    def members(*roles: str) -> dict[str, str]:
        return _any_of([organisation], *roles)

    return {
        "Name": msp_id,
        "ID": msp_id,
        "MSPDir": str(layout.organisation(organisation.name).definition.absolute()),
        "Policies": {
            "Readers": members(*READERS),
            "Writers": members(*WRITERS),
            "Admins": members("admin"),
            "Endorsement": members("peer"),
        },
        "OrdererEndpoints": [config.orderer_address(organisation)],
        "AnchorPeers": [{"Host": config.host(organisation), "Port": config.ports(organisation).peer}],
    }


def consenter(config: FabricConfig, organisation: Organisation, layout: Layout) -> dict[str, Any]:
    """One orderer of the channel; its number is the organisation's place, counted from 1."""
    orderer = layout.organisation(organisation.name).node("orderer").absolute()
    certificate = str(orderer / "tls" / TLS_CERTIFICATE_FILE)
    return {
        "ID": config.place(organisation) + 1,
        "Host": config.host(organisation),
        "Port": config.ports(organisation).orderer,
        "MSPID": organisation.msp_id,
        "Identity": str(orderer / "msp" / "signcerts" / "0.pem"),
        "ClientTLSCert": certificate,
        "ServerTLSCert": certificate,
    }


def smart_bft(config: FabricConfig) -> Mapping[str, str | int]:
    """SmartBFT's options."""
    ordering = config.ordering
    return {
        "RequestBatchMaxInterval": f"{ordering.batch_milliseconds}ms",
        "RequestForwardTimeout": f"{ordering.forward_seconds}s",
        "RequestComplainTimeout": f"{ordering.complain_seconds}s",
        "RequestAutoRemoveTimeout": "3m0s",
        "ViewChangeResendInterval": "1s",
        "ViewChangeTimeout": f"{ordering.view_change_seconds}s",
        "LeaderHeartbeatTimeout": f"{ordering.heartbeat_seconds}s",
        "LeaderHeartbeatCount": 10,
        "CollectTimeout": "1s",
        "IncomingMessageBufferSize": 200,
        "RequestPoolSize": ordering.pool,
    }


def first_block(config: FabricConfig, layout: Layout, programs: Programs) -> bytes:
    """The ``common.Block`` with the channel's first configuration, by ``configtxgen``; raises ``COMMAND_FAILED``."""
    with tempfile.TemporaryDirectory() as folder:
        # configtxgen does not know YAML's references to what was written before.
        document = yaml.dump(configtx(config, layout), Dumper=_PlainDumper, sort_keys=False)
        (Path(folder) / "configtx.yaml").write_text(document)
        block = Path(folder) / "genesis.block"
        Command(
            (
                str(programs.path("configtxgen")),
                "-configPath",
                folder,
                "-profile",
                PROFILE,
                "-channelID",
                config.consortium.channel,
                "-outputBlock",
                str(block),
            )
        ).run().require_success()
        return block.read_bytes()


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _any_of(organisations: Sequence[Organisation], *roles: str) -> dict[str, str]:
    # Of all members at once: "ANY Writers" would check the signature anew for each member until one fits, and every
    # peer and orderer applies these policies to every transaction.
    principals = ", ".join(f"'{each.msp_id}.{role}'" for each in organisations for role in roles)
    return {"Type": "Signature", "Rule": f"OR({principals})"}


def _meta(rule: str) -> dict[str, str]:
    return {"Type": "ImplicitMeta", "Rule": rule}
