"""Rounds of plain TFF on the task of ``many_participants``, in TFF's own runtime: prints the seconds of each.

It is a process of its own, because that runtime starts a server that outlives Python.
"""

from __future__ import annotations

import sys
import time

import tensorflow as tf
import tensorflow_federated as tff

from fedledger.training.batches import batch_order
from ledger_load.federation import dealt, task_of


def main(participants: int, rounds: int) -> None:
    """Run and print."""
    task = task_of(rounds)
    settings = task.training
    sites = dealt(task, participants)
    input_spec = (tf.TensorSpec((None, *task.input_shape), tf.float32), tf.TensorSpec((None, 1), tf.int32))

    def model_fn() -> tff.learning.models.VariableModel:
        loss = tf.keras.losses.BinaryCrossentropy(from_logits=True)
        return tff.learning.models.from_keras_model(task.build_model(), loss=loss, input_spec=input_spec)

    def batches(number: int, round_number: int) -> tf.data.Dataset:
        examples = sites[number]
        name = f"participant {number}"
        order = batch_order(len(examples), settings.local_epochs, seed=task.seed, site=name, round_number=round_number)
        pairs = (examples.x[order], examples.y[order].reshape(-1, 1))
        return tf.data.Dataset.from_tensor_slices(pairs).batch(settings.batch_size)

    process = tff.learning.algorithms.build_weighted_fed_avg(
        model_fn,
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(settings.client_optimizer.learning_rate),
        server_optimizer_fn=tff.learning.optimizers.build_sgdm(settings.server_optimizer.learning_rate),
    )
    weights = tff.learning.models.ModelWeights(trainable=task.initial_weights(), non_trainable=[])
    state = process.set_model_weights(process.initialize(), weights)
    for round_number in range(1, rounds + 1):
        begun = time.perf_counter()
        state = process.next(state, [batches(number, round_number) for number in range(len(sites))]).state
        print(time.perf_counter() - begun, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
