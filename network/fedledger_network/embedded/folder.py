"""The folder of an embedded network: what lies where, and the profiles of everybody in it.

Refuses a folder that holds something else, or another consortium.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fedledger.errors import BadInputError
from fedledger.identity.files import make_private_folder, write_atomic
from fedledger.identity.profile import FILE_NAME, Profile, update_profiles
from fedledger_network.ca.organisation import MEMBERS, OrganisationIdentities, provision_organisation
from fedledger_network.consortium import Consortium, Organisation
from fedledger_network.embedded.store import LOCK_FILE

_CONSORTIUM = "consortium.yaml"
_LONGEST_SOCKET_FOLDER = 85
"""Bytes: a socket's whole path holds 107 (``sun_path`` of unix(7))."""


@dataclass(frozen=True)
class NetworkFolder:
    """Everything of one embedded network."""

    path: Path

    @classmethod
    def create(cls, path: Path, consortium: Consortium) -> NetworkFolder:
        """Make the folder, or go on with one of the same consortium.

        Raises:
            BadInputError: ``NOT_A_NETWORK``, it holds something else; ``OTHER_CONSORTIUM``.
        """
        folder = cls(path.absolute())
        if (folder.path / _CONSORTIUM).exists():
            if folder.consortium() != consortium:
                raise BadInputError(
                    "OTHER_CONSORTIUM",
                    f"{folder.path} holds the network of another consortium.",
                    "Choose another folder, or the consortium's own file.",
                )
            return folder
        if folder.ledger.exists() or folder.profiles.exists():
            raise BadInputError(
                "NOT_A_NETWORK", f"{folder.path} holds no whole network.", "Choose an empty or a new folder."
            )
        make_private_folder(folder.path)
        write_atomic(folder.path / _CONSORTIUM, consortium.to_yaml().encode())
        return folder

    @classmethod
    def existing(cls, path: Path) -> NetworkFolder:
        """The network in a folder.

        Raises:
            BadInputError: ``NOT_A_NETWORK``.
        """
        folder = cls(path.absolute())
        if not (folder.path / _CONSORTIUM).exists():
            raise BadInputError(
                "NOT_A_NETWORK", f"There is no network in {folder.path}.", "Make one with `fedledger network up`."
            )
        return folder

    def consortium(self) -> Consortium:
        """Whose network it is."""
        return Consortium.load(self.path / _CONSORTIUM)

    @property
    def ledger(self) -> Path:
        return self.path / "ledger"

    @property
    def lock(self) -> Path:
        """Held by the process that runs the node."""
        return self.ledger / LOCK_FILE

    @property
    def profiles(self) -> Path:
        """The file with everybody's profile."""
        return self.path / FILE_NAME

    @property
    def status(self) -> Path:
        """What runs, while it runs."""
        return self.path / "node.json"

    @property
    def node_log(self) -> Path:
        return self.path / "node.log"

    @property
    def chaincode_log(self) -> Path:
        return self.path / "chaincode.log"

    @property
    def gateway(self) -> str:
        """What clients dial: ``unix:/path``, or the consortium's ``host:port``."""
        return self.consortium().listen or f"unix:{self.gateway_socket}"

    @property
    def gateway_socket(self) -> Path:
        """Where the node listens unless the consortium says otherwise."""
        return self._sockets / "gateway.sock"

    @property
    def chaincode_socket(self) -> Path:
        return self._sockets / "chaincode.sock"

    def organisation(self, organisation: Organisation) -> Path:
        """The folder of one organisation: in a real consortium it is on that organisation's own machines."""
        return self.path / "organisations" / organisation.name

    def provision(self) -> tuple[OrganisationIdentities, ...]:
        """Keys, certificates and profiles of all organisations; makes what is missing and keeps other profiles."""
        consortium = self.consortium()
        identities = tuple(
            provision_organisation(self.organisation(organisation), organisation.msp_id)
            for organisation in consortium.organisations
        )
        profiles = [
            self._profile(organisation, found, consortium, member.name)
            for organisation, found in zip(consortium.organisations, identities, strict=True)
            for member in MEMBERS
        ]
        update_profiles(self.profiles, profiles)
        return identities

    def _profile(
        self, organisation: Organisation, identities: OrganisationIdentities, consortium: Consortium, member: str
    ) -> Profile:
        folder = self.organisation(organisation)
        wallet = identities.members[member]
        return Profile(
            name=f"{organisation.name}-{member}",
            gateway=self.gateway,
            channel=consortium.channel,
            chaincode=consortium.chaincode,
            msp_id=organisation.msp_id,
            certificate=wallet.certificate_path,
            key=wallet.key_path,
            store=str(folder / "store"),
            sealing_key=folder / "validator" / "sealing-key.pem" if member == "validator" else None,
            participant=folder / "participant" if member == "participant" else None,
        )

    @property
    def _sockets(self) -> Path:
        """Beside the ledger, or, where that path is too long for a socket, in a private folder for temporary files."""
        if len(os.fsencode(self.path)) <= _LONGEST_SOCKET_FOLDER:
            return self.path
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"fedledger-{os.getuid()}-{name}"
        make_private_folder(folder)
        if folder.stat().st_uid != os.getuid():
            raise BadInputError(
                "NOT_A_NETWORK", f"{folder} belongs to somebody else.", "Use a folder with a shorter path."
            )
        return folder
