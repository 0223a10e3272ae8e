"""What an update has to say to lead from one configuration to another: the smallest read set and write set.

As Fabric's ``configtxlator compute_update`` does it (hyperledger/fabric, ``internal/configtxlator/update/update.go``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fabric_protos.common import configtx_pb2

_KINDS = ("policies", "values", "groups")


@dataclass
class _Members:
    """Of one kind of a group's members: by name, what is read, what is written, what stays as it is."""

    read: dict[str, Any] = field(default_factory=dict)
    written: dict[str, Any] = field(default_factory=dict)
    same: dict[str, Any] = field(default_factory=dict)
    come_or_gone: bool = False


def update_between(channel: str, current: Any, wanted: Any) -> Any | None:
    """The ``common.ConfigUpdate`` from one ``common.Config`` to another; None when both say the same."""
    read, written, differs = _groups_differ(current.channel_group, wanted.channel_group)
    if not differs:
        return None
    return configtx_pb2.ConfigUpdate(channel_id=channel, read_set=read, write_set=written)


def _groups_differ(current: Any, wanted: Any) -> tuple[Any, Any, bool]:
    """Read set and write set of one group, and whether they say more than its version."""
    parts = {
        "policies": _changed(current.policies, wanted.policies, "policy"),
        "values": _changed(current.values, wanted.values, "value"),
        "groups": _changed_groups(current.groups, wanted.groups),
    }
    version = current.version
    membership = any(part.come_or_gone for part in parts.values()) or current.mod_policy != wanted.mod_policy
    read, written = configtx_pb2.ConfigGroup(version=version), configtx_pb2.ConfigGroup(version=version)
    if membership:
        # A group whose members or whose mod_policy change is written whole, and every member that stays is read.
        written.version, written.mod_policy = version + 1, wanted.mod_policy
    for kind in _KINDS:
        part = parts[kind]
        same = part.same if membership else {}
        for target, entries in ((read, part.read | same), (written, part.written | same)):
            for name, entry in entries.items():
                getattr(target, kind)[name].CopyFrom(entry)
    return read, written, membership or any(part.read or part.written for part in parts.values())


def _changed(current: Mapping[str, Any], wanted: Mapping[str, Any], content: str) -> _Members:
    """Compare policies or values, whose content is in the field of that name."""
    found = _Members(come_or_gone=set(current) != set(wanted))
    for name in sorted(wanted):
        new, version = type(wanted[name])(), 0
        if name in current:
            old = current[name]
            if (old.mod_policy, getattr(old, content)) == (wanted[name].mod_policy, getattr(wanted[name], content)):
                found.same[name] = type(old)(version=old.version)
                continue
            version = old.version + 1
        new.CopyFrom(wanted[name])
        new.version = version
        found.written[name] = new
    return found


def _changed_groups(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> _Members:
    found = _Members(come_or_gone=set(current) != set(wanted))
    for name in sorted(wanted):
        if name not in current:
            _, new, _ = _groups_differ(configtx_pb2.ConfigGroup(), wanted[name])
            new.version, new.mod_policy = 0, wanted[name].mod_policy
            found.written[name] = new
            continue
        read, written, differs = _groups_differ(current[name], wanted[name])
        if differs:
            found.read[name], found.written[name] = read, written
        else:
            found.same[name] = read
    return found
