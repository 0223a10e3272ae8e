"""Changes of a network that runs: a member more or less, new certificates of a node, a node made anew, an upgrade.

Each is one function on a ``FabricNetwork`` of one machine and leaves it running; agents notice a pause at most. One
that was interrupted goes on when it is called again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from fedledger.errors import BadInputError
from fedledger.identity.files import write_atomic
from fedledger_network.configuration.edits import with_members
from fedledger_network.configuration.ordering import broadcast, orderer_endpoints
from fedledger_network.configuration.reading import current_config, last_config_block, wait_for_config
from fedledger_network.configuration.updates import ChannelUpdate
from fedledger_network.consortium import Organisation
from fedledger_network.fabric.administration import Administrator
from fedledger_network.fabric.config import FabricConfig, already_member
from fedledger_network.fabric.errors import FabricError, FabricTimeout
from fedledger_network.fabric.identities import issue_nodes_anew
from fedledger_network.fabric.inventory import ORDERER, PEER
from fedledger_network.fabric.network import FabricNetwork, Progress
from fedledger_network.fabric.processes import Program, start_all, stop_all
from fedledger_network.fabric.profiles import drop_profiles

SECONDS_TO_CATCH_UP = 60.0
_POLL_SECONDS = 0.2
_DATA = {PEER: ("data",), ORDERER: ("ledger", "consensus")}
"""By kind of node: the folders with what it can fetch from the others."""


def add_member(network: FabricNetwork, member: Organisation, progress: Progress = lambda _: None) -> FabricNetwork:
    """Add an organisation with its peer and its orderer; returns the larger network, which is up.

    All present members sign the channel's new configuration and approve the contract's new endorsement policy.

    Raises:
        BadInputError: ``ALREADY_MEMBER``.
        FabricError: as ``FabricNetwork.up``.
    """
    begun = member in network.config.consortium.organisations
    grown = network if begun else _of(network, network.config.with_member(member))
    present = [each for each in grown.config.consortium.organisations if each != member]
    if begun:
        _refuse_whole_member(network, member, present[0])
    elif member.msp_id not in network.member_ids():
        for kind in _DATA:  # what is left of an earlier membership
            _forget(grown.inventory.program(kind, member))
    grown.provide(progress)
    progress(f"adding {member.name} to the channel")
    _agree(network, grown, present)
    grown.save()
    progress(f"starting the programs of {member.name}")
    start_all(_programs_of(grown, member))
    joining = grown.administrator(member)
    joining.join_orderer(_newest_config_block(network, present[0]))
    joining.join_peer()
    _wait_for_orderer(joining)
    _wait_for_peer(joining)
    progress("agreeing on the contract's new endorsement policy")
    grown.deploy(progress)
    grown.wait_until_ready()
    return grown


def remove_member(network: FabricNetwork, name: str, progress: Progress = lambda _: None) -> FabricNetwork:
    """Take an organisation out, which need not run or agree; returns the smaller network, which is up.

    The others approve the contract's new endorsement policy and sign the channel's new configuration; then the
    organisation's programs end. Its folder stays, and what it has committed stays on the ledger.

    Raises:
        BadInputError: ``TOO_FEW_ORGANISATIONS``, fewer than four would be left.
    """
    leaving = network.config.organisation(name)
    smaller = _of(network, network.config.without_member(leaving))
    progress("agreeing on the contract's new endorsement policy")
    smaller.deploy(progress)
    progress(f"taking {name} out of the channel")
    _agree(network, smaller, smaller.config.consortium.organisations)
    progress(f"stopping the programs of {name}")
    stop_all(reversed(_programs_of(network, leaving)))
    drop_profiles(network.layout, leaving)
    smaller.save()
    smaller.wait_until_ready()
    return smaller


def rotate_certificates(network: FabricNetwork, name: str) -> None:
    """Give an organisation's peer and orderer new keys and certificates, and let the channel know the orderer's.

    Both are away for a moment; the others go on. Raises ``COMMAND_FAILED``, ``PROGRAM_DIED``.
    """
    organisation = network.config.organisation(name)
    nodes = [network.inventory.program(kind, organisation) for kind in (ORDERER, PEER)]
    issue_nodes_anew(network.config, organisation, network.layout.organisation(name))
    network.prepare()
    _agree(network, network, network.config.consortium.organisations)
    stop_all(nodes)
    # The builder's output holds the peer's old TLS key; the peer makes it anew from the installed package.
    shutil.rmtree(network.layout.organisation(name).node(PEER) / "data" / "externalbuilder", ignore_errors=True)
    start_all(nodes)
    _wait_for_orderer(network.administrator(organisation))
    network.wait_until_ready()


def replace_node(network: FabricNetwork, name: str) -> None:
    """Make a peer or an orderer anew that has lost its data: it fetches everything from the others.

    ``name`` is such as ``peer.cleveland``. Raises ``UNKNOWN_PROGRAM``, ``COMMAND_FAILED``.
    """
    kind, _, member = name.partition(".")
    program = network.inventory.named(name)
    if kind not in _DATA:
        raise FabricError("UNKNOWN_PROGRAM", f"{name} keeps no data.", "Start it again with `fedledger network up`.")
    organisation = network.config.organisation(member)
    administrator = network.administrator(organisation)
    _forget(program)
    start_all([program])
    if kind == ORDERER:
        others = [each for each in network.config.consortium.organisations if each != organisation]
        administrator.join_orderer(_newest_config_block(network, others[0]))
        _wait_for_orderer(administrator)
        return
    administrator.join_peer()
    _wait_for_peer(administrator)
    # What the organisation had approved was its peer's alone to know: all approve the same once more.
    network.deploy(renew=True)
    network.wait_until_ready()


def upgrade_contract(network: FabricNetwork, version: str, progress: Progress = lambda _: None) -> FabricNetwork:
    """Let the channel run the installed contract as a new version; returns the network with it, which is up.

    The services of the new version start beside those of the old one, which end when it is committed. The state stays.

    Raises:
        BadInputError: ``NOTHING_TO_CHANGE``, the channel runs that version; ``CONSORTIUM``, it is none.
    """
    wanted = replace(network.config, chaincode_version=version)
    first = network.config.consortium.organisations[0]
    committed = network.administrator(first).definition()
    if committed is not None and committed.version == version:
        raise BadInputError(
            "NOTHING_TO_CHANGE",
            f"The channel runs version {version} of the contract already.",
            "Install another version of fedledger and name that, or name another version.",
        )
    newer = _of(network, wanted)
    newer.up(progress)
    return newer


def _of(network: FabricNetwork, config: FabricConfig) -> FabricNetwork:
    """The same network of another configuration."""
    return FabricNetwork(config, network.layout.root, network.programs, attached=network.inventory.attached)


def _programs_of(network: FabricNetwork, organisation: Organisation) -> Sequence[Program]:
    return [network.inventory.program(kind, organisation) for kind in network.inventory.kinds]


def _forget(node: Program) -> None:
    """Stop a peer or an orderer and delete what it can fetch from the others."""
    stop_all([node])
    kind, _, _ = node.name.partition(".")
    for data in _DATA[kind]:
        shutil.rmtree(node.folder / kind / data, ignore_errors=True)


def _wait_for_peer(administrator: Administrator) -> None:
    """A peer that has just joined gets the contract's definition with the blocks."""
    _wait_until(lambda: administrator.definition() is not None, f"The peer of {administrator.organisation.name}")


def _wait_for_orderer(administrator: Administrator) -> None:
    """An orderer that has just joined first fetches the blocks and then agrees on further ones."""
    _wait_until(administrator.orderer_takes_part, f"The orderer of {administrator.organisation.name}")


def _wait_until(caught_up: Callable[[], bool], who: str) -> None:
    deadline = time.monotonic() + SECONDS_TO_CATCH_UP
    while not caught_up():
        if time.monotonic() > deadline:
            raise FabricTimeout(
                "NOT_CONVERGED",
                f"{who} does not catch up with the others.",
                "Look into its log with `fedledger network logs`.",
            )
        time.sleep(_POLL_SECONDS)


def _newest_config_block(network: FabricNetwork, organisation: Organisation) -> Path:
    """A file with the channel's newest configuration block, by that organisation's peer."""
    path = network.layout.config_block
    administrator = network.administrator_profile(organisation)
    with administrator.connect() as gateway:
        block = last_config_block(gateway.get_network(administrator.channel))
    write_atomic(path, block.SerializeToString(deterministic=True))
    return path


def _refuse_whole_member(network: FabricNetwork, member: Organisation, asked: Organisation) -> None:
    """Refuse to add who is a member in every respect; one that was half added goes on."""
    definition = network.administrator(asked).definition()
    runs = all(program.pid() is not None for program in _programs_of(network, member))
    if runs and definition is not None and member.msp_id in definition.organisations:
        raise already_member(member)


def _agree(network: FabricNetwork, wanted: FabricNetwork, signers: Sequence[Organisation]) -> None:
    """Give the channel the members and orderers of ``wanted``; the administrators of ``signers`` sign."""
    administrators = [network.administrator_profile(each) for each in signers]
    with ExitStack() as stack:
        channels = [stack.enter_context(each.connect()).get_network(each.channel) for each in administrators]
        current = current_config(channels[0])
        update = ChannelUpdate.between(
            network.config.consortium.channel, current, with_members(current, wanted.fresh_config())
        )
        if update is None:
            return
        for administrator in administrators:
            update = update.signed(administrator.msp_id, administrator.credentials())
        first = administrators[0]
        envelope = update.envelope(first.msp_id, first.credentials())
        broadcast(orderer_endpoints(current, first.msp_id), envelope)
        wait_for_config(channels, current.sequence + 1)
