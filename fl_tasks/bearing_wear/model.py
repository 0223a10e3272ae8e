"""The model of the task, which ends in one logit: the log-odds of a worn bearing."""

from __future__ import annotations

from typing import Any

FEATURES = 7


def build(kind: str) -> Any:
    """A new ``tf.keras.Model``; the only kind is ``logistic``."""
    import tensorflow as tf

    inputs = tf.keras.Input((FEATURES,))
    return tf.keras.Model(inputs, tf.keras.layers.Dense(1, name="logit")(inputs))
