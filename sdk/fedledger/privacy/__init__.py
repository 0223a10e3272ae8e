"""Differential privacy as values, their accounting, and the mechanism that runs inside local training."""
