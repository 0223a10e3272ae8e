"""``orderer.yaml`` and ``core.yaml`` as values: every listener has an address of its own, TLS everywhere.

Paths are relative to the organisation's folder, where the programs run, but for two of the peer's: its snapshots and
Fabric's builder. Only loopback is listened on where no other organisation connects. What Fabric does not default in its
code is spelled out, so that no sample file is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedledger_network.consortium import Organisation
from fedledger_network.fabric.config import LOOPBACK, FabricConfig
from fedledger_network.fabric.identities import TLS_CERTIFICATE_FILE, TLS_KEY_FILE, TLS_ROOTS_FILE

EXECUTION_SECONDS = 30
"""How long a transaction of the contract may take."""
ENDORSEMENT_SECONDS = 10
"""How long a gateway waits for one organisation's endorsement before it asks another: a peer that hangs, unlike one
that is gone, costs a submission that long."""
SECONDS_BEHIND = 3
"""How long a peer waits for a block that other orderers have before it takes blocks from another one. Fabric waits half
a minute; an orderer that has fallen behind would hold up its organisation's peer, and whoever waits for it, that long.
"""
BUILDER_ENVIRONMENT = "CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG"

ENVIRONMENT: Mapping[str, str] = {
    # Each of these writes lines for every transaction, a fifteenth of an orderer's work. Blocks and warnings stay.
    "FABRIC_LOGGING_SPEC": "info"
    ":comm.grpc.server,endorser,gateway,gossip.privdata,committer.txvalidator,grpc=warn:orderer.common.broadcast=error",
    "FABRIC_LOGGING_FORMAT": "%{time:2006-01-02T15:04:05.000Z07:00} %{level:.4s} [%{module}] %{message}",
}
"""What peers and orderers find in their environment besides where their settings are."""
ORDERER_ENVIRONMENT: Mapping[str, str] = {
    **ENVIRONMENT,
    # Go's collector runs when the heap has grown by this many percent: 70 MiB for a twelfth of an orderer's work.
    # A peer would need 200 MiB and save a thirtieth.
    "GOGC": "300",
}

_KEYS_PER_MESSAGE = 1000
_SHORTEST_PING = "10s"
"""A peer's gateway pings peers and orderers that often while it waits for them, and Fabric's default is to hang up."""


def orderer_settings(config: FabricConfig, organisation: Organisation) -> dict[str, Any]:
    """The content of ``orderer.yaml``."""
    ports = config.ports(organisation)
    tls = {
        "Enabled": True,
        "PrivateKey": f"orderer/tls/{TLS_KEY_FILE}",
        "Certificate": f"orderer/tls/{TLS_CERTIFICATE_FILE}",
        "RootCAs": [f"orderer/tls/{TLS_ROOTS_FILE}"],
    }
    mutual_tls = {**tls, "ClientAuthRequired": True, "ClientRootCAs": [f"orderer/tls/{TLS_ROOTS_FILE}"]}
    return {
        "General": {
            "ListenAddress": config.host(organisation),
            "ListenPort": ports.orderer,
            "TLS": {**tls, "ClientAuthRequired": False},
            "Keepalive": {"ServerMinInterval": _SHORTEST_PING},
            # Orderers meet on the listener of clients, each showing this certificate; the channel knows it.
            "Cluster": {
                "ClientCertificate": f"orderer/tls/{TLS_CERTIFICATE_FILE}",
                "ClientPrivateKey": f"orderer/tls/{TLS_KEY_FILE}",
                "ReplicationPolicy": "consensus",
            },
            # Off, but named: the environment can switch on only what the file names.
            "Profile": {"Enabled": False, "Address": f"{LOOPBACK}:0"},
            "BootstrapMethod": "none",
            "LocalMSPDir": "orderer/msp",
            "LocalMSPID": organisation.msp_id,
        },
        "FileLedger": {"Location": "orderer/ledger"},
        "Consensus": {"WALDir": "orderer/consensus/wal", "SnapDir": "orderer/consensus/snap"},
        "Admin": {"ListenAddress": f"{LOOPBACK}:{ports.orderer_admin}", "TLS": mutual_tls},
        "Operations": {"ListenAddress": f"{LOOPBACK}:{ports.orderer_operations}", "TLS": mutual_tls},
        "Metrics": {"Provider": "prometheus"},
        "ChannelParticipation": {"Enabled": True, "MaxRequestBodySize": "8 MB"},
    }


def peer_settings(config: FabricConfig, organisation: Organisation, folder: Path, builder: Path) -> dict[str, Any]:
    """The content of ``core.yaml``; ``folder`` is the organisation's, ``builder`` Fabric's for chaincode services."""
    ports = config.ports(organisation)
    address = config.peer_address(organisation)
    tls = {
        "enabled": True,
        "cert": {"file": f"peer/tls/{TLS_CERTIFICATE_FILE}"},
        "key": {"file": f"peer/tls/{TLS_KEY_FILE}"},
    }
    return {
        "peer": {
            "id": f"peer.{organisation.name}",
            "networkId": config.consortium.channel,
            "listenAddress": address,
            "address": address,
            "chaincodeListenAddress": f"{LOOPBACK}:{ports.peer_chaincode}",
            "localMspId": organisation.msp_id,
            "mspConfigPath": "peer/msp",
            "fileSystemPath": "peer/data",
            "keepalive": {"minInterval": _SHORTEST_PING},
            "deliveryclient": {"blockCensorshipTimeoutKey": f"{SECONDS_BEHIND}s"},
            "gossip": _gossip(address),
            "tls": {**tls, "clientAuthRequired": False, "rootcert": {"file": f"peer/tls/{TLS_ROOTS_FILE}"}},
            "gateway": {
                "enabled": True,
                "endorsementTimeout": f"{ENDORSEMENT_SECONDS}s",
                "broadcastTimeout": "30s",
                "dialTimeout": "5s",
            },
            "BCCSP": {"Default": "SW", "SW": {"Hash": "SHA2", "Security": 256}},
            "discovery": {"enabled": True},
            "authentication": {"timewindow": "15m"},
            "handlers": {
                "authFilters": [{"name": "DefaultAuth"}, {"name": "ExpirationCheck"}, {"name": "TimeWindowCheck"}],
                "decorators": [{"name": "DefaultDecorator"}],
                "endorsers": {"escc": {"name": "DefaultEndorsement"}},
                "validators": {"vscc": {"name": "DefaultValidation"}},
            },
            "limits": {"concurrency": {"endorserService": 2500, "deliverService": 2500, "gatewayService": 500}},
        },
        "vm": {"endpoint": ""},
        "chaincode": {
            "externalBuilders": [
                {"name": "ccaas", "path": str(builder), "propagateEnvironment": [BUILDER_ENVIRONMENT]}
            ],
            "executetimeout": f"{EXECUTION_SECONDS}s",
            "installTimeout": "60s",
            # A transaction that waits for a service which does not answer holds up the peer's next block so long.
            "startuptimeout": "10s",
            "system": {"_lifecycle": "enable", "cscc": "enable", "lscc": "enable", "qscc": "enable"},
            "runtimeParams": {
                "useWriteBatch": True,
                "maxSizeWriteBatch": _KEYS_PER_MESSAGE,
                "useGetMultipleKeys": True,
                "maxSizeGetMultipleKeys": _KEYS_PER_MESSAGE,
            },
        },
        "ledger": {
            "state": {"stateDatabase": "goleveldb", "totalQueryLimit": 100_000},
            "history": {"enableHistoryDatabase": True},
            "pvtdataStore": {"collElgProcMaxDbBatchSize": 5000, "collElgProcDbBatchesInterval": 1000},
            "snapshots": {
                "rootDir": str(folder.absolute() / "peer" / "data" / "snapshots")
            },  # relative ones are refused
        },
        "operations": {
            "listenAddress": f"{LOOPBACK}:{ports.peer_operations}",
            "tls": {
                **tls,
                "clientAuthRequired": True,
                "clientRootCAs": {"files": [f"peer/tls/{TLS_ROOTS_FILE}"]},
            },
        },
        "metrics": {"provider": "prometheus"},
    }


def _gossip(address: str) -> dict[str, Any]:
    # Blocks come from the orderers. Gossip only tells peers of each other, which the gateway needs to plan
    # endorsements; with Fabric's own times that takes half a minute after a start.
    return {
        "bootstrap": address,
        "endpoint": address,
        "externalEndpoint": address,
        "useLeaderElection": False,
        "orgLeader": True,
        "reconnectInterval": "2s",
        "aliveTimeInterval": "1s",
        "aliveExpirationTimeout": "5s",
        "publishStateInfoInterval": "1s",
        # Heights are pushed every second; asking for all of them again costs every peer signature checks.
        "requestStateInfoInterval": "4s",
        "state": {"enabled": False},
    }
