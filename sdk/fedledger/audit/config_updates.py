"""Whether a new channel configuration was authorised by the one before it, as Fabric decides it.

Read-set versions hold, every changed element is one version newer and signed for as its mod_policy demands, and the new
configuration is exactly the old one with those elements changed (hyperledger/fabric, ``common/configtx``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2
from google.protobuf.message import DecodeError

from fedledger.audit.channel import ROOT, ChannelConfig
from fedledger.audit.findings import CheckName, Finding
from fedledger.gateway.errors import BlockFormatError
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import VerifiedIdentity

_Place = tuple[str, tuple[str, ...]]
"""``group``, ``value`` or ``policy``, and the path from the channel's root group."""


@dataclass(frozen=True)
class _Element:
    """One element of a configuration: a ``ConfigGroup``, ``ConfigValue`` or ``ConfigPolicy``."""

    message: Any

    @property
    def version(self) -> int:
        return int(self.message.version)

    @property
    def mod_policy(self) -> str:
        return str(self.message.mod_policy)


def updated_config(current: ChannelConfig, envelope: Any) -> ChannelConfig:
    """Return the configuration of a ``common.ConfigEnvelope``, if ``current`` authorises it.

    Raises ``Finding`` when it does not, ``GenesisError`` when the new configuration cannot be judged.
    """
    try:
        update, signers = _signed_update(current, envelope.last_update)
        return _apply(current, envelope.config, update, signers)
    except (BlockFormatError, DecodeError) as error:
        raise _refusal("the update in it does not parse") from error


def _apply(current: ChannelConfig, config: Any, update: Any, signers: list[VerifiedIdentity]) -> ChannelConfig:
    if update.channel_id != current.channel_id:
        raise _refusal(f"the update is for channel {update.channel_id}")
    if config.sequence != current.config.sequence + 1:
        raise _refusal(f"sequence {config.sequence} follows {current.config.sequence}")
    existing = dict(_elements(current.config.channel_group))
    read = dict(_elements(update.read_set))
    written = dict(_elements(update.write_set))
    for place, element in read.items():
        if place not in existing or existing[place].version != element.version:
            raise _refusal(f"the update was made for another version of {_path(place)}")
    changed = {
        place: element
        for place, element in written.items()
        if place not in read or read[place].version != element.version
    }
    if not changed:
        raise _refusal("the update changes nothing")
    for place, element in changed.items():
        _check_change(place, element, existing.get(place), current, signers)
    expected = _rebuilt(("group", ()), existing, changed)
    if expected.SerializeToString(deterministic=True) != config.channel_group.SerializeToString(deterministic=True):
        raise _refusal("it is not the configuration before it with the update applied")
    return ChannelConfig.from_config(current.channel_id, config)


def _check_change(
    place: _Place, element: _Element, before: _Element | None, current: ChannelConfig, signers: list[VerifiedIdentity]
) -> None:
    """An element that did not exist is authorised by the group that it enters, which has to change with it."""
    if before is None:
        if element.version != 0:
            raise _refusal(f"the new {_path(place)} begins at version {element.version}")
        return
    if element.version != before.version + 1:
        raise _refusal(f"version {element.version} of {_path(place)} follows {before.version}")
    kind, path = place
    scope = path if kind == "group" else path[:-1]
    policy = before.mod_policy
    where = policy if policy.startswith("/") else "/" + "/".join((ROOT, *scope, policy))
    if not policy or not current.policy(where).satisfied_by(signers):
        raise _refusal(f"the change of {_path(place)} is not signed as {where} demands")


def _signed_update(current: ChannelConfig, last_update: Any) -> tuple[Any, list[VerifiedIdentity]]:
    """The ``common.ConfigUpdate`` and who signed it; signatures that do not hold do not count."""
    payload = common_pb2.Payload.FromString(last_update.payload)
    envelope = configtx_pb2.ConfigUpdateEnvelope.FromString(payload.data)
    signers: list[VerifiedIdentity] = []
    for entry in envelope.signatures:
        signer = _signer(current, entry, envelope.config_update)
        if signer is not None and signer not in signers:
            signers.append(signer)
    return configtx_pb2.ConfigUpdate.FromString(envelope.config_update), signers


def _signer(current: ChannelConfig, entry: Any, update: bytes) -> VerifiedIdentity | None:
    creator = common_pb2.SignatureHeader.FromString(entry.signature_header).creator
    try:
        identity = current.identify(creator)
        identity.verify(entry.signature_header + update, entry.signature)
    except IdentityError:
        return None
    return identity


def _elements(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[_Place, _Element]]:
    yield ("group", path), _Element(group)
    for name, value in group.values.items():
        yield ("value", (*path, name)), _Element(value)
    for name, policy in group.policies.items():
        yield ("policy", (*path, name)), _Element(policy)
    for name, child in group.groups.items():
        yield from _elements(child, (*path, name))


def _rebuilt(place: _Place, existing: Mapping[_Place, _Element], changed: Mapping[_Place, _Element]) -> Any:
    """The group at ``place`` with the changes in it; a changed group says which members it has."""
    _, path = place
    members = (changed.get(place) or existing[place]).message
    group = configtx_pb2.ConfigGroup(version=members.version, mod_policy=members.mod_policy)
    for kind, names, target in (
        ("value", members.values, group.values),
        ("policy", members.policies, group.policies),
        ("group", members.groups, group.groups),
    ):
        for name in names:
            below = (kind, (*path, name))
            if below not in changed and below not in existing:
                raise _refusal(f"the update names {_path(below)}, which does not exist")
            if kind == "group":
                target[name].CopyFrom(_rebuilt(below, existing, changed))
            else:
                target[name].CopyFrom((changed.get(below) or existing[below]).message)
    return group


def _path(place: _Place) -> str:
    kind, path = place
    return f"{kind} /{'/'.join((ROOT, *path))}"


def _refusal(reason: str) -> Finding:
    return Finding(CheckName.CONFIGURATION, f"the new configuration is refused: {reason}")
