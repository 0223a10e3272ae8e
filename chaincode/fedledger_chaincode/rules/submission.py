"""Which manifests count: everything that can be checked of an update without seeing it."""

from __future__ import annotations

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import (
    CohortRecord,
    ConsentRecord,
    MemberRecord,
    RoundRecord,
    StandingRecord,
)
from fedledger_chaincode.messages.round import Manifest, PrivacyStatement, SignedManifest
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.dealing import sealed_bytes
from fedledger_chaincode.signatures import is_signed


def agreed_privacy(spec: TaskSpec, msp: str) -> PrivacyStatement:
    """The statement that a manifest of an organisation's participant has to carry in this task."""
    privacy = spec.privacy_of(msp)
    return PrivacyStatement(
        mechanism=privacy.mechanism,
        noise_multiplier=privacy.noise_multiplier,
        record_clip_norm=privacy.record_clip_norm,
        sampling_rate=privacy.sampling_rate,
        steps=privacy.steps_per_round,
    )


def check_manifest(
    signed: SignedManifest,
    *,
    encoded: bytes,
    spec: TaskSpec,
    spec_hash: str,
    channel: str,
    round_record: RoundRecord,
    cohort: CohortRecord,
    member: MemberRecord | None,
    standing: StandingRecord | None,
    consent: ConsentRecord | None,
    submitter_msp: str,
    now: int,
) -> None:
    """Raise a ``ContractError`` with the first reason why the manifest does not count.

    Args:
        encoded: the manifest's canonical bytes, over which its participant has signed.
        consent: that of the submitter's organisation.
        now: seconds since the epoch: what the transaction says, but not before what has passed for certain. A
            submitter that says less than its clock gains the few minutes that the chaincode service tolerates.
    """
    manifest = signed.manifest
    short = manifest.participant[:16]
    if member is None or standing is None:
        raise ContractError(
            403,
            "NOT_JOINED",
            f"Participant {short} has not joined task {spec.task}.",
            "Join first: fedledger participant join.",
        )
    if submitter_msp != member.msp:
        raise ContractError(
            403,
            "WRONG_ORGANISATION",
            f"Participant {short} belongs to {member.msp}; {submitter_msp} cannot submit for it.",
            "Submit through the participant's own organisation.",
        )
    if not is_signed(bytes.fromhex(member.public_key), signed.signature_bytes(), encoded):
        raise ContractError(
            403,
            "BAD_SIGNATURE",
            f"The manifest of participant {short} is not signed by the key that it joined with.",
            "Sign the canonical bytes of the manifest with the joined key.",
        )
    _check_place(manifest, channel, spec, round_record)
    _check_standing(member, consent, now)
    if all(entry.participant != manifest.participant for entry in cohort.participants):
        raise ContractError(
            403,
            "NOT_IN_COHORT",
            f"Participant {short} takes no part in round {round_record.round}: it joined later, has left, its "
            "organisation has withdrawn, or its privacy budget is spent.",
            "Look at its standing with: fedledger participant show.",
        )
    _check_terms(manifest, spec, spec_hash, now)
    _check_contents(manifest, spec, member.msp)


def _check_terms(manifest: Manifest, spec: TaskSpec, spec_hash: str, now: int) -> None:
    """Raise a ``ContractError`` for what the data-sharing agreement does not allow."""
    terms = spec.agreement
    if manifest.agreement != spec_hash:
        raise ContractError(
            409,
            "AGREEMENT_VERSION",
            f"The update is given under the agreement {manifest.agreement[:16]}, the task goes by {spec_hash[:16]}.",
            "Read the amended task with: fedledger task show, and train again.",
        )
    if terms.ends_at is not None and now >= terms.ends_at:
        raise ContractError(
            403,
            "AGREEMENT_ENDED",
            f"The agreement of task {spec.task} ended at {terms.ends_at}.",
            "Its organisations can agree on a later end: fedledger task amend.",
        )
    if manifest.num_examples < terms.minimum_examples:
        raise ContractError(
            403,
            "TOO_FEW_EXAMPLES",
            f"The update stands for {manifest.num_examples} examples, the agreement asks for {terms.minimum_examples}.",
            "Take part when there are more.",
        )
    if manifest.num_examples % terms.example_step:
        raise ContractError(
            400,
            "EXAMPLES_NOT_ROUNDED",
            f"The number of examples is {manifest.num_examples}, no multiple of {terms.example_step}.",
            "Round it down as the task says.",
        )


def _check_standing(member: MemberRecord, consent: ConsentRecord | None, now: int) -> None:
    short = member.participant[:16]
    if member.suspended:
        raise ContractError(
            403,
            "SUSPENDED",
            f"Participant {short} is suspended by its organisation: {member.suspended}",
            "Its governor can reinstate it: fedledger participant reinstate.",
        )
    if consent is not None and consent.suspended:
        raise ContractError(
            403,
            "ORGANISATION_SUSPENDED",
            f"Organisation {member.msp} is suspended by vote of the others.",
            "Who voted, and why, is in: fedledger task show.",
        )
    if member.valid_until is not None and now > member.valid_until:
        raise ContractError(
            403,
            "CERTIFICATE_EXPIRED",
            f"The certificate with which participant {short} joined expired at {member.valid_until}.",
            "Renew it for the same key and join again.",
        )


def _check_place(manifest: Manifest, channel: str, spec: TaskSpec, round_record: RoundRecord) -> None:
    if (manifest.channel, manifest.task, manifest.round) != (channel, spec.task, round_record.round):
        raise ContractError(
            409,
            "WRONG_CONTEXT",
            f"The manifest is for round {manifest.round} of task {manifest.task} on channel {manifest.channel}, "
            f"not for round {round_record.round} of task {spec.task} on channel {channel}.",
            "A manifest counts in the one round that it was made for.",
        )
    if manifest.base_model != round_record.base_model:
        raise ContractError(
            409,
            "BASE_MODEL",
            f"The update starts from model {manifest.base_model[:16]}, the round from {round_record.base_model[:16]}.",
            "Pull the newest model and train again.",
        )


def _check_contents(manifest: Manifest, spec: TaskSpec, msp: str) -> None:
    if len(manifest.shares) != spec.aggregation.n:
        raise ContractError(
            400,
            "SHARE_COUNT",
            f"The manifest names {len(manifest.shares)} sealed shares, the task has {spec.aggregation.n} validators.",
            "Seal one share to each validator of the task.",
        )
    expected = sealed_bytes(spec.aggregation, spec.model.parameter_count)
    strange = [share.size for share in manifest.shares if share.size != expected]
    if strange:
        raise ContractError(
            400,
            "SHARE_SIZE",
            f"A sealed share is said to have {strange[0]} bytes; in this task each has {expected}.",
            "Prepare the update with the task's parameters.",
        )
    if manifest.privacy != agreed_privacy(spec, msp):
        raise ContractError(
            403,
            "PRIVACY_PARAMETERS",
            f"The manifest's privacy parameters are not those that the task has for {msp}.",
            "Train with the mechanism, noise multiplier, clip norm, sampling rate and steps that were agreed.",
        )
