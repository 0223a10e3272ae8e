"""Organisations on an embedded ledger, four unless a test wants more, whose participants send whatever it makes; no
training."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedledger.agents.journal import Journal, PendingUpdate
from fedledger.agents.participant import Participant, pseudonym_of, signed_manifest
from fedledger.agents.reference import ReferenceMemory
from fedledger.agents.stores import ValidatorStore
from fedledger.agents.validator import Validator
from fedledger.cli.demo.cheating import cheat
from fedledger.identity.keys import PrivateKey
from fedledger.identity.profile import Profile, load_profile
from fedledger.ledger import TaskLedger
from fedledger.secure_aggregation import Parameters, PreparedUpdate, SealingKey, UpdateContext, prepare_update
from fedledger.training import LocalResult
from fedledger.training.weights import Float32Array, save_weights
from fedledger_chaincode.messages.records import ENDED
from fedledger_chaincode.messages.round import SignedManifest
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_network.consortium import Consortium
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode
from tests.unit.contract.ledger import task_spec

ORGANISATIONS = ("cleveland", "hungary", "long_beach", "switzerland")
NAMES = {
    "cleveland": "ClevelandMSP",
    "hungary": "HungaryMSP",
    "long_beach": "LongBeachMSP",
    "switzerland": "SwitzerlandMSP",
}
HONEST = [3_000_000, -1_000_000, 500, 0]
"""An update well within the quantised norm 2^24."""


_LONGEST = 8.0
"""Seconds that clocks are put forward at once beyond what somebody waits for."""


@dataclass
class Hands:
    """The hands of everybody's stopwatch: they move only when they are moved."""

    ahead: float = 0.0
    """Seconds."""
    _step: float = 0.0
    _seen: object = None

    def __call__(self) -> float:
        return self.ahead

    def move(self, waits: Iterable[float | None], seen: object) -> None:
        """Forward to what the first of them waits for, and further each time while what is seen stays as it is."""
        self._step = min(2 * self._step, _LONGEST) + 0.01 if seen == self._seen else 0.0
        self._seen = seen
        self.ahead += max(self._step, min((wait for wait in waits if wait is not None), default=0.0))


@dataclass(frozen=True)
class Members:
    """By ``organisation-role``."""

    ledgers: dict[str, TaskLedger]
    profiles: dict[str, Profile]
    names: dict[str, str]
    """MSP id by organisation."""


@dataclass
class Game:
    """One task on one ledger; each test plays a round of its own."""

    spec: TaskSpec
    ledgers: dict[str, TaskLedger]
    """By ``organisation-role``."""
    keys: dict[str, PrivateKey]
    validators: dict[str, Validator]
    names: dict[str, str]
    """MSP id by organisation."""
    rounds: int = 0
    pending: dict[str, PendingUpdate] = field(default_factory=dict)
    hands: Hands = field(default_factory=Hands)
    """Of the validators' stopwatches."""

    def ledger(self, organisation: str, role: str) -> TaskLedger:
        return self.ledgers[f"{organisation}-{role}"]

    def pseudonym(self, organisation: str) -> str:
        return pseudonym_of(self.keys[organisation])

    def view(self) -> RoundView:
        """The round that is played."""
        return self.ledger("cleveland", "auditor").round(self.spec.task, self.rounds)

    def open(self) -> None:
        head = self.ledger("cleveland", "auditor").task(self.spec.task).head
        assert head is not None
        self.pending = {}
        if head.round_state == "open":  # validators that went on with a dispute have opened it
            self.rounds = head.round
            return
        self.rounds = head.round + 1
        self.ledger("cleveland", "validator").call_round(self.spec.task, self.rounds)
        self.ledger("cleveland", "validator").open_round(self.spec.task, self.rounds)

    def context(self, organisation: str) -> UpdateContext:
        record = self.view().record
        return UpdateContext("fedledger", self.spec.task, self.rounds, record.base_model, self.pseudonym(organisation))

    def sealing_keys(self) -> list[str]:
        return [validator.sealing_key for validator in self.view().cohort.validators]

    def honest(self, organisation: str, update: Sequence[int] = HONEST) -> PreparedUpdate:
        parameters = Parameters.of_task(self.spec)
        return prepare_update(
            np.array(update, dtype=np.int64), parameters, self.context(organisation), self.sealing_keys()
        )

    def cheating(self, organisation: str, update: Sequence[int] = HONEST, **lies: Any) -> PreparedUpdate:
        parameters = Parameters.of_task(self.spec)
        return cheat(parameters, self.sealing_keys(), self.context(organisation), list(update), **lies)

    def sign(self, organisation: str, prepared: PreparedUpdate) -> SignedManifest:
        return signed_manifest(
            self.spec, self.names[organisation], self.context(organisation), prepared, 100, self.keys[organisation]
        )

    def send(
        self, organisation: str, prepared: PreparedUpdate, stored: Callable[[int, bytes], bytes] = lambda _, data: data
    ) -> None:
        """Put the shares and submit the manifest; ``stored`` changes what validator j finds in its store."""
        signed = self.sign(organisation, prepared)
        for point, (validator, sealed) in enumerate(
            zip(self.view().cohort.validators, prepared.sealed, strict=True), start=1
        ):
            changed = stored(point, sealed)
            digest = prepared.shares[point - 1].digest
            store = ValidatorStore(validator.store).shares_of("fedledger", self.spec.task, self.rounds)
            store.put(sealed)
            if changed != sealed:
                (Path(store.url) / digest[:2] / digest).write_bytes(changed)
        self.pending[organisation] = PendingUpdate(signed, prepared.sealed)
        self.ledger(organisation, "participant").submit_updates([signed])

    def work(self, *, until: Sequence[str], without: Sequence[str] = (), seconds: float = 90.0) -> RoundView:
        """Let the validators work until the round is in one of the states ``until``."""
        return self.work_until(lambda view: view.record.state in until, without=without, seconds=seconds)

    def work_until(
        self, reached: Callable[[RoundView], bool], *, without: Sequence[str] = (), seconds: float = 90.0
    ) -> RoundView:
        """The same until the round is as wanted. Where all wait, their stopwatches are put forward."""
        end = time.monotonic() + seconds
        while not reached(view := self.view()):
            assert view.record.state not in ENDED, f"round {self.rounds} was {view.record.state}: {view.record.reason}"
            assert time.monotonic() < end, f"round {self.rounds} is still {view.record.state}"
            waits = [
                validator.step()
                for organisation, validator in self.validators.items()
                if organisation not in without and not reached(self.view())
            ]
            self.hands.move(waits, view)
        return view

    def settle_disputes(self, *, without: Sequence[str] = (), seconds: float = 90.0) -> None:
        """Let the validators work until a ruling has been made on every accusation; they may go on to other rounds."""
        auditor, end = self.ledger("cleveland", "auditor"), time.monotonic() + seconds
        while accusations := auditor.task(self.spec.task).accusations:
            assert time.monotonic() < end, "something is disputed still"
            waits = [v.step() for organisation, v in self.validators.items() if organisation not in without]
            self.hands.move(waits, accusations)

    def verdicts(self) -> dict[str, str]:
        """By organisation, of the newest round."""
        settlement = self.view().settlement
        assert settlement is not None
        by_msp = {update.msp: update.verdict for update in settlement.updates}
        return {organisation: by_msp[msp] for organisation, msp in self.names.items()}

    def stake(self, organisation: str) -> int:
        """Micro-tokens of a participant's stake that are left."""
        ledger = self.ledger("cleveland", "auditor")
        return ledger.balance_of(f"stake:{self.spec.task}:{self.pseudonym(organisation)}")

    def validator_stake(self, organisation: str) -> int:
        """The same of a validator."""
        return self.ledger("cleveland", "auditor").balance_of(f"stake:{self.spec.task}:{self.names[organisation]}")


def training_free_spec(**changes: Any) -> TaskSpec:
    """A task with norm proofs and short deadlines, whose initial model is all zeros."""
    model = zero_model()
    tables: dict[str, Any] = {
        "aggregation": {"proof": "norm"},
        "model": {"initial_weights_digest": hashlib.sha256(model).hexdigest(), "initial_weights_size": len(model)},
        "training": {"rounds": 1000},
        "privacy": dict.fromkeys(
            ("noise_multiplier", "record_clip_norm", "sampling_rate", "steps_per_round", "delta_pico"), 0
        )
        | {"mechanism": "none", "epsilon_budget": 0, "epsilon_schedule": []},
        "incentive": {"slashing_norm": 100_000, "slashing_dealing": 100_000, "slashing_validator": 100_000}
        | {"endowment": 1_000_000_000_000, "participant_stake": 100_000_000_000},
        "reputation": {"quarantine_threshold": 0},
        "deadlines": {"updates": 60, "attestations": 40, "aggregates": 40, "disputes": 20},
    }
    return task_spec(**tables | changes)


def zero_model() -> bytes:
    """Version 0 of every task here."""
    tensors = task_spec().model.tensors
    return save_weights([np.zeros(tensor.shape, dtype=np.float32) for tensor in tensors], tensors)


@contextmanager
def everybody(folder: Path, *organisations: str) -> Iterator[Members]:
    """Everybody's connection to one embedded ledger of these organisations."""
    consortium = Consortium.of_names(*organisations)
    network = NetworkFolder.create(folder, consortium)
    roles = ("governor", "participant", "validator", "auditor")
    with EmbeddedNode(network), ExitStack() as connections:
        profiles = {f"{o}-{r}": load_profile(network.profiles, f"{o}-{r}") for o in organisations for r in roles}
        connected = {
            name: TaskLedger(connections.enter_context(p.connect()).get_network("fedledger"), "fedledger")
            for name, p in profiles.items()
        }
        yield Members(connected, profiles, {o.name: o.msp_id for o in consortium.organisations})


@pytest.fixture(scope="session")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    """The four."""
    with everybody(tmp_path_factory.mktemp("attacks"), *ORGANISATIONS) as members:
        yield members


@pytest.fixture(scope="session")
def game(ledgers: Members) -> Game:
    """A task without trust weighting."""
    return begin(ledgers, training_free_spec())


def begin(members: Members, spec: TaskSpec, **validator_options: Any) -> Game:
    """Agree on a task, register all validators and let all participants join."""
    for organisation in members.names:
        members.ledgers[f"{organisation}-governor"].propose_task(spec)
        members.ledgers[f"{organisation}-governor"].approve_task(spec.task, spec.sha256())
    validators, hands = {}, Hands()
    for organisation, msp in members.names.items():
        profile = members.profiles[f"{organisation}-validator"]
        store = Path(profile.store) / spec.task
        validators[organisation] = Validator(
            members.ledgers[f"{organisation}-validator"],
            spec.task,
            msp,
            ValidatorStore(str(store)),
            SealingKey.generate(),
            patience=0.05,
            now=hands,
            initial_model=zero_model(),
            memory=ReferenceMemory(store.parent / "memory"),
            **validator_options,
        )
        validators[organisation].register()
        members.ledgers[f"{organisation}-participant"].join_task(spec.task)
    keys = {o: members.profiles[f"{o}-participant"].credentials().key for o in members.names}
    return Game(spec, members.ledgers, keys, validators, members.names, hands=hands)


class Site(Participant):
    """A participant agent that sends an update of a test's choice and judges no model: all else is the agent's own."""

    update: Float32Array

    def __post_init__(self) -> None:
        """Nothing is trained."""

    def _train(self, view: TaskView, current: RoundView) -> LocalResult:
        norm = float(np.linalg.norm(self.update))
        return LocalResult(self.update, 100, norm, norm, 0, 0, {}, 0.0)

    def _evaluate(self, view: TaskView) -> None:
        if view.head is not None:
            self._evaluated = view.head.version


def site_of(game: Game, organisation: str, folder: Path, update: Sequence[float] = (0.1, -0.2, 0.3, 0.0)) -> Site:
    """The participant agent of an organisation, with its journal in a folder."""
    agent = Site(
        ledger=game.ledger(organisation, "participant"),
        task=game.spec.task,
        channel="fedledger",
        definition=None,  # type: ignore[arg-type]
        data=None,  # type: ignore[arg-type]
        key=game.keys[organisation],
        journal=Journal(folder / organisation, "fedledger"),
        site=organisation,
    )
    agent.update = np.array(update, dtype=np.float32)
    return agent


def in_place_of(game: Game, organisation: str, kind: type[Validator], **changes: Any) -> Validator:
    """Put a validator of another kind, or one that is started again, in the place of an organisation's."""
    honest = game.validators[organisation]
    values = {each.name: getattr(honest, each.name) for each in fields(honest) if each.init and each.name[0] != "_"}
    game.validators[organisation] = kind(**values | changes)
    return game.validators[organisation]
