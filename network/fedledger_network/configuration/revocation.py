"""Bringing a revocation list to the channel: from then on the members refuse the certificates in it.

The update is made and signed where the organisation's administrator's key is; whether it is taken the orderers decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fedledger.errors import BadInputError
from fedledger.identity.profile import Profile
from fedledger.identity.wallet import Credentials
from fedledger_network.configuration.edits import members, with_revocation_list
from fedledger_network.configuration.ordering import OrdererEndpoint, broadcast, orderer_endpoints
from fedledger_network.configuration.reading import current_config, last_config_block, wait_for_config
from fedledger_network.configuration.updates import ChannelUpdate


def publish_revocation_list(administrator: Profile, revocation_list: Sequence[bytes]) -> int:
    """Let the channel refuse the certificates in the lists (PEM) of the administrator's organisation.

    Args:
        administrator: the profile of somebody with the NodeOU role ``admin``, such as a governor.

    Returns:
        The number of the block with the new configuration; the lists are in force for all blocks behind it.

    Raises:
        BadInputError: ``NOTHING_TO_CHANGE``, the channel has these lists.
        AccessError: ``UPDATE_REFUSED``, ``NO_ORDERER``: the orderers do not take the update.
        DeadlineError: ``NOT_CONVERGED``.
        GatewayError: the channel cannot be read.
    """
    with administrator.connect() as gateway:
        network = gateway.get_network(administrator.channel)
        current = current_config(network)
        envelope = revocation_update(
            administrator.channel, current, administrator.msp_id, revocation_list, administrator.credentials()
        )
        # The embedded node is gateway and orderer at one address.
        orderers = orderer_endpoints(current, administrator.msp_id) or [OrdererEndpoint(administrator.gateway)]
        broadcast(orderers, envelope)
        wait_for_config([network], current.sequence + 1)
        return int(last_config_block(network).header.number)


def revocation_update(
    channel: str, current: Any, msp_id: str, revocation_list: Sequence[bytes], administrator: Credentials
) -> bytes:
    """The signed ``common.Envelope`` of type ``CONFIG_UPDATE`` that replaces an organisation's revocation lists.

    Args:
        current: the channel's ``common.Config``.

    Raises:
        BadInputError: ``NOTHING_TO_CHANGE``, or ``UNKNOWN_MEMBER``.
    """
    if msp_id not in members(current):
        raise BadInputError("UNKNOWN_MEMBER", f"{msp_id} is no member of channel {channel}.", "Name one that is.")
    update = ChannelUpdate.between(channel, current, with_revocation_list(current, msp_id, revocation_list))
    if update is None:
        raise BadInputError("NOTHING_TO_CHANGE", f"The channel has these revocation lists of {msp_id} already.")
    return update.signed(msp_id, administrator).envelope(msp_id, administrator)
