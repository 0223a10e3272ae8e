"""What secure aggregation costs: per update, per round, in bytes and in memory; prints tables, asserts nothing.

``python benchmarks/secure_aggregation.py [--dimensions 10000 100000 ...] [--rounds] [--before FOLDER]``. One core.
Every time is the best of several runs in this process, after the kernels are compiled. Ratios are to an unprotected
sum (float64, total += weight * update) and to plain Shamir sharing of the same update (no commitments, no sealing, no
proof). With ``--before``, a checkout of an earlier release, nothing but updates with the norm proof is measured, with
both releases by turns on the same inputs, in processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import machine
import numpy as np

from fedledger.secure_aggregation import (
    Accumulator,
    OpenedShare,
    Parameters,
    PreparedUpdate,
    SealingKey,
    UpdateContext,
    WeightedSum,
    encode_update,
    kernels,
    open_share,
    opening_of,
    prepare_update,
    read_aggregate_share,
    reconstruct,
)
from fedledger.secure_aggregation.randomness import SecretElements
from fedledger.secure_aggregation.sharing import Dealing
from fedledger_chaincode.messages.round import Attestation, Manifest, PrivacyStatement, UpdateFinding
from fedledger_chaincode.rules.verdicts import decide

Result = TypeVar("Result")
NORM = 1 << 24


@dataclass(frozen=True)
class Case:
    """One task: its parameters, keys, an update and a reference direction."""

    parameters: Parameters
    keys: tuple[SealingKey, ...]
    update: np.ndarray  # type: ignore[type-arg]
    reference: np.ndarray  # type: ignore[type-arg]

    @classmethod
    def of(cls, n: int, t: int, dimension: int, proof: str) -> Case:
        generator = np.random.default_rng(dimension)
        return cls(
            Parameters(n, t, dimension, NORM, proof=proof),  # type: ignore[arg-type]
            tuple(SealingKey.generate() for _ in range(n)),
            generator.normal(size=dimension),
            encode_update(generator.normal(size=dimension), 1.0, NORM),
        )

    def prepare(self, participant: int = 0) -> tuple[PreparedUpdate, Manifest]:
        context = UpdateContext("benchmark", "benchmark", 1, "00" * 32, f"{participant:064x}")
        encoded = encode_update(self.update, 1.0, NORM)
        prepared = prepare_update(encoded, self.parameters, context, [key.public_key for key in self.keys])
        return prepared, Manifest(
            channel=context.channel,
            task=context.task,
            round=context.round,
            participant=context.participant,
            base_model=context.base_model,
            agreement="00" * 32,
            num_examples=1,
            # Manifests of earlier releases hold leaves, too.
            **{name: value for name, value in vars(prepared).items() if name in Manifest.model_fields},
            privacy=PrivacyStatement(
                mechanism="none", noise_multiplier=0, record_clip_norm=0, sampling_rate=0, steps=0
            ),
        )

    def open(self, prepared: PreparedUpdate, manifest: Manifest, validator: int = 1) -> OpenedShare:
        key = self.keys[validator - 1]
        opened = open_share(prepared.sealed[validator - 1], manifest, self.parameters, validator, key)
        if not isinstance(opened, OpenedShare):
            raise SystemExit(f"validator {validator} cannot read its share: {opened.reason}")
        return opened

    def validate(self, prepared: PreparedUpdate, manifest: Manifest, total: kernels.Elements) -> OpenedShare:
        """All that a validator does with one update."""
        share = self.open(prepared, manifest)
        opening_of(share, self.reference if self.parameters.proof == "norm" else None)
        kernels.accumulate(total, np.uint64(100), share.update)
        return share


def best(
    repeat: int, action: Callable[[], Result], clock: Callable[[], float] = time.perf_counter
) -> tuple[float, Result]:
    """Seconds of the fastest of ``repeat`` runs, and what the last returned."""
    fastest = float("inf")
    for _ in range(max(1, repeat)):
        start = clock()
        result = action()
        fastest = min(fastest, clock() - start)
    return fastest, result


def repetitions(dimension: int) -> int:
    return max(2, min(30, 3_000_000 // dimension))


class Release:
    """A process of one release that does a participant's or a validator's work when it is asked to."""

    def __init__(self, folder: Path, n: int, t: int, dimension: int) -> None:
        packages = os.pathsep.join(str(folder / name) for name in ("sdk", "chaincode"))
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", *map(str, (n, t, dimension))],
            env=os.environ | {"PYTHONPATH": packages, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.bytes = self.ask("bytes")
        """To each validator, of a manifest, of an opening."""

    def ask(self, what: str) -> list[float]:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(what, file=self._process.stdin, flush=True)
        answer: list[float] = json.loads(self._process.stdout.readline())
        return answer

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve(n: int, t: int, dimension: int) -> None:
    """Answer each line on standard input: the processor's seconds for a participant or a validator, or the bytes."""
    case = Case.of(n, t, dimension, "norm")
    prepared, manifest = case.prepare()
    total = np.zeros(dimension, dtype=np.uint64)
    opening = opening_of(case.validate(prepared, manifest, total), case.reference)
    sizes = [len(prepared.sealed[0]), len(manifest.canonical()), len(opening.canonical())]
    work = {"participant": case.prepare, "validator": lambda: case.validate(prepared, manifest, total)}
    for line in sys.stdin:
        answer = sizes if line == "bytes\n" else [best(1, work[line.strip()], time.process_time)[0]]
        print(json.dumps(answer), flush=True)


def compared(before: Path, n: int, t: int, dimensions: list[int]) -> Iterator[str]:
    """Earlier release and this one by turns, so that a busy machine is busy for both; the best turn of each."""
    here = Path(__file__).resolve().parents[1]
    yield f"\nPer update with the norm proof, n = {n}, t = {t}, earlier release -> this one"
    yield (
        f"{'d':>9} {'participant, ms':>26} {'validator, ms':>26} {'bytes to each validator':>26} "
        f"{'manifest':>15} {'opening':>13}"
    )
    for dimension in dimensions:
        releases = [Release(folder, n, t, dimension) for folder in (before, here)]
        columns = []
        for role in ("participant", "validator"):
            turns = [[release.ask(role)[0] for release in releases] for _ in range(20 * repetitions(dimension))]
            old, new = (1e3 * min(side) for side in zip(*turns, strict=True))
            columns.append(f"{old:.2f} -> {new:.2f} ({new / old:.2f}x)")
        columns += [f"{old:,} -> {new:,}" for old, new in zip(*(release.bytes for release in releases), strict=True)]
        for release in releases:
            release.end()
        yield "{:>9} {:>26} {:>26} {:>26} {:>15} {:>13}".format(dimension, *columns)


def per_update(n: int, t: int, dimensions: list[int]) -> Iterator[str]:
    """Milliseconds per update for each length."""
    yield f"\nPer update, n = {n}, t = {t}, milliseconds"
    yield (
        f"{'d':>9} {'participant':>12} {'validator':>10} {'no proof: p.':>13} {'no proof: v.':>13} "
        f"{'Shamir: p.':>11} {'Shamir: v.':>11} {'float sum':>10} {'v./float':>9} {'p./Shamir':>10} "
        f"{'proof bytes':>12} {'peak MB':>8}"
    )
    for dimension in dimensions:
        repeat = repetitions(dimension)
        times: dict[str, tuple[float, float]] = {}
        sizes: dict[str, int] = {}
        for proof in ("none", "norm"):
            case = Case.of(n, t, dimension, proof)
            participant, (prepared, manifest) = best(repeat, case.prepare)
            total = np.zeros(dimension, dtype=np.uint64)

            validator, _ = best(repeat, lambda: case.validate(prepared, manifest, total))  # noqa: B023
            times[proof] = participant, validator
            sizes[proof] = prepared.shares[0].size
        shamir = plain_shamir(n, t, case.update, repeat)
        running = np.zeros(dimension)
        float_sum, _ = best(repeat, lambda: np.add(running, 100.0 * case.update, out=running))  # noqa: B023
        milliseconds = [1e3 * value for value in (*times["norm"], *times["none"], *shamir, float_sum)]
        overhead = sizes["norm"] / sizes["none"] - 1
        yield (
            f"{dimension:>9} {milliseconds[0]:>12.2f} {milliseconds[1]:>10.2f} {milliseconds[2]:>13.2f} "
            f"{milliseconds[3]:>13.2f} {milliseconds[4]:>11.2f} {milliseconds[5]:>11.3f} {milliseconds[6]:>10.3f} "
            f"{milliseconds[1] / milliseconds[6]:>8.0f}x {milliseconds[0] / milliseconds[4]:>9.1f}x "
            f"{overhead:>11.2%} {machine.own_peak_bytes() / 2**20:>8.0f}"
        )


def plain_shamir(n: int, t: int, update: np.ndarray, repeat: int) -> tuple[float, float]:  # type: ignore[type-arg]
    """Seconds to share an update with all validators, and to add one share to a sum."""

    def deal() -> kernels.Elements:
        secret = np.empty(update.shape, dtype=np.uint64)
        kernels.to_elements(encode_update(update, 1.0, NORM), secret)
        dealing = Dealing(secret, SecretElements().draw(t, update.shape[0]))
        shares = [dealing.share(validator) for validator in range(1, n + 1)]
        return shares[0]

    participant, share = best(repeat, deal)
    total = np.zeros(update.shape, dtype=np.uint64)
    validator, _ = best(repeat, lambda: kernels.accumulate(total, np.uint64(100), share))
    return participant, validator


def whole_round(participants: int, dimension: int) -> Iterator[str]:
    """Seconds of one validator for a round, every update another one, and memory while they stream by."""
    case = Case.of(4, 1, dimension, "norm")
    spent, shares, weights = 0.0, 0, []
    before = machine.own_peak_bytes() / 2**20
    total = np.zeros(dimension, dtype=np.uint64)
    for participant in range(participants):
        prepared, manifest = case.prepare(participant)
        start = time.perf_counter()
        case.validate(prepared, manifest, total)
        spent += time.perf_counter() - start
        shares += len(prepared.sealed[0])
        weights.append(100)
    yield (
        f"{participants:>6} updates of {dimension:>8}: {spent:7.2f} s of one validator, {shares / 1e6:8.1f} MB of "
        f"shares, peak memory grew by {max(0.0, machine.own_peak_bytes() / 2**20 - before):.0f} MB"
    )


def settlement(participants: int) -> Iterator[str]:
    """Seconds of the ledger to read all attestations and decide all updates of a round."""
    for n, t in ((4, 1), (7, 2), (10, 3)):
        case = Case.of(n, t, 16, "norm")
        prepared, manifest = case.prepare()
        openings = {j: opening_of(case.open(prepared, manifest, j), case.reference) for j in range(1, n + 1)}
        attestations = [
            Attestation(
                task="benchmark",
                round=1,
                findings=tuple(
                    UpdateFinding(participant=f"{i:064x}", readable=True, opening=openings[j])
                    for i in range(participants)
                ),
            ).canonical()
            for j in range(1, n + 1)
        ]

        def settle(n: int = n, t: int = t, received: list[bytes] = attestations) -> int:
            decoded = [Attestation.decode(attestation) for attestation in received]
            decisions = [
                decide(
                    {j: a.findings[i].opening for j, a in enumerate(decoded, start=1)}, n, t, frozenset(range(1, n + 1))
                )
                for i in range(participants)
            ]
            return sum(1 for decision in decisions if decision.verdict == "accepted")

        seconds, accepted = best(3, settle)
        yield (
            f"n = {n:>2}, t = {t}: {seconds:6.2f} s to parse {n} attestations and decide {participants} updates "
            f"({accepted} accepted), {len(attestations[0]) / 1e3:.0f} kB each"
        )


def reconstruction(dimensions: list[int]) -> Iterator[str]:
    """Milliseconds to decode the sum from all shares, with one of them a lie."""
    for dimension in dimensions:
        case = Case.of(4, 1, dimension, "none")
        prepared, manifest = case.prepare()
        wanted = WeightedSum("benchmark", 1, ((prepared.root, 100),))
        shares = {}
        for j in range(1, 5):
            accumulator = Accumulator(case.parameters, j, wanted)
            accumulator.add(case.open(prepared, manifest, j))
            shares[j] = read_aggregate_share(accumulator.finish(), case.parameters, j, wanted)
        honest, _ = best(3, lambda: reconstruct(shares, 1))  # noqa: B023
        shares[2] = shares[3]
        lying, result = best(3, lambda: reconstruct(shares, 1))  # noqa: B023
        yield f"{dimension:>9}: all honest {1e3 * honest:8.2f} ms, one lies {1e3 * lying:8.2f} ms, named {result.liars}"


def warm_up() -> None:
    """Compile every kernel."""
    for n, t in ((4, 1), (7, 2)):
        case = Case.of(n, t, 64, "norm")
        case.validate(*case.prepare(), np.zeros(64, dtype=np.uint64))
        for _ in reconstruction([64]):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--validators", type=int, default=4)
    parser.add_argument("--tolerated-faults", type=int, default=1)
    parser.add_argument("--rounds", action="store_true", help="also 1,000 updates of 100,000 (half a minute)")
    parser.add_argument(
        "--before", type=Path, metavar="FOLDER", help="compare with the release that is checked out there"
    )
    parser.add_argument("--serve", type=int, nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    n, t = arguments.validators, arguments.tolerated_faults
    if arguments.serve is not None:
        serve(*arguments.serve)
        return
    print(f"{machine.description('numpy', 'numba')}; one core")
    if arguments.before is not None:
        for line in compared(arguments.before.resolve(), n, t, arguments.dimensions):
            print(line, flush=True)
        return
    warm_up()
    for line in per_update(n, t, arguments.dimensions):
        print(line, flush=True)
    print("\nA round, n = 4, t = 1, with the norm proof and a reference direction")
    rounds = [(100, 10_000), (1_000, 10_000)] + ([(1_000, 100_000)] if arguments.rounds else [])
    for participants, dimension in rounds:
        for line in whole_round(participants, dimension):
            print(line, flush=True)
    print("\nSettlement by the ledger")
    for line in settlement(1_000):
        print(line, flush=True)
    print("\nReconstruction, n = 4, t = 1")
    for line in reconstruction(arguments.dimensions):
        print(line, flush=True)


if __name__ == "__main__":
    main()
