"""How long the contract takes to settle a round of many updates with norm proofs; prints a table, asserts nothing.

``python benchmarks/settlement.py [--updates 100 1000]``. One core: the whole ``SettleRound`` transaction over a world
state in memory, from its arguments to its writes, without peer and signatures. Best of three.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import machine

from fedledger.identity.authority import CertificateAuthority, NodeRole, Validity, certificate_pem
from fedledger.identity.keys import generate_key
from fedledger.identity.msp import serialize_identity
from fedledger.training import load_task
from fedledger_chaincode import state
from fedledger_chaincode.contract import Contract
from fedledger_chaincode.messages.base import Value
from fedledger_chaincode.messages.records import (
    AttestationRecord,
    CohortEntry,
    CohortRecord,
    FixedSetRecord,
    FixedUpdate,
    HeadRecord,
    RoundRecord,
    StandingRecord,
    TaskRecord,
    ValidatorRecord,
)
from fedledger_chaincode.messages.round import Attestation, NormOpening, UpdateFinding
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.replay import ReplayStub

MSPS = ("ClevelandMSP", "HungaryMSP", "LongBeachMSP", "SwitzerlandMSP")
NOW = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
ZERO = "0" * 16
DIGEST = "ab" * 32


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, nargs="+", default=[100, 1000])
    arguments = parser.parse_args()
    creator = validator_identity()
    spec = load_task("heart-disease").override(no_dp=True).to_spec(organisations=MSPS)
    print(f"Machine: {machine.description()}\n")
    print("| updates | settle, ms | per update, ms | state read, MB |\n|---|---|---|---|")
    for count in arguments.updates:
        world = {key: value.canonical() for key, value in records(spec, count)}
        seconds = min(settle(world, spec, creator) for _ in range(3))
        size = sum(map(len, world.values())) / 1e6
        print(f"| {count} | {seconds * 1e3:.0f} | {seconds / count * 1e3:.2f} | {size:.1f} |")


def settle(world: dict[str, bytes], spec: TaskSpec, creator: bytes) -> float:
    """Seconds of one transaction; its writes are not applied."""
    stub = ReplayStub(world, DIGEST, "fedledger", "SettleRound", [spec.task.encode(), b"1"], creator, NOW)
    started = time.perf_counter()
    Contract().invoke(replace(stub, reads=set(), writes={}))
    return time.perf_counter() - started


def records(spec: TaskSpec, count: int) -> Iterator[tuple[str, Value]]:
    """The state before the settlement of round 1: all values honest, of zero updates."""
    task = spec.task
    participants = [f"{number:064x}" for number in range(count)]
    yield (
        state.task_key(task),
        TaskRecord(spec=spec, spec_hash=spec.sha256(), state="active", proposer=MSPS[0], proposed_at=NOW),
    )
    yield (
        state.head_key(task),
        HeadRecord(task=task, version=0, model_digest=DIGEST, model_size=1, round=1, round_state="closed"),
    )
    yield (
        state.round_key(task, 1),
        RoundRecord(
            task=task,
            round=1,
            state="closed",
            base_version=0,
            base_model=DIGEST,
            opened_by=MSPS[0],
            opened_at=NOW,
        ),
    )
    validators = tuple(ValidatorRecord(msp=msp, sealing_key=DIGEST, store="file:///store", stake=0) for msp in MSPS)
    for validator in validators:
        yield state.validator_key(task, validator.msp), validator
    entries = tuple(
        CohortEntry(participant=name, msp=MSPS[index % 4], quarantined=False, reputation=500_000)
        for index, name in enumerate(participants)
    )
    yield state.cohort_key(task, 1), CohortRecord(participants=entries, validators=validators)
    fixed = tuple(FixedUpdate(participant=name, manifest_digest=DIGEST, num_examples=100) for name in participants)
    yield state.fixed_key(task, 1), FixedSetRecord(updates=fixed)
    opening = NormOpening(z=(ZERO, ZERO), p=(ZERO, ZERO), inner_product=ZERO)
    findings = tuple(UpdateFinding(participant=name, readable=True, opening=opening) for name in participants)
    attestation = Attestation(task=task, round=1, findings=findings)
    for msp in MSPS:
        yield state.attestation_key(task, 1, msp), AttestationRecord(validator=msp, attestation=attestation)
    for name in participants:
        yield state.standing_key(task, name), StandingRecord(contributions=1, epsilon=0, reputation=500_000)


def validator_identity() -> bytes:
    """``msp.SerializedIdentity`` of a validator."""
    validity = Validity.starting(datetime.fromtimestamp(NOW, UTC), timedelta(days=365))
    authority = CertificateAuthority.self_signed(generate_key(), "ca", "Cleveland", validity)
    key = generate_key().public_key()
    certificate = authority.issue(key, "validator", [NodeRole.CLIENT], validity, {"fedledger.role": "validator"})
    return serialize_identity(MSPS[0], certificate_pem(certificate))


if __name__ == "__main__":
    main()
