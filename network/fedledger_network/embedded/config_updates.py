"""A new configuration of the channel from a signed update, as Fabric's orderers work it out.

Every element read has the version that the update was made for, every element changed is one version newer and signed
for as its ``mod_policy`` demands (hyperledger/fabric, ``common/configtx/update.go``). Refuses changes that this node
could not honour: it takes new definitions of the members' MSPs, such as with a revocation list, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2
from fabric_protos.msp import msp_config_pb2
from google.protobuf.message import DecodeError

from fedledger.gateway.errors import BlockFormatError
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import Msp, VerifiedIdentity
from fedledger_network.configuration.edits import MSP, SECTIONS
from fedledger_network.embedded.channel import Channel
from fedledger_network.embedded.config_policies import ROOT, is_satisfied


class ConfigUpdateRefused(Exception):
    """The update is not taken; the text is for the client."""


class NotAuthorised(ConfigUpdateRefused):
    """Too few of those whose consent a change needs have signed it."""


@dataclass(frozen=True)
class _Place:
    """Where an element of a configuration is: ``group``, ``value`` or ``policy``, and its path below the root."""

    kind: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} /{'/'.join((ROOT, *self.path))}"


def updated(channel: Channel, envelope: bytes) -> Any:
    """The ``common.ConfigEnvelope`` that a ``CONFIG_UPDATE`` envelope leads to.

    Raises:
        ConfigUpdateRefused: malformed, out of date, or of a kind that is not supported.
        NotAuthorised: not signed by those whom the channel's policies demand.
    """
    try:
        update, signers = _read(channel, envelope)
    except (BlockFormatError, DecodeError) as error:
        raise ConfigUpdateRefused("the update does not parse") from error
    if update.channel_id != channel.name:
        raise ConfigUpdateRefused(f"the update is for channel {update.channel_id}")
    existing = dict(_elements(channel.config.channel_group))
    changed = _changed(existing, update)
    for place, element in changed.items():
        _check_version(place, element, existing)
        _check_consent(place, existing[place], channel, signers)
    config = configtx_pb2.Config(
        sequence=channel.config.sequence + 1,
        channel_group=_rebuilt((), existing[_Place("group", ())], changed),
    )
    _check_usable(channel, config)
    return configtx_pb2.ConfigEnvelope(config=config, last_update=common_pb2.Envelope.FromString(envelope))


def _read(channel: Channel, envelope: bytes) -> tuple[Any, list[VerifiedIdentity]]:
    """The ``common.ConfigUpdate`` and its distinct signers; signatures that do not hold do not count."""
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(envelope).payload)
    signed = configtx_pb2.ConfigUpdateEnvelope.FromString(payload.data)
    signers: list[VerifiedIdentity] = []
    for entry in signed.signatures:
        creator = common_pb2.SignatureHeader.FromString(entry.signature_header).creator
        try:
            signer = channel.identify(creator)
            signer.verify(entry.signature_header + signed.config_update, entry.signature)
        except IdentityError:
            continue
        if signer not in signers:
            signers.append(signer)
    return configtx_pb2.ConfigUpdate.FromString(signed.config_update), signers


def _changed(existing: Mapping[_Place, Any], update: Any) -> dict[_Place, Any]:
    read = dict(_elements(update.read_set))
    for place, element in read.items():
        if place not in existing or existing[place].version != element.version:
            raise ConfigUpdateRefused(f"the update was made for another version of {place}")
    changed: dict[_Place, Any] = {}
    for place, element in _elements(update.write_set):
        if place in read and read[place].version == element.version:
            continue
        changed[place] = element
    if not changed:
        raise ConfigUpdateRefused("the update changes nothing")
    return changed


def _check_version(place: _Place, element: Any, existing: Mapping[_Place, Any]) -> None:
    section, *rest = place.path or ("",)
    if place.kind != "value" or section not in SECTIONS or len(rest) != 2 or rest[1] != MSP or place not in existing:
        raise ConfigUpdateRefused(f"this node cannot change {place}: it takes new MSP definitions of its members only")
    if element.version != existing[place].version + 1:
        raise ConfigUpdateRefused(f"version {element.version} of {place} follows {existing[place].version}")
    if element.mod_policy != existing[place].mod_policy:
        raise ConfigUpdateRefused(f"this node cannot change who may change {place}")


def _check_consent(place: _Place, before: Any, channel: Channel, signers: list[VerifiedIdentity]) -> None:
    scope = place.path if place.kind == "group" else place.path[:-1]
    policy = before.mod_policy
    path = policy if policy.startswith("/") else "/" + "/".join((ROOT, *scope, policy))
    if not policy or not is_satisfied(channel.config.channel_group, path, signers):
        raise NotAuthorised(f"the change of {place} is not signed as {path} demands")


def _check_usable(channel: Channel, config: Any) -> None:
    """Each member has one definition, in both sections, under its own name."""
    for name in config.channel_group.groups["Application"].groups:
        definitions = {_msp(config, section, name) for section in SECTIONS}
        if len(definitions) != 1:
            raise ConfigUpdateRefused(f"the update gives {name} two different definitions; change both sections alike")
        if definitions.pop().msp_id not in channel.msps:
            raise ConfigUpdateRefused(f"the update renames {name}")


def _msp(config: Any, section: str, name: str) -> Msp:
    try:
        outer = msp_config_pb2.MSPConfig.FromString(config.channel_group.groups[section].groups[name].values[MSP].value)
        if outer.type != 0:
            raise ConfigUpdateRefused(f"the MSP of {name} is of type {outer.type}, not X.509")
        return Msp.from_proto(outer.config)
    except DecodeError as error:
        raise ConfigUpdateRefused(f"the MSP of {name} does not parse") from error
    except IdentityError as error:
        raise ConfigUpdateRefused(f"the MSP of {name} is refused: {error.message}") from error


def _elements(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[_Place, Any]]:
    yield _Place("group", path), group
    for name, value in group.values.items():
        yield _Place("value", (*path, name)), value
    for name, policy in group.policies.items():
        yield _Place("policy", (*path, name)), policy
    for name, child in group.groups.items():
        yield from _elements(child, (*path, name))


def _rebuilt(path: tuple[str, ...], group: Any, changed: Mapping[_Place, Any]) -> Any:
    """A copy of a group with the changed values in it."""
    copy = configtx_pb2.ConfigGroup()
    copy.CopyFrom(group)
    for name in group.values:
        value = changed.get(_Place("value", (*path, name)))
        if value is not None:
            copy.values[name].CopyFrom(value)
    for name, child in group.groups.items():
        copy.groups[name].CopyFrom(_rebuilt((*path, name), child, changed))
    return copy
