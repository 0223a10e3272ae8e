"""Everything that identifies one organisation of a development network: nodes, members, MSP. For development only.

Nodes get their certificates from the authority; members are registered and enrolled through Fabric CA's REST
calls, by the client that a real Fabric CA would see. Run again, it keeps what is there and makes what is missing.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedledger.identity.authority import NodeRole
from fedledger.identity.ca import FabricCa, Registration
from fedledger.identity.msp import Msp
from fedledger.identity.wallet import Credentials, Wallet
from fedledger_network.ca.authority import Clock, DevelopmentAuthority, utc_now
from fedledger_network.ca.in_process import in_process_ca
from fedledger_network.ca.service import CaService

ROLE_ATTRIBUTE = "fedledger.role"
"""The certificate attribute that the contract reads."""

REGISTRAR = "registrar"
_LOCAL_HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Member:
    """Somebody of the organisation who sends transactions; ``ledger_role`` is what the contract knows."""

    name: str
    ledger_role: str
    node_role: NodeRole = NodeRole.CLIENT


MEMBERS = (
    Member("participant", "participant"),
    Member("validator", "validator"),
    Member("governor", "governor", NodeRole.ADMIN),
    Member("auditor", "auditor"),
)
"""One of each role; the governor is the organisation's admin."""


@dataclass(frozen=True)
class OrganisationIdentities:
    """An organisation's wallets and its MSP definition."""

    msp: Msp
    peer: Wallet
    peer_tls: Wallet
    orderer: Wallet
    orderer_tls: Wallet
    registrar: Wallet
    members: Mapping[str, Wallet]
    """By the member's name."""

    @property
    def msp_id(self) -> str:
        """The organisation's name on the channel."""
        return self.msp.msp_id


def authority_folder(folder: Path) -> Path:
    """Return where the CA of the organisation in ``folder`` lives, for ``DevelopmentAuthority.open``."""
    return folder / "ca"


def provision_organisation(
    folder: Path,
    msp_id: str,
    *,
    members: Sequence[Member] = MEMBERS,
    hosts: Sequence[str] = _LOCAL_HOSTS,
    clock: Clock = utc_now,
) -> OrganisationIdentities:
    """Create or load all identities of an organisation below ``folder``; ``hosts`` are its nodes' TLS names.

    Raises ``IdentityError`` for files that others can read or that do not belong together, ``BadInputError``
    for a folder that cannot be written or is of a newer version.
    """
    authority = DevelopmentAuthority.open(authority_folder(folder), msp_id, clock=clock)
    try:
        identities = OrganisationIdentities(
            msp=authority.msp(),
            peer=Wallet(folder / "peer"),
            peer_tls=Wallet(folder / "peer-tls"),
            orderer=Wallet(folder / "orderer"),
            orderer_tls=Wallet(folder / "orderer-tls"),
            registrar=Wallet(folder / REGISTRAR),
            members={member.name: Wallet(folder / "members" / member.name) for member in members},
        )
        _issue_nodes(authority, identities, hosts)
        ca = in_process_ca(CaService(authority), authority.name)
        registrar = _enroll_registrar(authority, ca, identities.registrar)
        for member in members:
            _enroll_member(authority, ca, registrar, member, identities.members[member.name])
    finally:
        authority.close()
    return identities


def _issue_nodes(authority: DevelopmentAuthority, identities: OrganisationIdentities, hosts: Sequence[str]) -> None:
    nodes = (
        (NodeRole.PEER, identities.peer, identities.peer_tls),
        (NodeRole.ORDERER, identities.orderer, identities.orderer_tls),
    )
    for role, identity, tls in nodes:
        name = f"{role.value}.{authority.msp_id}"
        if not identity.exists():
            identity.save(authority.issue_identity(name, role))
        if not tls.exists():
            tls.save(authority.issue_tls(name, role, hosts))


def _enroll_registrar(authority: DevelopmentAuthority, ca: FabricCa, wallet: Wallet) -> Credentials:
    if not wallet.exists():
        secret = secrets.token_urlsafe()
        authority.set_registrar(REGISTRAR, secret)
        wallet.save(ca.enroll(REGISTRAR, secret))
    return wallet.load()


def _enroll_member(
    authority: DevelopmentAuthority, ca: FabricCa, registrar: Credentials, member: Member, wallet: Wallet
) -> None:
    if wallet.exists():
        return
    name = f"{member.name}@{authority.msp_id}"
    authority.forget(name)  # an earlier run may have ended between the registration and the enrolment
    secret = ca.register(registrar, Registration(name, member.node_role, {ROLE_ATTRIBUTE: member.ledger_role}))
    wallet.save(ca.enroll(name, secret))
