"""Prints the tables of docs/poisoning.md, with the machine and the seeds.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.poisoning [attacks|private|biscotti|limits] [--seeds 0 1 2 3 4]
        [--minutes 60] [--out build/poisoning.json]

Runs are kept in the file and not repeated; with --minutes it prints what it has by then.
"""

from __future__ import annotations

import argparse
import datetime
import time
from pathlib import Path

from benchmarks.machine import description
from benchmarks.poisoning.digits import load_digits
from benchmarks.poisoning.privacy import DELTA
from benchmarks.poisoning.simulation import Outcome
from benchmarks.poisoning.tables import MECHANISM, Cache, Case, cases, details, markdown, private


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", nargs="?", choices=("attacks", "private", "biscotti", "limits"), default="attacks")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--out", type=Path, default=Path("build/poisoning.json"))
    options = parser.parse_args()
    digits, cache = load_digits(), Cache(options.out)
    end = time.monotonic() + 60.0 * options.minutes
    results: list[tuple[Case, Outcome]] = []
    for case in cases(options.table, options.seeds):
        outcome = cache.get(case) if time.monotonic() >= end else cache.compute(case, digits)
        if outcome is not None:
            results.append((case, outcome))
    print(markdown(results))
    print(f"\n{details(results)}")
    if options.table == "private":
        print(f"\nepsilon {MECHANISM.epsilon(private()):.1f} at delta {DELTA:g}; {MECHANISM}; {private().trust}")
    print(
        f"\nSeeds {', '.join(map(str, options.seeds))} (n: how many of them ran); "
        f"{datetime.date.today().isoformat()}; {description('numpy')}"
    )


if __name__ == "__main__":
    main()
