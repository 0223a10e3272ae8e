"""What a participant has prepared and not yet seen settled: one update per round, one evaluation of a model version,
whatever is killed when.

An update is written here before any part of it leaves. After a crash the same shares and the same manifest are sent
again; training again would spend privacy twice and sign a second manifest, which is a fault. An evaluation with noise
is kept for the same reason.

Layout: ``<folder>/journal/<channel>/<task>/<round>/``; a round's folder appears whole, by a rename.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from fedledger.agents.lock import only_one
from fedledger.errors import BadInputError, FedledgerError
from fedledger.identity.files import make_private_folder, read_private, rename, write_private
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.round import EvaluationReport, SignedManifest

_EVALUATION = "evaluation.json"
_MANIFEST = "manifest.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PART = ".part"


@dataclass(frozen=True)
class PendingUpdate:
    """One prepared update."""

    signed: SignedManifest
    sealed: tuple[bytes, ...] = field(repr=False)
    """Sealed share of validator 1, 2, ..., n."""


@dataclass(frozen=True)
class KeptEvaluation:
    """What was decided to be told of a model version."""

    report: EvaluationReport | None
    """None where that is nothing."""


class Journal:
    """Pending updates in a folder that only its owner can read."""

    def __init__(self, folder: Path, channel: str) -> None:
        """Args: folder: the participant's own, such as ``Profile.participant``."""
        self._folder = folder / "journal" / _checked(channel)

    def held(self, task: str) -> AbstractContextManager[None]:
        """Keep other processes from working with this journal on the task while the context lasts.

        Raises:
            FedledgerError: ``AGENT_RUNS``, one does.
        """
        return only_one(self._task(task) / "lock", f"participant of task {task}")

    def write(self, task: str, number: int, pending: PendingUpdate) -> None:
        """Keep an update; nothing of it counts before all of it is there.

        Raises:
            FedledgerError: ``UNWRITABLE_FILE``, the disk is full or the round has an update already.
        """
        place = self._place(task, number)
        part = place.with_name(place.name + _PART)
        if part.exists():
            shutil.rmtree(part)
        make_private_folder(part)
        for index, sealed in enumerate(pending.sealed, start=1):
            write_private(part / f"share-{index}", sealed)
        write_private(part / _MANIFEST, pending.signed.canonical())
        rename(part, place)

    def read(self, task: str, number: int) -> PendingUpdate | None:
        """The update of a round, None when none was completely written.

        Raises:
            FedledgerError: ``JOURNAL_DAMAGED``, a file was changed by something else.
        """
        place = self._place(task, number)
        if not place.exists():
            return None
        try:
            signed = SignedManifest.decode(read_private(place / _MANIFEST))
            shares = signed.manifest.shares
            sealed = tuple(read_private(place / f"share-{index}") for index in range(1, len(shares) + 1))
            if any(hashlib.sha256(held).hexdigest() != told.digest for held, told in zip(sealed, shares, strict=True)):
                raise ValueError("a share is not the one that its manifest names")
            return PendingUpdate(signed, sealed)
        except (ContractError, FedledgerError, ValueError, TypeError) as error:
            raise FedledgerError(
                "JOURNAL_DAMAGED",
                f"The update that was prepared in {place} cannot be read: {error}.",
                "Sit this round out; delete the folder when the round is over.",
            ) from error

    def keep_evaluation(self, task: str, version: int, report: EvaluationReport | None) -> None:
        """Keep what is told of a model version, which may be nothing, in the place of what was told of another."""
        make_private_folder(self._task(task))
        told = report.canonical() if report is not None else b""
        write_private(self._task(task) / _EVALUATION, b"%d\n%s" % (version, told))

    def evaluation(self, task: str, version: int) -> KeptEvaluation | None:
        """What is told of a model version, None when it was not decided yet.

        Raises:
            BadInputError: ``JOURNAL_DAMAGED``, the file was changed by something else.
        """
        place = self._task(task) / _EVALUATION
        if not place.exists():
            return None
        try:
            number, told = read_private(place).split(b"\n", maxsplit=1)
            kept = EvaluationReport.decode(told) if told else None
            return KeptEvaluation(kept) if int(number) == version else None
        except (ContractError, ValueError) as error:
            raise BadInputError(
                "JOURNAL_DAMAGED", f"The evaluation in {place} cannot be read: {error}.", "Delete the file."
            ) from error

    def forget_before(self, task: str, number: int) -> None:
        """Erase the updates of earlier rounds, and what a process that was killed left of any."""
        task_folder = self._task(task)
        for place in list(task_folder.iterdir()) if task_folder.exists() else []:
            is_earlier = place.name.isdecimal() and int(place.name) < number
            if is_earlier or place.name.endswith(_PART):
                shutil.rmtree(place)

    def _task(self, task: str) -> Path:
        return self._folder / _checked(task)

    def _place(self, task: str, number: int) -> Path:
        return self._task(task) / f"{number:07d}"


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a channel or task")
    return name
