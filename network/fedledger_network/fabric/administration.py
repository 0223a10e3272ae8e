"""What an organisation's administrator does with Fabric's programs: join the channel, install and approve a contract.

Every step says whether it was needed, so that all of them can be repeated.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fabric_protos.msp import msp_principal_pb2
from fabric_protos.peer import policy_pb2

from fedledger_network.consortium import Organisation
from fedledger_network.fabric.channel import endorsement_policy
from fedledger_network.fabric.commands import Command, Output
from fedledger_network.fabric.config import LOOPBACK, FabricConfig
from fedledger_network.fabric.identities import (
    ADMINISTRATION,
    TLS_CERTIFICATE_FILE,
    TLS_KEY_FILE,
    TLS_ROOTS_FILE,
)
from fedledger_network.fabric.layout import Layout
from fedledger_network.fabric.programs import Programs

_WAITING = ("--waitForEventTimeout", "80s")
"""For the block with an approval or a definition: nearly as long as a command may take."""
_NOT_ORDERED = ("timed out waiting for txid", "orderer client failed to connect")
"""What the peer's command says when an orderer does not answer, or takes a transaction and orders nothing."""
_CHANNEL_EXISTS = "channel already exists"
_LEDGER_EXISTS = "already exists"
_INSTALLED = "chaincode already successfully installed"
_UNCHANGED = "attempted to redefine uncommitted sequence"
_UNDEFINED = "is not defined"
_STRANGER = "creator org unknown"


@dataclass(frozen=True)
class Definition:
    """The contract as the channel has it."""

    version: str
    sequence: int
    endorsements: int
    """How many organisations have to endorse, of"""
    organisations: frozenset[str]
    """these, by MSP id."""

    @classmethod
    def of(cls, config: FabricConfig, sequence: int) -> Definition:
        """What the consortium wants, as the definition of that number."""
        consortium = config.consortium
        members = frozenset(organisation.msp_id for organisation in consortium.organisations)
        return cls(config.chaincode_version, sequence, consortium.quorum, members)

    @classmethod
    def committed(cls, answer: Mapping[str, Any]) -> Definition:
        """The definition in the answer of ``querycommitted``."""
        policy = policy_pb2.ApplicationPolicy.FromString(base64.b64decode(answer["validation_parameter"]))
        roles = [msp_principal_pb2.MSPRole.FromString(each.principal) for each in policy.signature_policy.identities]
        return cls(
            version=answer["version"],
            sequence=answer["sequence"],
            endorsements=policy.signature_policy.rule.n_out_of.n,
            organisations=frozenset(role.msp_identifier for role in roles),
        )

    def means_the_same_as(self, other: Definition) -> bool:
        """Tell whether the two differ in their number at most."""
        return replace(self, sequence=other.sequence) == other


@dataclass(frozen=True)
class Administrator:
    """One organisation's administrator at its own peer and orderer."""

    config: FabricConfig
    layout: Layout
    programs: Programs
    organisation: Organisation

    def join_orderer(self, config_block: Path) -> bool:
        """Let the orderer join the channel from one of its configuration blocks; tell whether it had not."""
        output = self._osnadmin("join", "--config-block", str(config_block)).run()
        if output.says(_CHANNEL_EXISTS):
            return False
        # osnadmin ends with 0 also when the orderer has refused.
        if output.code or not output.says("Status: 201"):
            raise output.failure()
        return True

    def orderer_takes_part(self) -> bool:
        """Tell whether the orderer has all blocks and is one of those that agree on the next."""
        output = self._osnadmin("list", "--no-status").run().require_success()
        told = json.loads(output.out)
        return bool((told.get("status"), told.get("consensusRelation")) == ("active", "consenter"))

    def join_peer(self) -> bool:
        """Let the peer join the channel; tell whether it had not."""
        output = self._peer("channel", "join", "--blockpath", str(self.layout.genesis)).run()
        if output.code and output.says(_LEDGER_EXISTS):
            return False
        output.require_success()
        return True

    def install(self) -> bool:
        """Install the contract's package on the peer; tell whether it was not there."""
        output = self._peer("lifecycle", "chaincode", "install", str(self.layout.package)).run()
        if output.code and output.says(_INSTALLED):
            return False
        output.require_success()
        return True

    def definition(self) -> Definition | None:
        """The contract's definition; None while the peer knows of none, or not even of the organisation."""
        consortium = self.config.consortium
        output = self._peer(
            "lifecycle",
            "chaincode",
            "querycommitted",
            "--channelID",
            consortium.channel,
            "--name",
            consortium.chaincode,
            "--output",
            "json",
        ).run()
        if output.code and (output.says(_UNDEFINED) or output.says(_STRANGER)):
            return None
        return Definition.committed(json.loads(output.require_success().out))

    def approve(self, definition: Definition, package_id: str) -> bool:
        """Approve a definition for the organisation; tell whether it had not been approved."""
        output = self._ordered("approveformyorg", *self._defined(definition), "--package-id", package_id)
        if output.code and output.says(_UNCHANGED):
            return False
        output.require_success()
        return True

    def commit(self, definition: Definition, endorsers: Sequence[Organisation]) -> None:
        """Commit a definition that enough organisations have approved."""
        peers: list[str] = []
        for endorser in endorsers:
            peers += ["--peerAddresses", self.config.peer_address(endorser)]
            peers += ["--tlsRootCertFiles", str(self._tls_roots(endorser))]
        self._ordered("commit", *self._defined(definition), *peers).require_success()

    def _ordered(self, *words: str) -> Output:
        """What a lifecycle command says that submits: by the own orderer, or by another that orders it."""
        others = [each for each in self.config.consortium.organisations if each != self.organisation]
        outputs = []
        for orderer in (self.organisation, *others):
            output = self._peer("lifecycle", "chaincode", *words, *self._ordering(orderer), *_WAITING).run()
            if not output.code or not any(map(output.says, _NOT_ORDERED)):
                return output
            outputs.append(output)
        return outputs[0]

    def _defined(self, definition: Definition) -> tuple[str, ...]:
        consortium = self.config.consortium
        return (
            "--channelID",
            consortium.channel,
            "--name",
            consortium.chaincode,
            "--version",
            definition.version,
            "--sequence",
            str(definition.sequence),
            "--signature-policy",
            endorsement_policy(consortium),
        )

    def _ordering(self, orderer: Organisation) -> tuple[str, ...]:
        roots = str(self._tls_roots(orderer))
        return ("--orderer", self.config.orderer_address(orderer), "--tls", "--cafile", roots)

    def _osnadmin(self, action: str, *arguments: str) -> Command:
        tls = self.layout.organisation(self.organisation.name).node(ADMINISTRATION) / "tls"
        return Command(
            (
                str(self.programs.path("osnadmin")),
                "channel",
                action,
                "--channelID",
                self.config.consortium.channel,
                *arguments,
                "--orderer-address",
                f"{LOOPBACK}:{self.config.ports(self.organisation).orderer_admin}",
                "--ca-file",
                str(tls / TLS_ROOTS_FILE),
                "--client-cert",
                str(tls / TLS_CERTIFICATE_FILE),
                "--client-key",
                str(tls / TLS_KEY_FILE),
            )
        )

    def _peer(self, *arguments: str) -> Command:
        folder = self.layout.organisation(self.organisation.name)
        return Command(
            (str(self.programs.path("peer")), *arguments),
            environment={
                "FABRIC_CFG_PATH": str(folder.root),
                "FABRIC_LOGGING_SPEC": "warn",
                "CORE_PEER_LOCALMSPID": self.organisation.msp_id,
                "CORE_PEER_MSPCONFIGPATH": str(folder.node(ADMINISTRATION) / "msp"),
                "CORE_PEER_ADDRESS": self.config.peer_address(self.organisation),
                "CORE_PEER_TLS_ROOTCERT_FILE": str(self._tls_roots(self.organisation)),
            },
            folder=folder.root,
        )

    def _tls_roots(self, organisation: Organisation) -> Path:
        return self.layout.organisation(organisation.name).definition / "tlscacerts" / "0.pem"
