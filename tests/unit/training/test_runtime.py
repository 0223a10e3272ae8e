"""Training runs inside its process: no socket, no child, nothing printed, nothing imported before it is needed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest

from fedledger.training import LocalTrainer, ServerStep, Split, TaskDefinition
from fedledger.training.runtime import tensorflow_federated

ROUND = """
import hashlib, json, os, sys
from pathlib import Path
from fedledger.training import LocalTrainer, ServerStep, evaluate, load_task

assert not {"tensorflow", "tensorflow_federated", "dp_accounting"} & set(sys.modules), "imported too early"
private = load_task("heart-disease")
report = {}
for name, task in (("private", private), ("public", private.override(no_dp=True))):
    split = task.load_data("switzerland")
    spec = task.to_spec(organisations=["AMSP", "BMSP", "CMSP", "DMSP"])
    base = task.initial_model()
    update = LocalTrainer(task, split.train, site="switzerland").train(base, round_number=1).update
    after = ServerStep(spec.model.tensors, spec.training.server_optimizer).apply(base, update)
    evaluate(task, after, split.test)
    report[name] = hashlib.sha256(after).hexdigest()

own = set()
for descriptor in Path("/proc/self/fd").iterdir():
    try:
        own.add(os.readlink(descriptor))
    except FileNotFoundError:
        pass
report["sockets"] = []
for protocol in ("tcp", "tcp6", "udp", "udp6"):
    for line in Path("/proc/self/net", protocol).read_text().splitlines()[1:]:
        if f"socket:[{line.split()[9]}]" in own:
            report["sockets"].append(f"{protocol} {line}")
threads = Path("/proc/self/task").iterdir()
report["children"] = [child for thread in threads for child in (thread / "children").read_text().split()]
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def fresh_process() -> subprocess.CompletedProcess[str]:
    # JAX, imported by other tests, sets a level of its own for this process and its children.
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", ROUND]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)


def test_a_round_opens_no_network_socket_and_leaves_no_process(fresh_process: subprocess.CompletedProcess[str]) -> None:
    report = json.loads(fresh_process.stdout)
    assert report["sockets"] == []
    assert report["children"] == []


def test_a_round_prints_nothing(fresh_process: subprocess.CompletedProcess[str]) -> None:
    assert fresh_process.stderr == ""


def test_without_dp_another_process_gets_the_same_model_and_with_dp_it_does_not(
    fresh_process: subprocess.CompletedProcess[str], task: TaskDefinition, splits: dict[str, Split]
) -> None:
    report = json.loads(fresh_process.stdout)
    for name, chosen in (("private", task), ("public", task.override(no_dp=True))):
        spec = chosen.to_spec(organisations=["AMSP", "BMSP", "CMSP", "DMSP"])
        base = chosen.initial_model()
        site = LocalTrainer(chosen, splits["switzerland"].train, site="switzerland")
        step = ServerStep(spec.model.tensors, spec.training.server_optimizer)
        digest = hashlib.sha256(step.apply(base, site.train(base, round_number=1).update)).hexdigest()
        assert (digest == report[name]) == (name == "public")


def test_tffs_networked_runtime_cannot_start_by_accident() -> None:
    tff = tensorflow_federated()
    computation = tff.tensorflow.computation(lambda: 1)
    with pytest.raises(RuntimeError):
        computation()
