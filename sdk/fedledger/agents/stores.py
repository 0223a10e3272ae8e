"""Where agents find artifacts: a validator's store has areas for sealed shares and one for what is kept.

The sealed shares of each round have an area of their own, which is erased when the round is over; aggregate shares and
models stay. A store's URL is another organisation's word: which protocols it may name is the profile's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from fedledger.identity.profile import DEFAULT_STORES
from fedledger.ledger import TaskLedger
from fedledger.store import ArtifactStore, StoreError
from fedledger.store.place import protocol_of
from fedledger.training.weights import file_size
from fedledger_chaincode.messages.records import ModelRecord
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import TaskView

_SHARES = "shares"
_ARTIFACTS = "artifacts"


Areas = Callable[[TaskView], "list[ArtifactStore]"]
"""Where an agent looks for artifacts of a task, by the protocols that its profile allows."""


class ValidatorStore:
    """The areas of one validator's artifact store. Making one opens nothing and never fails."""

    def __init__(self, url: str, allowed: Collection[str] = DEFAULT_STORES) -> None:
        """
        Args:
            url: the store's URL as the validator registered it.
            allowed: the protocols that may be opened: ``Profile.stores``.
        """
        self.url = url.rstrip("/")
        self._allowed = frozenset(allowed)
        self.artifacts = ArtifactStore(self.url, self._allowed, area=(_ARTIFACTS,))

    @classmethod
    def own(cls, url: str) -> ValidatorStore:
        """The store that the operator's own profile names, whatever its protocol is."""
        return cls(url, (protocol_of(url),))

    def shares_of(self, channel: str, task: str, number: int) -> ArtifactStore:
        """Where the sealed shares of a round lie.

        Raises:
            ValueError: a name that is none of a channel or task, such as one that leads out of the store.
        """
        return ArtifactStore(self.url, self._allowed, area=(_SHARES, channel, task, f"{number:07d}"))

    def erase(self, channel: str, task: str, number: int) -> None:
        """Erase the sealed shares of a round and nothing else, whatever its manifests name; may be repeated.

        Raises:
            StoreError: ``STORE_UNAVAILABLE``, something of it may be left.
        """
        self.shares_of(channel, task, number).erase()


def validator_stores(task: TaskView, allowed: Collection[str] = DEFAULT_STORES) -> tuple[ValidatorStore, ...]:
    """The stores of a task's registered validators, in their order; using one that is not allowed fails."""
    return tuple(ValidatorStore(validator.store, allowed) for validator in task.validators)


def artifact_areas(
    task: TaskView, own: ArtifactStore | None = None, allowed: Collection[str] = DEFAULT_STORES
) -> list[ArtifactStore]:
    """Where aggregate shares and models are looked for, ``own`` first."""
    return [*([] if own is None else [own]), *(store.artifacts for store in validator_stores(task, allowed))]


def find_artifact(stores: Iterable[ArtifactStore], digest: str, size: int) -> bytes:
    """The artifact from the first store that has it whole.

    Args:
        size: its bytes, which the caller knows from the task or has checked against it.

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
    return find_model_of(ledger.task(task).record.spec, ledger.model(task, version), stores)


def find_model_of(spec: TaskSpec, record: ModelRecord, stores: Iterable[ArtifactStore]) -> bytes:
    """The model file of a registry entry.

    Raises:
        StoreError: no store has it; ``ARTIFACT_CORRUPT`` when its size by the registry is not that of the task's model.
    """
    size = file_size(spec.model.tensors)
    if record.model_size != size:
        raise StoreError(
            "ARTIFACT_CORRUPT",
            f"Version {record.version} of {record.task} has {record.model_size} bytes by the registry; "
            f"a file of its model has {size}.",
            "Ask the validators who reported it.",
        )
    return find_artifact(stores, record.model_digest, size)
