"""Two specifications field by field: none is left out, whatever fields a specification may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fedledger_chaincode.messages.task import TaskSpec

if TYPE_CHECKING:
    from fedledger.training.task import TaskDefinition


def fields_of(spec: TaskSpec) -> dict[str, Any]:
    """Every field by its dotted path, ``own_privacy`` by organisation; lists are one field."""
    document = spec.model_dump(mode="json", by_alias=True)
    document["own_privacy"] = {own["msp"]: {k: own[k] for k in own if k != "msp"} for own in document["own_privacy"]}
    return dict(_flat("", document))


def _flat(path: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return [(path, value)]
    return [pair for name, part in value.items() for pair in _flat(f"{path}.{name}" if path else name, part)]


def differing(one: TaskSpec, other: TaskSpec) -> tuple[str, ...]:
    """Paths of the fields in which they differ, those that only one of them has included."""
    first, second = fields_of(one), fields_of(other)
    absent = object()
    return tuple(path for path in {**first, **second} if first.get(path, absent) != second.get(path, absent))


def nearest(definition: TaskDefinition, spec: TaskSpec) -> TaskSpec:
    """The specification that the package at hand makes for the same organisations and validators, in that of its
    variants which differs least."""
    variants = [definition, *(definition.override(variant=name) for name in definition.settings.variants)]
    made = [
        variant.to_spec(organisations=spec.organisations, validators=spec.aggregation.validators)
        for variant in variants
    ]
    return min(made, key=lambda each: len(differing(each, spec)))
