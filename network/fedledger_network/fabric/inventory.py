"""Which programs a network consists of: per organisation a peer, an orderer and a chaincode service."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fedledger_network.ca.organisation import authority_folder
from fedledger_network.consortium import Organisation
from fedledger_network.fabric.config import LOOPBACK, FabricConfig
from fedledger_network.fabric.errors import FabricError
from fedledger_network.fabric.identities import CHAINCODE, TLS_CERTIFICATE_FILE, TLS_KEY_FILE, TLS_ROOTS_FILE
from fedledger_network.fabric.layout import Layout
from fedledger_network.fabric.package import Place, Release, builder_configuration
from fedledger_network.fabric.processes import Program
from fedledger_network.fabric.programs import Programs
from fedledger_network.fabric.settings import BUILDER_ENVIRONMENT, ENVIRONMENT, ORDERER_ENVIRONMENT

PEER = "peer"
ORDERER = "orderer"
AUTHORITY = "authority"
KINDS = (ORDERER, PEER, CHAINCODE)
"""What every organisation runs; with Fabric CA its ``authority`` besides."""


@dataclass(frozen=True)
class Inventory:
    """The programs of all organisations; their names are ``kind.organisation``."""

    config: FabricConfig
    layout: Layout
    programs: Programs
    attached: bool = False
    """Whether the programs end with the thread that starts them."""

    def all(self) -> list[Program]:
        """Every program, in the order in which they are started."""
        return [program for kind in self.kinds for program in self.of_kind(kind)]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of programs that every organisation runs."""
        return (AUTHORITY, *KINDS) if self.config.certificates == "fabric-ca" else KINDS

    def of_kind(self, kind: str) -> list[Program]:
        """One program of every organisation: ``peer``, ``orderer`` or ``chaincode``."""
        return [self.program(kind, organisation) for organisation in self.config.consortium.organisations]

    def named(self, name: str) -> Program:
        """The program of that name; raises ``UNKNOWN_PROGRAM``."""
        kind, _, member = name.partition(".")
        for organisation in self.config.consortium.organisations:
            if kind in self.kinds and organisation.name == member:
                return self.program(kind, organisation)
        known = ", ".join(f"{kind}.{each.name}" for kind in self.kinds for each in self.config.consortium.organisations)
        raise FabricError("UNKNOWN_PROGRAM", f"The network has no program {name!r}.", f"Choose one of: {known}.")

    def program(self, kind: str, organisation: Organisation) -> Program:
        """One organisation's peer, orderer or chaincode service."""
        if kind == AUTHORITY:
            return self._authority(organisation)
        if kind == PEER:
            return self._peer(organisation)
        return self._orderer(organisation) if kind == ORDERER else self._chaincode(organisation, self.release())

    def _authority(self, organisation: Organisation) -> Program:
        ports = self.config.ports(organisation)
        home = authority_folder(self.layout.organisation(organisation.name).identities)
        command = (str(self.programs.require_certificate_authority()), "start", "--home", str(home))
        return self._program(AUTHORITY, organisation, command, (ports.authority, ports.authority_operations), dict)

    def _orderer(self, organisation: Organisation) -> Program:
        ports = self.config.ports(organisation)
        return self._program(
            ORDERER,
            organisation,
            (str(self.programs.path("orderer")),),
            (ports.orderer, ports.orderer_admin, ports.orderer_operations),
            lambda: ORDERER_ENVIRONMENT,
        )

    def _peer(self, organisation: Organisation) -> Program:
        ports = self.config.ports(organisation)
        folder = self.layout.organisation(organisation.name)
        tls = folder.node(PEER) / "tls"

        def environment() -> Mapping[str, str]:
            builder = builder_configuration(
                {Place.A: ports.chaincode_a, Place.B: ports.chaincode_b},
                (tls / TLS_ROOTS_FILE).read_bytes(),
                (tls / TLS_CERTIFICATE_FILE).read_bytes(),
                (tls / TLS_KEY_FILE).read_bytes(),
            )
            return {**ENVIRONMENT, BUILDER_ENVIRONMENT: builder}

        return self._program(
            PEER,
            organisation,
            (str(self.programs.path("peer")), "node", "start"),
            (ports.peer, ports.peer_chaincode, ports.peer_operations),
            environment,
        )

    def services(self, release: Release) -> list[Program]:
        """Every organisation's chaincode service of one release."""
        return [self._chaincode(organisation, release) for organisation in self.config.consortium.organisations]

    def release(self) -> Release:
        """The contract's release that the network runs or is about to run."""
        if self.layout.release.exists():
            return Release.from_json(self.layout.release.read_bytes())
        return Release(self.config.consortium.chaincode, self.config.chaincode_version)

    def _chaincode(self, organisation: Organisation, release: Release) -> Program:
        ports = self.config.ports(organisation)
        port = {Place.A: ports.chaincode_a, Place.B: ports.chaincode_b}[release.place]
        environment = {
            "CHAINCODE_ID": release.package_id,
            "CHAINCODE_SERVER_ADDRESS": f"{LOOPBACK}:{port}",
            "CHAINCODE_TLS_KEY": f"{CHAINCODE}/tls/{TLS_KEY_FILE}",
            "CHAINCODE_TLS_CERT": f"{CHAINCODE}/tls/{TLS_CERTIFICATE_FILE}",
            "CHAINCODE_CLIENT_CA_CERT": f"{CHAINCODE}/tls/{TLS_ROOTS_FILE}",
        }
        command = (sys.executable, "-m", "fedledger_chaincode.service")
        pid_file = f"{CHAINCODE}-{release.place}"
        return self._program(CHAINCODE, organisation, command, (port,), lambda: environment, pid_file)

    def _program(
        self,
        kind: str,
        organisation: Organisation,
        command: tuple[str, ...],
        ports: tuple[int, ...],
        environment: Callable[[], Mapping[str, str]],
        pid_file: str | None = None,
    ) -> Program:
        folder = self.layout.organisation(organisation.name)
        return Program(
            name=f"{kind}.{organisation.name}",
            command=command,
            folder=folder.root,
            ports=ports,
            log=folder.logs / f"{kind}.log",
            pid_file=folder.processes / (pid_file or kind),
            environment=lambda: {"FABRIC_CFG_PATH": str(folder.root), **environment()},
            attached=self.attached,
        )
