"""Changes of a channel that runs over separate hosts: members come and go, orderers get new certificates.

What the channel is to become follows, on every host, from the consortium's file and the public files there: whoever
signs an update checks it against that. Nobody signs what another organisation says without having it at hand.
"""

from __future__ import annotations

from typing import Any

from fedledger.errors import BadInputError
from fedledger.gateway.blocks import parse_block
from fedledger.identity.files import write_atomic
from fedledger.identity.profile import FILE_NAME, Profile, load_profile
from fedledger_network.configuration.edits import config_of_block, members, with_members
from fedledger_network.configuration.ordering import broadcast, orderer_endpoints
from fedledger_network.configuration.reading import current_config, last_config_block, wait_for_config
from fedledger_network.configuration.updates import ChannelUpdate, require_update
from fedledger_network.fabric.hosts import OrganisationHost
from fedledger_network.fabric.identities import ADMINISTRATOR, issue_nodes_anew
from fedledger_network.fabric.preparation import prepare_organisation


def renew_certificates(host: OrganisationHost) -> None:
    """Give the organisation's peer and orderer new keys and certificates, for their next start.

    They are offered to the others and put into the channel by an update before the orderer starts with them.
    """
    folder = host.layout.organisation(host.organisation.name)
    issue_nodes_anew(host.inventory.config, host.organisation, folder)
    prepare_organisation(host.inventory, host.organisation)


def proposed_update(host: OrganisationHost) -> ChannelUpdate:
    """The update to the members and orderers of the consortium's file, signed by this organisation.

    Raises:
        BadInputError: ``NOTHING_TO_CHANGE``; ``NOT_ACCEPTED`` when another organisation's public files are missing.
    """
    return _signed(host, _own_update(host, _current(host)))


def signed_update(host: OrganisationHost, update: ChannelUpdate) -> ChannelUpdate:
    """The update with this organisation's signature, if it is the one that follows from what is here.

    Raises:
        BadInputError: ``OTHER_UPDATE``, and as ``proposed_update`` does.
    """
    if not update.says_the_same_as(_own_update(host, _current(host))):
        raise BadInputError(
            "OTHER_UPDATE",
            "The update is not the one that follows from the channel, the consortium's file and the certificates here.",
            "Compare consortium.yaml and the organisations' fingerprints with whoever proposed it.",
        )
    return _signed(host, update)


def submit_update(host: OrganisationHost, update: ChannelUpdate) -> int:
    """Have an update ordered that enough have signed; the number of the block with the new configuration.

    Raises:
        AccessError: ``UPDATE_REFUSED``, ``NO_ORDERER``.
        DeadlineError: ``NOT_CONVERGED``.
    """
    acting = administrator_profile(host)
    with acting.connect() as gateway:
        network = gateway.get_network(acting.channel)
        current = current_config(network)
        broadcast(orderer_endpoints(current, acting.msp_id), update.envelope(acting.msp_id, acting.credentials()))
        wait_for_config([network], current.sequence + 1)
        return int(last_config_block(network).header.number)


def needed_signatures(host: OrganisationHost) -> int:
    """How many administrators have to sign: a majority of the channel's members."""
    return len(members(_current(host))) // 2 + 1


def newest_config_block(host: OrganisationHost) -> bytes:
    """The ``common.Block`` with the channel's configuration, for an organisation that joins."""
    acting = administrator_profile(host)
    with acting.connect() as gateway:
        block = last_config_block(gateway.get_network(acting.channel))
    return bytes(block.SerializeToString(deterministic=True))


def accept_running_channel(host: OrganisationHost, genesis: bytes, newest: bytes) -> None:
    """Take a channel that others have made, from its first block and its newest configuration.

    Raises:
        BadInputError: ``OTHER_GENESIS``, its members and orderers are not those of the consortium's file and the public
            files here, or the first block is none.
    """
    config = config_of_block(parse_block(newest))
    wanted = config_of_block(parse_block(host.own_first_block()))
    first = parse_block(genesis)
    if ChannelUpdate.between(host.inventory.config.consortium.channel, config, with_members(config, wanted)):
        raise BadInputError(
            "OTHER_GENESIS",
            "The channel's members and orderers are not those of the consortium's file and the certificates here.",
            "Compare consortium.yaml and the organisations' fingerprints with the others; ask for the newest block.",
        )
    if first.header.number != 0:
        raise BadInputError(
            "OTHER_GENESIS", f"Block {first.header.number} is not a first block.", "Ask for shared/genesis.block."
        )
    write_atomic(host.layout.genesis, genesis)
    write_atomic(host.layout.config_block, newest)


def administrator_profile(host: OrganisationHost) -> Profile:
    """The profile of the organisation's administrator."""
    name = host.organisation.name
    return load_profile(host.layout.organisation(name).root / FILE_NAME, f"{name}-{ADMINISTRATOR}")


def _current(host: OrganisationHost) -> Any:
    acting = administrator_profile(host)
    with acting.connect() as gateway:
        return current_config(gateway.get_network(acting.channel))


def _own_update(host: OrganisationHost, current: Any) -> ChannelUpdate:
    wanted = config_of_block(parse_block(host.own_first_block()))
    channel = host.inventory.config.consortium.channel
    return require_update(ChannelUpdate.between(channel, current, with_members(current, wanted)))


def _signed(host: OrganisationHost, update: ChannelUpdate) -> ChannelUpdate:
    if host.organisation.msp_id in update.signers:
        return update
    acting = administrator_profile(host)
    return update.signed(acting.msp_id, acting.credentials())
