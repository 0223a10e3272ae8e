"""Every size follows from the task, and a manifest is smaller than that of the first version of the protocol.

Nothing here needs numpy: the contract refuses a manifest by these sizes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedledger_chaincode.messages.base import canonical
from fedledger_chaincode.messages.round import Manifest
from fedledger_chaincode.rules import dealing
from fedledger_chaincode.rules.norm_bound import LARGEST_NORM
from tests.reference import secure_aggregation as reference

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "manifests.json").read_text())["cases"]


def aggregation(n: int, quantised_norm: int, proof: str) -> Any:
    """What sizes depend on."""
    return SimpleNamespace(n=n, quantised_norm=quantised_norm, proof=proof)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_manifest_lost_its_leaves_and_a_root(case: dict[str, Any]) -> None:
    before, now = canonical(case["before"]), canonical(case["now"])
    assert {"before": len(before), "now": len(now)} == case["bytes"]
    digests = 2 * case["n"] + 1 if case["proof"] == "norm" else case["n"]
    assert len(before) - len(now) >= 64 * digests
    assert Manifest.decode(now).canonical() == now


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_manifest_names_the_sizes_of_its_task(case: dict[str, Any]) -> None:
    of_task = aggregation(case["n"], case["quantised_norm"], case["proof"])
    size = dealing.sealed_bytes(of_task, case["dimension"])
    assert {share["size"] for share in case["now"]["shares"]} == {size}
    assert len(case["now"]["shares"]) == case["n"]


@pytest.mark.parametrize("proof", ["none", "norm"])
@pytest.mark.parametrize("norm", [256, 1 << 24, LARGEST_NORM])
@pytest.mark.parametrize("dimension", [1, 32, 33, 10_000, 158_000, 160_000, 1_000_000, 8_400_000, 1 << 27])
def test_messages_have_the_lengths_of_the_specification(dimension: int, norm: int, proof: str) -> None:
    bound = reference.Bound(norm, dimension) if proof == "norm" else None
    lengths = reference.lengths(dimension, bound)
    of_task = aggregation(7, norm, proof)
    assert list(dealing.message_lengths(of_task, dimension)) == lengths
    plaintext = 16 + 32 * 7 * len(lengths) + 8 * sum(lengths)
    assert dealing.plaintext_bytes(of_task, dimension) == plaintext
    assert dealing.sealed_bytes(of_task, dimension) == plaintext + 48
    assert dealing.aggregate_bytes(dimension) == 56 + 8 * dimension


@pytest.mark.parametrize(
    ("dimension", "messages"), [(1, 4), (150_000, 4), (160_000, 5), (8_000_000, 5), (8_400_000, 6), (1 << 27, 6)]
)
def test_a_proof_has_four_to_six_messages(dimension: int, messages: int) -> None:
    assert len(dealing.message_lengths(aggregation(4, 1 << 24, "norm"), dimension)) == messages


@pytest.mark.parametrize(
    ("n", "dimension", "size"),
    [
        (4, 10_000, 111_480),
        (4, 100_000, 834_296),
        (4, 1_000_000, 8_030_136),
        (7, 10_000, 111_864),
        (7, 1_000_000, 8_030_616),
        (10, 1_000_000, 8_031_096),
    ],
)
def test_sizes_that_the_specification_tells(n: int, dimension: int, size: int) -> None:
    assert dealing.sealed_bytes(aggregation(n, 1 << 24, "norm"), dimension) == size


def test_a_norm_under_which_nothing_is_proven_has_no_sizes() -> None:
    with pytest.raises(ValueError, match="too large for a norm proof"):
        dealing.sealed_bytes(aggregation(4, LARGEST_NORM + 1, "norm"), 100)


def test_sizes_are_known_without_numpy() -> None:
    program = "import sys; from fedledger_chaincode.rules import dealing; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
