"""The heart-disease task, loaded once, and small invented sites for what real data does not show."""

from __future__ import annotations

import numpy as np
import pytest

from fedledger.training import Examples, Split, TaskDefinition, load_task


@pytest.fixture(scope="session")
def task() -> TaskDefinition:
    return load_task("heart-disease")


@pytest.fixture(scope="session")
def public_task(task: TaskDefinition) -> TaskDefinition:
    return task.override(no_dp=True)


@pytest.fixture(scope="session")
def splits(task: TaskDefinition) -> dict[str, Split]:
    return {site: task.load_data(site) for site in task.sites}


@pytest.fixture(scope="session")
def records() -> Examples:
    """40 records of 30 features, both classes, gradients on both sides of a clip norm of 1."""
    generator = np.random.default_rng(7)
    x = (generator.normal(size=(40, 30)) * generator.uniform(0.05, 1.5, size=(40, 1))).astype(np.float32)
    return Examples(x, (np.arange(40) % 2).astype(np.int32))
