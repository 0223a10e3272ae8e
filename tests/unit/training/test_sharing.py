"""Sites that train in threads of one process share graphs and never each other's numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fedledger.training import LocalTrainer, Split, TaskDefinition, evaluate, load_task, predict
from fedledger.training.client_work import client_work
from fedledger.training.model import trainable_model


@pytest.mark.parametrize("algorithm", ["fedavg", "fedprox"])
def test_sites_in_threads_get_the_updates_they_get_one_after_another(
    public_task: TaskDefinition, splits: dict[str, Split], algorithm: str
) -> None:
    task = public_task.override(algorithm=algorithm)
    trainers = [LocalTrainer(task, split.train, site=site) for site, split in splits.items()]
    base = task.initial_model()
    expected = [trainer.train(base, round_number=1).update.tobytes() for trainer in trainers]
    judged = evaluate(task, base, splits["cleveland"].test)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            updates = [pool.submit(trainer.train, base, round_number=1) for trainer in trainers]
            evaluations = [pool.submit(evaluate, task, base, splits["cleveland"].test) for _ in trainers]
            assert [future.result().update.tobytes() for future in updates] == expected
            assert {future.result() for future in evaluations} == {judged}


def test_one_model_and_one_graph_serve_all_sites_rounds_and_loads(
    public_task: TaskDefinition, splits: dict[str, Split]
) -> None:
    again = load_task("heart-disease").override(no_dp=True, rounds=3, seed=5)
    assert trainable_model(again) is trainable_model(public_task)
    work = client_work(trainable_model(public_task), public_task.client_optimizer, 0.0)
    for site, split in splits.items():
        for round_number in (1, 2):
            LocalTrainer(again, split.train, site=site).train(again.initial_weights(), round_number=round_number)
    assert work._update.experimental_get_tracing_count() == 1


def test_a_shared_model_comes_back_as_a_keras_model(task: TaskDefinition, splits: dict[str, Split]) -> None:
    model = task.keras_model(task.initial_model())
    x = splits["hungary"].test.x
    probabilities = predict(task, task.initial_model(), x)[:, 1]
    np.testing.assert_allclose(1 / (1 + np.exp(-model(x).numpy()[:, 0])), probabilities, atol=1e-6)
