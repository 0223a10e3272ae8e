"""Changes of a network that runs: revocation, a further member, new certificates of a node, a node made anew.

Each is one function on a ``FabricNetwork`` of one machine and leaves it running; agents notice a pause at most.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedledger.gateway import Network
from fedledger.identity.files import write_atomic
from fedledger.identity.profile import load_profile
from fedledger_network.consortium import Organisation
from fedledger_network.fabric.administration import Administrator
from fedledger_network.fabric.channel_update import (
    compute_update,
    current_config,
    last_config_block,
    require_update,
    wait_for_config,
)
from fedledger_network.fabric.config_edits import (
    with_consenters,
    with_member,
    with_revocation_list,
)
from fedledger_network.fabric.errors import FabricError, FabricTimeout
from fedledger_network.fabric.identities import ADMINISTRATOR, issue_nodes_anew
from fedledger_network.fabric.inventory import ORDERER, PEER
from fedledger_network.fabric.network import FabricNetwork, Progress
from fedledger_network.fabric.processes import start_all, stop_all

SECONDS_TO_CATCH_UP = 60.0
_POLL_SECONDS = 0.2


def publish_revocation_list(network: FabricNetwork, name: str, revocation_list: Sequence[bytes]) -> None:
    """Let every peer and orderer refuse the certificates in an organisation's lists (PEM).

    The organisation's own administrator suffices. Raises ``NOTHING_TO_CHANGE``, ``COMMAND_FAILED``.
    """
    organisation = network.config.organisation(name)
    _change(
        network,
        [organisation],
        lambda config: with_revocation_list(config, organisation.msp_id, revocation_list),
    )


def add_member(network: FabricNetwork, member: Organisation, progress: Progress = lambda _: None) -> FabricNetwork:
    """Add an organisation with its peer and its orderer; returns the larger network, which is up.

    All present members sign the channel's new configuration and approve the contract's new endorsement policy.
    Raises as ``FabricNetwork.up`` does.
    """
    consortium = network.config.consortium
    larger = replace(network.config, consortium=replace(consortium, organisations=(*consortium.organisations, member)))
    grown = FabricNetwork(larger, network.layout.root, network.programs, attached=network.inventory.attached)
    grown.provide(progress)
    wanted = grown.fresh_config()
    progress(f"adding {member.name} to the channel")
    _change(network, consortium.organisations, lambda config: with_member(config, member.msp_id, wanted))
    progress(f"starting the programs of {member.name}")
    start_all([program for program in grown.inventory.all() if program.name.endswith(f".{member.name}")])
    joining = grown.administrator(member)
    joining.join_orderer(_newest_config_block(network, consortium.organisations[0]))
    joining.join_peer()
    _wait_for_orderer(joining)
    _wait_for_peer(joining)
    progress("agreeing on the contract's new endorsement policy")
    grown.deploy(progress)
    grown.wait_until_ready()
    grown.save()
    return grown


def rotate_certificates(network: FabricNetwork, name: str) -> None:
    """Give an organisation's peer and orderer new keys and certificates, and let the channel know the orderer's.

    Both are away for a moment; the others go on. Raises ``COMMAND_FAILED``, ``PROGRAM_DIED``.
    """
    organisation = network.config.organisation(name)
    programs = [network.inventory.program(kind, organisation) for kind in (ORDERER, PEER)]
    issue_nodes_anew(network.config, organisation, network.layout.organisation(name))
    network.prepare()
    wanted = network.fresh_config()
    _change(network, network.config.consortium.organisations, lambda config: with_consenters(config, wanted))
    stop_all(programs)
    # The builder's output holds the peer's old TLS key; the peer makes it anew from the installed package.
    shutil.rmtree(network.layout.organisation(name).node(PEER) / "data" / "externalbuilder", ignore_errors=True)
    start_all([network.inventory.program(kind, organisation) for kind in (ORDERER, PEER)])
    _wait_for_orderer(network.administrator(organisation))
    network.wait_until_ready()


def replace_node(network: FabricNetwork, name: str) -> None:
    """Make a peer or an orderer anew that has lost its data: it fetches everything from the others.

    ``name`` is such as ``peer.cleveland``. Raises ``UNKNOWN_PROGRAM``, ``COMMAND_FAILED``.
    """
    kind, _, member = name.partition(".")
    program = network.inventory.named(name)
    if kind not in (PEER, ORDERER):
        raise FabricError("UNKNOWN_PROGRAM", f"{name} keeps no data.", "Start it again.")
    organisation = network.config.organisation(member)
    administrator = network.administrator(organisation)
    stop_all([program])
    for data in ("data",) if kind == PEER else ("ledger", "consensus"):
        shutil.rmtree(program.folder / kind / data, ignore_errors=True)
    start_all([program])
    if kind == ORDERER:
        administrator.join_orderer(_newest_config_block(network, organisation))
        _wait_for_orderer(administrator)
        return
    administrator.join_peer()
    _wait_for_peer(administrator)
    # What the organisation had approved was its peer's alone to know: all approve the same once more.
    network.deploy(renew=True)
    network.wait_until_ready()


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
    path = network.layout.shared / "config.block"
    with ExitStack() as stack:
        block = last_config_block(_channel(stack, network, organisation))
    write_atomic(path, block.SerializeToString(deterministic=True))
    return path


def _change(network: FabricNetwork, signers: Sequence[Organisation], edit: Callable[[Any], Any]) -> None:
    """Change the channel's configuration with the signatures of ``signers``' administrators; the first one submits."""
    with ExitStack() as stack:
        members = network.config.consortium.organisations
        channels = [_channel(stack, network, each) for each in members]
        current = current_config(channels[0])
        computed = compute_update(network.programs, network.config.consortium.channel, current, edit(current))
        update = require_update(computed)
        for signer in signers[1:]:
            profile = load_profile(network.layout.profiles, f"{signer.name}-{ADMINISTRATOR}")
            update = update.signed(signer.msp_id, profile.credentials())
        network.administrator(signers[0]).update_channel(update.envelope())
        wait_for_config(channels, current.sequence + 1)


def _channel(stack: ExitStack, network: FabricNetwork, organisation: Organisation) -> Network:
    profile = load_profile(network.layout.profiles, f"{organisation.name}-{ADMINISTRATOR}")
    return stack.enter_context(profile.connect()).get_network(profile.channel)
