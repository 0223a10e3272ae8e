"""Makes a ledger of protocol version 1 with everything in it: ``python -m tests.unit.audit.make_version_1 ENGINE OUT``.

Two tasks that end, one that is refused. In the first one, with norm proofs and trust weighting by reference data, six
rounds: two disputes, an aborted round, an amendment, a suspension, a withdrawal, and every fault that is punished.
"""

from __future__ import annotations

import base64
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from fabric_protos.gateway import gateway_pb2

from fedledger.agents.journal import PendingUpdate
from fedledger.agents.participant import find_liar
from fedledger.agents.reference import ReferenceMemory, public_reference
from fedledger.agents.stores import ValidatorStore, artifact_areas, find_artifact, find_model
from fedledger.agents.validator import Validator
from fedledger.audit import export_network, verify_file
from fedledger.cli.demo.cheating import off_by_one
from fedledger.cli.session import connected
from fedledger.identity.keys import generate_key, public_key_der, sign
from fedledger.privacy.accountant import epsilon_schedule
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.secure_aggregation import Parameters, PreparedUpdate
from fedledger.secure_aggregation.encoding import Integers
from fedledger.training.weights import Float32Array
from fedledger_chaincode.messages.round import (
    Admission,
    EvaluationReport,
    Manifest,
    RevealedShare,
    SignedAdmission,
    UpdateFinding,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.tokens import MintProposal
from fedledger_chaincode.messages.views import TaskView
from fedledger_network.fabric import find_programs
from tests.attacks.conftest import NAMES, ORGANISATIONS, in_place_of, training_free_spec
from tests.attacks.test_validators import LiesAbout, LiesInTheSum
from tests.scenarios.agents import ROLES, Play, validator
from tests.scenarios.conftest import OWN_CONTRACT, _embedded, _fabric
from tests.scenarios.engines import Engine
from tests.scenarios.members import shifted
from tests.unit.contract.ledger import digest

MICRO = 1_000_000
NORM = 1 << 24
DIRECTION = np.array([1.0, 0.0, 0.0, 0.0], dtype=np.float32)
DEVICES = ("cleveland-pump", "hungary-pump")
EVERYBODY = (*ORGANISATIONS, *DEVICES)
UPDATES = {name: [NORM // (2 + i), -NORM // (3 + i), 1000 * i, -i] for i, name in enumerate(EVERYBODY)}
CLEVELAND, HUNGARY, LONG_BEACH, SWITZERLAND = ORGANISATIONS


def along(base: bytes, round_number: int) -> Float32Array:
    """What training on the reference data gives."""
    return DIRECTION


class LiesAboutOne(LiesAbout):
    """Attests a false D of one participant's update, and reveals its share."""

    reveals = True
    participant = ""

    def _finding(self, view: TaskView, manifest: Manifest, reference: Integers | None) -> UpdateFinding:
        if manifest.participant == self.participant:
            return super()._finding(view, manifest, reference)
        return Validator._finding(self, view, manifest, reference)


class LiesInT(LiesAboutOne):
    """Attests a false T of it."""

    value = "zero"


def privacy(mechanism: str, noise: float, rounds: int) -> dict[str, Any]:
    schedule = epsilon_schedule(PoissonSampledGaussian(0.1, noise, 10), rounds, 1e-5)
    return {
        "mechanism": mechanism,
        "noise_multiplier": round(noise * MICRO),
        "record_clip_norm": MICRO,
        "sampling_rate": 100_000,
        "steps_per_round": 10,
        "delta_pico": 10_000_000,
        "epsilon_budget": schedule[-1],
        "epsilon_schedule": list(schedule),
    }


def heart(deadlines: dict[str, int]) -> TaskSpec:
    return training_free_spec(
        aggregation={"proof": "norm"},
        privacy=privacy("dp-sgd", 1.0, 8),
        own_privacy=[{"msp": NAMES[SWITZERLAND], "privacy": privacy("dp-sgd", 2.0, 8), "agreement_factor": MICRO}],
        training={"rounds": 3, "server_optimizer": {"name": "sgd", "learning_rate": MICRO, "momentum": 500_000}},
        robustness={
            "trust_weighting": "reference-data",
            "reference_digest": digest("reference records"),
            "no_trust": 50_000,
            "full_trust": 400_000,
        },
        reputation={"quarantine_threshold": 0, "agreement_weight": 400_000}
        | {"reliability_weight": 300_000, "honesty_weight": 300_000},
        agreement={"purposes": ["research", "screening"], "example_step": 10, "minimum_examples": 20},
        deadlines=deadlines,
    )


def pumps(deadlines: dict[str, int]) -> TaskSpec:
    return training_free_spec(
        task="pumps",
        title="Bearing wear",
        aggregation={"proof": "none"},
        privacy=privacy("dp-fedavg", 1.5, 4),
        deadlines=deadlines,
    )


@contextmanager
def agreed(engine: Engine, spec: TaskSpec) -> Iterator[Play]:
    """The task, with all validators registered and all participants in it."""
    with ExitStack() as opened:
        profiles = {f"{o}-{r}": engine.profile(o, r) for o in ORGANISATIONS for r in ROLES}
        ledgers = {name: opened.enter_context(connected(profile)).ledger for name, profile in profiles.items()}
        ledgers[f"{CLEVELAND}-governor"].propose_task(spec)
        validators = {}
        for organisation in ORGANISATIONS:
            engine.settle()
            ledgers[f"{organisation}-governor"].approve_task(spec.task, spec.sha256())
        engine.settle()
        for organisation in ORGANISATIONS:
            name = f"{organisation}-validator"
            validators[organisation] = validator(profiles[name], ledgers[name], spec.task)
            validators[organisation].register()
            ledgers[f"{organisation}-participant"].join_task(spec.task)
            engine.settle()
        keys = {o: profiles[f"{o}-participant"].credentials().key for o in ORGANISATIONS}
        yield Play(spec, ledgers, keys, validators, NAMES, engine=engine)


class Making:
    """The consortium on one engine."""

    def __init__(self, engine: Engine, play: Play) -> None:
        self.engine, self.play = engine, play

    @property
    def task(self) -> str:
        return self.play.spec.task

    def settled(self, action: Callable[[], Any]) -> Any:
        self.engine.settle()
        done = action()
        self.engine.settle()
        return done

    def governors(self, names: Sequence[str], action: Callable[[Any], Any]) -> None:
        for name in names:
            self.settled(lambda name=name: action(self.play.ledger(name, "governor")))

    def open(self) -> int:
        self.engine.settle()
        self.play.open()
        self.engine.settle()
        if self.play.spec.robustness.trust_weighting == "reference-data":
            self.play.validators[CLEVELAND].step()
            self.engine.settle()
        return self.play.rounds

    def send(self, name: str, prepared: PreparedUpdate | None = None, **how: Any) -> None:
        self.engine.settle()
        self.play.send(name, prepared or self.honest(name), **how)

    def honest(self, name: str) -> PreparedUpdate:
        return self.play.honest(name, UPDATES[name])

    def send_together(self, *names: str) -> None:
        """Honest updates of participants of one organisation, in one transaction."""
        self.engine.settle()
        together = []
        for name in names:
            prepared = self.honest(name)
            for each, sealed in zip(self.play.view().cohort.validators, prepared.sealed, strict=True):
                ValidatorStore(each.store).shares.put(sealed)
            together.append(self.play.sign(name, prepared))
            self.play.pending[name] = PendingUpdate(together[-1], prepared.sealed, prepared.seeds)
        self.play.ledger(names[0], "participant").submit_updates(together)

    def work(self, *states: str, without: Sequence[str] = (), seconds: float = 300.0) -> None:
        """Let validators work, one step at a time, until the round is in one of these states."""
        deadline = time.monotonic() + seconds
        while True:
            for name, each in self.play.validators.items():
                self.engine.settle()
                head = self.play.ledger(CLEVELAND, "auditor").task(self.task).head
                assert head is not None
                if head.round_state in states:
                    return
                view = self.play.view()
                assert not head.idle, (view.record, view.settlement)
                if name not in without:
                    each.step()
            assert time.monotonic() < deadline, self.play.view().record.state
            time.sleep(0.02)

    def lying(self, name: str, kind: type[Validator], **how: Any) -> None:
        liar = in_place_of(self.play, name, kind)
        for attribute, value in how.items():
            setattr(liar, attribute, value)

    def admit(self, device: str) -> None:
        organisation = device.partition("-")[0]
        key = generate_key()
        admission = Admission(
            channel="fedledger",
            task=self.task,
            msp=NAMES[organisation],
            public_key=public_key_der(key.public_key()).hex(),
        )
        signature = base64.b64encode(sign(key, admission.canonical())).decode()
        signed = SignedAdmission(admission=admission, signature=signature)
        self.settled(lambda: self.play.ledger(organisation, "governor").admit_participants([signed]))
        self.play.keys[device] = key
        self.play.names = {**self.play.names, device: NAMES[organisation]}
        self.play.ledgers[f"{device}-participant"] = self.play.ledger(organisation, "participant")

    # --- rounds of the first task

    def round_with_liars_and_an_equivocation(self) -> None:
        before = dict(self.play.validators)
        self.lying(HUNGARY, LiesAboutOne, participant=self.play.pseudonym(LONG_BEACH))
        self.lying(SWITZERLAND, LiesInTheSum)
        self.open()
        last = "hungary-pump"
        self.send(last)
        again = self.play.sign(last, self.honest(last))
        (result,) = self.settled(lambda: self.play.ledger(last, "participant").submit_updates([again]))
        assert result.code == "EQUIVOCATION"
        self.send_together(CLEVELAND, "cleveland-pump")
        for name in (HUNGARY, LONG_BEACH, SWITZERLAND):
            self.send(name)
        self.work("disputed")
        self.play.validators[HUNGARY].step()
        self.work("finalised")
        self.play.validators.update(before)
        settlement = self.play.view().settlement
        assert settlement is not None and settlement.convicted == (NAMES[HUNGARY],)

    def round_with_cheating_participants(self) -> None:
        self.open()
        self.send(CLEVELAND)
        self.send_together(HUNGARY, "hungary-pump")
        self.send(SWITZERLAND, stored=lambda point, data: data[1:] if point == 3 else data)
        self.engine.settle()
        self.send("cleveland-pump", self.play.cheating("cleveland-pump", [int(NORM * 1.01), 0, 0, 0]))
        self.send(LONG_BEACH, self.play.cheating(LONG_BEACH, tamper_share=off_by_one(1, 0)))
        self.work("finalised")

    def round_without_a_quorum(self) -> None:
        self.open()
        for name in (CLEVELAND, HUNGARY, LONG_BEACH):
            self.send(name)
        self.work("aborted", without=(HUNGARY, LONG_BEACH))

    def round_without_an_organisation(self) -> None:
        self.open()
        for name in (CLEVELAND, HUNGARY, SWITZERLAND):
            self.send(name)
        self.send("cleveland-pump", stored=lambda point, data: data[1:] if point <= 2 else data)
        self.engine.settle()
        tampered = off_by_one(2, Parameters.of_task(self.play.spec).proof_length - 1)
        self.send("hungary-pump", self.play.cheating("hungary-pump", tamper_proof=tampered))
        self.work("finalised")

    def round_with_a_lie_that_a_participant_proves(self) -> None:
        before = dict(self.play.validators)
        self.lying(SWITZERLAND, LiesInT, participant=self.play.pseudonym(CLEVELAND))
        self.open()
        self.send_together(CLEVELAND, "cleveland-pump")
        self.send_together(HUNGARY, "hungary-pump")
        self.send(LONG_BEACH)
        self.work("disputed")
        self.settled(lambda: self.rebut(CLEVELAND))
        self.work("finalised")
        self.play.validators.update(before)

    def rebut(self, name: str) -> None:
        """A participant reveals the share of the validator that lied about its update."""
        ledger, current = self.play.ledger(name, "participant"), self.play.view()
        task = ledger.task(self.task)
        stores = artifact_areas(task)
        reference = public_reference(
            task,
            current,
            lambda version: find_model(ledger, self.task, stores, version),
            lambda digest, size: find_artifact(stores, digest, size),
        )
        found = find_liar(self.play.pending[name], task, current, reference)
        assert found is not None and found[0] == NAMES[SWITZERLAND]
        for each in self.play.validators.values():
            stored = each.store.artifacts.put(found[1])
        ledger.reveal_share(
            RevealedShare(
                task=self.task,
                round=self.play.rounds,
                participant=self.play.pseudonym(name),
                validator=found[0],
                digest=stored,
                size=len(found[1]),
            )
        )

    # --- between rounds

    def amend(self, **changes: Any) -> None:
        document = self.play.spec.model_dump(mode="json", by_alias=True)
        for table, change in changes.items():
            document[table] = document[table] | change
        spec = TaskSpec.model_validate_json(json.dumps(document))
        self.settled(lambda: self.play.ledger(CLEVELAND, "governor").propose_amendment(spec))
        self.governors(ORGANISATIONS, lambda ledger: ledger.approve_task(self.task, spec.sha256()))
        self.play.spec = spec

    def tokens(self) -> None:
        play = self.play
        cleveland, hungary = play.ledger(CLEVELAND, "governor"), play.ledger(HUNGARY, "governor")
        self.settled(lambda: cleveland.transfer(f"org:{NAMES[HUNGARY]}", 5 * MICRO))
        self.settled(lambda: cleveland.approve(f"org:{NAMES[HUNGARY]}", 3 * MICRO))
        self.settled(lambda: hungary.transfer_from(f"org:{NAMES[CLEVELAND]}", f"org:{NAMES[LONG_BEACH]}", MICRO))
        proposal = MintProposal(
            task=self.task, recipient=f"insurance:{self.task}", amount=50 * MICRO, reason="The insurance is empty."
        )
        minted = self.settled(lambda: cleveland.propose_mint(proposal))
        self.settled(lambda: play.ledger(SWITZERLAND, "governor").vote_mint(self.task, minted.id, "reject"))
        for name in (HUNGARY, LONG_BEACH):
            self.settled(lambda name=name: play.ledger(name, "governor").vote_mint(self.task, minted.id, "approve"))

    def models(self) -> None:
        play = self.play
        report = EvaluationReport(task=self.task, version=1, examples=50, auc=812_345, accuracy=790_000, loss=450_000)
        self.settled(lambda: play.ledger(HUNGARY, "participant").report_evaluation(report))
        self.settled(lambda: play.ledger(LONG_BEACH, "governor").use_model(self.task, 1, "screening"))
        self.settled(lambda: play.ledger(CLEVELAND, "governor").deprecate_model(self.task, 1, "Version 2 is better."))

    def conflict(self) -> None:
        """Two transfers from one account in one block, of which the second is refused."""
        with self.engine.member(CLEVELAND, "governor") as governor:
            prepared = [governor.endorsed("Transfer", f"org:{NAMES[HUNGARY]}", str(each)) for each in (7, 11)]
            for each in prepared:
                governor.hand_over(each)
            codes = [governor.status(each.transaction_id).code for each in prepared]
        assert sorted(int(code) for code in codes)[0] == 0 and len(set(codes)) == 2, codes

    def clocks(self) -> None:
        """A transaction of a member whose clock is ahead, then one of a member whose clock is behind."""
        for seconds in (280, -280):
            self.engine.settle()
            with self.engine.member(LONG_BEACH, "governor") as governor:
                proposal = shifted(governor, seconds, "Transfer", f"org:{NAMES[HUNGARY]}", "13")
                raw = proposal.get_bytes()
                signature = sign(governor.key, _proposal_bytes(raw))
                endorsed = governor.gateway.new_signed_proposal(raw, signature).endorse()
                assert endorsed.submit().status().successful
        self.engine.settle()


def _proposal_bytes(raw: bytes) -> bytes:
    return bytes(gateway_pb2.ProposedTransaction.FromString(raw).proposal.proposal_bytes)


@contextmanager
def first_task(engine: Engine, deadlines: dict[str, int], memory: Path) -> Iterator[Making]:
    with agreed(engine, heart(deadlines)) as play:
        making = Making(engine, play)
        for name, each in list(play.validators.items()):
            play.validators[name] = replace(each, reference_update=along, memory=ReferenceMemory(memory / name))
        for device in DEVICES:
            making.admit(device)
        making.round_with_liars_and_an_equivocation()
        making.tokens()
        making.models()
        making.conflict()
        making.clocks()
        yield making


def to_the_end(making: Making) -> None:
    play = making.play
    making.round_with_cheating_participants()
    making.round_without_a_quorum()
    making.amend(agreement={"minimum_examples": 50}, training={"rounds": 4})
    others = (CLEVELAND, SWITZERLAND)
    msp = NAMES[LONG_BEACH]
    making.governors(others, lambda ledger: ledger.vote_suspension("heart", msp, "suspend", "Its audit is late."))
    making.round_without_an_organisation()
    making.governors(others, lambda ledger: ledger.vote_suspension("heart", msp, "reinstate", "It is there."))
    making.governors(
        (SWITZERLAND,), lambda ledger: ledger.withdraw_consent("heart", "The ethics board looks at it again.")
    )
    pump = play.pseudonym("cleveland-pump")
    cleveland = play.ledger(CLEVELAND, "governor")
    making.settled(lambda: cleveland.suspend_participant("heart", pump, "Maintenance."))
    making.settled(lambda: cleveland.reinstate_participant("heart", pump, "Maintenance is over."))
    making.round_with_a_lie_that_a_participant_proves()
    view = play.ledger(CLEVELAND, "auditor").task("heart")
    assert view.record.state == "completed", view.head


def second_task(engine: Engine, deadlines: dict[str, int]) -> None:
    with agreed(engine, pumps(deadlines)) as play:
        making = Making(engine, play)
        making.open()
        for name in ORGANISATIONS[:3]:
            making.send(name)
        making.work("finalised")
        making.settled(lambda: play.ledger(LONG_BEACH, "participant").leave_task("pumps"))
        making.governors(ORGANISATIONS[:3], lambda ledger: ledger.stop_task("pumps", "One round was enough."))


def refused_task(engine: Engine) -> None:
    spec = training_free_spec(task="too-much", purpose="Everything")
    for name in (CLEVELAND, HUNGARY):
        engine.settle()
        with connected(engine.profile(name, "governor")) as opened:
            opened.ledger.propose_task(spec)
            engine.settle()
            opened.ledger.reject_task("too-much", "Its purpose is none.")
    engine.settle()


@contextmanager
def engine_named(name: str) -> Iterator[tuple[Engine, dict[str, int]]]:
    if name == "embedded":
        with _embedded(OWN_CONTRACT) as engine:
            yield engine, {"updates": 12, "attestations": 6, "aggregates": 10, "disputes": 4}
    else:
        with (
            tempfile.TemporaryDirectory(prefix="fabric-") as place,
            _fabric(OWN_CONTRACT, Path(place), find_programs()) as engine,
        ):
            yield engine, {"updates": 30, "attestations": 20, "aggregates": 30, "disputes": 10}


def main() -> None:
    name, out = sys.argv[1], Path(sys.argv[2])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as memory, engine_named(name) as (engine, deadlines):
        with first_task(engine, deadlines, Path(memory)) as making:
            if name == "embedded":
                to_the_end(making)
            else:
                making.governors(ORGANISATIONS[:3], lambda ledger: ledger.stop_task("heart", "One round is enough."))
        if name == "embedded":
            second_task(engine, deadlines | {"updates": 5})
            refused_task(engine)
        engine.settle()
        with engine.profile(CLEVELAND, "auditor").connect() as gateway:
            summary = export_network(gateway.get_network("fedledger"), out)
    report = verify_file(out)
    for check in report.checks:
        sys.stdout.write(f"{check.outcome} {check.name}: {check.detail}\n")
    sys.stdout.write(f"{summary}\n")
    assert report.complete


if __name__ == "__main__":
    main()
