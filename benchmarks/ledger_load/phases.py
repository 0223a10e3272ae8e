"""The parts of the load of the Fabric benchmarks; each prints what it measures. Updates are made up."""

from __future__ import annotations

import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial

from machine import milliseconds, quantile

from fedledger.gateway import GatewayError
from fedledger_chaincode.messages.round import SignedManifest
from fedledger_chaincode.messages.views import RoundView, SubmissionResults
from ledger_load.engines import Engine, Member
from ledger_load.measuring import Phase, measured, tell_cpu
from ledger_load.rounds import Task, at_once, task_spec

SINGLE_SUBMISSIONS = 30
BATCH = 100


def one_at_a_time(engine: Engine, msps: Sequence[str]) -> float:
    """Latency without other load: p50 of a submission until its commit, in seconds."""
    governor = engine.of("governor")[msps[0]]
    contract = governor.gateway.get_network("fedledger").get_contract("fedledger")
    steps: dict[str, list[float]] = defaultdict(list)
    for _ in range(SINGLE_SUBMISSIONS):
        specification = task_spec(f"latency-{secrets.token_hex(4)}", msps).canonical()
        times = [time.monotonic()]
        endorsed = contract.new_proposal("ProposeTask", arguments=[specification]).endorse()
        times.append(time.monotonic())
        commit = endorsed.submit()
        times.append(time.monotonic())
        commit.status().raise_if_invalid()
        times.append(time.monotonic())
        for name, before, after in zip(("endorse", "submit", "commit"), times, times[1:], strict=False):
            steps[name].append(after - before)
        steps["all"].append(times[-1] - times[0])
        before = time.monotonic()
        contract.evaluate_transaction("TotalSupply")
        steps["evaluate"].append(time.monotonic() - before)
    print(f"One submission at a time, {SINGLE_SUBMISSIONS} of them, milliseconds p50 / p95")
    for name in ("all", "endorse", "submit", "commit", "evaluate"):
        print(f"  {name:10} {milliseconds(steps[name], 0.5):7.0f} {milliseconds(steps[name], 0.95):7.0f}")
    return quantile(steps["all"], 0.5)


def single_updates(engine: Engine, task: Task, view: RoundView, in_flight: int) -> Phase:
    """Every participant submits its own update at the same time."""
    participants = engine.participants()
    manifests = task.manifests(participants, view)
    taken: list[float] = []
    failures: Counter[str] = Counter()

    def submit(member: Member, manifest: SignedManifest) -> None:
        begun = time.monotonic()
        try:
            contract = member.gateway.get_network("fedledger").get_contract("fedledger")
            contract.submit_transaction("SubmitUpdates", manifest.canonical())
        except GatewayError as error:
            failures[error.code] += 1
        else:
            taken.append(time.monotonic() - begun)

    with measured(engine) as phase:
        at_once([partial(submit, *each) for each in zip(participants, manifests, strict=True)], workers=in_flight)
    print(
        f"One update a transaction, {len(participants)} of them, {in_flight} in flight: "
        f"{len(taken) / phase.seconds:.1f} a second, p50 {milliseconds(taken, 0.5):.0f} ms, "
        f"p95 {milliseconds(taken, 0.95):.0f} ms; failures: {dict(failures) or 'none'}"
    )
    tell_cpu(engine, phase, len(taken))
    return phase


def batched_updates(engine: Engine, task: Task, view: RoundView) -> Phase:
    """Each organisation's gateway submits its participants' manifests, a hundred in a transaction, all at a time."""
    batches: list[tuple[Member, list[SignedManifest]]] = []
    for (_, role), members in engine.members.items():
        if role == "participant":
            manifests = task.manifests(members, view)
            batches += [(members[0], manifests[first : first + BATCH]) for first in range(0, len(manifests), BATCH)]
    taken: list[float] = []

    def submit(member: Member, batch: Sequence[SignedManifest]) -> int:
        begun = time.monotonic()
        results = SubmissionResults.decode(member.submit("SubmitUpdates", *batch)).results
        taken.append(time.monotonic() - begun)
        return sum(result.status == "received" for result in results)

    with measured(engine) as phase:
        received = sum(at_once([partial(submit, *each) for each in batches]))
    print(
        f"Round {view.record.round} of {task.spec.task}: {received} updates in {len(batches)} transactions: "
        f"{received / phase.seconds:.0f} updates a second, p50 {milliseconds(taken, 0.5):.0f} ms, "
        f"p95 {milliseconds(taken, 0.95):.0f} ms"
    )
    tell_cpu(engine, phase, received)
    return phase


def batched_round(engine: Engine, task: Task, number: int) -> tuple[float, float]:
    """A whole round with batched updates; seconds for the updates alone and for everything but signing manifests."""
    started = time.monotonic()
    view = task.open(number)
    opening = time.monotonic() - started
    phase = batched_updates(engine, task, view)
    with measured(engine) as rest:
        task.finish(number)
    whole = opening + phase.seconds + rest.seconds
    print(f"  the whole round: {whole:.2f} s")
    return phase.seconds, whole
