"""What participants and validators say in a round: signed manifests, attestations, aggregate shares, reports."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fedledger_chaincode.messages.base import (
    Digest,
    Fraction,
    Identifier,
    MspId,
    Natural,
    Positive,
    Text,
    Value,
)
from fedledger_chaincode.rules.field import is_element

Pseudonym = Digest
"""A participant on the ledger: hex SHA-256 of its DER SubjectPublicKeyInfo."""
RoundNumber = Annotated[int, Field(ge=1, le=1_000_000)]
X25519Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _below_modulus(text: str) -> str:
    if not is_element(int(text, 16)):
        raise ValueError("not below the field's modulus")
    return text


FieldElement = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$"), AfterValidator(_below_modulus)]
"""A field element: 16 hex digits, big-endian, below 2^61 - 1. JSON's integers are too small for it."""


def _is_base64(text: str) -> str:
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    if base64.b64encode(decoded).decode() != text:
        raise ValueError("not canonical base64")
    return text


Signature = Annotated[str, Field(min_length=4, max_length=400), AfterValidator(_is_base64)]
"""Base64 of a signature: ECDSA with SHA-256 (DER, low S) or Ed25519, as the key is."""


class Signed(Value):
    """A message with a signature over its canonical bytes."""

    signature: Signature

    def signature_bytes(self) -> bytes:
        return base64.b64decode(self.signature)


class JoinRequest(Value):
    """A participant joins a task; its identity and key are those of its certificate."""

    schema_: Literal["fedledger/join/1"] = Field(alias="schema", default="fedledger/join/1")
    task: Identifier


class Admission(Value):
    """A participant without a certificate asks to take part for an organisation, which vouches for it."""

    schema_: Literal["fedledger/admission/1"] = Field(alias="schema", default="fedledger/admission/1")
    channel: Annotated[str, Field(min_length=1, max_length=249)]
    task: Identifier
    msp: MspId
    public_key: Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$", max_length=400)]
    """Hex DER SubjectPublicKeyInfo."""


class SignedAdmission(Signed):
    """The request with a signature by its own key, over its canonical bytes: proof of possession."""

    schema_: Literal["fedledger/signed-admission/1"] = Field(alias="schema", default="fedledger/signed-admission/1")
    admission: Admission


class ValidatorRegistration(Value):
    """An organisation's validator offers its key for sealed shares and names its artifact store."""

    schema_: Literal["fedledger/validator/1"] = Field(alias="schema", default="fedledger/validator/1")
    task: Identifier
    sealing_key: X25519Key
    store: Annotated[str, Field(min_length=1, max_length=1_000)]
    """URL of the artifact store in which this validator's sealed shares are put."""


class SealedShareReference(Value):
    """One sealed share in a validator's artifact store, addressed by its digest."""

    digest: Digest
    size: Positive


class ProofCommitments(Value):
    """Commitments to the norm proof's shares, made after those to the update's own shares."""

    root: Digest
    """Commitment to the update's root and all of these leaves; challenges are drawn from it."""
    leaves: Annotated[tuple[Digest, ...], Field(min_length=1, max_length=64)]
    """Salted commitment to each validator's share of the proof."""


class PrivacyStatement(Value):
    """The mechanism that the participant says it applied; the contract compares it with the task."""

    mechanism: Literal["none", "dp-sgd", "dp-fedavg"]
    noise_multiplier: Natural
    record_clip_norm: Natural
    sampling_rate: Fraction
    steps: Natural


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


class ReferenceCommitment(Value):
    """The validator that opened a round binds itself to a reference direction before it sees any update."""

    schema_: Literal["fedledger/reference-commitment/1"] = Field(
        alias="schema", default="fedledger/reference-commitment/1"
    )
    task: Identifier
    round: RoundNumber
    commitment: Digest
    """``commitments.reference_commitment`` of the direction's artifact and a secret salt."""


class RevealedReference(Value):
    """The reference direction itself, after the set of updates is fixed."""

    schema_: Literal["fedledger/revealed-reference/1"] = Field(alias="schema", default="fedledger/revealed-reference/1")
    task: Identifier
    round: RoundNumber
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    digest: Digest
    """Of the artifact: d signed integers of eight bytes, little-endian."""
    size: Positive


class RevealedShare(Value):
    """A share is made public to settle a dispute: by the validator whose it is, or by the participant that dealt it."""

    schema_: Literal["fedledger/revealed-share/1"] = Field(alias="schema", default="fedledger/revealed-share/1")
    task: Identifier
    round: RoundNumber
    participant: Pseudonym
    """Whose update."""
    validator: MspId
    """Whose share."""
    digest: Digest
    """Digest of the artifact: salt, share and share of the proof, as they were sealed."""
    size: Positive


class RevealJudgement(Value):
    """What a validator finds when it recomputes another validator's values from a revealed share."""

    schema_: Literal["fedledger/reveal-judgement/1"] = Field(alias="schema", default="fedledger/reveal-judgement/1")
    task: Identifier
    round: RoundNumber
    participant: Pseudonym
    validator: MspId
    ruling: Literal["confirms", "contradicts", "void"]
    """It matches the commitments and yields the attested values, or matches and yields others, or does not match."""


class AggregateShare(Value):
    """Where one validator put its share of the weighted sum."""

    schema_: Literal["fedledger/aggregate-share/1"] = Field(alias="schema", default="fedledger/aggregate-share/1")
    task: Identifier
    round: RoundNumber
    digest: Digest
    size: Positive


class ModelReport(Value):
    """The model that one validator reconstructed; n - t equal reports make it the next version."""

    schema_: Literal["fedledger/model-report/1"] = Field(alias="schema", default="fedledger/model-report/1")
    task: Identifier
    round: RoundNumber
    aggregate_digest: Digest
    """Digest of the decoded weighted sum."""
    model_digest: Digest
    model_size: Positive
    liars: tuple[MspId, ...]
    """Validators whose aggregate share contradicts the decoded sum."""


class EvaluationReport(Value):
    """A participant's evaluation of a model version on its own held-out data, in micro-units."""

    schema_: Literal["fedledger/evaluation/1"] = Field(alias="schema", default="fedledger/evaluation/1")
    task: Identifier
    version: Natural
    examples: Positive
    auc: Fraction | None
    """None where it is undefined (one class only)."""
    accuracy: Fraction
    loss: Natural


class AbortRequest(Value):
    """A validator says that a round cannot end."""

    schema_: Literal["fedledger/abort/1"] = Field(alias="schema", default="fedledger/abort/1")
    task: Identifier
    round: RoundNumber
    reason: Text
