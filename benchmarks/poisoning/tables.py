"""The three tables: which runs they need, a cache of runs, and Markdown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

from benchmarks.poisoning.attacks import ATTACKS, BACKDOORS, AttackName
from benchmarks.poisoning.digits import Digits
from benchmarks.poisoning.learning import LocalWork, Network
from benchmarks.poisoning.privacy import noisy_thresholds
from benchmarks.poisoning.simulation import DEFENCES, DefenceName, Outcome, Setting, Trust, run

SIGNAL_NORM = 0.35
"""Median norm of an honest update over most of a run without noise."""
DEVIATION = 0.0035
"""0.1 x 0.5 x sqrt(5) / 32: five steps of DP-SGD at the benchmark's rate and batch, noise multiplier 0.5, clip 1."""
POISONERS = (0.1, 0.2, 0.3, 0.4, 0.45, 0.5)

TRUST = Trust(no_trust=0.15, full_trust=0.35, clip_norm=0.1)
SETTING = Setting(
    network=Network(),
    work=LocalWork(steps=5, batch=32, learning_rate=0.1),
    reference_work=LocalWork(steps=5, batch=100, learning_rate=0.1),
    trust_in_data=TRUST,
    trust_in_step=TRUST,
)
RATE_AS_IT_RUNS = 3.0
"""Server learning rate with fedledger's columns, whose clip norm is below an honest norm; 1 with all others."""
CLAIMED_FIRST: tuple[DefenceName, ...] = ("FedAvg", "fedledger, reference data", "fedledger, last step")


@dataclass(frozen=True)
class Case:
    """One cell's run."""

    row: str
    setting: Setting
    attack: AttackName
    defence: DefenceName
    seed: int

    @property
    def key(self) -> str:
        content = json.dumps([asdict(self.setting), self.attack, self.defence, self.seed], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:24]


def cases(table: str, seeds: int) -> Iterator[Case]:
    """All runs of a table, seed by seed, the columns that matter most first."""
    columns = (*CLAIMED_FIRST, *(name for name in DEFENCES if name not in CLAIMED_FIRST))
    for seed in range(seeds):
        for defence in columns if table != "biscotti" else CLAIMED_FIRST[:2]:
            if table == "biscotti":
                for part in POISONERS:
                    setting = _served(biscotti(part), defence)
                    yield Case(f"{part:.0%}", setting, "1 to 7", defence, seed)
                continue
            setting = _served(SETTING if table == "attacks" else private(), defence)
            for attack in ATTACKS:
                yield Case(attack, setting, attack, defence, seed)


def private() -> Setting:
    """The same with noise in every honest update."""
    trust = noisy_thresholds(TRUST, SIGNAL_NORM, DEVIATION, SETTING.network.dimension)
    return replace(SETTING, noise=DEVIATION, trust_in_data=trust, trust_in_step=trust)


def biscotti(part: float) -> Setting:
    """Softmax regression on evenly spread digits; ``part`` of the participants are poisoners."""
    return replace(SETTING, network=Network(hidden=None), bias=0.1, malicious=round(SETTING.participants * part))


def _served(setting: Setting, defence: str) -> Setting:
    return replace(setting, server_rate=RATE_AS_IT_RUNS) if defence.startswith("fedledger") else setting


class Cache:
    """Outcomes of runs in a JSON file, so that a table can be interrupted and continued."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, case: Case) -> Outcome | None:
        known = self._known.get(case.key)
        return None if known is None else Outcome(**known)

    def compute(self, case: Case, digits: Digits) -> Outcome:
        known = self.get(case)
        if known is not None:
            return known
        outcome = run(case.setting, case.attack, case.defence, case.seed, digits)
        self._known[case.key] = asdict(outcome)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".part")
        partial.write_text(json.dumps(self._known))
        partial.replace(self._path)
        return outcome


def markdown(results: Sequence[tuple[Case, Outcome]]) -> str:
    """Means over seeds: accuracy, and after a slash the attack's success where it is aimed at one class."""
    rows = list(dict.fromkeys(case.row for case, _ in results))
    columns = [name for name in DEFENCES if any(case.defence == name for case, _ in results)]
    cells: Mapping[tuple[str, str], list[tuple[Case, Outcome]]] = {
        (row, column): [pair for pair in results if pair[0].row == row and pair[0].defence == column]
        for row in rows
        for column in columns
    }
    lines = ["| attack | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += ["| " + " | ".join([row, *(_cell(cells[row, column]) for column in columns)]) + " |" for row in rows]
    return "\n".join(lines)


def _cell(pairs: Sequence[tuple[Case, Outcome]]) -> str:
    if not pairs:
        return "not run"
    accuracy = f"{mean(outcome.accuracy for _, outcome in pairs):.3f}"
    attack = pairs[0][0].attack
    if attack in BACKDOORS or attack in ("none", "1 to 7"):
        accuracy += f" / {mean(outcome.attack_success for _, outcome in pairs):.3f}"
    return f"{accuracy} (n={len(pairs)})"
