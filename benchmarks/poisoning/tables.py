"""The tables: which runs they need, a cache of runs, and Markdown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

from benchmarks.poisoning.attacks import AIMED, BACKDOORS, KNOWN, AttackName
from benchmarks.poisoning.digits import Digits
from benchmarks.poisoning.learning import LocalWork, Network
from benchmarks.poisoning.privacy import Mechanism, with_privacy
from benchmarks.poisoning.simulation import DEFENCES, DefenceName, Outcome, Setting, Trust, run

POISONERS = (0.1, 0.2, 0.3, 0.4, 0.45, 0.5)
SETTING = Setting(
    network=Network(),
    work=LocalWork(steps=5, sampling=1.0, learning_rate=0.3),
    reference_work=LocalWork(steps=5, sampling=1.0, learning_rate=0.3),
    trust=Trust(clip_norm=0.1, no_trust=0.2, full_trust=0.4),
)
MECHANISM = Mechanism(noise_multiplier=9.4, record_clip=4.0, examples=10_000, honest_norm=0.45)
"""The noise of participants with 10,000 records each; with the 80 that there are here, any noise worth its name leaves
nothing to learn."""
FEWER_RECORDS = (7_500, 5_000, 2_500)
"""For which noise is larger in proportion."""
RATE_AS_IT_RUNS = 6.0
"""Server learning rate with fedledger's columns, whose clip norm is below an honest norm; 1 with all others."""
COLUMNS: tuple[DefenceName, ...] = (
    "fedledger",
    "FedAvg",
    "FLTrust",
    "multi-Krum",
    "median",
    "trimmed mean",
    "centred clipping",
)
"""In the order in which they are computed."""


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


def cases(table: str, seeds: Sequence[int]) -> Iterator[Case]:
    """All runs of a table, column by column."""
    for defence in COLUMNS:
        for seed in seeds:
            yield from _column(table, defence, seed)
    if table == "limits":
        for seed in seeds:
            for attack in ("none", "sign flip"):
                yield _case(SETTING, attack, "fedledger, last step", seed)
            for records in FEWER_RECORDS:
                row = f"backdoor, noise of {records} records"
                yield _case(private(records), "backdoor", "fedledger", seed, row)


def _column(table: str, defence: DefenceName, seed: int) -> Iterator[Case]:
    match table:
        case "attacks" | "private":
            for attack in KNOWN:
                yield _case(SETTING if table == "attacks" else private(), attack, defence, seed)
        case "limits" if defence in ("fedledger", "FLTrust"):
            for attack in AIMED:
                yield _case(SETTING, attack, defence, seed)
        case "biscotti" if defence in ("fedledger", "FedAvg"):
            for part in POISONERS:
                yield _case(biscotti(part), "1 to 7", defence, seed, f"{part:.0%}")


def _case(setting: Setting, attack: AttackName, defence: DefenceName, seed: int, row: str = "") -> Case:
    served = replace(setting, server_rate=RATE_AS_IT_RUNS) if defence.startswith("fedledger") else setting
    return Case(row or attack, served, attack, defence, seed)


def private(records: int = MECHANISM.examples) -> Setting:
    """The same with differential privacy on and the noise of participants with so many records."""
    return with_privacy(SETTING, replace(MECHANISM, examples=records))


def biscotti(part: float) -> Setting:
    """Softmax regression on evenly spread digits; ``part`` of the participants are poisoners."""
    return replace(SETTING, network=Network(hidden=None), bias=0.1, malicious=round(SETTING.participants * part))


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
    worst = [_worst([cells[row, column] for row in rows if row != "none" and cells[row, column]]) for column in columns]
    return "\n".join([*lines, "| worst | " + " | ".join(worst) + " |"])


def details(results: Sequence[tuple[Case, Outcome]]) -> str:
    """What became of participants in fedledger's runs, means over seeds, a line for each attack."""
    ours = [(case, outcome) for case, outcome in results if case.defence.startswith("fedledger")]
    lines = [
        "| attack | column | trust in honest | in attackers | honest quarantined | attackers quarantined | norm |",
        "|---" * 7 + "|",
    ]
    for row, column in dict.fromkeys((case.row, case.defence) for case, _ in ours):
        outcomes = [outcome for case, outcome in ours if (case.row, case.defence) == (row, column)]
        trust = [
            f"{mean(getattr(each, name) for each in outcomes):.2f}" for name in ("honest_trust", "malicious_trust")
        ]
        quarantined = [
            f"{mean(getattr(each, name) for each in outcomes):.1f}"
            for name in ("quarantined_honest", "quarantined_malicious")
        ]
        norm = f"{mean(outcome.norm for outcome in outcomes):.2f}"
        lines.append("| " + " | ".join([row, column, *trust, *quarantined, norm]) + " |")
    return "\n".join(lines)


def _cell(pairs: Sequence[tuple[Case, Outcome]]) -> str:
    if not pairs:
        return "–"
    accuracy = f"{_accuracy(pairs):.3f}"
    if _is_aimed(pairs[0][0].attack):
        accuracy += f" / {_success(pairs):.3f}"
    return f"{accuracy} (n={len(pairs)})"


def _worst(cells: Sequence[Sequence[tuple[Case, Outcome]]]) -> str:
    """Least mean accuracy and largest mean success of a column."""
    if not cells:
        return "–"
    aimed = [_success(pairs) for pairs in cells if _is_aimed(pairs[0][0].attack)]
    return f"{min(map(_accuracy, cells)):.3f}" + (f" / {max(aimed):.3f}" if aimed else "")


def _is_aimed(attack: AttackName) -> bool:
    return attack in BACKDOORS or attack in ("none", "1 to 7")


def _accuracy(pairs: Sequence[tuple[Case, Outcome]]) -> float:
    return mean(outcome.accuracy for _, outcome in pairs)


def _success(pairs: Sequence[tuple[Case, Outcome]]) -> float:
    return mean(outcome.attack_success for _, outcome in pairs)
