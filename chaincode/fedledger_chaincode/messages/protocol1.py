"""What participants and validators signed in rounds of protocol 1, for reading ledgers of that time; never sent again.

Under the names that these messages have in ``round``, where those of the protocol in force are.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fedledger_chaincode.messages.base import Digest, Identifier, Positive, Value
from fedledger_chaincode.messages.round import (
    FieldElement,
    PrivacyStatement,
    Pseudonym,
    RoundNumber,
    SealedShareReference,
    Signed,
)


class ProofCommitments(Value):
    """Commitments to the norm proof's shares, made after those to the update's own shares."""

    root: Digest
    """Commitment to the update's root and all of these leaves; challenges are drawn from it."""
    leaves: Annotated[tuple[Digest, ...], Field(min_length=1, max_length=64)]
    """Salted commitment to each validator's share of the proof."""


class Manifest(Value):
    """One participant's update of one round: commitments to the shares, never the update."""

    schema_: Literal["fedledger/manifest/1"] = Field(alias="schema", default="fedledger/manifest/1")
    channel: Annotated[str, Field(min_length=1, max_length=249)]
    task: Identifier
    round: RoundNumber
    participant: Pseudonym
    base_model: Digest
    agreement: Digest
    """Digest of the task's specification under which the participant gives this update."""
    num_examples: Positive
    root: Digest
    """Commitment to all leaves."""
    leaves: Annotated[tuple[Digest, ...], Field(min_length=1, max_length=64)]
    """Salted commitment to each validator's share."""
    shares: Annotated[tuple[SealedShareReference, ...], Field(min_length=1, max_length=64)]
    proof: ProofCommitments | None = None
    """Commitments of the norm proof; None where the task asks for no proof."""
    privacy: PrivacyStatement

    @model_validator(mode="after")
    def _one_share_per_leaf(self) -> Self:
        if len(self.leaves) != len(self.shares):
            raise ValueError(f"{len(self.leaves)} leaves but {len(self.shares)} sealed shares")
        if self.proof is not None and len(self.proof.leaves) != len(self.leaves):
            raise ValueError(f"{len(self.leaves)} leaves but {len(self.proof.leaves)} leaves of the proof")
        return self


class SignedManifest(Signed):
    """A manifest with its participant's signature over the manifest's canonical bytes."""

    schema_: Literal["fedledger/signed-manifest/1"] = Field(alias="schema", default="fedledger/signed-manifest/1")
    manifest: Manifest


class Opening(Value):
    """One validator's values of one update: they reveal nothing but the verdict and one inner product."""

    degree: tuple[FieldElement, FieldElement]
    """D for each challenge: masked combinations of all shares, on a polynomial of degree t."""
    zero: tuple[FieldElement, FieldElement]
    """T for each challenge: on a polynomial of degree 2t that is zero at zero for a valid update."""
    inner_product: FieldElement
    """Share of the inner product with the reference direction, on a polynomial of degree t; 0 without one."""


class UpdateFinding(Value):
    """What one validator found of one update."""

    participant: Pseudonym
    readable: bool
    """The sealed share was found, opened, and matches its commitment."""
    reason: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$|^$", max_length=60)] = ""
    """Code of the defect when it is not readable."""
    opening: Opening | None = None
    """Of a readable update with a norm proof."""

    @model_validator(mode="after")
    def _reason_when_unreadable(self) -> Self:
        if self.readable == bool(self.reason):
            raise ValueError("an unreadable update needs a reason, a readable one has none")
        if self.opening is not None and not self.readable:
            raise ValueError("an unreadable update has no opening")
        return self


class Attestation(Value):
    """One validator's findings about exactly the fixed set of a round, in its order."""

    schema_: Literal["fedledger/attestation/1"] = Field(alias="schema", default="fedledger/attestation/1")
    task: Identifier
    round: RoundNumber
    findings: tuple[UpdateFinding, ...]
    reference: Literal["none", "used", "rejected"] = "none"
    """Whether the findings hold inner products with the round's reference direction; ``rejected``: the direction that
    was revealed is not what the validator computes itself."""
