"""When an organisation's peer is of use: it runs the contract and knows enough others for an endorsement."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fedledger.gateway import EndorseError
from fedledger.identity.profile import FILE_NAME, load_profile
from fedledger_network.consortium import Organisation
from fedledger_network.fabric.errors import FabricTimeout
from fedledger_network.fabric.identities import ADMINISTRATOR
from fedledger_network.fabric.inventory import PEER, Inventory

_POLL_SECONDS = 0.1
_METADATA = "org.hyperledger.fabric:GetMetadata"


def wait_for_contract(
    inventory: Inventory, organisation: Organisation, deadline: float, endorsers: Sequence[Organisation] = ()
) -> None:
    """Return when the organisation's peer collects endorsements, ``deadline`` being of ``time.monotonic``.

    It waits for those of all ``endorsers``; with none named, for as many as the endorsement policy wants.

    Raises:
        FabricError: ``PROGRAM_DIED``.
        FabricTimeout: ``NOT_CONVERGED`` with the last reason.
    """
    profiles = inventory.layout.organisation(organisation.name).root / FILE_NAME
    profile = load_profile(profiles, f"{organisation.name}-{ADMINISTRATOR}")
    program = inventory.program(PEER, organisation)
    named = [endorser.msp_id for endorser in endorsers]
    with profile.connect() as gateway:
        contract = gateway.get_network(profile.channel).get_contract(profile.chaincode)
        while True:
            try:
                # Endorsed but never submitted: it needs what a submission needs, peers that know of each other.
                contract.new_proposal(_METADATA, endorsing_organizations=named).endorse()
                return
            except EndorseError as error:
                program.require_running()
                if time.monotonic() > deadline:
                    raise FabricTimeout(
                        "NOT_CONVERGED",
                        f"The peer of {organisation.name} does not serve the contract: {error.message}",
                        f"Look into {program.log}.",
                    ) from error
            time.sleep(_POLL_SECONDS)
