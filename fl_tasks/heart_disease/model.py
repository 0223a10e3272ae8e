"""The two models of the task; both end in one logit, the log-odds of heart disease."""

from __future__ import annotations

from typing import Any

FEATURES = 30
HIDDEN_UNITS = 16


def build(kind: str) -> Any:
    """A new ``tf.keras.Model`` of the given kind: ``logistic`` regression or a small ``mlp``."""
    import tensorflow as tf

    inputs = tf.keras.Input((FEATURES,))
    hidden = inputs
    if kind == "mlp":
        hidden = tf.keras.layers.Dense(HIDDEN_UNITS, activation="tanh", name="hidden")(inputs)
    logit = tf.keras.layers.Dense(1, name="logit")(hidden)
    return tf.keras.Model(inputs, logit)
