"""What a participant has prepared and not yet seen settled: one update per round, whatever is killed when.

An update is written here before any part of it leaves. After a crash the same shares and the same manifest are sent
again; training again would spend privacy twice and sign a second manifest, which is a fault.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from fedledger.errors import FedledgerError
from fedledger.identity.files import make_private_folder, read_private, write_private
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.round import SignedManifest

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class PendingUpdate:
    """One prepared update."""

    signed: SignedManifest
    sealed: tuple[bytes, ...]
    """Sealed share of validator 1, 2, ..., n."""


class Journal:
    """Pending updates in a folder that only its owner can read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, task: str, number: int, pending: PendingUpdate) -> None:
        """Keep an update; the manifest is written last and makes it count."""
        place = self._place(task, number)
        make_private_folder(place)
        for index, sealed in enumerate(pending.sealed, start=1):
            write_private(place / f"share-{index}", sealed)
        write_private(place / _MANIFEST, pending.signed.canonical())

    def read(self, task: str, number: int) -> PendingUpdate | None:
        """The update of a round, None when none was completely written.

        Raises:
            FedledgerError: ``JOURNAL_DAMAGED``, a file was changed by something else.
        """
        place = self._place(task, number)
        if not (place / _MANIFEST).exists():
            return None
        try:
            signed = SignedManifest.decode(read_private(place / _MANIFEST))
            sealed = tuple(read_private(place / f"share-{i + 1}") for i in range(len(signed.manifest.shares)))
        except (ContractError, ValueError) as error:
            raise FedledgerError(
                "JOURNAL_DAMAGED",
                f"The update that was prepared in {place} cannot be read: {error}.",
                "Sit this round out; delete the folder when the round is over.",
            ) from error
        return PendingUpdate(signed, sealed)

    def forget_before(self, task: str, number: int) -> None:
        """Erase the updates of earlier rounds."""
        for place in self._folder.glob(f"{task}-*"):
            if place.name < self._place(task, number).name:
                shutil.rmtree(place)

    def _place(self, task: str, number: int) -> Path:
        return self._folder / f"{task}-{number:07d}"
