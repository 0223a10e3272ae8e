"""The parties of one round for tests: sealing keys, manifests, validators that open and attest."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fedledger.secure_aggregation import (
    OpenedShare,
    Parameters,
    PreparedUpdate,
    SealingKey,
    Unreadable,
    UpdateContext,
    disclosable,
    open_share,
    opening_of,
    prepare_update,
)
from fedledger_chaincode.messages.round import Manifest, Opening, PrivacyStatement
from fedledger_chaincode.rules.verdicts import Decision, decide

THRESHOLDS = [(4, 1), (7, 2), (10, 3)]
NO_PRIVACY = PrivacyStatement(mechanism="none", noise_multiplier=0, record_clip_norm=0, sampling_rate=0, steps=0)
Integers = npt.NDArray[np.int64]


def context_of(participant: int = 1, **changes: str | int) -> UpdateContext:
    """The context of one participant's update in the first round."""
    values: dict[str, str | int] = {
        "channel": "fedledger",
        "task": "heart-disease",
        "round": 1,
        "base_model": "ab" * 32,
        "participant": f"{participant:064x}",
    }
    return UpdateContext(**(values | changes))  # type: ignore[arg-type]


def manifest_of(prepared: PreparedUpdate, context: UpdateContext) -> Manifest:
    """The manifest of a prepared update."""
    return Manifest(
        channel=context.channel,
        task=context.task,
        round=context.round,
        participant=context.participant,
        base_model=context.base_model,
        agreement="ac" * 32,
        num_examples=10,
        root=prepared.root,
        shares=prepared.shares,
        privacy=NO_PRIVACY,
    )


@dataclass(frozen=True)
class Validators:
    """All validators of a task, with their sealing keys."""

    parameters: Parameters
    keys: tuple[SealingKey, ...] = field(repr=False)

    @classmethod
    def of(cls, parameters: Parameters) -> Validators:
        return cls(parameters, tuple(SealingKey.generate() for _ in range(parameters.validators)))

    @cached_property
    def public_keys(self) -> tuple[str, ...]:
        return tuple(key.public_key for key in self.keys)

    def prepare(self, update: Integers, context: UpdateContext) -> PreparedUpdate:
        return prepare_update(update, self.parameters, context, self.public_keys)

    def open(self, validator: int, sealed: bytes | None, manifest: Manifest) -> OpenedShare | Unreadable:
        return open_share(sealed, manifest, self.parameters, validator, self.keys[validator - 1])

    def open_all(self, prepared: PreparedUpdate, manifest: Manifest) -> dict[int, OpenedShare | Unreadable]:
        return {
            validator: self.open(validator, sealed, manifest)
            for validator, sealed in enumerate(prepared.sealed, start=1)
        }

    def plaintext(self, validator: int, sealed: bytes, manifest: Manifest) -> bytes:
        """What was sealed to a validator."""
        found = disclosable(sealed, manifest, validator, self.keys[validator - 1])
        assert found is not None
        return found

    def attest(
        self, prepared: PreparedUpdate, manifest: Manifest, reference: Integers | None = None
    ) -> dict[int, Opening | None]:
        """What each honest validator posts about the update."""
        return {
            validator: opening_of(share, reference) if isinstance(share, OpenedShare) else None
            for validator, share in self.open_all(prepared, manifest).items()
        }

    def decide(self, openings: dict[int, Opening | None], with_products: bool = False) -> Decision:
        """The ledger's decision; with products, all have attested with the reference direction."""
        n, t = self.parameters.validators, self.parameters.tolerated_faults
        return decide(openings, n, t, frozenset(openings) if with_products else frozenset())

    def decision_on(self, prepared: PreparedUpdate, context: UpdateContext) -> Decision:
        """That on an update of which all validators attest what they find."""
        return self.decide(self.attest(prepared, manifest_of(prepared, context)))


def readable(opened: OpenedShare | Unreadable) -> OpenedShare:
    """The share; an unreadable one fails the test with its reason."""
    assert isinstance(opened, OpenedShare), opened
    return opened
