"""Whose reference direction a round goes by, and who goes to the end of the row for it.

docs/protocol/rounds.md, 4.3.1. Every validator may commit to one; of those revealed the first in the row counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedledger_chaincode.messages.records import ReferenceFault, ReferenceFaultsRecord, ReferenceRecord
from fedledger_chaincode.messages.round import Attestation


def row(validators: Sequence[str], number: int, faults: ReferenceFaultsRecord) -> tuple[str, ...]:
    """Validators in the order in which their directions count: fewest faults first, then in turn by the round."""
    turns = {msp: (index - number) % len(validators) for index, msp in enumerate(validators)}
    return tuple(sorted(validators, key=lambda msp: (faults.count(msp), turns[msp])))


def chosen(references: Sequence[ReferenceRecord]) -> ReferenceRecord | None:
    """The one that counts, of those that were committed to, in the row of the round."""
    return next((reference for reference in references if reference.revealed is not None), None)


def with_faults(
    before: ReferenceFaultsRecord,
    references: Sequence[ReferenceRecord],
    attestations: Mapping[str, Attestation],
    tolerated_faults: int,
) -> ReferenceFaultsRecord:
    """The faults after a round: of who did not reveal, and of the chosen one where more than t rejected it."""
    blamed = {reference.committed_by for reference in references if reference.revealed is None}
    rejecting = sum(1 for attestation in attestations.values() if attestation.reference == "rejected")
    used = chosen(references)
    if used is not None and rejecting > tolerated_faults:
        blamed.add(used.committed_by)
    counts = {fault.msp: fault.count for fault in before.faults}
    counts |= {msp: counts.get(msp, 0) + 1 for msp in blamed}
    return ReferenceFaultsRecord(faults=tuple(ReferenceFault(msp=msp, count=counts[msp]) for msp in sorted(counts)))
