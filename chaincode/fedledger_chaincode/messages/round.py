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
    Line,
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
    store: Annotated[Line, Field(min_length=1, max_length=1_000)]
    """URL of the artifact store in which this validator's sealed shares are put."""


class SealedShareReference(Value):
    """One sealed share in a validator's artifact store, addressed by its digest."""

    digest: Digest
    size: Positive


class PrivacyStatement(Value):
    """The mechanism that the participant says it applied; the contract compares it with the task."""

    mechanism: Literal["none", "dp-sgd", "dp-fedavg"]
    noise_multiplier: Natural
    record_clip_norm: Natural
    sampling_rate: Fraction
    steps: Natural


class Manifest(Value):
    """One participant's update of one round: a commitment to its shares, never the update."""

    schema_: Literal["fedledger/manifest/2"] = Field(alias="schema", default="fedledger/manifest/2")
    channel: Annotated[str, Field(min_length=1, max_length=249)]
    task: Identifier
    round: RoundNumber
    participant: Pseudonym
    base_model: Digest
    agreement: Digest
    """Digest of the task's specification under which the participant gives this update."""
    num_examples: Positive
    root: Digest
    """The last root of the transcript: it binds every message, every validator's share of it, and this context."""
    shares: Annotated[tuple[SealedShareReference, ...], Field(min_length=1, max_length=64)]
    """What is sealed to validators 1..n."""
    privacy: PrivacyStatement


class SignedManifest(Signed):
    """A manifest with its participant's signature over the manifest's canonical bytes."""

    schema_: Literal["fedledger/signed-manifest/2"] = Field(alias="schema", default="fedledger/signed-manifest/2")
    manifest: Manifest


Element = tuple[FieldElement, FieldElement]
"""An element of F_q(i): real part, imaginary part."""


class NormOpening(Value):
    """One validator's values of one update with a norm proof, all on polynomials of degree t: they reveal nothing but
    the verdict and one inner product."""

    z: Element
    """Share of Z at the last point: a masked random combination of everything dealt."""
    p: Element
    """Share of P at the last point; of a valid update it is the square of Z there."""
    inner_product: FieldElement
    """Share of the inner product with the reference direction; 0 without one."""


class DealingOpening(Value):
    """One validator's value of one update in a task without norm proof: whether its share belongs to one dealing."""

    combination: Element
    """Share of a masked random combination of everything dealt, on a polynomial of degree t."""


Opening = NormOpening | DealingOpening


class UpdateFinding(Value):
    """What one validator found of one update."""

    participant: Pseudonym
    readable: bool
    """The sealed share was found, opened, and matches its commitment."""
    reason: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$|^$", max_length=60)] = ""
    """Code of the defect when it is not readable."""
    opening: Opening | None = None
    """Of a readable update."""

    @model_validator(mode="after")
    def _opening_when_readable(self) -> Self:
        if self.readable == bool(self.reason):
            raise ValueError("an unreadable update needs a reason, a readable one has none")
        if self.readable != (self.opening is not None):
            raise ValueError("a readable update needs an opening, an unreadable one has none")
        return self


class Attestation(Value):
    """One validator's findings about exactly the fixed set of a round, in its order."""

    schema_: Literal["fedledger/attestation/2"] = Field(alias="schema", default="fedledger/attestation/2")
    task: Identifier
    round: RoundNumber
    findings: tuple[UpdateFinding, ...]
    reference: Literal["none", "used", "rejected"] = "none"
    """Whether the findings hold inner products with the round's reference direction; ``rejected``: the direction that
    was revealed is not what the validator computes itself, or is not to be had."""


Phase = Literal["updates", "reference", "attestations", "aggregates", "agreement", "idle"]
"""What a validator waits for: updates of an open round; reveals of the reference, then attestations of a closed one;
aggregate shares and reports of a settled one; and between rounds the end of the agreement, or participants."""


class LateClaim(Value):
    """A validator's own stopwatch says that a phase has lasted as long as the task allows."""

    schema_: Literal["fedledger/late/2"] = Field(alias="schema", default="fedledger/late/2")
    task: Identifier
    round: RoundNumber
    """The round that waits; between rounds the one that would be next."""
    phase: Phase


class ReferenceCommitment(Value):
    """A validator binds itself to a reference direction while the round is open, before it sees any update."""

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


class DisclosedShare(Value):
    """An accused validator's share of one update, as it was sealed to it, for everybody to check."""

    participant: Pseudonym
    """Whose update."""
    digest: Digest
    """Of the artifact: salt, leaves and messages as they were sealed."""
    size: Positive


class Disclosure(Value):
    """What an accused validator answers: the shares of which it is said to have told false values."""

    schema_: Literal["fedledger/disclosure/2"] = Field(alias="schema", default="fedledger/disclosure/2")
    task: Identifier
    round: RoundNumber
    shares: Annotated[tuple[DisclosedShare, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({share.participant for share in self.shares}) < len(self.shares):
            raise ValueError("an update is disclosed twice")
        return self


class DealingVote(Value):
    """What a validator finds of an accused one: its disclosed share is the committed one and yields the values that it
    told (``confirms``), or it does not, or is not to be had (``denies``)."""

    participant: Pseudonym
    validator: MspId
    vote: Literal["confirms", "denies"]


class DealingVotes(Value):
    """One validator's votes on the accused of a round."""

    schema_: Literal["fedledger/dealing-votes/2"] = Field(alias="schema", default="fedledger/dealing-votes/2")
    task: Identifier
    round: RoundNumber
    votes: Annotated[tuple[DealingVote, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({(vote.participant, vote.validator) for vote in self.votes}) < len(self.votes):
            raise ValueError("there are two votes on one accusation")
        return self


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
