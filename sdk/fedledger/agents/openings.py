"""What a validator has attested of a round, kept before it is sent: one opening for one commitment, ever.

An opening tells a value of a validator's secret share. Two different ones of the same share, as with one reference
direction and then, after a crash, with another, would tell more than the protocol allows. What is kept holds openings
only of updates whose shares match their commitment in their own context, so that nobody's copy of a commitment keeps
its owner's update from being opened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fedledger.identity.files import make_private_folder, read_private, write_private
from fedledger_chaincode.messages.round import Attestation


@dataclass(frozen=True)
class OpeningMemory:
    """Attestations by task and round, in a folder that only the validator can read."""

    folder: Path | None = None
    """None for a validator that is never started again: they are kept in this process."""
    _kept: dict[tuple[str, int], Attestation] = field(default_factory=dict, repr=False)

    def keep(self, attestation: Attestation) -> None:
        """Remember it; it outlives a power cut before this returns."""
        if self.folder is None:
            self._kept[attestation.task, attestation.round] = attestation
            return
        make_private_folder(self.folder)
        write_private(self._place(self.folder, attestation.task, attestation.round), attestation.canonical())

    def recall(self, task: str, number: int) -> Attestation | None:
        """What was kept of a round."""
        if self.folder is None:
            return self._kept.get((task, number))
        place = self._place(self.folder, task, number)
        return Attestation.decode(read_private(place)) if place.exists() else None

    def forget(self, task: str, number: int) -> None:
        """Erase it, when the round is over."""
        self._kept.pop((task, number), None)
        if self.folder is not None:
            self._place(self.folder, task, number).unlink(missing_ok=True)

    def _place(self, folder: Path, task: str, number: int) -> Path:
        return folder / f"attestation-{task}-{number:07d}"
