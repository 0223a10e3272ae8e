"""TFF's own simulation of a task, as a process of its own: prints the final weights for FedAvg and for FedProx as JSON.

TFF's runtime starts a server that outlives Python, so whoever runs this ends its whole session afterwards.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from fedledger.training import TaskDefinition, flatten, load_task
from fedledger.training.batches import batch_order


def simulate(task: TaskDefinition, mu: float) -> list[float]:
    settings = task.training
    sites = {site: task.load_data(site).train for site in task.sites}
    input_spec = (tf.TensorSpec((None, *task.input_shape), tf.float32), tf.TensorSpec((None, 1), tf.int32))

    def model_fn() -> tff.learning.models.VariableModel:
        loss = tf.keras.losses.BinaryCrossentropy(from_logits=True)
        return tff.learning.models.from_keras_model(task.build_model(), loss=loss, input_spec=input_spec)

    def batches(site: str, round_number: int) -> tf.data.Dataset:
        examples = sites[site]
        order = batch_order(len(examples), settings.local_epochs, seed=task.seed, site=site, round_number=round_number)
        pairs = (examples.x[order], examples.y[order].reshape(-1, 1))
        return tf.data.Dataset.from_tensor_slices(pairs).batch(settings.batch_size)

    optimizers = {
        "client_optimizer_fn": tff.learning.optimizers.build_sgdm(settings.client_optimizer.learning_rate),
        "server_optimizer_fn": tff.learning.optimizers.build_sgdm(settings.server_optimizer.learning_rate),
    }
    if mu > 0.0:
        process = tff.learning.algorithms.build_weighted_fed_prox(model_fn, proximal_strength=mu, **optimizers)
    else:
        process = tff.learning.algorithms.build_weighted_fed_avg(model_fn, **optimizers)
    weights = tff.learning.models.ModelWeights(trainable=task.initial_weights(), non_trainable=[])
    state = process.set_model_weights(process.initialize(), weights)
    for round_number in range(1, settings.rounds + 1):
        state = process.next(state, [batches(site, round_number) for site in sorted(sites)]).state
    trained = [np.asarray(part) for part in process.get_model_weights(state).trainable]
    return [float(value) for value in flatten(trained)]


def main(task_name: str, rounds: int, mu: float) -> None:
    task = load_task(task_name).override(no_dp=True, rounds=rounds)
    result = {"fedavg": simulate(task, 0.0), "fedprox": simulate(task, mu)}
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
