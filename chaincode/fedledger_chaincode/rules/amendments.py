"""What may change in a task that runs, and when its organisations have decided about a change."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import AmendmentRecord
from fedledger_chaincode.messages.task import TaskSpec

AMENDABLE = (
    ("title",),
    ("purpose",),
    ("agreement", "purposes"),
    ("agreement", "minimum_examples"),
    ("agreement", "example_step"),
    ("agreement", "ends_at"),
    ("training", "rounds"),
    ("privacy", "epsilon_budget"),
    ("privacy", "epsilon_schedule"),
    ("deadlines",),
)
"""Everything else is what shares, proofs, stakes, scores and held-out records of the task rest on: it takes a new task.
What is said of privacy holds for an organisation's own as well."""


def check_amendable(current: TaskSpec, proposed: TaskSpec) -> None:
    """Raise 409 ``NOT_AMENDABLE`` naming the first field that differs and may not."""
    difference = _first_difference(_document(current), _document(proposed), ())
    if difference is not None:
        raise ContractError(
            409,
            "NOT_AMENDABLE",
            f"An amendment cannot change {'.'.join(difference)}.",
            "Propose a new task for that; an amendment changes "
            + ", ".join(".".join(path) for path in AMENDABLE)
            + ".",
        )
    for msp in current.organisations:
        known = current.privacy_of(msp).epsilon_schedule
        if proposed.privacy_of(msp).epsilon_schedule[: len(known)] != known:
            raise ContractError(
                409,
                "NOT_AMENDABLE",
                f"An amendment cannot change what is known of the epsilon of {msp} after the first rounds.",
                "Only append to an epsilon_schedule; the mechanism stays the same.",
            )
    if proposed.training.rounds < current.training.rounds:
        raise ContractError(
            409,
            "NOT_AMENDABLE",
            f"The task has {current.training.rounds} rounds, which cannot become {proposed.training.rounds}.",
            "Stop the task to end it early.",
        )


def _document(spec: TaskSpec) -> dict[str, Any]:
    own = {each.msp: each.model_dump(mode="json") for each in spec.own_privacy}
    return spec.model_dump(mode="json") | {"own_privacy": own}


def _first_difference(current: Any, proposed: Any, path: tuple[str, ...]) -> tuple[str, ...] | None:
    within = path[2:] if path[:1] == ("own_privacy",) else path
    if current == proposed or within in AMENDABLE:
        return None
    if not isinstance(current, Mapping) or not isinstance(proposed, Mapping):
        return path
    for name in sorted({*current, *proposed}):
        found = _first_difference(current.get(name), proposed.get(name), (*path, name))
        if found is not None:
            return found
    return None


def with_word(amendment: AmendmentRecord, msp: str, decision: Literal["approved", "rejected"]) -> AmendmentRecord:
    """The amendment after one organisation's word; its last word counts."""
    approved, rejected = {*amendment.approved} - {msp}, {*amendment.rejected} - {msp}
    (approved if decision == "approved" else rejected).add(msp)
    organisations = amendment.spec.organisations
    hopeless = len(organisations) - len(rejected) < amendment.spec.majority
    return amendment.model_copy(
        update={
            "approved": tuple(each for each in organisations if each in approved),
            "rejected": tuple(each for each in organisations if each in rejected),
            "state": "rejected" if hopeless else "open",
        }
    )


def is_decided(amendment: AmendmentRecord, suspended: AbstractSet[str]) -> bool:
    """Whether the next round goes by it: a majority of all organisations has approved it and may still do so."""
    approved = [msp for msp in amendment.approved if msp not in suspended]
    return amendment.state == "open" and len(approved) >= amendment.spec.majority
