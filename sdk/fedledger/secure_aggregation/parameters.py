"""The numbers that participants and validators of a task must agree on; refuses those that are unsafe."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

from fedledger.secure_aggregation.errors import ParametersError
from fedledger_chaincode.messages.task import MAXIMUM_DIMENSION, TaskSpec
from fedledger_chaincode.rules import dealing
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.norm_bound import NormBound

ProofKind = Literal["none", "norm"]

MAXIMUM_VALIDATORS = 64


@dataclass(frozen=True)
class Parameters:
    """Secure aggregation of one task (section 3).

    Raises:
        ParametersError: n < 3t + 1 or t < 1, an empty or too long update, or a norm that the field cannot hold.
    """

    validators: int
    """n; validator j has the evaluation point j in 1..n."""
    tolerated_faults: int
    """t: this many validators may be silent, lie or collude."""
    dimension: int
    """d: how many numbers an update has."""
    quantised_norm: int
    """C_q: the integer that the clip norm is mapped to."""
    proof: ProofKind = "none"
    """``norm``: each update proves that its squares add up to at most C_q^2."""

    def __post_init__(self) -> None:
        n, t = self.validators, self.tolerated_faults
        if not (t >= 1 and 3 * t + 1 <= n <= MAXIMUM_VALIDATORS):
            raise ParametersError(
                "UNSAFE_THRESHOLD",
                f"{n} validators cannot tolerate {t} faulty ones.",
                f"Choose t >= 1 and 3t + 1 <= n <= {MAXIMUM_VALIDATORS}, as (4, 1), (7, 2) or (10, 3).",
            )
        if not 1 <= self.dimension <= MAXIMUM_DIMENSION:
            raise ParametersError(
                "UNSAFE_DIMENSION",
                f"An update of {self.dimension} numbers cannot be shared.",
                f"Choose a model of 1 to {MAXIMUM_DIMENSION} parameters.",
            )
        if self.quantised_norm < 1 or 3 * self.quantised_norm**2 + 2 >= MODULUS:
            raise ParametersError(
                "UNSAFE_NORM",
                f"The field cannot hold the square of the quantised norm {self.quantised_norm}.",
                "Choose a quantised norm of at most 2^29.",
            )
        if self.proof == "norm":
            try:
                NormBound(self.quantised_norm, self.dimension)
            except ValueError as error:
                raise ParametersError(
                    "UNSAFE_PROOF", f"{str(error).capitalize()}.", "Lower quantised_norm, or set proof to none."
                ) from None

    @classmethod
    def of_task(cls, spec: TaskSpec) -> Self:
        """The parameters that a task's specification fixes."""
        return cls(
            spec.aggregation.n,
            spec.aggregation.tolerated_faults,
            spec.model.parameter_count,
            spec.aggregation.quantised_norm,
            spec.aggregation.proof,
        )

    @property
    def n(self) -> int:
        return self.validators

    @cached_property
    def norm_bound(self) -> NormBound | None:
        """The norm proof's parameters; None where the task asks for no proof."""
        return NormBound(self.quantised_norm, self.dimension) if self.proof == "norm" else None

    @cached_property
    def message_lengths(self) -> tuple[int, ...]:
        """Field elements of each message that is dealt."""
        return dealing.message_lengths(self, self.dimension)

    @cached_property
    def plaintext_bytes(self) -> int:
        """Size of what is sealed to one validator: salt, leaves, messages."""
        return dealing.plaintext_bytes(self, self.dimension)

    @cached_property
    def sealed_bytes(self) -> int:
        """Size of a validator's artifact."""
        return dealing.sealed_bytes(self, self.dimension)
