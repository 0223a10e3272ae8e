"""Vibration of pumps at four operators, computed from a model of a worn bearing; every pump is a device.

A record is a quarter of a second of one pump's vibration at one age. From some age on its bearing's outer race has a
fault: each ball that rolls over it excites a resonance of the housing (McFadden and Smith 1984). What a pump is like,
and when it wears, is drawn from the operator's name, so that everybody computes the same records.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fedledger.training import Split, split_by_device

PUMPS = {"harbour": 90, "waterworks": 140, "refinery": 60, "district_heating": 40}
"""Pumps of each operator."""
RECORDS = (5, 20)
"""Fewest and most records of a pump."""
TEST_SHARE = 0.25
SAMPLING_HERTZ = 4_096
SAMPLES = 1_024
BALLS_PER_TURN = 3.58
"""Balls that pass a point of the outer race in one turn of the shaft."""
RESONANCE_HERTZ = 900.0
DECAY_SECONDS = 0.002
BANDS_HERTZ = (0.0, 250.0, 600.0, 1_200.0, 2_048.0)
# Means and deviations of 40 pumps of nobody's, on a test bench: nothing here is computed from an operator's records.
CENTRE = np.array([-0.2, -0.9, 0.9, -0.2, -3.7, -3.1, -2.9])
SCALE = np.array([0.3, 0.2, 0.1, 0.1, 0.5, 0.6, 0.5])

Array = npt.NDArray[np.float64]


def load(source: str, seed: int) -> Split:
    """The records of one operator: float32[n, 7] features, label 1 for a worn bearing, and whose pump it is."""
    operator = str(source)
    pumps = [_pump(operator, number) for number in range(PUMPS[operator])]
    features = np.concatenate([features_of(signals) for signals, _ in pumps])
    labels = np.concatenate([worn for _, worn in pumps])
    devices = np.repeat(np.arange(len(pumps)), [len(worn) for _, worn in pumps])
    standard = (features - CENTRE) / SCALE
    return split_by_device(standard, labels.tolist(), devices, seed=seed, test_share=TEST_SHARE)


def features_of(signals: Array) -> Array:
    """Features float64[n, 7] of signals float64[n, samples]: logarithm of the effective value, excess kurtosis,
    logarithm of the crest factor, logarithm of each band's share of the power.
    """
    power = (signals**2).mean(axis=1)
    kurtosis = (signals**4).mean(axis=1) / power**2 - 3.0
    crest = np.log(np.abs(signals).max(axis=1) / np.sqrt(power))
    spectrum = np.abs(np.fft.rfft(signals, axis=1)) ** 2
    hertz = np.fft.rfftfreq(signals.shape[1], 1.0 / SAMPLING_HERTZ)
    bands = [spectrum[:, (hertz >= low) & (hertz < high)].sum(axis=1) for low, high in pairwise(BANDS_HERTZ)]
    shares = np.log(np.stack(bands, axis=1) / spectrum.sum(axis=1, keepdims=True))
    return np.column_stack([0.5 * np.log(power), kurtosis, crest, shares])


def _pump(operator: str, number: int) -> tuple[Array, npt.NDArray[np.int32]]:
    """Signals float64[n, samples] of one pump, and whether its bearing was worn at each."""
    name = hashlib.sha256(f"{operator}/{number}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(name[:8], "big"))
    records = int(generator.integers(RECORDS[0], RECORDS[1] + 1))
    gain, shaft_hertz = np.exp(generator.normal(0.0, 0.3)), generator.uniform(20.0, 30.0)
    noise, fault_at, growth = generator.uniform(0.15, 0.45), generator.uniform(0.2, 1.2), generator.uniform(1.0, 4.0)
    age = np.sort(generator.uniform(0.0, 1.0, size=records))
    severity = np.where(age > fault_at, 0.25 + growth * (age - fault_at), 0.0)
    speed = shaft_hertz * (1.0 + 0.03 * generator.normal(size=(records, 1)))
    seconds = np.arange(SAMPLES) / SAMPLING_HERTZ
    turns = 2.0 * np.pi * speed * seconds
    unbalance = np.sin(turns) + 0.3 * np.sin(2.0 * turns + generator.uniform(0.0, 2.0 * np.pi))
    since_ball = np.mod(seconds + generator.uniform(size=(records, 1)), 1.0 / (BALLS_PER_TURN * speed))
    ringing = np.exp(-since_ball / DECAY_SECONDS) * np.sin(2.0 * np.pi * RESONANCE_HERTZ * since_ball)
    signals = unbalance + severity[:, None] * ringing + noise * generator.normal(size=(records, SAMPLES))
    return gain * signals, (age > fault_at).astype(np.int32)
