"""What the hostile organisation's participants send: updates with every lie that fits the format, others' manifests."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fedledger.agents.participant import pseudonym_of
from fedledger.agents.stores import ValidatorStore
from fedledger.cli.demo.cheating import cheat, off_by_one
from fedledger.errors import FedledgerError
from fedledger.identity.keys import PrivateKey, sign
from fedledger.secure_aggregation import PreparedUpdate, prepare_update
from fedledger.secure_aggregation.kernels import Elements
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import canonical
from fedledger_chaincode.messages.round import EvaluationReport, JoinRequest, Manifest, SealedShareReference
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.submission import agreed_privacy

from .grammar import garbage, message_bytes, mutated
from .member import HostileMember, act
from .stage import CHANNEL

NORM = 1 << 24
_WITHIN: tuple[Sequence[int], ...] = (
    (3_000_000, -1_000_000, 500, 0),
    (0, 0, 0, 0),
    (NORM, 0, 0, 0),
    (-NORM, 0, 0, 0),
    (NORM // 2,) * 4,
    (13_000_000, -9_900_000, 0, 0),
)
_BEYOND: tuple[Sequence[int], ...] = (
    (int(NORM * 1.01), 0, 0, 0),
    (10 * NORM, NORM, 0, 0),
    ((MODULUS + 1) // 2, 0, 0, 0),
    (pow(3, -1, MODULUS), 0, 0, 0),
    (MODULUS - 1 - NORM, 5, 5, 5),
)


def _manifest(me: HostileMember, key: PrivateKey, prepared: PreparedUpdate, **changes: Any) -> Manifest:
    pseudonym = pseudonym_of(key)
    context = me.context(pseudonym)
    values: dict[str, Any] = {
        "channel": CHANNEL,
        "task": me.stage.task,
        "round": me.number,
        "participant": pseudonym,
        "base_model": context.base_model,
        "agreement": me.view.record.spec_hash,
        "num_examples": me.rng.choice((10, 100, 10_000, 2**53 - 2)) // 10 * 10,
        "root": prepared.root,
        "shares": prepared.shares,
        "privacy": agreed_privacy(me.stage.spec, me.msp),
    }
    return Manifest(**values | changes)


def _signed(key: PrivateKey, manifest: Manifest) -> dict[str, Any]:
    """The document of a signed manifest."""
    document = manifest.model_dump(mode="json", by_alias=True)
    signature = base64.b64encode(sign(key, manifest.canonical())).decode()
    return {"schema": "fedledger/signed-manifest/2", "manifest": document, "signature": signature}


def _resigned(key: PrivateKey, document: dict[str, Any]) -> dict[str, Any]:
    """The same with a signature over whatever it holds now."""
    with suppress(ContractError):
        document = document | {"signature": base64.b64encode(sign(key, canonical(document["manifest"]))).decode()}
    return document


def _submit(me: HostileMember, *documents: dict[str, Any]) -> None:
    answer = me.say("participant", "SubmitUpdates", *(message_bytes(each, me.rng) for each in documents))
    if answer.taken:
        for document in documents:
            me.words.see_message("SubmitUpdates", document)


def _put(store: ValidatorStore, me: HostileMember, digest: str, content: bytes) -> None:
    """Put bytes where those of a digest are looked for, as nobody but a participant may for its own."""
    area = store.shares_of(CHANNEL, me.stage.task, me.number)
    area.put(content)
    if hashlib.sha256(content).hexdigest() != digest and "://" not in area.url:
        place = Path(area.url) / digest[:2] / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        me.uploads.append(place)


def _deliver(me: HostileMember, prepared: PreparedUpdate, *, faithful: float) -> None:
    """Put the shares into the stores, each with a fault of its own where chance has it."""
    for index, (store, sealed) in enumerate(zip(me.stores(), prepared.sealed, strict=True)):
        reference = prepared.shares[index]
        content: bytes | None = sealed
        if me.rng.random() > faithful:
            content = _damaged(sealed, prepared.sealed, me.rng)
        if content is None:
            continue
        with suppress(FedledgerError, OSError):
            _put(store, me, reference.digest, content)
            if "://" not in store.url:
                area = store.shares_of(CHANNEL, me.stage.task, me.number)
                me.uploads.append(Path(area.url) / reference.digest[:2] / reference.digest)


def _damaged(sealed: bytes, others: Sequence[bytes], rng: Random) -> bytes | None:
    flipped = bytearray(sealed)
    flipped[rng.randrange(len(flipped))] ^= 1
    return rng.choice((None, b"", sealed[:-1], sealed + b"\0", bytes(flipped), rng.choice(others), rng.randbytes(99)))


def honest(me: HostileMember, key: PrivateKey) -> PreparedUpdate:
    """An update as it should be."""
    update = np.array(me.rng.choice(_WITHIN), dtype=np.int64)
    return prepare_update(update, me.parameters, me.context(pseudonym_of(key)), me.sealing_keys())


def send(me: HostileMember, key: PrivateKey, prepared: PreparedUpdate, *, faithful: float = 1.0) -> None:
    """Deliver an update and submit its manifest, encoded as it should be."""
    manifest = _manifest(me, key, prepared)
    me.remember(manifest, prepared)
    _deliver(me, prepared, faithful=faithful)
    me.say("participant", "SubmitUpdates", canonical(_signed(key, manifest)))


def _lies(rng: Random, messages: int) -> tuple[Sequence[int], dict[str, Any]]:
    """An update, and what is dealt of it instead of what should be."""
    update: Sequence[int] = rng.choice(_WITHIN)
    lies: dict[str, Any] = {}
    number, validator = rng.randint(1, messages), rng.randint(1, 4)
    match rng.randrange(9):
        case 0:
            update = rng.choice(_BEYOND)
        case 1:
            update, lies["claimed_norm"] = rng.choice(_BEYOND), rng.choice((0, 5, NORM**2))
        case 2:
            lies["norm_secrets"] = [2, *[0] * 97]
        case 3:
            lies["tamper_bits"] = lambda bits: (bits + np.uint64(1)) % np.uint64(MODULUS)
        case 4:
            lies["tamper_secrets"] = _altered(number, rng.choice((0, -1)))
        case 5:
            lies["tamper_share"] = _off({validator}, number)
        case 6:
            lies["tamper_share"] = _off({validator, rng.randint(1, 4)}, number)
        case 7:
            lies["tamper_after_commitment"] = off_by_one(validator, 0, number)
        case _:
            update, lies["tamper_share"] = rng.choice(_BEYOND), _off({validator}, number)
    return update, lies


def _altered(message: int, position: int) -> Callable[[int, Elements], Elements]:
    def secrets(number: int, elements: Elements) -> Elements:
        if number == message:
            elements = elements.copy()
            elements[position] = (int(elements[position]) + 1) % MODULUS
        return elements

    return secrets


def _off(validators: set[int], message: int) -> Callable[[int, int, Elements], Elements]:
    """Shares that lie on no polynomial with the others."""

    def tamper(number: int, receiver: int, share: Elements) -> Elements:
        return off_by_one(receiver, 0, message)(number, receiver, share) if receiver in validators else share

    return tamper


def _cheating(me: HostileMember, key: PrivateKey) -> PreparedUpdate:
    update, lies = _lies(me.rng, len(me.parameters.message_lengths))
    return cheat(me.parameters, me.sealing_keys(), me.context(pseudonym_of(key)), update, **lies)


@act("send an update as it should be", "open")
def send_honest(me: HostileMember) -> None:
    key = me.rng.choice(me.names)
    send(me, key, honest(me, key))


@act("send an update with lies in its dealing", "open")
def send_cheating(me: HostileMember) -> None:
    key = me.rng.choice(me.names)
    send(me, key, _cheating(me, key), faithful=me.rng.choice((1.0, 0.8)))


@act("send an update that some cannot read", "open")
def send_unreadable(me: HostileMember) -> None:
    key = me.rng.choice(me.names)
    prepared = _cheating(me, key) if me.rng.random() < 0.3 else honest(me, key)
    if me.rng.random() < 0.3:
        order = me.rng.sample(range(4), 4)
        prepared = replace(
            prepared,
            shares=tuple(prepared.shares[index] for index in order),
            sealed=tuple(prepared.sealed[index] for index in order),
        )
    send(me, key, prepared, faithful=0.6)


@act("send what others have sealed or committed to", "open")
def send_copied(me: HostileMember) -> None:
    key = me.rng.choice(me.names)
    prepared = honest(me, key)
    manifest = _manifest(me, key, prepared)
    others = [update.signed.manifest for update in me.current.updates] if me.current is not None else []
    if others:
        other = me.rng.choice(others)
        fields = {"root": other.root, "shares": other.shares}
        for name in me.rng.choice((("root",), ("shares",), ("root", "shares"))):
            manifest = manifest.model_copy(update={name: fields[name]})
    if me.rng.random() < 0.3:
        manifest = manifest.model_copy(update={"shares": (manifest.shares[0],) * 4})
    _deliver(me, prepared, faithful=0.9)
    _submit(me, _signed(key, manifest))


@act("sign two manifests", "open")
def equivocate(me: HostileMember) -> None:
    key = me.rng.choice(me.names)
    documents = []
    for _ in range(me.rng.choice((2, 2, 3))):
        prepared = honest(me, key)
        manifest = _manifest(me, key, prepared)
        me.remember(manifest, prepared)
        _deliver(me, prepared, faithful=0.9)
        documents.append(_signed(key, manifest))
    if me.rng.random() < 0.3:
        _submit(me, *documents)
    else:
        for document in documents:
            _submit(me, document)


@act("send a manifest that is nearly right", "open", "closed")
def send_mutated(me: HostileMember) -> None:
    key = me.rng.choice(me.names)
    if me.current is None:
        return
    prepared = honest(me, key)
    document = _signed(key, _manifest(me, key, prepared))
    document["manifest"] = mutated(document["manifest"], me.words, me.rng)
    _submit(me, _resigned(key, document))


@act("send many manifests at once", "open")
def send_batch(me: HostileMember) -> None:
    documents = list(me.words.messages.get("SubmitUpdates", []))
    for key in me.rng.sample(me.names, min(len(me.names), 3)):
        prepared = honest(me, key)
        documents.append(_signed(key, _manifest(me, key, prepared)))
        _deliver(me, prepared, faithful=0.9)
    chosen = [me.rng.choice(documents) for _ in range(me.rng.choice((2, 5, 20)))]
    arguments = [message_bytes(document, me.rng) for document in chosen]
    if me.rng.random() < 0.3:
        arguments.append(garbage(me.rng))
    me.say("participant", "SubmitUpdates", *arguments)


@act("send a manifest again that was sent before", "open", "closed", "settled")
def replay(me: HostileMember) -> None:
    known = me.words.messages.get("SubmitUpdates", [])
    if not known:
        return
    document = me.rng.choice(known)
    if me.rng.random() < 0.5:
        manifest = document["manifest"] | {"round": me.number, "participant": me.rng.choice(me.pseudonyms)}
        document = _resigned(me.rng.choice(me.names), document | {"manifest": manifest})
    _submit(me, document)


@act("name sizes and digests that nobody has", "open")
def send_sizes(me: HostileMember) -> None:
    key = me.rng.choice(me.names)
    manifest = _manifest(me, key, honest(me, key))
    sizes = (1, 2**31, 2**53 - 1, manifest.shares[0].size)
    shares = tuple(
        SealedShareReference(digest=me.words.digest(me.rng), size=me.rng.choice(sizes)) for _ in manifest.shares
    )
    _submit(me, _signed(key, manifest.model_copy(update={"shares": shares})))


@act("evaluate a model", "idle", "settled")
def evaluate(me: HostileMember) -> None:
    version = 0 if me.view.head is None else me.view.head.version
    report = EvaluationReport(
        task=me.stage.task,
        version=me.rng.choice((0, version, version + 1, 2**53 - 1)),
        examples=me.rng.choice((1, 2**53 - 1)),
        auc=me.rng.choice((None, 0, 1_000_000)),
        accuracy=me.rng.choice((0, 1_000_000)),
        loss=me.rng.choice((0, 2**53 - 1)),
    )
    me.say("participant", "ReportEvaluation", report)


@act("join or leave", "idle", "open")
def come_and_go(me: HostileMember) -> None:
    if me.rng.random() < 0.1:
        me.say("participant", "LeaveTask", me.stage.task)
    else:
        me.say("participant", "JoinTask", JoinRequest(task=me.stage.task))
