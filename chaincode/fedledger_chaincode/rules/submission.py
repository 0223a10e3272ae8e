"""Which manifests count: everything that can be checked of an update without seeing it."""

from __future__ import annotations

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import CohortRecord, MemberRecord, RoundRecord, StandingRecord
from fedledger_chaincode.messages.round import Manifest, PrivacyStatement, SignedManifest
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.commitments import roots_match
from fedledger_chaincode.signatures import is_signed


def agreed_privacy(spec: TaskSpec) -> PrivacyStatement:
    """The statement that a manifest of this task has to carry."""
    return PrivacyStatement(
        mechanism=spec.privacy.mechanism,
        noise_multiplier=spec.privacy.noise_multiplier,
        record_clip_norm=spec.privacy.record_clip_norm,
        sampling_rate=spec.privacy.sampling_rate,
        steps=spec.privacy.steps_per_round,
    )


def check_manifest(
    signed: SignedManifest,
    *,
    spec: TaskSpec,
    channel: str,
    round_record: RoundRecord,
    cohort: CohortRecord,
    member: MemberRecord | None,
    standing: StandingRecord | None,
    submitter_msp: str,
) -> None:
    """Raise a ``ContractError`` with the first reason why the manifest does not count."""
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
    if not is_signed(bytes.fromhex(member.public_key), signed.signature_bytes(), manifest.canonical()):
        raise ContractError(
            403,
            "BAD_SIGNATURE",
            f"The manifest of participant {short} is not signed by the key that it joined with.",
            "Sign the canonical bytes of the manifest with the joined key.",
        )
    _check_place(manifest, channel, spec, round_record)
    if all(entry.participant != manifest.participant for entry in cohort.participants):
        raise ContractError(
            403,
            "NOT_IN_COHORT",
            f"Participant {short} takes no part in round {round_record.round}: it joined later, has left, its "
            "organisation has withdrawn, or its privacy budget is spent.",
            "Look at its standing with: fedledger participant show.",
        )
    _check_contents(manifest, spec)


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


def _check_contents(manifest: Manifest, spec: TaskSpec) -> None:
    if len(manifest.shares) != spec.aggregation.n:
        raise ContractError(
            400,
            "SHARE_COUNT",
            f"The manifest names {len(manifest.shares)} sealed shares, the task has {spec.aggregation.n} validators.",
            "Seal one share to each validator of the task.",
        )
    if not roots_match(manifest):
        raise ContractError(
            400,
            "ROOT_MISMATCH",
            "A root of the manifest is not the commitment to its own context and leaves.",
            "Prepare the update for exactly this round and base model.",
        )
    if (manifest.proof is not None) != (spec.aggregation.proof == "norm"):
        raise ContractError(
            400,
            "NORM_PROOF",
            f"The task's proof is {spec.aggregation.proof}; the manifest has {'one' if manifest.proof else 'none'}.",
            "Prepare the update with the task's parameters.",
        )
    if manifest.privacy != agreed_privacy(spec):
        raise ContractError(
            403,
            "PRIVACY_PARAMETERS",
            "The manifest's privacy parameters are not those of the task.",
            "Train with the mechanism, noise multiplier, clip norm, sampling rate and steps of the task.",
        )
