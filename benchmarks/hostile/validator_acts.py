"""What the hostile organisation's validator says: attestations, sums, reports, votes with every lie, at any moment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, get_args

import numpy as np

from fedledger.agents.disputes import doubted, manifests_of
from fedledger.agents.reference import PreparedReference
from fedledger.errors import FedledgerError
from fedledger.outcome import settled_sum
from fedledger.secure_aggregation import Accumulator, SealingKey, disclosable, encode_direction
from fedledger_chaincode.messages.round import (
    AbortRequest,
    AggregateShare,
    Attestation,
    DealingOpening,
    DealingVote,
    DealingVotes,
    DisclosedShare,
    Disclosure,
    LateClaim,
    ModelReport,
    NormOpening,
    Opening,
    Phase,
    ReferenceCommitment,
    RevealedReference,
    UpdateFinding,
)
from fedledger_chaincode.messages.views import RoundView
from fedledger_chaincode.rules.dealing import aggregate_bytes
from fedledger_chaincode.rules.field import ELEMENT_BYTES, MODULUS

from .grammar import message_bytes
from .kinds import DIRECTION
from .member import HostileMember, act
from .stage import CHANNEL

_ALL_PHASES: tuple[Phase, ...] = get_args(Phase)
_REASONS = ("SHARE_MISSING", "WRONG_DIGEST", "ROOT_MISMATCH", "X", "A" * 60)
_SMALL_ORDER = (
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ff" * 32,
    "0900000000000000000000000000000000000000000000000000000000000080",
)
"""RFC 7748's points of small order, and encodings beyond the prime. https://cr.yp.to/ecdh.html#validate"""


# --- attestations


@act("attest what is true", "closed")
def attest(me: HostileMember) -> None:
    attest_with(me, lies=0.0)


@act("attest with lies", "closed")
def attest_falsely(me: HostileMember) -> None:
    attest_with(me, lies=me.rng.choice((0.3, 0.7, 1.0)))


@act("attest others than the fixed set", "closed")
def attest_another_set(me: HostileMember) -> None:
    attest_with(me, lies=0.2, strange=True)


def attest_with(me: HostileMember, *, lies: float, strange: bool = False) -> None:
    """Attest with so many lies, or also of updates that are not in the fixed set."""
    if me.current is None or me.current.fixed is None:
        return
    reference = me.reference()
    participants = [update.participant for update in me.current.fixed.updates]
    findings = [me.truth(participant, reference) for participant in participants]
    findings = [_falsified(each, me.rng) if me.rng.random() < lies else each for each in findings]
    if strange and findings:
        match me.rng.randrange(4):
            case 0:
                findings.pop()
            case 1:
                findings.append(me.rng.choice(findings))
            case 2:
                me.rng.shuffle(findings)
            case _:
                findings[0] = findings[0].model_copy(update={"participant": me.words.digest(me.rng)})
    said: Any = "used" if reference is not None else "none"
    if me.rng.random() < (lies if _compares(me) else 0.1 * lies):
        said = me.rng.choice(("none", "used", "rejected"))
    attestation = Attestation(task=me.stage.task, round=me.number, findings=tuple(findings), reference=said)
    me.say("validator", "AttestUpdates", attestation)


def _compares(me: HostileMember) -> bool:
    """Whether the task has a reference direction at all."""
    return me.stage.spec.robustness.trust_weighting != "off"


def _falsified(finding: UpdateFinding, rng: Random) -> UpdateFinding:
    participant = finding.participant
    if finding.opening is None or rng.random() < 0.25:
        reason = rng.choice(_REASONS)
        return UpdateFinding(participant=participant, readable=False, reason=reason)
    return UpdateFinding(participant=participant, readable=True, opening=_another(finding.opening, rng))


def _another(opening: Opening, rng: Random) -> Opening:
    """The values with one of them changed."""
    names = ("z", "p", "inner_product") if isinstance(opening, NormOpening) else ("combination",)
    name = rng.choice(names)
    if isinstance(opening, DealingOpening) or name != "inner_product":
        first, second = getattr(opening, name)
        false: Any = (_element(first, rng), second) if rng.random() < 0.5 else (first, _element(second, rng))
    else:
        false = _element(opening.inner_product, rng)
    return opening.model_copy(update={name: false})


def _element(text: str, rng: Random) -> str:
    value = int(text, 16)
    return f"{rng.choice(((value + 1) % MODULUS, 0, MODULUS - 1, rng.randrange(MODULUS))):016x}"


# --- moving rounds on


@act("say that something is late")
def claim_late(me: HostileMember) -> None:
    for phase in me.rng.sample(_ALL_PHASES, me.rng.choice((1, 2, len(_ALL_PHASES)))):
        number = me.rng.choice((me.number, me.number + 1, max(1, me.number - 1), 1_000_000))
        me.say("validator", "ClaimLate", LateClaim(task=me.stage.task, round=max(1, number), phase=phase))


@act("call or open a round", "idle", "called", "open")
def call_or_open(me: HostileMember) -> None:
    function = me.rng.choice(("CallRound", "CallRound", "OpenRound"))
    me.say("validator", function, me.stage.task, me.rng.choice((me.number + 1, me.number + 1, me.number, 0, 2**53 - 1)))


@act("end what is under way", "open", "closed", "settled")
def end_early(me: HostileMember) -> None:
    number = me.rng.choice((me.number, me.number, me.number, max(1, me.number - 1)))
    for function in me.rng.sample(("CloseRound", "SettleRound", "FinaliseRound", "AbortRound", "ConcludeTask"), 3):
        match function:
            case "AbortRound":
                reason = me.words.text(me.rng)[:2_000]
                me.say("validator", function, AbortRequest(task=me.stage.task, round=max(1, number), reason=reason))
            case "ConcludeTask":
                me.say(me.rng.choice(("validator", "governor")), function, me.stage.task)
            case _:
                me.say("validator", function, me.stage.task, number)


# --- reference directions


@act("commit to a direction", "open")
def commit_reference(me: HostileMember) -> None:
    memory = me.helper.memory
    if memory is None or me.current is None:
        return
    prepared = PreparedReference.of(_direction(me))
    memory.keep(me.stage.task, me.number, prepared)
    commitment = prepared.commitment if me.rng.random() < 0.8 else me.words.digest(me.rng)
    message = ReferenceCommitment(task=me.stage.task, round=me.number, commitment=commitment)
    me.say("validator", "CommitReference", message)


def _direction(me: HostileMember) -> np.ndarray[Any, np.dtype[np.int64]]:
    quantised = me.stage.spec.aggregation.quantised_norm
    honest = encode_direction(DIRECTION, quantised)
    turned = encode_direction(np.array([0.8, -0.6, 0.3, 0.0]), quantised)
    if honest is None or turned is None:
        raise AssertionError("a direction of length 0")
    zeros = np.zeros_like(honest)
    return me.rng.choice((honest, honest, -honest, turned, zeros, honest + np.array([900, 0, 0, 0]), 2 * honest))


@act("reveal a direction", "closed")
def reveal_reference(me: HostileMember) -> None:
    memory = me.helper.memory
    prepared = None if memory is None else memory.recall(me.stage.task, me.number)
    if prepared is None or me.current is None:
        return
    if me.rng.random() < 0.6:
        me.store.artifacts.put(prepared.content)
    size = me.rng.choice((len(prepared.content),) * 4 + (1, 2**53 - 1, ELEMENT_BYTES))
    digest = prepared.digest if me.rng.random() < 0.8 else me.words.digest(me.rng)
    message = RevealedReference(task=me.stage.task, round=me.number, salt=prepared.salt.hex(), digest=digest, size=size)
    me.say("validator", "RevealReference", message)


# --- sums and reports


@act("post a share of the sum", "settled")
def post_share(me: HostileMember) -> None:
    _post(me, me.current, false=0.0)


@act("post a false share of the sum", "settled")
def post_falsely(me: HostileMember) -> None:
    _post(me, me.current, false=1.0)


def _post(me: HostileMember, current: RoundView | None, *, false: float) -> None:
    if current is None or current.settlement is None:
        return
    size = aggregate_bytes(me.stage.spec.model.parameter_count)
    content = _sum(me, current) or os.urandom(size)
    digest = ""
    if me.rng.random() < false:
        others = [record.share.digest for record in current.aggregates]
        match me.rng.randrange(5):
            case 0:
                content = content[:-8] + bytes(8)
            case 1:
                content = os.urandom(size)
            case 2:
                content = content[: size // 2]
            case 3 if others:
                digest = me.rng.choice(others)
            case _:
                digest = me.words.digest(me.rng)
    digest = digest or me.store.artifacts.put(content)
    told = size if me.rng.random() < 0.9 else me.rng.choice((1, 2**53 - 1))
    me.say(
        "validator", "PostAggregateShare", AggregateShare(task=me.stage.task, round=me.number, digest=digest, size=told)
    )


def _sum(me: HostileMember, current: RoundView) -> bytes | None:
    """Its true share of the sum, where it has a share of everything in it."""
    if current.settlement is None:
        return None
    manifests = manifests_of(current)
    roots = {participant: manifest.root for participant, manifest in manifests.items()}
    wanted = settled_sum(me.stage.task, me.number, current.settlement, roots)
    accumulator = Accumulator(me.parameters, me.point, wanted)
    for participant, _ in current.settlement.weights():
        opened = me.opened(manifests[participant])
        if opened is None:
            return None
        accumulator.add(opened)
    return accumulator.finish()


@act("report a model", "settled")
def report(me: HostileMember) -> None:
    if me.current is None:
        return
    others = [record.report for record in me.current.reports]
    size = me.stage.spec.model.initial_weights_size
    message = ModelReport(
        task=me.stage.task,
        round=me.number,
        aggregate_digest=me.words.digest(me.rng),
        model_digest=me.words.digest(me.rng),
        model_size=me.rng.choice((size, size, size, 1, 2**53 - 1)),
        liars=(),
    )
    if others and me.rng.random() < 0.7:
        message = me.rng.choice(others)
    if me.rng.random() < 0.7:
        validators = me.stage.spec.aggregation.validators
        liars = me.rng.choice((validators, validators[:2], (validators[0],) * 3, ("NobodyMSP",), ()))
        message = message.model_copy(update={"liars": tuple(liars)})
    me.say("validator", "ReportModel", message)


# --- disputes


@act("disclose a share", "idle", "open", "closed", "settled")
def disclose(me: HostileMember) -> None:
    current = _disputed(me)
    if current is None:
        return
    accused = list(doubted(me.view, current, me.msp))
    accused += [each.signed.manifest.participant for each in current.updates if me.rng.random() < 0.1]
    shares = tuple(_shown(me, current, participant) for participant in dict.fromkeys(accused))
    if shares:
        disclosure = Disclosure(task=me.stage.task, round=current.record.round, shares=shares)
        me.say("validator", "DiscloseShares", disclosure)


def _shown(me: HostileMember, current: RoundView, participant: str) -> DisclosedShare:
    size = me.parameters.plaintext_bytes
    shown = me.rng.choice(("true", "another's", "nothing", "garbage", "sized"))
    manifests = manifests_of(current)
    digest = me.words.digest(me.rng)
    if shown in ("true", "another's"):
        named = participant if shown == "true" else me.rng.choice(list(manifests))
        if named in manifests and (plaintext := _plaintext(me, manifests[named])) is not None:
            digest = me.store.artifacts.put(plaintext)
    elif shown == "garbage":
        digest = me.store.artifacts.put(os.urandom(size))
    elif shown == "sized":
        size = me.rng.choice((1, 2**53 - 1))
    return DisclosedShare(participant=participant, digest=digest, size=size)


def _plaintext(me: HostileMember, manifest: Any) -> bytes | None:
    area = me.store.shares_of(CHANNEL, me.stage.task, manifest.round)
    with suppress(FedledgerError):
        sealed = area.get(manifest.shares[me.point - 1].digest, me.parameters.sealed_bytes)
        return disclosable(sealed, manifest, me.point, me.sealing_key())
    return None


@act("vote on who lied", "idle", "open", "closed", "settled")
def vote(me: HostileMember) -> None:
    current = _disputed(me)
    if current is None or current.dispute is None:
        return
    pairs = [(each.participant, each.validator) for each in current.dispute.accusations]
    if me.rng.random() < 0.2:
        pairs.append((me.words.digest(me.rng), me.rng.choice(me.stage.spec.aggregation.validators)))
    chosen = me.rng.sample(pairs, me.rng.randint(1, len(pairs)))
    for _ in range(me.rng.choice((1, 2))):
        votes = tuple(
            DealingVote(participant=participant, validator=validator, vote=me.rng.choice(("confirms", "denies")))
            for participant, validator in dict.fromkeys(chosen)
        )
        me.say("validator", "VoteDealing", DealingVotes(task=me.stage.task, round=current.record.round, votes=votes))


def _disputed(me: HostileMember) -> RoundView | None:
    """A round in which something is disputed, or the newest."""
    numbers: Sequence[int] = sorted({each.round for each in me.view.accusations}) or [me.number]
    number = me.rng.choice(numbers)
    return me.wires["auditor"].member.ledger.round(me.stage.task, number) if number else None


# --- registration


@act("register another key or store")
def register(me: HostileMember) -> None:
    key = SealingKey.generate() if me.rng.random() < 0.3 else me.helper.sealing_key
    me.register(key, me.rng.choice(_urls(me)))


@act("register a key to which nothing can be sealed", "idle", "open")
def register_small_order(me: HostileMember) -> None:
    registration = {
        "schema": "fedledger/validator/1",
        "task": me.stage.task,
        "sealing_key": me.rng.choice((*_SMALL_ORDER, *me.sealing_keys())),
        "store": me.store.url,
    }
    me.say("validator", "RegisterValidator", message_bytes(registration, me.rng))


def _urls(me: HostileMember) -> list[str]:
    """Its own store, mostly, and what others should not trip over; no folder outside the play's own."""
    own, folder = me.store.url, me.stage.folder / "hostile"
    file = folder / "file"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    honest = [validator.store.url for validator in me.stage.validators.values()]
    return [
        *[own] * 20,
        f"file://{own}",
        f"{own}/",
        "nosuch://x",
        f"zip://..::file://{own}",
        f"zip://x.zip::file://{own}/x.zip",
        "memory://x",
        "reference://x",
        "https://",
        "https://127.0.0.1:9/x",
        "s3://",
        "relative/folder",
        "/dev/null",
        "/dev/null/below",
        "/proc/self/mem",
        str(file),
        str(file / "below"),
        str(Path(own) / ".." / Path(own).name),
        *honest,
        f"{honest[0]}/shares",
        "x" * 1_000,
        f"file://{folder}/\x1b[2J\x07\u202e",
        "file://\n",
        "://",
        "::",
    ]
