"""Where agents find artifacts: a validator's store has one area for sealed shares and one for what is kept.

Sealed shares are erased when their round is over; aggregate shares and models stay.
"""

from __future__ import annotations

from collections.abc import Iterable

from fedledger.ledger import TaskLedger
from fedledger.store import ArtifactStore, StoreError
from fedledger_chaincode.messages.views import TaskView


class ValidatorStore:
    """The two areas of one validator's artifact store."""

    def __init__(self, url: str) -> None:
        """Args: url: the store's URL as the validator registered it."""
        root = url.rstrip("/")
        self.url = root
        self.shares = ArtifactStore(f"{root}/shares")
        self.artifacts = ArtifactStore(f"{root}/artifacts")

    def shares_of(self, channel: str, task: str, number: int) -> ArtifactStore:
        """Where the sealed shares of a round lie."""
        return ArtifactStore(f"{self.url}/shares/{channel}/{task}/{number:07d}")

    def erase(self, channel: str, task: str, number: int) -> None:
        """Erase the sealed shares of a round and nothing else; may be repeated."""
        area = self.shares_of(channel, task, number)
        for digest in area.digests():
            area.delete(digest)


def validator_stores(task: TaskView) -> tuple[ValidatorStore, ...]:
    """The stores of a task's registered validators."""
    return tuple(ValidatorStore(validator.store) for validator in task.validators)


def artifact_areas(task: TaskView, own: ArtifactStore | None = None) -> list[ArtifactStore]:
    """Where aggregate shares and models are looked for, ``own`` first."""
    return [*([] if own is None else [own]), *(store.artifacts for store in validator_stores(task))]


def find_artifact(stores: Iterable[ArtifactStore], digest: str, size: int) -> bytes:
    """The artifact from the first store that has it whole.

    Raises:
        StoreError: the last store's reason when none has it.
    """
    failure = StoreError(
        "ARTIFACT_MISSING", f"No store is known that could hold {digest[:16]}.", "Register validators."
    )
    for store in stores:
        try:
            return store.get(digest, size)
        except StoreError as error:
            failure = error
    raise failure


def find_model(ledger: TaskLedger, task: str, stores: Iterable[ArtifactStore], version: int) -> bytes:
    """The model file of a version, checked against the registry's digest; raises ``StoreError``."""
    record = ledger.model(task, version)
    return find_artifact(stores, record.model_digest, record.model_size)
