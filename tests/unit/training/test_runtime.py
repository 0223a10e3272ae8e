"""Training runs inside its process: no socket, no child, nothing printed, nothing imported before it is needed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedledger.training import LocalTrainer, ServerStep, Split, TaskDefinition, load_task
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


WIDE = """
import hashlib, os, sys
import numpy as np
from fedledger.training import Examples, LocalTrainer, load_task

os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[2])])
task = load_task(sys.argv[1]).override(model="mlp", no_dp=True)
generator = np.random.default_rng(1)
records = Examples(
    generator.normal(size=(1_000, 200)).astype(np.float32), generator.integers(0, 2, size=1_000).astype(np.int32)
)
trainer = LocalTrainer(task, records, site="site")
for round_number in range(1, 4):
    print(hashlib.sha256(trainer.train(task.initial_weights(), round_number=round_number).update.tobytes()).hexdigest())
"""
"""Three rounds of a model whose sums TensorFlow splits among threads, on the first processors of so many."""


@pytest.fixture(scope="module")
def wide_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The heart-disease task with 200 features, 256 hidden units and batches of 500."""
    folder = Path(shutil.copytree(load_task("heart-disease").folder, tmp_path_factory.mktemp("tasks") / "wide"))
    for name, before, after in (
        ("model.py", "FEATURES = 30", "FEATURES = 200"),
        ("model.py", "HIDDEN_UNITS = 16", "HIDDEN_UNITS = 256"),
        ("task.toml", "input_shape = [30]", "input_shape = [200]"),
        ("task.toml", "[30, 1]", "[200, 1]"),
        ("task.toml", "[30, 16]", "[200, 256]"),
        ("task.toml", "[16]", "[256]"),
        ("task.toml", "[16, 1]", "[256, 1]"),
        ("task.toml", "batch_size = 16", "batch_size = 500"),
    ):
        text = (folder / name).read_text()
        assert before in text
        (folder / name).write_text(text.replace(before, after))
    return folder


@contextmanager
def load(processes: int) -> Iterator[None]:
    """Processes that never rest."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def wide_digests(package: Path, processors: int, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WIDE, str(package), str(processors)]
    return subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True)


def test_without_dp_a_busy_machine_and_other_numbers_of_processors_and_threads_change_no_bit(
    wide_package: Path,
) -> None:
    with load(2 * (os.cpu_count() or 1)):
        # TensorFlow would take as many threads as there are processors or as this variable says.
        processes = [
            wide_digests(wide_package, 1),
            wide_digests(wide_package, 1_000),
            wide_digests(wide_package, 1_000, TF_NUM_INTRAOP_THREADS="8", TF_ENABLE_ONEDNN_OPTS="1"),
        ]
        printed = [process.communicate(timeout=540)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(set(printed[0])) == 3
    assert printed[0] == printed[1] == printed[2]


@pytest.mark.parametrize(
    ("setting", "warned"),
    [
        ("import fedledger.training as training, tensorflow", True),
        ("from fedledger.training.runtime import tensorflow; tensorflow(); import tensorflow", False),
        ("import os; os.environ['TF_ENABLE_ONEDNN_OPTS'] = '0'; import tensorflow; tensorflow.constant(1)", True),
    ],
)
def test_who_imports_tensorflow_first_is_told_what_that_means(setting: str, warned: bool) -> None:
    command = [sys.executable, "-c", f"{setting}\nfrom fedledger.training.runtime import tensorflow\ntensorflow()"]
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert ("may end in other last bits" in done.stdout + done.stderr) == warned


def test_tffs_networked_runtime_cannot_start_by_accident() -> None:
    tff = tensorflow_federated()
    computation = tff.tensorflow.computation(lambda: 1)
    with pytest.raises(RuntimeError):
        computation()
