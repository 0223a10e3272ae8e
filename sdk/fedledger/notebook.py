"""The ledger for notebooks and scripts: what one profile may read and do, as Python values and as pandas tables.

``fedledger.connect`` opens it. Records are the ledger's own; amounts, rates and epsilon in them are in micro-units.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from fedledger.agents.stores import artifact_areas, find_model_of
from fedledger.errors import BadInputError
from fedledger.gateway import Network
from fedledger.identity.profile import Profile, load_profile
from fedledger.ledger import TaskLedger
from fedledger.ledger.reputation import Explanation, explain
from fedledger.training.weights import Float32Array, load_weights
from fedledger_chaincode.messages.base import Value
from fedledger_chaincode.messages.records import (
    EvaluationRecord,
    MintRecord,
    ModelRecord,
    ModelUseRecord,
    SettledUpdate,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import AccountBalance, MemberView, RoundView, TaskSummary, TaskView

if TYPE_CHECKING:
    import pandas

    from fedledger.audit import AuditReport

ValueT = TypeVar("ValueT", bound=Value)


class Records(tuple[ValueT, ...]):
    """Records of the ledger, in its order."""

    __slots__ = ()

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each record; nested fields are columns named ``outer.inner``.

        Raises BadInputError PANDAS_MISSING.
        """
        try:
            import pandas
        except ImportError as error:
            raise BadInputError(
                "PANDAS_MISSING", "pandas is not installed.", "Install it: pip install pandas."
            ) from error
        return pandas.json_normalize([record.model_dump(mode="json", by_alias=True) for record in self])


@dataclass(frozen=True)
class Channel:
    """A channel as one profile sees it."""

    profile: Profile
    network: Network
    ledger: TaskLedger
    """Every transaction and query of the contract."""
    _opened: ExitStack

    @classmethod
    def open(cls, profile: str, config: Path) -> Channel:
        """Connect; see ``fedledger.connect``."""
        found = load_profile(config, profile)
        with ExitStack() as stack:
            network = stack.enter_context(found.connect()).get_network(found.channel)
            return cls(found, network, TaskLedger(network, found.chaincode), stack.pop_all())

    def close(self) -> None:
        """Hang up."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def tasks(self) -> Records[TaskSummary]:
        """All tasks on the channel."""
        return Records(self.ledger.tasks())

    def task(self, name: str) -> Task:
        """One task; raises ``LedgerRefusal`` NOT_FOUND when it is first asked for something and does not exist."""
        return Task(name, self.ledger, self.profile)

    def audit(self, *, genesis: str | None = None, contracts: Sequence[str | Path] = ()) -> AuditReport:
        """Recompute everything that the ledger decided, from its first block on.

        Args:
            genesis: hex header hash of the genesis block that is trusted; None trusts the one that the peer has.
            contracts: wheels of other releases, for versions of the contract that do not come with this one.
        """
        from fedledger.audit import contract_versions, verify_network

        with contract_versions([Path(path) for path in contracts]) as versions:
            return verify_network(
                self.network,
                allowed=self.profile.stores,
                trusted_genesis=genesis,
                chaincode=self.profile.chaincode,
                versions=versions,
            )


@dataclass(frozen=True)
class Task:
    """One task on the ledger; every method asks anew."""

    name: str
    ledger: TaskLedger
    profile: Profile

    def view(self) -> TaskView:
        """What was agreed, by whom, and where the task stands."""
        return self.ledger.task(self.name)

    @property
    def agreement(self) -> TaskSpec:
        """The specification that the task goes by now."""
        return self.view().record.spec

    def members(self) -> Records[MemberView]:
        """Participants with their standing: contributions, epsilon, reputation, balance, stake."""
        return Records(self.ledger.members(self.name))

    def round(self, number: int) -> RoundView:
        """Everything about one round."""
        return self.ledger.round(self.name, number)

    def settled(self, number: int) -> Records[SettledUpdate]:
        """What a round decided about each participant; empty while it is not settled."""
        settlement = self.round(number).settlement
        return Records(() if settlement is None else settlement.updates)

    def models(self) -> Records[ModelRecord]:
        """All versions of the model."""
        return Records(self.ledger.models(self.name))

    def evaluations(self, version: int) -> Records[EvaluationRecord]:
        """What participants say of a version on their own held-out data."""
        return Records(self.ledger.evaluations(self.name, version))

    def uses(self) -> Records[ModelUseRecord]:
        """What organisations say they use models for."""
        return Records(self.ledger.model_uses(self.name))

    def wallet(self, msp: str | None = None) -> Records[AccountBalance]:
        """An organisation's accounts, the profile's own by default, in micro-tokens."""
        return Records(self.ledger.wallet(self.name, msp or self.profile.msp_id).accounts)

    def mints(self) -> Records[MintRecord]:
        """Proposals to make new tokens, and how organisations voted on them."""
        return Records(self.ledger.mints(self.name))

    def reputation(self, participant: str) -> Explanation:
        """How a participant's reputation came about, round by round; ``differences`` is empty on a sound ledger."""
        return explain(self.ledger.reputation(self.name, participant))

    def weights(self, version: int | None = None) -> list[Float32Array]:
        """The trainable tensors of a version, the newest by default, checked against the ledger's digest.

        Raises StoreError when no validator's store has it.
        """
        return load_weights(self._file(version), self.agreement.model.tensors)

    def keras_model(self, version: int | None = None, *, package: str | Path | None = None) -> Any:
        """The same as a ``tf.keras.Model``; imports TensorFlow.

        Args:
            package: the task's folder; the installed task of that name by default.

        Raises:
            BadInputError: ``TASK_DIFFERS`` when the package is not the one that was agreed on.
        """
        from fedledger.training import load_task

        definition = load_task(str(package or self.name)).agree(self.agreement)
        return definition.keras_model(self._file(version))

    def _file(self, version: int | None) -> bytes:
        view = self.view()
        if version is None:
            if view.head is None:
                raise BadInputError("NO_MODEL", f"Task {self.name} is not active yet.", "Wait for its approval.")
            version = view.head.version
        stores = artifact_areas(view, allowed=self.profile.stores)
        return find_model_of(view.record.spec, self.ledger.model(self.name, version), stores)
