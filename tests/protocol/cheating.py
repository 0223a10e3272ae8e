"""The demo's cheating dealer, for the validators of these tests."""

from __future__ import annotations

from typing import Any

from fedledger.cli.demo import cheating
from fedledger.cli.demo.cheating import Tamper, honest, off_by_one
from fedledger.secure_aggregation import PreparedUpdate, UpdateContext
from tests.protocol.parties import Validators

__all__ = ["Tamper", "cheat", "honest", "off_by_one"]


def cheat(validators: Validators, context: UpdateContext, update: list[int], **lies: Any) -> PreparedUpdate:
    """As :func:`fedledger.cli.demo.cheating.cheat`."""
    return cheating.cheat(validators.parameters, validators.public_keys, context, update, **lies)
