"""A consortium over thirty rounds: who takes part, what each of them does, and what the ledger makes of it.

Participants really learn: logistic regression on records of their own by DP-SGD, in numpy, so that a run is the same
everywhere. Shares, proofs, verdicts, weights, payments and budgets are the product's own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from fedledger.agents.participant import pseudonym_of, signed_manifest
from fedledger.agents.reference import ReferenceMemory
from fedledger.agents.stores import ValidatorStore, artifact_areas, find_model
from fedledger.cli.session import connected
from fedledger.identity.authority import NodeRole
from fedledger.identity.keys import generate_key
from fedledger.identity.profile import Profile
from fedledger.identity.wallet import Credentials, Wallet
from fedledger.ledger import TaskLedger
from fedledger.privacy.accountant import epsilon_schedule
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.secure_aggregation import Parameters, UpdateContext, encode_update, prepare_update
from fedledger.training.weights import Float32Array, flatten, load_weights
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import MemberView
from tests.attacks.conftest import training_free_spec
from tests.scenarios.agents import Play, agreed
from tests.scenarios.engines import Engine
from tests.unit.contract.ledger import digest

ROUNDS = 30
MICRO = 1_000_000
SEED = 11
SAMPLING, NOISE, STEPS, DELTA = 0.1, 1.0, 10, 1e-5
RATE = 0.1
TRUTH = np.array([3.0, -2.0, 1.0, 0.4])
"""What all of them would like to know: three coefficients and an intercept."""
REVOKED_IN, WITHDRAWS_IN, CONTRIBUTIONS = 15, 10, 24

Arrays = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Site:
    """A participant: its organisation, how many records it has, what it does, and in which rounds it rests."""

    name: str
    organisation: str
    records: int
    behaviour: Literal["honest", "free rider", "poisoner"] = "honest"
    rests: range = range(0)
    own: bool = False
    """Whether it has the certificate that every organisation begins with."""


CAST = (
    Site("Cleveland, large", "cleveland", 2000, rests=range(2, 8), own=True),
    Site("Cleveland, eager", "cleveland", 800),
    Site("Cleveland, free rider", "cleveland", 300, "free rider"),
    Site("Hungary, key is stolen", "hungary", 300, own=True),
    Site("Hungary, town", "hungary", 600, rests=range(20, 26)),
    Site("Hungary, village", "hungary", 80, rests=range(8, 14)),
    Site("Long Beach", "long_beach", 500, rests=range(2, 8), own=True),
    Site("Long Beach, poisoner", "long_beach", 400, "poisoner"),
    Site("Switzerland, withdraws", "switzerland", 400, own=True),
)


def story_spec() -> TaskSpec:
    """The agreement."""
    mechanism = PoissonSampledGaussian(SAMPLING, NOISE, STEPS)
    schedule = epsilon_schedule(mechanism, ROUNDS, DELTA)
    return training_free_spec(
        task="story",
        privacy={
            "mechanism": "dp-sgd",
            "noise_multiplier": round(NOISE * MICRO),
            "record_clip_norm": MICRO,
            "sampling_rate": round(SAMPLING * MICRO),
            "steps_per_round": STEPS,
            "delta_pico": round(DELTA * 10**12),
            "epsilon_budget": schedule[CONTRIBUTIONS - 1],
            "epsilon_schedule": list(schedule),
        },
        training={"rounds": 100},
        aggregation={"proof": "norm", "max_examples": 1000, "clip_norm": 120_000},
        robustness={
            "trust_weighting": "reference-data",
            "reference_digest": digest("reference records"),
            "no_trust": 50_000,
            "full_trust": 400_000,
        },
        reputation={
            "initial": 600_000,
            "memory": 800_000,
            "agreement_weight": 800_000,
            "reliability_weight": 100_000,
            "honesty_weight": 100_000,
            "quarantine_threshold": 350_000,
            "quarantine_rounds": 3,
        },
        incentive={
            "endowment": 1_000 * MICRO,
            "participant_stake": 100 * MICRO,
            "validator_stake": 100 * MICRO,
            "reward_per_round": 100 * MICRO,
            "equal_share": 500_000,
            "slashing_norm": 100_000,
            "slashing_dealing": 100_000,
            "slashing_validator": 100_000,
        },
        agreement={"purposes": ["research"], "example_step": 20, "minimum_examples": 20},
        deadlines={"updates": 120, "attestations": 120, "aggregates": 120, "disputes": 60},
    )


# --- learning


def records(number: int, count: int) -> tuple[Arrays, npt.NDArray[np.int64]]:
    """A site's records: float64[n, 4], the last column ones, and labels."""
    random = np.random.default_rng([SEED, number])
    x = np.concatenate([random.normal(random.normal(0, 0.3, 3), 1.0, (count, 3)), np.ones((count, 1))], axis=1)
    return x, (random.random(count) < _probability(x, TRUTH)).astype(np.int64)


def _probability(x: Arrays, weights: Arrays) -> Arrays:
    return np.asarray(1.0 / (1.0 + np.exp(-x @ weights)))


def trained(base: Arrays, x: Arrays, y: npt.NDArray[np.int64], random: np.random.Generator | None) -> Arrays:
    """Base minus trained weights, float64[4]: DP-SGD with ``random``, plain gradient descent without."""
    weights = base.copy()
    for _ in range(STEPS):
        gradients = (_probability(x, weights) - y)[:, None] * x
        if random is None:
            weights -= RATE * gradients.mean(axis=0)
            continue
        gradients /= np.maximum(1.0, np.linalg.norm(gradients, axis=1, keepdims=True))
        chosen = random.random(len(x)) < SAMPLING
        noisy = gradients[chosen].sum(axis=0) + random.normal(0, NOISE, len(weights))
        weights -= RATE * noisy / (SAMPLING * len(x))
    return base - weights


def reference(base: bytes, round_number: int) -> Float32Array:
    """The same on the reference records, which every validator has."""
    x, y = records(99, 200)
    return trained(_weights(base), x, y, None).astype(np.float32)


def _weights(model: bytes) -> Arrays:
    return flatten(load_weights(model, story_spec().model.tensors)).astype(np.float64)


def update_of(site: Site, base: Arrays, number: int) -> Arrays:
    """What a site sends in a round, before it is clipped."""
    who = CAST.index(site)
    if site.behaviour == "free rider":
        return np.zeros_like(base)
    update = trained(base, *records(who, site.records), np.random.default_rng([SEED, who, number]))
    return -3.0 * update if site.behaviour == "poisoner" else update


# --- playing


@dataclass
class Story:
    """The consortium on one engine."""

    engine: Engine
    play: Play

    def act(self, number: int) -> None:
        """What governors do between the round before and this one."""
        for site in CAST:
            if number == site.rests.start and len(site.rests):
                self.governor(site).suspend_participant("story", self.pseudonym(site), "Maintenance.")
            if number == site.rests.stop and len(site.rests):
                self.governor(site).reinstate_participant("story", self.pseudonym(site), "Maintenance is over.")
        if number == WITHDRAWS_IN:
            self.governor(CAST[8]).withdraw_consent("story", "The ethics board wants to see the protocol again.")
        self.engine.settle()

    def governor(self, site: Site) -> TaskLedger:
        return self.play.ledger(site.organisation, "governor")

    def pseudonym(self, site: Site) -> str:
        return pseudonym_of(self.play.keys[_key(site)])

    def round(self, number: int) -> str:
        """Play one round; returns the state in which it ends."""
        self.act(number)
        play = self.play
        play.open()
        self.engine.settle()
        for validator in play.validators.values():
            validator.step()
            self.engine.settle()
        view = play.view()
        ledger = play.ledger("cleveland", "auditor")
        task = ledger.task("story")
        base = _weights(find_model(ledger, "story", artifact_areas(task), view.record.base_version))
        wanted = {entry.participant for entry in view.cohort.participants}
        for site in CAST:
            if self.pseudonym(site) in wanted:
                self.send(site, update_of(site, base, number))
        return self.work(number)

    def work(self, number: int, seconds: float = 300.0) -> str:
        """Let validators work, one step at a time, until the round has ended and no further."""
        deadline = time.monotonic() + seconds
        while True:
            for validator in self.play.validators.values():
                # Whoever sees a round end opens the next: between two rounds it is the governors' turn.
                self.engine.settle()
                head = validator.ledger.task("story").head
                assert head is not None and head.round == number
                if head.idle:
                    return str(head.round_state)
                validator.step()
            assert time.monotonic() < deadline, f"round {number} is still {self.play.view().record.state}"
            time.sleep(0.02)

    def send(self, site: Site, update: Arrays) -> None:
        """One participant's update by its own certificate."""
        play, spec = self.play, self.play.spec
        key = play.keys[_key(site)]
        current = play.view()
        context = UpdateContext(
            "fedledger", spec.task, current.record.round, current.record.base_model, pseudonym_of(key)
        )
        aggregation = spec.aggregation
        encoded = encode_update(update.astype(np.float32), aggregation.clip_norm / MICRO, aggregation.quantised_norm)
        prepared = prepare_update(encoded, Parameters.of_task(spec), context, play.sealing_keys())
        for validator, sealed in zip(current.cohort.validators, prepared.sealed, strict=True):
            ValidatorStore(validator.store).shares_of("fedledger", spec.task, current.record.round).put(sealed)
        msp = self.engine.profile(site.organisation, "participant").msp_id
        signed = signed_manifest(spec, msp, context, prepared, site.records, key)
        play.ledger(_key(site), "participant").submit_updates([signed])

    def standing(self, site: Site) -> MemberView:
        return self.play.ledger("cleveland", "auditor").member("story", self.pseudonym(site))

    def table(self) -> str:
        """What the ledger holds of everybody at the end, in Markdown."""
        rows = ["| participant | records | rounds | epsilon | reputation | tokens |", "|---|---|---|---|---|---|"]
        for site in CAST:
            view = self.standing(site)
            standing = view.standing
            rows.append(
                f"| {site.name} | {site.records:,} | {standing.contributions} | {standing.epsilon / MICRO:.2f} "
                f"| {standing.reputation / MICRO:.2f} | {view.balance / MICRO:.1f} |"
            )
        return "\n".join(rows)


def _key(site: Site) -> str:
    return site.organisation if site.own else site.name


@contextmanager
def consortium(engine: Engine, folder: Path) -> Iterator[Story]:
    """Everybody of the cast has joined."""
    with agreed(engine, story_spec()) as play, ExitStack() as opened:
        for site in CAST:
            if not site.own:
                profile = _enrolled(engine, site, folder)
                ledger = opened.enter_context(connected(profile)).ledger
                ledger.join_task("story")
                play.ledgers[f"{site.name}-participant"] = ledger
                play.keys[site.name] = profile.credentials().key
                engine.settle()
        for organisation, validator in list(play.validators.items()):
            play.validators[organisation] = replace(
                validator, reference_update=reference, memory=ReferenceMemory(folder / organisation)
            )
        yield Story(engine, play)


def _enrolled(engine: Engine, site: Site, folder: Path) -> Profile:
    """A participant more of an organisation, with a certificate of its CA."""
    key = generate_key()
    with engine.authority(site.organisation) as authority, authority.registry.transaction():
        certificate = authority.sign_identity(
            key.public_key(), site.name, [NodeRole.CLIENT], {"fedledger.role": "participant"}
        )
    wallet = Wallet(folder / site.name.replace(" ", "-"))
    wallet.save(Credentials(certificate, key))
    base = engine.profile(site.organisation, "participant")
    return replace(base, name=site.name, certificate=wallet.certificate_path, key=wallet.key_path)
