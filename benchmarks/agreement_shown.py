"""What an approver is shown of the shipped task and of a hostile one; prints the blocks of docs/agreement.md.

python -m benchmarks.agreement_shown
"""

from __future__ import annotations

from fedledger.cli.agreement_words import differences
from fedledger.cli.task_text import to_be_read
from fedledger.training import load_task
from fedledger_chaincode.messages.records import TaskRecord
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import TaskView

ORGANISATIONS = ("ClevelandMSP", "HungaryMSP", "LongBeachVaMSP", "SwitzerlandMSP")
READER = "HungaryMSP"


def shipped() -> TaskSpec:
    """The heart-disease task as its package makes it."""
    return load_task("heart-disease").to_spec(organisations=ORGANISATIONS)


def hostile() -> TaskSpec:
    """The same in name, model, privacy and reward."""
    spec = shipped()
    slashing = ("slashing_equivocation", "slashing_norm", "slashing_dealing", "slashing_validator")
    changes = {
        "aggregation": {"proof": "none", "max_share": 1_000_000, "max_examples": 1 << 32, "quantised_norm": 1 << 8},
        "deadlines": dict.fromkeys(("updates", "attestations", "aggregates", "disputes"), 1),
        "incentive": dict.fromkeys((*slashing, "participant_stake", "validator_stake"), 0) | {"endowment": 1 << 50},
        "reputation": {"quarantine_threshold": 0, "quarantine_rounds": 0},
    }
    tables = {name: getattr(spec, name).model_copy(update=values) for name, values in changes.items()}
    rate = spec.training.server_optimizer.model_copy(update={"learning_rate": 100_000_000})
    training = spec.training.model_copy(update={"server_optimizer": rate})
    return TaskSpec.model_validate_json(spec.model_copy(update={**tables, "training": training}).canonical())


def read_first(spec: TaskSpec) -> str:
    """What ``fedledger task show`` begins with, for one of the organisations."""
    record = TaskRecord(
        spec=spec, spec_hash=spec.sha256(), state="proposed", proposer=ORGANISATIONS[0], proposed_at=1_700_000_000
    )
    view = TaskView(record=record, consents=(), validators=(), head=None)
    return "\n".join(to_be_read(view, spec, READER, shipped()))


def side_by_side() -> str:
    """Every field in which they differ."""
    lines = ["| field | shipped | hostile |", "|---|---|---|"]
    lines += [f"| {each.name} | {each.before} | {each.after} |" for each in differences(shipped(), hostile())]
    return "\n".join(lines)


def main() -> None:
    """Print the blocks."""
    for block in (side_by_side(), read_first(shipped()), read_first(hostile())):
        print(f"{block}\n")


if __name__ == "__main__":
    main()
