"""Calls of every service that a client can make, right and wrong, each with what it is called; answers as text.

``vectors/answers.json`` keeps what Fabric answers. Ids, hashes, times and addresses, which differ from run to run, are
taken out of an answer before it is compared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import grpc
from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.orderer import ab_pb2, ab_pb2_grpc
from fabric_protos.peer import chaincode_pb2, events_pb2_grpc, peer_pb2_grpc, proposal_pb2, transaction_pb2
from google.rpc import status_pb2

from fedledger.gateway.blocks import parse_block, transaction_id_of
from fedledger.identity.keys import PrivateKey, generate_key, sign
from fedledger.identity.msp import serialize_identity
from tests.embedded.clients import CHAINCODE, CHANNEL, MSPS, Client
from tests.unit.validation.transaction_maker import fields

SECONDS = 8.0
"""How long a call may take; one that is to wait for ever is given ``PATIENCE``."""
PATIENCE = 1.0
UNKNOWN_ID = "ab" * 32
GENESIS_FIELDS = ("type", "version", "channel_id", "epoch")

_TAKEN_OUT = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "ID"),
    (re.compile(r"\b[0-9a-f]{48,}\b"), "HEX"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| [+-]\d{4} UTC( m=\S+)?)?"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+|unix:\S+|localhost:\d+"), "ADDRESS"),
    (re.compile(r"\b\d+(\.\d+)?(m?s|h|m\d+(\.\d+)?s)\b(?! ago)"), "DURATION"),
    (re.compile(r"\d{4,} bytes"), "SIZE bytes"),
    (re.compile(r"block number \d+|Block number \d+|blockNum=\d+"), "block number N"),
    (re.compile(r"proto:[ \u00a0]"), "proto: "),
)


@dataclass(frozen=True)
class Caller:
    """One member with raw connections: to a peer and to an orderer."""

    client: Client
    orderer: grpc.Channel
    expired: Client
    """Another one, whose certificate has ended."""

    def signed_by(self, key: PrivateKey) -> Caller:
        return replace(self, client=replace(self.client, key=key))

    @property
    def key(self) -> PrivateKey:
        return self.client.key

    @property
    def identity(self) -> bytes:
        return self.client.creator

    @property
    def gateway(self) -> Any:
        return gateway_pb2_grpc.GatewayStub(self.client.connection)

    @property
    def deliver(self) -> Any:
        return events_pb2_grpc.DeliverStub(self.client.connection)


Answer = Callable[[Caller], str]
_CALLS: dict[str, Answer] = {}


def calls() -> dict[str, Answer]:
    """All calls by their names, in order."""
    return dict(_CALLS)


def _add(name: str, answer: Answer) -> None:
    assert name not in _CALLS, name
    _CALLS[name] = answer


def cleaned(text: str) -> str:
    for pattern, instead in _TAKEN_OUT:
        text = pattern.sub(instead, text)
    return text


def told(ask: Callable[[], str]) -> str:
    """What a call returned, or its status with what each peer said."""
    try:
        return cleaned(ask())
    except grpc.RpcError as error:
        code = error.code()
        if code is grpc.StatusCode.DEADLINE_EXCEEDED and not _details(error):
            return "waits"
        return cleaned(f"{code.name}: {error.details()}{_details(error)}")


def _details(error: grpc.RpcError) -> str:
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            found = []
            for packed in status_pb2.Status.FromString(value).details:
                detail = gateway_pb2.ErrorDetail()
                if packed.Unpack(detail):
                    # Which orderers and how many of them is drawn by lot.
                    whose = "an orderer" if "from orderer" in detail.message else detail.msp_id
                    found.append(f"{whose}: {detail.message}")
            return "".join(f" | {each}" for each in sorted(set(found)))
    return ""


# --- proposals


@dataclass
class Proposed:
    """A proposal's messages before they are put together."""

    channel_header: Any
    extension: Any
    signature_header: Any
    invocation: Any
    transient: dict[str, bytes]
    raw: bytes | None = None
    """The whole proposal, where it is to be something else."""
    signature: Callable[[bytes], bytes] | None = None

    def signed(self, caller: Caller) -> Any:
        header = self.channel_header
        if not header.tx_id:
            header.tx_id = transaction_id_of(self.signature_header.nonce, self.signature_header.creator)
        header.extension = self.extension if isinstance(self.extension, bytes) else self.extension.SerializeToString()
        invocation = self.invocation if isinstance(self.invocation, bytes) else self.invocation.SerializeToString()
        payload = proposal_pb2.ChaincodeProposalPayload(input=invocation, TransientMap=self.transient)
        proposal = proposal_pb2.Proposal(
            header=common_pb2.Header(
                channel_header=header.SerializeToString(), signature_header=self.signature_header.SerializeToString()
            ).SerializeToString(),
            payload=payload.SerializeToString(),
        ).SerializeToString()
        proposal = proposal if self.raw is None else self.raw
        signature = sign(caller.key, proposal)
        signature = signature if self.signature is None else self.signature(signature)
        return proposal_pb2.SignedProposal(proposal_bytes=proposal, signature=signature)


Change = Callable[[Proposed], None]


def proposal(caller: Caller, *arguments: bytes, chaincode: str = CHAINCODE, channel: str = CHANNEL) -> Proposed:
    named = chaincode_pb2.ChaincodeID(name=chaincode)
    header = common_pb2.ChannelHeader(type=common_pb2.ENDORSER_TRANSACTION, channel_id=channel)
    header.timestamp.GetCurrentTime()
    spec = chaincode_pb2.ChaincodeSpec(
        type=chaincode_pb2.ChaincodeSpec.GOLANG,
        chaincode_id=named,
        input=chaincode_pb2.ChaincodeInput(args=arguments),
    )
    return Proposed(
        channel_header=header,
        extension=proposal_pb2.ChaincodeHeaderExtension(chaincode_id=named),
        signature_header=common_pb2.SignatureHeader(creator=caller.identity, nonce=os.urandom(24)),
        invocation=chaincode_pb2.ChaincodeInvocationSpec(chaincode_spec=spec),
        transient={},
    )


def _set(message: str, **values: Any) -> Change:
    def change(proposed: Proposed) -> None:
        for name, value in values.items():
            setattr(getattr(proposed, message), name, value)

    return change


def _shifted(seconds: int) -> Change:
    def change(proposed: Proposed) -> None:
        proposed.channel_header.timestamp.seconds += seconds

    return change


def _spec(proposed: Proposed) -> Any:
    return proposed.invocation.chaincode_spec


def _named(name: str) -> Change:
    """Both in header and input."""

    def change(proposed: Proposed) -> None:
        proposed.extension.chaincode_id.name = name
        _spec(proposed).chaincode_id.name = name

    return change


PROPOSALS: dict[str, tuple[Change, ...]] = {
    "bytes that are none": (lambda proposed: setattr(proposed, "raw", b"\xff\xff"),),
    "a header that is none": (lambda proposed: setattr(proposed, "raw", fields((1, b"\xff"))),),
    "no header": (lambda proposed: setattr(proposed, "raw", fields((2, b""))),),
    "no channel": (_set("channel_header", channel_id=""),),
    "an unknown channel": (_set("channel_header", channel_id="elsewhere"),),
    "an unknown chaincode": (_named("nothing"),),
    "no chaincode": (_named(""),),
    "a chaincode in the header only": (lambda proposed: setattr(_spec(proposed).chaincode_id, "name", ""),),
    "a chaincode in the input only": (lambda proposed: setattr(proposed.extension.chaincode_id, "name", ""),),
    "another chaincode in the input": (lambda proposed: setattr(_spec(proposed).chaincode_id, "name", "nothing"),),
    "another chaincode in the header": (lambda proposed: setattr(proposed.extension.chaincode_id, "name", "nothing"),),
    "no extension": (lambda proposed: setattr(proposed, "extension", b""),),
    "an extension that is none": (lambda proposed: setattr(proposed, "extension", b"\xff"),),
    "an input that is none": (lambda proposed: setattr(proposed, "invocation", b"\xff"),),
    "no input": (lambda proposed: setattr(proposed, "invocation", b""),),
    "no arguments": (lambda proposed: _spec(proposed).ClearField("input"),),
    "type CONFIG": (_set("channel_header", type=common_pb2.CONFIG),),
    "type MESSAGE": (_set("channel_header", type=common_pb2.MESSAGE),),
    "an epoch": (_set("channel_header", epoch=1),),
    "no nonce": (_set("signature_header", nonce=b""),),
    "no creator": (_set("signature_header", creator=b""),),
    "a creator that is none": (_set("signature_header", creator=b"\xff\xff"),),
    "an unknown organisation": (_set("signature_header", creator=serialize_identity("LisbonMSP", b"nothing")),),
    "a certificate that is none": (_set("signature_header", creator=serialize_identity(MSPS[0], b"nothing")),),
    "another id": (_set("channel_header", tx_id=UNKNOWN_ID),),
    "an id that is none": (_set("channel_header", tx_id="x"),),
    "no time": (lambda proposed: proposed.channel_header.ClearField("timestamp"),),
    "a time twenty minutes ago": (_shifted(-1_200),),
    "a time in twenty minutes": (_shifted(1_200),),
    "a time three minutes ago": (_shifted(-180),),
    "no signature": (lambda proposed: setattr(proposed, "signature", lambda _: b""),),
    "a signature that is none": (lambda proposed: setattr(proposed, "signature", lambda _: b"nothing"),),
    "bytes behind the signature": (lambda proposed: setattr(proposed, "signature", lambda made: made + b"more"),),
    "a signature of something else": (
        lambda proposed: setattr(proposed, "signature", lambda made: made[:-1] + b"\x00"),
    ),
    "an unknown function": (lambda proposed: _spec(proposed).input.args.__setitem__(0, b"Nothing"),),
    "a refusal by the contract": (lambda proposed: _spec(proposed).input.args.__setitem__(0, b"Refuse"),),
    "too many arguments": (lambda proposed: _spec(proposed).input.args.append(b"more"),),
    "a function that is no text": (lambda proposed: _spec(proposed).input.args.__setitem__(0, b"\xff"),),
}


def _evaluated(change: Sequence[Change], function: bytes = b"Get", **request: Any) -> Answer:
    def answer(caller: Caller) -> str:
        proposed = proposal(caller, function, b"key")
        for each in change:
            each(proposed)
        asked = gateway_pb2.EvaluateRequest(proposed_transaction=proposed.signed(caller), channel_id=CHANNEL)
        asked.transaction_id = proposed.channel_header.tx_id
        for name, value in request.items():
            if isinstance(value, list):
                getattr(asked, name).extend(value)
            else:
                setattr(asked, name, value)
        return f"status {caller.gateway.Evaluate(asked, timeout=SECONDS).result.status}"

    return answer


def _endorsed(change: Sequence[Change], function: bytes = b"Put", **request: Any) -> Answer:
    def answer(caller: Caller) -> str:
        proposed = proposal(caller, function, b"answers=1")
        for each in change:
            each(proposed)
        asked = gateway_pb2.EndorseRequest(proposed_transaction=proposed.signed(caller), channel_id=CHANNEL)
        asked.transaction_id = proposed.channel_header.tx_id
        for name, value in request.items():
            if isinstance(value, list):
                getattr(asked, name).extend(value)
            else:
                setattr(asked, name, value)
        envelope = caller.gateway.Endorse(asked, timeout=SECONDS).prepared_transaction
        payload = common_pb2.Payload.FromString(envelope.payload)
        action = transaction_pb2.Transaction.FromString(payload.data).actions[0]
        found = transaction_pb2.ChaincodeActionPayload.FromString(action.payload).action.endorsements
        return f"{len(found)} endorsements"

    return answer


_add("evaluate", _evaluated(()))
_add("endorse", _endorsed(()))
for _name, _changes in PROPOSALS.items():
    _add(f"evaluate: {_name}", _evaluated(_changes))
    _add(f"endorse: {_name}", _endorsed(_changes))
_add(
    "evaluate: no proposal", lambda caller: str(caller.gateway.Evaluate(gateway_pb2.EvaluateRequest(), timeout=SECONDS))
)
_add("endorse: no proposal", lambda caller: str(caller.gateway.Endorse(gateway_pb2.EndorseRequest(), timeout=SECONDS)))
for _call, _kind in (("evaluate", _evaluated), ("endorse", _endorsed)):
    _add(f"{_call}: another id in the request", _kind((), transaction_id=UNKNOWN_ID))
    _add(f"{_call}: no id in the request", _kind((), transaction_id=""))
    _add(f"{_call}: another channel in the request", _kind((), channel_id="elsewhere"))
_add("evaluate: at another organisation", _evaluated((), target_organizations=[MSPS[1]]))
_add("evaluate: at an unknown organisation", _evaluated((), target_organizations=["LisbonMSP"]))
_add("evaluate: at a known and an unknown organisation", _evaluated((), target_organizations=["LisbonMSP", MSPS[1]]))
_add("endorse: by one organisation", _endorsed((), endorsing_organizations=[MSPS[0]]))
_add("endorse: by another one", _endorsed((), endorsing_organizations=[MSPS[2]]))
_add("endorse: by all", _endorsed((), endorsing_organizations=list(MSPS)))
_add("endorse: by one named twice", _endorsed((), endorsing_organizations=[MSPS[0], MSPS[0]]))
_add("endorse: by an unknown one", _endorsed((), endorsing_organizations=["LisbonMSP"]))
_add("endorse: by a known and an unknown one", _endorsed((), endorsing_organizations=[MSPS[0], "LisbonMSP"]))


def _as_expired(answer: Answer) -> Answer:
    return lambda caller: answer(replace(caller, client=caller.expired))


def _with_another_key(answer: Answer) -> Answer:
    return lambda caller: answer(caller.signed_by(generate_key()))


_add("evaluate: an expired certificate", _as_expired(_evaluated(())))
_add("endorse: an expired certificate", _as_expired(_endorsed(())))
_add("evaluate: another key", _with_another_key(_evaluated(())))
_add("endorse: another key", _with_another_key(_endorsed(())))


# --- Fabric's own chaincodes


def _system(chaincode: str, *arguments: bytes, show: Callable[[bytes], str] = lambda payload: "answered") -> Answer:
    def answer(caller: Caller) -> str:
        proposed = proposal(caller, *arguments, chaincode=chaincode)
        asked = gateway_pb2.EvaluateRequest(proposed_transaction=proposed.signed(caller), channel_id=CHANNEL)
        asked.transaction_id = proposed.channel_header.tx_id
        return show(caller.gateway.Evaluate(asked, timeout=SECONDS).result.payload)

    return answer


def _numbered(payload: bytes) -> str:
    return f"block {parse_block(payload).header.number}"


NAME = CHANNEL.encode()
for _label, _arguments in {
    "GetChainInfo": (b"GetChainInfo", NAME),
    "GetChainInfo of another channel": (b"GetChainInfo", b"elsewhere"),
    "GetChainInfo of no channel": (b"GetChainInfo",),
    "GetBlockByNumber": (b"GetBlockByNumber", NAME, b"0"),
    "GetBlockByNumber beyond the height": (b"GetBlockByNumber", NAME, b"100000"),
    "GetBlockByNumber of no number": (b"GetBlockByNumber", NAME, b"x"),
    "GetBlockByNumber of a negative one": (b"GetBlockByNumber", NAME, b"-1"),
    "GetBlockByNumber of nothing": (b"GetBlockByNumber", NAME),
    "GetBlockByHash of an unknown one": (b"GetBlockByHash", NAME, b"h" * 32),
    "GetBlockByHash of nothing": (b"GetBlockByHash", NAME),
    "GetBlockByTxID of an unknown one": (b"GetBlockByTxID", NAME, UNKNOWN_ID.encode()),
    "GetBlockByTxID of nothing": (b"GetBlockByTxID", NAME),
    "GetTransactionByID of an unknown one": (b"GetTransactionByID", NAME, UNKNOWN_ID.encode()),
    "GetTransactionByID of nothing": (b"GetTransactionByID", NAME),
    "an unknown function": (b"Nothing", NAME),
    "no function": (),
}.items():
    _add(f"qscc: {_label}", _system("qscc", *_arguments))


def _height(caller: Caller) -> int:
    answered: list[bytes] = []
    _system("qscc", b"GetChainInfo", NAME, show=lambda payload: answered.append(payload) or "")(caller)
    return int(ledger_pb2.BlockchainInfo.FromString(answered[0]).height)


def _by_hash(caller: Caller) -> str:
    answered: list[bytes] = []
    _system("qscc", b"GetChainInfo", NAME, show=lambda payload: answered.append(payload) or "")(caller)
    info = ledger_pb2.BlockchainInfo.FromString(answered[0])
    found: list[bytes] = []
    _system("qscc", b"GetBlockByHash", NAME, info.currentBlockHash, show=lambda payload: found.append(payload) or "")(
        caller
    )
    return "the newest block" if parse_block(found[0]).header.number + 1 == info.height else "another block"


_add("qscc: GetBlockByHash", _by_hash)
_add(
    "qscc: the newest block by the largest number",
    _system("qscc", b"GetBlockByNumber", NAME, str((1 << 64) - 1).encode()),
)
_add("cscc: GetConfigBlock", _system("cscc", b"GetConfigBlock", NAME, show=_numbered))
_add("cscc: GetChannelConfig", _system("cscc", b"GetChannelConfig", NAME))
_add("cscc: GetChannels", _system("cscc", b"GetChannels"))
_add("_lifecycle: QueryChaincodeDefinitions", _system("_lifecycle", b"QueryChaincodeDefinitions", b""))


# --- submitting


def _prepared(caller: Caller, *arguments: str) -> Any:
    return caller.client.endorsed("Put", *(arguments or ("answers=1",)))


def _submit(caller: Caller, envelope: Any, **request: Any) -> str:
    asked = gateway_pb2.SubmitRequest(channel_id=CHANNEL, prepared_transaction=envelope)
    for name, value in request.items():
        setattr(asked, name, value)
    caller.gateway.Submit(asked, timeout=SECONDS)
    return "taken"


def _signed(caller: Caller, payload: bytes) -> Any:
    return common_pb2.Envelope(payload=payload, signature=sign(caller.key, payload))


def _submitted(change: Callable[[Caller, Any], Any] = lambda caller, envelope: envelope, **request: Any) -> Answer:
    def answer(caller: Caller) -> str:
        prepared = _prepared(caller)
        envelope = change(caller, _signed(caller, prepared.envelope.payload))
        return _submit(caller, envelope, **{"transaction_id": prepared.transaction_id, **request})

    return answer


def _with_header(**values: Any) -> Callable[[Caller, Any], Any]:
    def change(caller: Caller, envelope: Any) -> Any:
        payload = common_pb2.Payload.FromString(envelope.payload)
        header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        for name, value in values.items():
            setattr(header, name, value)
        payload.header.channel_header = header.SerializeToString()
        return _signed(caller, payload.SerializeToString())

    return change


_add("submit", _submitted())
_add(
    "submit: nothing",
    lambda caller: str(caller.gateway.Submit(gateway_pb2.SubmitRequest(channel_id=CHANNEL), timeout=SECONDS)),
)
_add("submit: no signature", _submitted(lambda caller, envelope: common_pb2.Envelope(payload=envelope.payload)))
_add("submit: no payload", _submitted(lambda caller, envelope: common_pb2.Envelope(signature=b"s")))
_add("submit: a payload that is none", _submitted(lambda caller, envelope: _signed(caller, b"\xff\xff")))
_add("submit: a payload without header", _submitted(lambda caller, envelope: _signed(caller, fields((2, b"data")))))
_add(
    "submit: another key's signature",
    _submitted(
        lambda caller, envelope: common_pb2.Envelope(
            payload=envelope.payload, signature=sign(generate_key(), envelope.payload)
        )
    ),
)
_add(
    "submit: a signature that is none",
    _submitted(lambda caller, envelope: common_pb2.Envelope(payload=envelope.payload, signature=b"nothing")),
)
_add("submit: another id in the request", _submitted(transaction_id=UNKNOWN_ID))
_add("submit: no id in the request", _submitted(transaction_id=""))
_add("submit: an unknown channel in the request", _submitted(channel_id="elsewhere"))
_add("submit: no channel in the request", _submitted(channel_id=""))
_add("submit: for an unknown channel", _submitted(_with_header(channel_id="elsewhere")))
_add("submit: for no channel", _submitted(_with_header(channel_id="")))
_add("submit: type CONFIG", _submitted(_with_header(type=common_pb2.CONFIG)))
_add("submit: type CONFIG_UPDATE", _submitted(_with_header(type=common_pb2.CONFIG_UPDATE)))
_add("submit: type ORDERER_TRANSACTION", _submitted(_with_header(type=4)))
_add(
    "submit: too large",
    _submitted(lambda caller, envelope: _signed(caller, envelope.payload + fields((2, b"x" * 2_000_000)))),
)


def _status(caller: Caller, transaction_id: str, **request: Any) -> Any:
    asked = gateway_pb2.CommitStatusRequest(transaction_id=transaction_id, channel_id=CHANNEL, identity=caller.identity)
    for name, value in request.items():
        setattr(asked, name, value)
    content = asked.SerializeToString()
    signed = gateway_pb2.SignedCommitStatusRequest(request=content, signature=sign(caller.key, content))
    return caller.gateway.CommitStatus(signed, timeout=PATIENCE if transaction_id == UNKNOWN_ID else SECONDS)


def _code(answered: Any) -> str:
    return str(transaction_pb2.TxValidationCode.Name(answered.result))


def _put(caller: Caller, value: str = "answers=1") -> tuple[str, Any]:
    """A committed transaction: its id and its envelope."""
    prepared = _prepared(caller, value)
    envelope = _signed(caller, prepared.envelope.payload)
    _submit(caller, envelope, transaction_id=prepared.transaction_id)
    assert _code(_status(caller, prepared.transaction_id)) == "VALID"
    return prepared.transaction_id, envelope


def _twice(caller: Caller) -> str:
    name, envelope = _put(caller)
    again = told(lambda: _submit(caller, envelope, transaction_id=name))
    return f"again {again}; {_code(_status(caller, name))}"


def _twice_at_once(caller: Caller) -> str:
    prepared = _prepared(caller)
    envelope = _signed(caller, prepared.envelope.payload)
    first = told(lambda: _submit(caller, envelope, transaction_id=prepared.transaction_id))
    second = told(lambda: _submit(caller, envelope, transaction_id=prepared.transaction_id))
    return f"{first}, then {second}; {_code(_status(caller, prepared.transaction_id))}"


_add("submit: a committed one again", _twice)
_add("submit: one twice at once", _twice_at_once)


# --- statuses


def _asked(transaction_id: str = UNKNOWN_ID, **request: Any) -> Answer:
    return lambda caller: _code(_status(caller, transaction_id, **request))


_add("status", lambda caller: _code(_status(caller, _put(caller)[0])))
_add(
    "status: nothing",
    lambda caller: str(caller.gateway.CommitStatus(gateway_pb2.SignedCommitStatusRequest(), timeout=SECONDS)),
)
_add(
    "status: bytes that are none",
    lambda caller: str(
        caller.gateway.CommitStatus(
            gateway_pb2.SignedCommitStatusRequest(request=b"\xff\xff", signature=b"s"), timeout=SECONDS
        )
    ),
)
_add("status: of an id that does not come", _asked())
_add("status: of no id", _asked(transaction_id=""))
_add("status: of an unknown channel", _asked(channel_id="elsewhere"))
_add("status: of no channel", _asked(channel_id=""))
_add("status: by nobody", _asked(identity=b""))
_add("status: by bytes that are none", _asked(identity=b"\xff\xff"))
_add("status: by an unknown organisation", _asked(identity=serialize_identity("LisbonMSP", b"nothing")))
_add("status: by a certificate that is none", _asked(identity=serialize_identity(MSPS[0], b"nothing")))
_add("status: by another key", _with_another_key(_asked()))
_add(
    "status: by an expired certificate",
    lambda caller: _code(_status(replace(caller, client=caller.expired), _put(caller)[0])),
)


def _unsigned_status(caller: Caller) -> str:
    asked = gateway_pb2.CommitStatusRequest(transaction_id=UNKNOWN_ID, channel_id=CHANNEL, identity=caller.identity)
    signed = gateway_pb2.SignedCommitStatusRequest(request=asked.SerializeToString())
    return _code(caller.gateway.CommitStatus(signed, timeout=PATIENCE))


_add("status: without signature", _unsigned_status)


# --- events


def _position(kind: str, number: int = 0) -> Any:
    if kind == "specified":
        return ab_pb2.SeekPosition(specified=ab_pb2.SeekSpecified(number=number))
    kinds = {"oldest": ab_pb2.SeekOldest, "newest": ab_pb2.SeekNewest, "next_commit": ab_pb2.SeekNextCommit}
    return ab_pb2.SeekPosition(**{kind: kinds[kind]()})


@contextmanager
def _cancelled(stream: Any) -> Iterator[Any]:
    try:
        yield stream
    finally:
        stream.cancel()


def _events(caller: Caller, most: int = 1, **request: Any) -> str:
    asked = gateway_pb2.ChaincodeEventsRequest(channel_id=CHANNEL, chaincode_id=CHAINCODE, identity=caller.identity)
    position = request.pop("start_position", None)
    if position is not None:
        asked.start_position.CopyFrom(position)
    for name, value in request.items():
        setattr(asked, name, value)
    content = asked.SerializeToString()
    signed = gateway_pb2.SignedChaincodeEventsRequest(request=content, signature=sign(caller.key, content))
    found: list[str] = []
    with _cancelled(caller.gateway.ChaincodeEvents(signed, timeout=PATIENCE)) as stream:
        for response in stream:
            found.extend(event.event_name for event in response.events)
            if len(found) >= most:
                return ", ".join(found[:most])
    return f"ends after {', '.join(found)}"


def _announced(caller: Caller, name: str) -> tuple[str, int]:
    """A transaction with an event: its id and its block."""
    prepared = caller.client.endorsed("Announce", name, "payload")
    envelope = _signed(caller, prepared.envelope.payload)
    _submit(caller, envelope, transaction_id=prepared.transaction_id)
    return prepared.transaction_id, int(_status(caller, prepared.transaction_id).block_number)


def _listened(**request: Any) -> Answer:
    return lambda caller: _events(caller, **request)


def _from_own_block(caller: Caller) -> str:
    _, block = _announced(caller, "own")
    return _events(caller, start_position=_position("specified", block))


def _after(which: str) -> Answer:
    def answer(caller: Caller) -> str:
        first, block = _announced(caller, "first")
        _announced(caller, "second")
        silent, _ = _put(caller)
        ids = {"the first": first, "an unknown one": UNKNOWN_ID, "one without an event": silent}
        return _events(caller, start_position=_position("specified", block), after_transaction_id=ids[which])

    return answer


def _after_with_a_later_start(caller: Caller) -> str:
    first, block = _announced(caller, "first")
    _announced(caller, "second")
    start = _position("specified", block + 1)
    return _events(caller, start_position=start, after_transaction_id=first)


_add("events: from a block", _from_own_block)
_add("events: after a transaction", _after("the first"))
_add("events: after a transaction before the start", _after_with_a_later_start)
_add("events: after an unknown transaction", _after("an unknown one"))
_add("events: after a transaction without an event", _after("one without an event"))
_add(
    "events: nothing",
    lambda caller: str(
        next(caller.gateway.ChaincodeEvents(gateway_pb2.SignedChaincodeEventsRequest(), timeout=PATIENCE))
    ),
)
_add(
    "events: bytes that are none",
    lambda caller: str(
        next(
            caller.gateway.ChaincodeEvents(
                gateway_pb2.SignedChaincodeEventsRequest(request=b"\xff\xff", signature=b"s"), timeout=PATIENCE
            )
        )
    ),
)
_add("events: of an unknown channel", _listened(channel_id="elsewhere"))
_add("events: of no channel", _listened(channel_id=""))
_add("events: of an unknown chaincode", _listened(chaincode_id="nothing", start_position=_position("specified", 0)))
_add("events: of no chaincode", _listened(chaincode_id="", start_position=_position("specified", 0)))
_add("events: by nobody", _listened(identity=b""))
_add("events: by an unknown organisation", _listened(identity=serialize_identity("LisbonMSP", b"nothing")))
_add("events: by another key", _with_another_key(_listened()))
_add("events: from the oldest", _listened(start_position=_position("oldest")))
_add("events: from the newest", _listened(start_position=_position("newest")))
_add("events: from the next", _listened(start_position=_position("next_commit")))
_add("events: without a start", _listened())
_add(
    "events: from far above the height",
    lambda caller: _events(caller, start_position=_position("specified", _height(caller) + 5)),
)
_add("events: from the height", lambda caller: _events(caller, start_position=_position("specified", _height(caller))))


# --- blocks


@dataclass
class Sought:
    """A seek envelope's messages."""

    channel_header: Any
    signature_header: Any
    seek: Any

    def envelope(self, caller: Caller, key: PrivateKey | None = None) -> Any:
        payload = common_pb2.Payload(
            header=common_pb2.Header(
                channel_header=self.channel_header.SerializeToString(),
                signature_header=self.signature_header.SerializeToString(),
            ),
            data=self.seek if isinstance(self.seek, bytes) else self.seek.SerializeToString(),
        ).SerializeToString()
        return common_pb2.Envelope(payload=payload, signature=sign(caller.key if key is None else key, payload))


def sought(caller: Caller, start: Any = None, stop: Any = None, behaviour: int = 0) -> Sought:
    header = common_pb2.ChannelHeader(type=common_pb2.DELIVER_SEEK_INFO, channel_id=CHANNEL)
    header.timestamp.GetCurrentTime()
    seek = ab_pb2.SeekInfo(behavior=behaviour)
    if start is not None:
        seek.start.CopyFrom(start)
    if stop is not None:
        seek.stop.CopyFrom(stop)
    return Sought(header, common_pb2.SignatureHeader(creator=caller.identity, nonce=os.urandom(24)), seek)


def _read(stream: Any, height: int, most: int = 3) -> str:
    """Up to so many answers; blocks by their distance from the height where they are near it."""
    found: list[str] = []
    with _cancelled(stream) as answers:
        try:
            for answer in answers:
                kind = answer.WhichOneof("Type")
                if kind == "status":
                    found.append(common_pb2.Status.Name(answer.status))
                else:
                    block = getattr(answer, kind)
                    block = block.block if kind == "block_and_private_data" else block
                    number = block.number if kind == "filtered_block" else block.header.number
                    found.append(f"{kind} {number if number < 3 else f'height{number - height:+d}'}")
                if len(found) >= most:
                    break
            else:
                found.append("end")
        except grpc.RpcError as error:
            found.append(
                "waits"
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                else f"{error.code().name}: {error.details()}"
            )
    return ", ".join(found)


Seek = Callable[[Caller, int], Sought]
WAIT, FAIL = ab_pb2.SeekInfo.BLOCK_UNTIL_READY, ab_pb2.SeekInfo.FAIL_IF_NOT_READY


def _sought(start: str | int | None, stop: str | int | None, behaviour: int = WAIT) -> Seek:
    """Numbers from 1000 on are counted from the height, which is 1000."""

    def position(given: str | int | None, height: int) -> Any:
        if given is None:
            return None
        if isinstance(given, str):
            return _position(given)
        return _position("specified", given if given < 500 else given - 1_000 + height)

    return lambda caller, height: sought(caller, position(start, height), position(stop, height), behaviour)


def _changed(change: Callable[[Sought], object], seek: Seek | None = None) -> Seek:
    def made(caller: Caller, height: int) -> Sought:
        found = (seek or _sought(0, 0))(caller, height)
        change(found)
        return found

    return made


SEEKS: dict[str, Seek] = {
    "the first block": _sought(0, 0),
    "the oldest": _sought("oldest", "oldest"),
    "the newest": _sought("newest", "newest"),
    "two blocks": _sought(0, 1),
    "from the oldest to a block": _sought("oldest", 1),
    "from a block to the oldest": _sought(0, "oldest"),
    "from a later block to the oldest": _sought(2, "oldest"),
    "from a block to the newest": _sought(999, "newest"),
    "from the end to the beginning": _sought(1, 0),
    "no start": _sought(None, 0),
    "no stop": _sought(0, None),
    "neither": _sought(None, None),
    "an empty start": _changed(lambda found: found.seek.start.SetInParent(), _sought(None, 0)),
    "an empty stop": _changed(lambda found: found.seek.stop.SetInParent(), _sought(0, None)),
    "the height, waiting": _sought(1_000, 1_000),
    "the height, not waiting": _sought(1_000, 1_000, FAIL),
    "above the height, waiting": _sought(1_001, 1_001),
    "far above the height, waiting": _sought(1_100, 1_200),
    "far above the height, not waiting": _sought(1_100, 1_200, FAIL),
    "across the height, not waiting": _sought(999, 1_001, FAIL),
    "across the height, waiting": _sought(999, 1_001),
    "the next": _sought("next_commit", 1_000),
    "from the next to the next": _sought("next_commit", "next_commit"),
    "an unknown channel": _changed(lambda found: setattr(found.channel_header, "channel_id", "elsewhere")),
    "no channel": _changed(lambda found: setattr(found.channel_header, "channel_id", "")),
    "a seek that is none": _changed(lambda found: setattr(found, "seek", b"\xff\xff")),
    "no seek": _changed(lambda found: setattr(found, "seek", b"")),
    "no time": _changed(lambda found: found.channel_header.ClearField("timestamp")),
    "a time an hour ago": _changed(
        lambda found: setattr(found.channel_header.timestamp, "seconds", found.channel_header.timestamp.seconds - 3_600)
    ),
    "another type": _changed(lambda found: setattr(found.channel_header, "type", common_pb2.MESSAGE)),
    "a TLS hash": _changed(lambda found: setattr(found.channel_header, "tls_cert_hash", b"hash")),
    "no creator": _changed(lambda found: setattr(found.signature_header, "creator", b"")),
    "no nonce": _changed(lambda found: setattr(found.signature_header, "nonce", b"")),
    "an unknown organisation": _changed(
        lambda found: setattr(found.signature_header, "creator", serialize_identity("LisbonMSP", b"nothing"))
    ),
    "a behaviour nobody knows": _sought(0, 0, 7),
    "headers only": _changed(lambda found: setattr(found.seek, "content_type", 1)),
    "best effort": _changed(lambda found: setattr(found.seek, "error_response", 1)),
}


def _delivered(method: str, seek: Seek, *, key: PrivateKey | None = None, at_orderer: bool = False) -> Answer:
    def answer(caller: Caller) -> str:
        height = _height(caller)
        envelope = seek(caller, height).envelope(caller, key)
        stub = ab_pb2_grpc.AtomicBroadcastStub(caller.orderer) if at_orderer else caller.deliver
        return _read(getattr(stub, method)(iter([envelope]), timeout=PATIENCE), height)

    return answer


for _name, _seek in SEEKS.items():
    _add(f"blocks: {_name}", _delivered("Deliver", _seek))
for _name in ("the first block", "two blocks", "far above the height, waiting", "an unknown channel"):
    _add(f"filtered blocks: {_name}", _delivered("DeliverFiltered", SEEKS[_name]))
    _add(f"blocks and private data: {_name}", _delivered("DeliverWithPrivateData", SEEKS[_name]))
for _name in (
    "the first block",
    "the newest",
    "no stop",
    "far above the height, waiting",
    "an unknown channel",
    "no time",
    "a seek that is none",
):
    _add(f"an orderer's blocks: {_name}", _delivered("Deliver", SEEKS[_name], at_orderer=True))
_add("blocks: another key", _delivered("Deliver", SEEKS["the first block"], key=generate_key()))
_add(
    "blocks: an expired certificate",
    _as_expired(
        lambda caller: _read(
            caller.deliver.Deliver(
                iter([sought(caller, _position("oldest"), _position("oldest")).envelope(caller)]), timeout=PATIENCE
            ),
            99,
        )
    ),
)


def _seeks_in_one_stream(*names: str) -> Answer:
    def answer(caller: Caller) -> str:
        height = _height(caller)
        envelopes = [SEEKS[name](caller, height).envelope(caller) for name in names]
        return _read(caller.deliver.Deliver(iter(envelopes), timeout=PATIENCE), height, most=6)

    return answer


_add("blocks: two questions", _seeks_in_one_stream("the first block", "the first block"))
_add("blocks: a wrong question, then a right one", _seeks_in_one_stream("an unknown channel", "the first block"))
_add(
    "blocks: no envelope",
    lambda caller: _read(caller.deliver.Deliver(iter([common_pb2.Envelope()]), timeout=PATIENCE), 99),
)
_add(
    "blocks: an envelope that is none",
    lambda caller: _read(
        caller.deliver.Deliver(iter([common_pb2.Envelope(payload=b"\xff", signature=b"s")]), timeout=PATIENCE), 99
    ),
)
_add("blocks: no question", lambda caller: _read(caller.deliver.Deliver(iter([]), timeout=PATIENCE), 99))


def _first_header(caller: Caller) -> str:
    """What the genesis block's one transaction says in its headers."""
    envelope = sought(caller, _position("oldest"), _position("oldest")).envelope(caller)
    with _cancelled(caller.deliver.Deliver(iter([envelope]), timeout=SECONDS)) as answers:
        block = next(answers).block
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(block.data.data[0]).payload)
    header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    signed = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
    parts = [f"{name}={getattr(header, name)}" for name in GENESIS_FIELDS]
    parts += [
        f"tx_id of {len(header.tx_id)}",
        f"its own {header.tx_id == transaction_id_of(signed.nonce, signed.creator)}",
    ]
    parts += [f"nonce of {len(signed.nonce)}", f"creator of {len(signed.creator)}", f"nanos={header.timestamp.nanos}"]
    parts += [
        f"previous hash of {len(block.header.previous_hash)}",
        f"{len(block.metadata.metadata)} entries of metadata",
    ]
    return ", ".join(parts)


_add("blocks: the genesis block's header", _first_header)


# --- ordering


def _broadcast(change: Callable[[Caller, Any], Any] = lambda caller, envelope: envelope) -> Answer:
    def answer(caller: Caller) -> str:
        envelope = change(caller, _signed(caller, _prepared(caller).envelope.payload))
        stub = ab_pb2_grpc.AtomicBroadcastStub(caller.orderer)
        found = []
        for response in stub.Broadcast(iter([envelope, envelope]), timeout=SECONDS):
            found.append(f"{common_pb2.Status.Name(response.status)} {response.info}".strip())
        return "; then ".join(found)

    return answer


_add("broadcast", _broadcast())
_add("broadcast: nothing", _broadcast(lambda caller, envelope: common_pb2.Envelope()))
_add("broadcast: no signature", _broadcast(lambda caller, envelope: common_pb2.Envelope(payload=envelope.payload)))
_add("broadcast: a payload that is none", _broadcast(lambda caller, envelope: _signed(caller, b"\xff\xff")))
_add(
    "broadcast: another key's signature",
    _broadcast(
        lambda caller, envelope: common_pb2.Envelope(
            payload=envelope.payload, signature=sign(generate_key(), envelope.payload)
        )
    ),
)
_add("broadcast: for an unknown channel", _broadcast(_with_header(channel_id="elsewhere")))
_add("broadcast: for no channel", _broadcast(_with_header(channel_id="")))
_add("broadcast: type CONFIG_UPDATE", _broadcast(_with_header(type=common_pb2.CONFIG_UPDATE)))
_add("broadcast: type CONFIG", _broadcast(_with_header(type=common_pb2.CONFIG)))
_add("broadcast: type ORDERER_TRANSACTION", _broadcast(_with_header(type=4)))
_add(
    "broadcast: too large",
    _broadcast(lambda caller, envelope: _signed(caller, envelope.payload + fields((2, b"x" * 2_000_000)))),
)
_add(
    "broadcast: by an unknown organisation",
    _broadcast(lambda caller, envelope: _by(caller, envelope, serialize_identity("LisbonMSP", b"nothing"))),
)
_add("broadcast: by nobody", _broadcast(lambda caller, envelope: _by(caller, envelope, b"")))


def _by(caller: Caller, envelope: Any, creator: bytes) -> Any:
    payload = common_pb2.Payload.FromString(envelope.payload)
    header = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
    header.creator = creator
    payload.header.signature_header = header.SerializeToString()
    return _signed(caller, payload.SerializeToString())


def _endorser(caller: Caller) -> str:
    """A peer's own service, which Fabric's command line uses."""
    signed = proposal(caller, b"Get", b"key").signed(caller)
    stub = peer_pb2_grpc.EndorserStub(caller.client.connection)
    return f"status {stub.ProcessProposal(signed, timeout=SECONDS).response.status}"


_add("a peer's Endorser service", _endorser)
