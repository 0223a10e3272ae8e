"""The table of transactions, good and odd, that Fabric, the audit and the embedded node have to judge alike.

All are well signed unless that is what is odd about them. Each run makes all of them anew;
``vectors/transactions.json`` keeps one run as a real peer judged it. What would make a peer fail is not among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.msp import msp_principal_pb2
from fabric_protos.peer import chaincode_event_pb2, collection_pb2, policy_pb2

from fedledger.gateway.blocks import Read, Version, transaction_id_of
from fedledger.identity import certificate as x509
from fedledger.identity import der, keys
from fedledger.identity.chain import with_low_s
from fedledger.identity.msp import parse_serialized_identity, serialize_identity
from fedledger.validation.range_summaries import merkle_summary
from tests.fabric.judge.channel import Role, role, rule_out_of
from tests.unit.identity.certificate_maker import (
    DAY,
    Authority,
    Draft,
    Key,
    ec_key,
    pem,
    revocation_list,
    root_draft,
)
from tests.unit.identity.certificate_table import definition
from tests.unit.validation.transaction_maker import (
    CHAINCODE,
    LIFECYCLE,
    Change,
    Parts,
    definition_of,
    fields,
    signature_policy,
    together,
    transaction,
    varint,
    written,
)

CHANNEL = "transactions"
MSPS = ("OneMSP", "TwoMSP", "ThreeMSP", "FourMSP")
REVOKED = 4711
UNKNOWN = varint(9_999 << 3 | 2) + b"\x03new"
"""A field that nobody knows."""
GROUP, END_OF_GROUP = varint(9_999 << 3 | 3), varint(9_999 << 3 | 4)
ENCODINGS = {
    "a tag of ten bytes": b"\xfa\xf0\x84" + b"\x80" * 6 + b"\x00\x01x",
    "a length of ten bytes": UNKNOWN[:-4] + b"\x83" + b"\x80" * 8 + b"\x00new",
    "a number of seventy bits": varint(9_999 << 3) + b"\xff" * 9 + b"\x7f",
    "groups in two hundred others": GROUP * 200 + END_OF_GROUP * 200,
}
"""Unknown fields in encodings that not every reader of Protocol Buffers takes."""
STATE_BLOCK = 2
"""The block that leaves the keys a to e of each chaincode at (2, 0)."""


@dataclass(frozen=True)
class Signer:
    """Somebody with an identity and a key; ``twist`` makes something else of each signature."""

    identity: bytes
    key: Key
    twist: Callable[[bytes], bytes] = bytes

    def sign(self, message: bytes) -> bytes:
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.twist(self.key.sign(message))
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        made = self.key.sign(message, ec.ECDSA(hashes.SHA256()))
        return self.twist(keys.with_low_s(made, self.key.public_key()))


@dataclass(frozen=True)
class Organisation:
    msp_id: str
    authority: Authority
    now: int

    def signer(self, *units: str, key: Key | None = None, cn: str = "somebody", **changes: Any) -> Signer:
        """Somebody with a new certificate; ``changes`` are its draft's, but for ``high_s`` and ``text``."""
        own = ec_key() if key is None else key
        draft: Draft = replace(self.authority.leaf(own, self.now, *units, cn=cn), **changes)
        return Signer(serialize_identity(self.msp_id, pem(draft.signed(self.authority))), own)


@dataclass(frozen=True)
class Case:
    name: str
    envelope: bytes
    only_fabric: bool = False
    """Whether it is of what the embedded node does not have: other chaincodes, collections."""


@dataclass
class Table:
    """A ledger: its members, and the envelopes of each block behind the first."""

    now: int
    organisations: dict[str, Organisation]
    blocks: list[list[Case]] = field(default_factory=list)

    @property
    def members(self) -> dict[str, bytes]:
        """Serialized ``FabricMSPConfig`` by MSP id."""
        return {
            msp_id: definition(
                msp_id,
                pem(each.authority.certificate),
                lists=(revocation_list(each.authority, self.now, REVOKED),),
            )
            for msp_id, each in self.organisations.items()
        }


@dataclass
class _Maker:
    """What all parts of the table use."""

    table: Table
    one: Organisation
    client: Signer
    peers: list[Signer]
    """One of each organisation."""
    cases: list[Case] = field(default_factory=list)
    apart: list[Case] = field(default_factory=list)
    """What stands in a block of its own."""
    names: set[str] = field(default_factory=set)

    def add(
        self,
        name: str,
        *changes: Change,
        creator: Signer | None = None,
        endorsers: Sequence[Signer] | None = None,
        only_fabric: bool = False,
        **more: Any,
    ) -> bytes:
        envelope = transaction(
            creator or self.client, self.peers[:2] if endorsers is None else endorsers, CHANNEL, *changes, **more
        )
        return self.add_envelope(name, envelope, only_fabric=only_fabric)

    def add_apart(self, name: str, *changes: Change) -> None:
        """Add what endorses nothing, to the block of such transactions."""
        self.add(name, *changes)
        self.apart.append(self.cases.pop())

    def add_envelope(self, name: str, envelope: bytes, *, only_fabric: bool = False) -> bytes:
        assert name not in self.names, name
        self.names.add(name)
        self.cases.append(Case(name, envelope, only_fabric))
        return envelope

    def cut(self) -> None:
        """Make a block of what has been added."""
        self.table.blocks.append(self.cases)
        self.cases = []


def make_table(now: int) -> Table:
    """All of it. Endorsement of ``judged`` takes peers of two of the four organisations."""
    organisations = {}
    for msp_id in MSPS:
        authority = Authority.of(root_draft(ec_key(), now, f"ca.{msp_id}"))
        organisations[msp_id] = Organisation(msp_id, authority, now)
    table = Table(now, organisations)
    one = organisations[MSPS[0]]
    peers = [each.signer("peer", cn=f"peer.{each.msp_id}") for each in organisations.values()]
    maker = _Maker(table, one, one.signer("client", cn="client"), peers)
    _definitions(maker)
    _state(maker)
    for part in (_headers, _actions, _results, _names, _events, _namespaces, _endorsements, _creators, _unknown):
        part(maker)
        maker.cut()
    _reads(maker)
    _repetitions(maker)
    _policies(maker)
    _collections(maker)
    table.blocks.append(maker.apart)
    return table


def _peers_policy(count: int, *msps: str) -> Any:
    return rule_out_of(count, [role(msp_id, Role.PEER) for msp_id in msps or MSPS])


def _definitions(maker: _Maker) -> None:
    """Block 1: the chaincodes."""
    members = rule_out_of(1, [role(msp_id, Role.MEMBER) for msp_id in MSPS])
    definitions = {
        CHAINCODE: signature_policy(_peers_policy(2)),
        "strict": signature_policy(_peers_policy(4)),
        "free": signature_policy(members),
        "nobody": signature_policy(_peers_policy(5)),
        "everybody": signature_policy(_peers_policy(0)),
        "reference": policy_pb2.ApplicationPolicy(channel_config_policy_reference="/Channel/Application/Endorsement"),
        "astray": policy_pb2.ApplicationPolicy(channel_config_policy_reference="/Channel/Application/Nothing"),
        "elsewhere": policy_pb2.ApplicationPolicy(channel_config_policy_reference="Endorsement"),
        "relative": policy_pb2.ApplicationPolicy(channel_config_policy_reference="Application/Endorsement"),
        "strange": policy_pb2.ApplicationPolicy(channel_config_policy_reference="/ChannelXApplication/Endorsement"),
        "rootless": policy_pb2.ApplicationPolicy(channel_config_policy_reference="/Application/Endorsement"),
        "odd": policy_pb2.ApplicationPolicy(signature_policy=_principals(maker)),
    }
    for name, policy in definitions.items():
        maker.add(
            f"definition of {name}",
            chaincode=LIFECYCLE,
            results=definition_of(name, policy),
            endorsers=maker.peers,
            only_fabric=True,
        )
    maker.add(
        "definition of private",
        chaincode=LIFECYCLE,
        results=definition_of("private", signature_policy(_peers_policy(2)), collections=_configured()),
        endorsers=maker.peers,
        only_fabric=True,
    )
    maker.cut()


def _principals(maker: _Maker) -> Any:
    """Either a certain identity, or a unit, or a combination, or a role of the second organisation's administrators."""
    kind = msp_principal_pb2.MSPPrincipal
    third = maker.table.organisations[MSPS[2]]
    root = x509.parse(third.authority.certificate)
    certifiers = sha256(with_low_s(root, root).encoded).digest()
    unit = msp_principal_pb2.OrganizationUnit(
        msp_identifier=MSPS[2], organizational_unit_identifier="research", certifiers_identifier=certifiers
    )
    both = msp_principal_pb2.CombinedPrincipal(principals=[role(MSPS[3], Role.MEMBER), role(MSPS[3], Role.ORDERER)])
    return rule_out_of(
        1,
        [
            kind(principal_classification=kind.IDENTITY, principal=maker.peers[0].identity),
            kind(principal_classification=kind.ORGANIZATION_UNIT, principal=unit.SerializeToString()),
            kind(principal_classification=kind.COMBINED, principal=both.SerializeToString()),
            role(MSPS[1], Role.ADMIN),
        ],
    )


def _configured() -> list[Any]:
    """Two collections, one with a policy of its own."""
    common, own = collection_pb2.CollectionConfig(), collection_pb2.CollectionConfig()
    for config, name in ((common, "common"), (own, "own")):
        static = config.static_collection_config
        static.name = name
        static.maximum_peer_count = 1
        members = rule_out_of(1, [role(msp_id, Role.MEMBER) for msp_id in MSPS])
        static.member_orgs_policy.signature_policy.CopyFrom(members)
    own.static_collection_config.endorsement_policy.signature_policy.CopyFrom(_peers_policy(1, MSPS[3]))
    return [common, own]


def _state(maker: _Maker) -> None:
    """Block 2: keys with values."""
    everywhere = [written(name, *((key, b"1") for key in "abcde")) for name in (CHAINCODE, "free")]
    maker.add("the first keys", results=everywhere[0])
    maker.add("the first keys of free", chaincode="free", results=everywhere[1], only_fabric=True)
    maker.cut()


def _set(message: str, **values: Any) -> Change:
    """Set fields of one of the parts."""

    def change(parts: Parts) -> None:
        for name, value in values.items():
            setattr(getattr(parts, message), name, value)

    return change


def _clear(message: str, *names: str) -> Change:
    def change(parts: Parts) -> None:
        for name in names:
            getattr(parts, message).ClearField(name)

    return change


def _become(message: str, twist: Callable[[bytes], bytes]) -> Change:
    """Make something of a message's bytes."""

    def change(parts: Parts) -> None:
        parts.bytes_of[message] = twist

    return change


def _headers(maker: _Maker) -> None:
    maker.add("a plain one")
    for kind in (0, 2, 4, 5, 6, 7, 8, 9, 99, -1):
        maker.add(f"type {kind}", _set("channel_header", type=kind))
    for epoch in (1, (1 << 64) - 1):
        maker.add(f"epoch {epoch}", _set("channel_header", epoch=epoch))
    for version in (1, -1):
        maker.add(f"header version {version}", _set("channel_header", version=version))
    maker.add("a TLS hash", _set("channel_header", tls_cert_hash=b"hash"))
    maker.add("no time", _clear("channel_header", "timestamp"))
    for seconds, nanos in ((0, 0), (-5, 0), (1 << 60, 0), (1_700_000_000, -1), (1_700_000_000, 2_000_000_000)):

        def at(parts: Parts, seconds: int = seconds, nanos: int = nanos) -> None:
            parts.channel_header.timestamp.seconds = seconds
            parts.channel_header.timestamp.nanos = nanos

        maker.add(f"time {seconds}.{nanos}", at)

    def identified(change: Callable[[str], str]) -> Change:
        return lambda parts: setattr(parts.channel_header, "tx_id", change(parts.channel_header.tx_id))

    maker.add("no id", identified(lambda _: ""))
    maker.add("another id", identified(lambda _: "ab" * 32))
    maker.add("the id in capitals", identified(str.upper))
    maker.add("the id with a space", identified(lambda name: f"{name} "))
    maker.add("another channel", _set("channel_header", channel_id="elsewhere"))
    maker.add("the channel in capitals", _set("channel_header", channel_id=CHANNEL.upper()))
    maker.add("no channel", _set("channel_header", channel_id=""))
    maker.add("a channel's name that is no text", _become("channel_header", lambda made: made + fields((4, b"\xff"))))
    maker.add("a channel header that is none", _become("channel_header", lambda _: b"\xff\xff"))
    maker.add("no channel header", _become("header", lambda _: b""))
    maker.add("a header that is none", _become("payload", lambda _: fields((1, b"\xff\xff"))))
    maker.add("a payload that is none", _become("payload", lambda _: b"\xff\xff"))
    maker.add("a payload of one byte", _become("payload", lambda _: b"\x0a"))
    maker.add(
        "a signature header that is none", lambda parts: parts.bytes_of.update(signature_header=lambda _: b"\xff")
    )

    def nonce(value: bytes) -> Change:
        def change(parts: Parts) -> None:
            parts.signature_header.nonce = value
            parts.channel_header.tx_id = transaction_id_of(value, parts.signature_header.creator)

        return change

    maker.add("no nonce", nonce(b""))
    maker.add("a nonce of one byte", nonce(b"\x01"))
    maker.add("a nonce of a thousand bytes", nonce(b"\x02" * 1_000))
    maker.add("another nonce than the id's", _set("signature_header", nonce=b"another"))
    maker.add("the id twice, the last right", _become("channel_header", _doubled(5, b"ab" * 32, first=True)))
    maker.add("the id twice, the first right", _become("channel_header", _doubled(5, b"ab" * 32)))
    maker.add("the channel twice, the last right", _become("channel_header", _doubled(4, b"elsewhere", first=True)))
    maker.add("the epoch written out as 0", _become("channel_header", lambda made: made + b"\x30\x00"))
    maker.add("the type twice, the last right", _become("channel_header", lambda made: b"\x08\x01" + made))
    maker.add(
        "the type in ten bytes", _become("channel_header", lambda made: made + b"\x08\x83" + b"\x80" * 8 + b"\x00")
    )
    maker.add("a header twice", _become("payload", lambda made: made + _first_field(made)))
    maker.add("data twice", _become("payload", lambda made: made + _last_field(made)))
    maker.add("data before the header", _become("payload", lambda made: _last_field(made) + _first_field(made)))
    maker.add_apart("no data", _become("payload", _first_field))
    maker.add_apart("data of no bytes", _become("payload", lambda made: _first_field(made) + fields((2, b""))))
    for number, kind in ((1, "CONFIG_UPDATE"), (2, "DELIVER_SEEK_INFO")):
        maker.add_apart(
            f"nothing but a header of {kind}",
            _set("channel_header", type=(2, 5)[number - 1]),
            _become("transaction", lambda _: b""),
        )


def _doubled(number: int, content: bytes, *, first: bool = False) -> Callable[[bytes], bytes]:
    """Add one more field of that number."""
    extra = fields((number, content))
    return lambda made: extra + made if first else made + extra


def _split(message: bytes) -> list[bytes]:
    """The fields of a message of fields of bytes."""
    found = []
    while message:
        place = length = shift = 0
        place = 1
        while True:
            octet = message[place]
            length, shift, place = length | (octet & 0x7F) << shift, shift + 7, place + 1
            if not octet & 0x80:
                break
        found.append(message[: place + length])
        message = message[place + length :]
    return found


def _first_field(message: bytes) -> bytes:
    return _split(message)[0]


def _last_field(message: bytes) -> bytes:
    return _split(message)[-1]


def _actions(maker: _Maker) -> None:
    add = maker.add
    maker.add_apart("no action", _become("transaction", lambda _: b""))
    add("the same action twice", _become("transaction", lambda made: made + made))
    maker.add_apart("an action of no bytes", _become("transaction", lambda _: fields((1, b""))))
    add("a second action of no bytes", _become("transaction", lambda made: made + fields((1, b""))))
    add("a transaction that is none", _become("transaction", lambda _: b"\xff"))
    add("an action that is none", _become("action", lambda _: b"\xff"))
    add("no header in the action", _become("action", _last_field))

    def header(content: bytes) -> Change:
        return lambda parts: setattr(parts, "action_header", content)

    def signed(creator: bytes, nonce: bytes) -> bytes:
        return bytes(common_pb2.SignatureHeader(creator=creator, nonce=nonce).SerializeToString())

    add("an action's header that is none", header(b"\xff"))
    add("an action's header without nonce", header(signed(maker.client.identity, b"")))
    add("an action's header without creator", header(signed(b"", b"nonce")))
    add("an action's header with another nonce", header(signed(maker.client.identity, b"another")))
    add("an action's header with another creator", header(signed(maker.peers[2].identity, b"another")))
    add("an action's header with a creator that is none", header(signed(b"nobody", b"another")))
    add("an action's payload that is none", _become("action_payload", lambda _: b"\xff"))
    add("the action's payload twice", _become("action", lambda made: made + _last_field(made)))
    add("no proposal", _become("action_payload", _last_field))
    add("a proposal of no bytes, hashed so", _become("request", lambda _: b""))
    add("a proposal that is none, hashed so", _become("request", lambda _: b"\xff\xff"))
    add("an input that is none", _become("invocation", lambda _: b"\xff\xff"))
    add("no input", _become("invocation", lambda _: b""))
    add("no arguments", lambda parts: parts.invocation.chaincode_spec.input.ClearField("args"))
    add("an argument of no bytes", lambda parts: parts.invocation.chaincode_spec.input.args.append(b""))
    add(
        "a transient map in the proposal",
        _become("request", lambda made: made + fields((2, fields((1, b"k"), (2, b"v"))))),
    )
    add(
        "another proposal than the endorsed",
        _become("action_payload", lambda made: fields((1, b"other")) + _last_field(made)),
    )
    add("the proposal twice, the last another", _become("action_payload", lambda made: made + fields((1, b"other"))))
    add("no proposal hash", lambda parts: setattr(parts, "proposal_hash", b""))
    add("another proposal hash", lambda parts: setattr(parts, "proposal_hash", b"h" * 32))
    add("a longer proposal hash", lambda parts: setattr(parts, "proposal_hash", b"h" * 64))
    add("an answer that is none", _become("answer", lambda _: b"\xff"))
    add("an answer without a result", _become("answer", _first_field))
    add("an answer with a result of no bytes", _become("answer", lambda made: _first_field(made) + fields((2, b""))))
    add("an answer's result twice", _become("answer", lambda made: made + _last_field(made)))
    add("a result that is none", _become("result", lambda _: b"\xff\xff"))
    add("the endorsed action twice, without endorsements", _become("action_payload", _again_without_endorsements))
    add("the answer twice in the endorsed action", _become("endorsed", lambda made: _first_field(made) + made))


def _again_without_endorsements(made: bytes) -> bytes:
    """A second endorsed action is merged into the first: its answer takes the place, endorsements are added."""
    content = _last_field(made)
    answer = _first_field(content[content.index(_first_field(_content(content))) :])
    return made + fields((2, answer))


def _content(one_field: bytes) -> bytes:
    place = 1
    while one_field[place] & 0x80:
        place += 1
    return one_field[place + 1 :]


def _results(maker: _Maker) -> None:
    add = maker.add
    add("results that are none", _become("results", lambda _: b"\xff\xff"))
    add(
        "reads and writes that are none",
        results=rwset_pb2.TxReadWriteSet(ns_rwset=[rwset_pb2.NsReadWriteSet(namespace=CHAINCODE, rwset=b"\xff\xff")]),
    )
    add(
        "a key that is no text",
        _become("results", lambda made: made.replace(b"key", b"k\xff\xff")),
        results=written(CHAINCODE, ("key", b"v")),
    )
    add(
        "a namespace that is no text",
        _become("results", lambda made: made.replace(b"judged", b"judg\xff\xff")),
        results=written(CHAINCODE, ("key", b"v")),
    )
    add("another data model", _become("results", lambda made: made + b"\x08\x07"))
    add("a private part that is none", results=_hashed(CHAINCODE, "secret", b"\xff"), only_fabric=True)
    add("a write", results=written(CHAINCODE, ("result 1", b"value")))
    add("a deletion", results=written(CHAINCODE, ("result 2", None)))
    add("a write of no bytes", results=written(CHAINCODE, ("result 3", b"")))
    add(
        "a deletion with a value",
        results=_raw(CHAINCODE, kv_rwset_pb2.KVWrite(key="result 4", value=b"v", is_delete=True)),
    )
    add("a key of no bytes", results=written(CHAINCODE, ("", b"v")))
    add("a key with a null byte", results=written(CHAINCODE, ("a\x00b", b"v")))
    add("a key beyond the basic plane", results=written(CHAINCODE, ("\U0001f600", b"v")))
    add("a key written twice", results=written(CHAINCODE, ("twice", b"1"), ("twice", b"2")))
    add("a key with a value written twice", results=written(CHAINCODE, ("e", b"8"), ("e", b"9")))
    add("a key written thrice", results=written(CHAINCODE, ("thrice", b"1"), ("thrice", b"2"), ("thrice", b"3")))
    add("a key written and deleted", results=written(CHAINCODE, ("gone", b"1"), ("gone", None)))
    add("a key deleted and written", results=written(CHAINCODE, ("there", None), ("there", b"1")))
    add("a key deleted twice", results=written(CHAINCODE, ("away", None), ("away", None)))
    add("a value of a megabyte", results=written(CHAINCODE, ("large", b"x" * (1 << 20))))
    add("a response of status 500", lambda parts: setattr(parts.result.response, "status", 500))
    add("a response of status 0", lambda parts: setattr(parts.result.response, "status", 0))
    add("no response", _clear("result", "response"))
    add("a version nobody has defined", lambda parts: setattr(parts.result.chaincode_id, "version", "7.7"))
    add("a version of no bytes", lambda parts: setattr(parts.result.chaincode_id, "version", ""))
    add("a path", lambda parts: setattr(parts.result.chaincode_id, "path", "/somewhere"))
    add("results twice", _become("result", lambda made: made + fields((1, _ABC))))


_ABC = written(CHAINCODE, ("results twice", b"v")).SerializeToString()


def _raw(namespace: str, *writes: Any, **more: Any) -> Any:
    rwset = kv_rwset_pb2.KVRWSet(writes=writes, **more)
    entry = rwset_pb2.NsReadWriteSet(namespace=namespace, rwset=rwset.SerializeToString())
    return rwset_pb2.TxReadWriteSet(ns_rwset=[entry])


def _hashed(namespace: str, collection: str, content: bytes) -> Any:
    private = rwset_pb2.CollectionHashedReadWriteSet(collection_name=collection, hashed_rwset=content)
    entry = rwset_pb2.NsReadWriteSet(namespace=namespace, collection_hashed_rwset=[private])
    return rwset_pb2.TxReadWriteSet(ns_rwset=[entry])


def _names(maker: _Maker) -> None:
    """Which chaincode it is, told in three places."""

    def named(header: str | None, told: str | None, ran: str | None) -> Change:
        def change(parts: Parts) -> None:
            for message, name in (
                (parts.extension, header),
                (parts.invocation.chaincode_spec, told),
                (parts.result, ran),
            ):
                if name is None:
                    message.ClearField("chaincode_id")
                else:
                    message.chaincode_id.name = name

        return change

    choices = (CHAINCODE, "free", "undefined", "", None)
    for header in choices:
        for told in choices:
            for ran in choices:
                if [header, told, ran].count(CHAINCODE) < 2 and not (header == ran and told == CHAINCODE):
                    continue
                what = ", ".join(repr(name) for name in (header, told, ran))
                maker.add(f"named {what}", named(header, told, ran), only_fabric="free" in (header, ran))
    for system in ("qscc", "cscc", "lscc", "escc", "vscc", LIFECYCLE):
        own = system == LIFECYCLE
        name = f"the system chaincode {system} through all peers"
        maker.add(name, chaincode=system, endorsers=maker.peers, only_fabric=own)

        def of_peers_version(parts: Parts) -> None:
            parts.result.chaincode_id.version = "syscc"

        endorsers = maker.peers[:3]
        name = f"{system} in its own version"
        maker.add(name, of_peers_version, chaincode=system, endorsers=endorsers, only_fabric=own)
    maker.add("_lifecycle with too few", chaincode=LIFECYCLE, endorsers=maker.peers[:1], only_fabric=True)
    maker.add("a header's name with a space", _named_in_header(f"{CHAINCODE} "))
    maker.add("a header's name in capitals", _named_in_header(CHAINCODE.upper()))
    maker.add(
        "a header's path and version",
        lambda parts: parts.extension.chaincode_id.MergeFrom(type(parts.extension.chaincode_id)(path="p", version="9")),
    )
    maker.add("a header's extension that is none", _become("extension", lambda _: b"\xff"))
    maker.add("no extension", _become("extension", lambda _: b""))
    maker.add("an extension's name that is no text", _become("extension", lambda _: fields((2, fields((2, b"\xff"))))))
    maker.add("an extension with the old visibility", _become("extension", lambda made: fields((1, b"\x01")) + made))
    maker.add(
        "the extension's chaincode twice", _become("extension", lambda made: fields((2, fields((2, b"x")))) + made)
    )
    maker.add("an undefined chaincode", chaincode="undefined", endorsers=maker.peers)
    maker.add("a chaincode with a strange name", chaincode="a/b#1", endorsers=maker.peers)
    maker.add("a name like a definition's field", chaincode="judged/ValidationInfo", endorsers=maker.peers)


def _named_in_header(name: str) -> Change:
    return lambda parts: setattr(parts.extension.chaincode_id, "name", name)


def _events(maker: _Maker) -> None:
    def event(**values: Any) -> Change:
        content = chaincode_event_pb2.ChaincodeEvent(**values).SerializeToString()
        return lambda parts: setattr(parts.result, "events", content)

    add = maker.add
    add("an event", event(chaincode_id=CHAINCODE, event_name="Something", payload=b"p"))
    add("an event of another chaincode", event(chaincode_id="free", event_name="Something"))
    add("an event of no chaincode", event(event_name="Something"))
    add("an event of another transaction", event(chaincode_id=CHAINCODE, tx_id="another", event_name="Something"))
    add("an event without a name", event(chaincode_id=CHAINCODE))
    add("an event that is none", lambda parts: setattr(parts.result, "events", b"\xff\xff"))
    add("an event of no bytes", _become("result", lambda made: made + fields((2, b""))))
    add(
        "two events",
        lambda parts: event(chaincode_id=CHAINCODE, event_name="One")(parts),
        _become(
            "result",
            lambda made: (
                made
                + fields(
                    (
                        2,
                        chaincode_event_pb2.ChaincodeEvent(
                            chaincode_id=CHAINCODE, event_name="Two"
                        ).SerializeToString(),
                    )
                )
            ),
        ),
    )
    add(
        "two events, the last of another chaincode",
        lambda parts: event(chaincode_id=CHAINCODE)(parts),
        _become("result", lambda made: made + fields((2, fields((1, b"free"))))),
    )
    add("an event and results that are none", event(chaincode_id="free"), _become("results", lambda _: b"\xff\xff"))


def _namespaces(maker: _Maker) -> None:
    def writes(*namespaces: str) -> Any:
        return together(*(written(name, (f"key of {name}", b"v")) for name in namespaces))

    add = maker.add
    add("writes of another chaincode", results=writes("free"), only_fabric=True)
    add("writes of its own and another", results=writes(CHAINCODE, "free"), only_fabric=True)
    add("writes of one that needs more", results=writes(CHAINCODE, "strict"), only_fabric=True)
    add(
        "writes of one that needs more, by all",
        results=writes(CHAINCODE, "strict"),
        endorsers=maker.peers,
        only_fabric=True,
    )
    add("writes of an undefined one", results=writes("undefined"), endorsers=maker.peers)
    add("writes of its own and an undefined one", results=writes(CHAINCODE, "undefined"), endorsers=maker.peers)
    add("writes of lscc", results=writes("lscc"), endorsers=maker.peers)
    add("writes of no name", results=writes(""), endorsers=maker.peers)
    add("writes of the lifecycle, by all", results=writes(LIFECYCLE), endorsers=maker.peers, only_fabric=True)
    add("writes of the lifecycle, by two", results=writes(LIFECYCLE), only_fabric=True)
    add("its namespace twice", results=writes(CHAINCODE, CHAINCODE))
    add("its namespace twice, once empty", results=together(writes(CHAINCODE), _raw(CHAINCODE)))
    add("an undefined namespace twice", results=writes("undefined", "undefined"))
    add("an empty namespace of an undefined one", results=together(writes(CHAINCODE), _raw("undefined")))
    add(
        "reads of an undefined one",
        results=together(writes(CHAINCODE), _raw("undefined", reads=[kv_rwset_pb2.KVRead(key="a")])),
    )
    add("no namespace")
    add("an empty one of its own", results=_raw(CHAINCODE))
    add("an empty one of no name", results=_raw(""))
    add(
        "invoked free, writes judged, endorsed for free",
        chaincode="free",
        results=writes(CHAINCODE),
        endorsers=maker.peers[:1],
        only_fabric=True,
    )
    add("invoked free, writes judged, endorsed for both", chaincode="free", results=writes(CHAINCODE), only_fabric=True)
    add("invoked strict, writes free", chaincode="strict", results=writes("free"), only_fabric=True)


def _endorsements(maker: _Maker) -> None:
    add, peers, orgs = maker.add, maker.peers, maker.table.organisations
    one, two = orgs[MSPS[0]], orgs[MSPS[1]]
    for count in range(5):
        add(f"endorsed by {count}", endorsers=peers[:count])
    add("endorsed by two of one organisation", endorsers=[peers[0], one.signer("peer")])
    add("endorsed by two of one and one of another", endorsers=[peers[0], one.signer("peer"), peers[1]])
    add("endorsed twice by the same", endorsers=[peers[0], peers[0]])
    add("endorsed by two, the second twice", endorsers=[*peers[:2], peers[1]])
    add("endorsed by a peer and a client", endorsers=[peers[0], two.signer("client")])
    add("endorsed by two administrators", endorsers=[one.signer("admin"), two.signer("admin")])
    add("endorsed by a peer and an orderer", endorsers=[peers[0], two.signer("orderer")])
    stranger = Organisation("EveMSP", Authority.of(root_draft(ec_key(), maker.table.now)), maker.table.now)
    add("endorsed by a peer and a stranger", endorsers=[peers[0], stranger.signer("peer")])
    forged = replace(stranger, msp_id=MSPS[1])
    add("endorsed by a peer and a stranger under another name", endorsers=[peers[0], forged.signer("peer")])
    wrong = Signer(peers[1].identity, ec_key())
    add("endorsed by a peer, and another key in a peer's name", endorsers=[peers[0], wrong])
    add("endorsed by a wrong key first and the right one then", endorsers=[wrong, peers[0], peers[1]])

    def twisted(signer: Signer, twist: Callable[[bytes], bytes]) -> Signer:
        return replace(signer, twist=twist)

    add("an endorsement with a high S", endorsers=[peers[0], twisted(peers[1], _high)])
    add("an endorsement with bytes behind it", endorsers=[peers[0], twisted(peers[1], lambda made: made + b"more")])
    add("an endorsement with bytes within it", endorsers=[peers[0], twisted(peers[1], _longer)])
    add(
        "an endorsement with a length of two bytes",
        endorsers=[peers[0], twisted(peers[1], lambda made: b"\x30\x81" + made[1:])],
    )
    add("an endorsement with a zero too many", endorsers=[peers[0], twisted(peers[1], _zero)])
    add("an endorsement of no bytes", endorsers=[peers[0], twisted(peers[1], lambda _: b"")])
    add("an endorsement of r and s as 64 bytes", endorsers=[peers[0], twisted(peers[1], _plain)])
    add("an endorsement with a negative r", endorsers=[peers[0], twisted(peers[1], lambda made: _with_r(made, -1))])
    add("an endorsement with r as 0", endorsers=[peers[0], twisted(peers[1], lambda made: _with_r(made, 0))])
    add("endorsed by nobody's identity", endorsers=[peers[0], Signer(b"", ec_key())])
    add("endorsed by an identity that is none", endorsers=[peers[0], Signer(b"\xff\xff", ec_key())])
    now = maker.table.now
    add(
        "endorsed by a peer whose certificate has ended",
        endorsers=[peers[0], two.signer("peer", begins=now - 90, ends=now - 60)],
    )
    add(
        "endorsed by a peer whose certificate has not begun", endorsers=[peers[0], two.signer("peer", begins=now + DAY)]
    )
    add("endorsed by a peer that is revoked", endorsers=[peers[0], two.signer("peer", serial=REVOKED)])
    add("endorsed by a revoked peer besides", endorsers=[*peers[:2], two.signer("peer", serial=REVOKED)])
    add(
        "endorsed by a peer with Ed25519",
        endorsers=[peers[0], two.signer("peer", key=ed25519.Ed25519PrivateKey.generate())],
    )
    add("endorsed by a peer with P-384", endorsers=[peers[0], two.signer("peer", key=ec_key(ec.SECP384R1()))])
    add("endorsed by a peer with P-521", endorsers=[peers[0], two.signer("peer", key=ec_key(ec.SECP521R1()))])
    twin = _twin(two)
    add("endorsed by a peer with a high S of its CA", endorsers=[peers[0], twin[0]])
    add(
        "endorsed by a peer with a low and a high S of its CA",
        endorsers=list(twin),
        chaincode="strict",
        only_fabric=True,
    )
    add("one peer under two forms of its certificate", endorsers=[*twin, peers[0]])
    commented = _retold(peers[1], lambda text: b"# a peer\r\n" + text.replace(b"\n", b"\r\n"))
    add("endorsed by a peer with text around its certificate", endorsers=[peers[0], commented])
    add("endorsed by one peer under two texts", endorsers=[peers[1], commented])
    reordered = replace(peers[1], identity=fields((2, pem_of(peers[1])), (1, MSPS[1].encode())))
    add("endorsed by a peer with its fields in another order", endorsers=[peers[0], reordered])
    doubled = replace(peers[1], identity=fields((1, b"EveMSP"), (1, MSPS[1].encode()), (2, pem_of(peers[1]))))
    add("endorsed by a peer with its organisation twice", endorsers=[peers[0], doubled])
    add("endorsed by a hundred clients and two peers", endorsers=[*[maker.client] * 100, *peers[:2]])
    add("endorsed in another order", endorsers=[peers[3], peers[2]])
    add("an endorsement without anything", _become("endorsed", lambda made: made + fields((2, b""))))
    add("an endorsement that is none", _become("endorsed", lambda made: made + fields((2, b"\xff"))))


def _high(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, keys._ORDERS["secp256r1"] - s)


def _longer(signature: bytes) -> bytes:
    return der.encode(der.SEQUENCE, der.Reader(signature).take(der.SEQUENCE).content, der.encode(der.NULL))


def _zero(signature: bytes) -> bytes:
    reader = der.Reader(signature).inside(der.SEQUENCE)
    r = reader.take(der.INTEGER).content
    return der.encode(der.SEQUENCE, der.encode(der.INTEGER, b"\x00", r), reader.rest)


def _plain(signature: bytes) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))


def _with_r(signature: bytes, r: int) -> bytes:
    _, s = decode_dss_signature(signature)
    content = b"\xff" if r < 0 else b"\x00"
    return der.encode(der.SEQUENCE, der.encode(der.INTEGER, content), der.encode_integer(s))


def pem_of(signer: Signer) -> bytes:
    return parse_serialized_identity(signer.identity)[1]


def _retold(signer: Signer, change: Callable[[bytes], bytes]) -> Signer:
    msp_id, text = parse_serialized_identity(signer.identity)
    return replace(signer, identity=serialize_identity(msp_id, change(text)))


def _twin(organisation: Organisation) -> tuple[Signer, Signer]:
    """One certificate with a high S of its CA, and with the low one."""
    high = organisation.signer("peer", high_s=True)
    read = x509.load_pem(pem_of(high))
    authority = x509.parse(organisation.authority.certificate)
    assert isinstance(authority.key, ec.EllipticCurvePublicKey)
    bits = der.encode(der.BIT_STRING, b"\x00", keys.with_low_s(read.signature, authority.key))
    low = der.encode(der.SEQUENCE, read.to_be_signed, read.signature_algorithm, bits)
    return high, _retold(high, lambda _: pem(low))


def _creators(maker: _Maker) -> None:
    add, one, now = maker.add, maker.one, maker.table.now
    client = maker.client
    for unit in ("peer", "admin", "orderer"):
        add(f"created by a {unit}", creator=one.signer(unit))
    add("created by nobody with a role", creator=one.signer("research"))
    add("created by one of another organisation", creator=maker.table.organisations[MSPS[3]].signer("client"))
    add("created by one whose certificate has ended", creator=one.signer("client", begins=now - 90, ends=now - 60))
    add("created by one whose certificate has not begun", creator=one.signer("client", begins=now + DAY))
    add("created by one who is revoked", creator=one.signer("client", serial=REVOKED))
    add("created with Ed25519", creator=one.signer("client", key=ed25519.Ed25519PrivateKey.generate()))
    for curve in (ec.SECP224R1(), ec.SECP384R1(), ec.SECP521R1()):
        add(f"created with {curve.name}", creator=one.signer("client", key=ec_key(curve)))
    for number in range(4):
        add(f"created with a high S of the CA, {number}", creator=one.signer("client", high_s=True))
    add("created with a high S", creator=replace(client, twist=_high))
    add("created with bytes behind the signature", creator=replace(client, twist=lambda made: made + b"more"))
    add("created with bytes within the signature", creator=replace(client, twist=_longer))
    add("created with a length of two bytes", creator=replace(client, twist=lambda made: b"\x30\x81" + made[1:]))
    add("created with a zero too many", creator=replace(client, twist=_zero))
    add("created with r and s as 64 bytes", creator=replace(client, twist=_plain))
    add("created with a negative r", creator=replace(client, twist=lambda made: _with_r(made, -1)))
    add("created with a signature of one byte", creator=replace(client, twist=lambda _: b"0"))
    add("created with another key", creator=Signer(client.identity, ec_key()))
    add(
        "created with text around the certificate",
        creator=_retold(client, lambda text: b"me:\n" + text + b"that was me"),
    )
    add("created with CR LF", creator=_retold(client, lambda text: text.replace(b"\n", b"\r\n")))
    other = pem_of(one.signer("client"))
    add("created with two certificates", creator=_retold(client, lambda text: text + other))
    add("created with two certificates, the second one's own", creator=_retold(client, lambda text: other + text))
    add(
        "created with its fields in another order",
        creator=replace(client, identity=fields((2, pem_of(client)), (1, MSPS[0].encode()))),
    )
    add(
        "created with its organisation twice",
        creator=replace(client, identity=fields((1, b"EveMSP"), (1, MSPS[0].encode()), (2, pem_of(client)))),
    )
    add("created with an unknown field", creator=replace(client, identity=client.identity + UNKNOWN))
    for what, odd in ENCODINGS.items():
        add(f"created with {what}", creator=replace(client, identity=client.identity + odd))
        peer = replace(maker.peers[1], identity=maker.peers[1].identity + odd)
        add(f"endorsed with {what}", endorsers=[maker.peers[0], peer])
    add(
        "created by an unknown organisation",
        creator=replace(client, identity=serialize_identity("EveMSP", pem_of(client))),
    )
    add("created by no organisation", creator=replace(client, identity=serialize_identity("", pem_of(client))))
    add(
        "created in another organisation's name",
        creator=replace(client, identity=serialize_identity(MSPS[1], pem_of(client))),
    )
    add("created by no certificate", creator=replace(client, identity=serialize_identity(MSPS[0], b"")))
    add("created by bytes that are none", creator=replace(client, identity=b"\xff\xff"))
    add("created by nobody", _set("signature_header", creator=b""))


def _unknown(maker: _Maker) -> None:
    """Fields that nobody knows, and that everybody signs."""
    for message in (
        *("extension", "channel_header", "signature_header", "invocation", "request", "results", "result"),
        *("answer", "endorsed", "action_payload", "action", "transaction", "header", "payload"),
    ):
        maker.add(f"an unknown field in {message}", _become(message, lambda made: made + UNKNOWN))
        maker.add(f"an unknown field before {message}", _become(message, lambda made: UNKNOWN + made))
        for what, odd in ENCODINGS.items():
            maker.add(f"{what} in {message}", _become(message, lambda made, odd=odd: made + odd))  # type: ignore[misc]
    maker.add("a group in the header", _become("channel_header", lambda made: made + b"\xfb\x01\x08\x01\xfc\x01"))
    maker.add("a group that does not end", _become("channel_header", lambda made: made + b"\xfb\x01\x08\x01"))
    maker.add("a field of number 0", _become("channel_header", lambda made: made + b"\x02\x01x"))
    maker.add(
        "a field's number in ten bytes",
        _become("channel_header", lambda made: made + b"\x8a" + b"\x80" * 8 + b"\x00\x00"),
    )
    maker.add("a known field of another kind", _become("channel_header", lambda made: made + b"\x20\x05"))


def _read(key: str, version: tuple[int, int] | None) -> Any:
    read = kv_rwset_pb2.KVRead(key=key)
    if version is not None:
        read.version.block_num, read.version.tx_num = version
    return read


AT = (STATE_BLOCK, 0)


def _range(start: str, end: str, *reads: Any, exhausted: bool = True, **more: Any) -> Any:
    query = kv_rwset_pb2.RangeQueryInfo(start_key=start, end_key=end, itr_exhausted=exhausted, **more)
    if not more:
        query.raw_reads.kv_reads.extend(reads)
    return query


def _reads(maker: _Maker) -> None:
    """Two blocks of reads; those of the second meet writes of their own block."""

    def reads(name: str, *given: Any, ranges: Sequence[Any] = (), writes: Sequence[Any] = ()) -> None:
        results = _raw(CHAINCODE, *writes, reads=given, range_queries_info=ranges)
        maker.add(f"reads: {name}", results=results)

    reads("of the right version", _read("a", AT))
    reads("of a key that is not there", _read("z", None))
    reads("of a key as if it was not there", _read("a", None))
    reads("of a key as if it was there", _read("z", AT))
    reads("of a key as if at the first version", _read("z", (0, 0)))
    reads("of an older version", _read("a", (1, 0)))
    reads("of another place in the block", _read("a", (STATE_BLOCK, 1)))
    reads("of a version to come", _read("a", (1 << 40, 0)))
    reads("twice, both right", _read("a", AT), _read("a", AT))
    reads("twice, the second wrong", _read("a", AT), _read("a", None))
    whole = [_read(key, AT) for key in "abcde"]
    reads("a range", ranges=[_range("a", "f", *whole)])
    reads("a range up to its end", ranges=[_range("a", "e", *whole[:4])])
    reads("a range with one too few", ranges=[_range("a", "f", *whole[:4])])
    reads("a range with one too many", ranges=[_range("a", "e", *whole)])
    reads("a range with another version", ranges=[_range("a", "f", *whole[:4], _read("e", (1, 1)))])
    reads("a range in another order", ranges=[_range("a", "f", *reversed(whole))])
    reads("a range with another key", ranges=[_range("a", "f", *whole[:4], _read("ee", AT))])
    reads("a range without anything in it", ranges=[_range("f", "g")])
    reads("a range without anything told", ranges=[_range("a", "f")])
    reads("a range from behind to before", ranges=[_range("f", "a")])
    reads("a range that stopped", ranges=[_range("a", "c", *whole[:3], exhausted=False)])
    reads("a range that stopped, without its last", ranges=[_range("a", "c", *whole[:2], exhausted=False)])
    reads("a range that stopped at a key that is not there", ranges=[_range("a", "bb", *whole[:2], exhausted=False)])
    reads("a range that stopped before its start", ranges=[_range("c", "b", whole[1], exhausted=False)])
    reads(
        "a range without reads of any kind",
        ranges=[kv_rwset_pb2.RangeQueryInfo(start_key="f", end_key="g", itr_exhausted=True)],
    )
    for degree in (2, 3, 5):
        summary = merkle_summary([Read(key, Version(*AT)) for key in "abcde"], degree)
        told = kv_rwset_pb2.QueryReadsMerkleSummary(max_degree=degree)
        if summary is not None:
            told.max_level = summary.max_level
            told.max_level_hashes.extend(summary.max_level_hashes)
        reads(f"a summary of degree {degree}", ranges=[_range("a", "f", reads_merkle_hashes=told)])
        reads(f"a summary of degree {degree} of less", ranges=[_range("a", "e", reads_merkle_hashes=told)])
        deeper = kv_rwset_pb2.QueryReadsMerkleSummary()
        deeper.CopyFrom(told)
        deeper.max_level += 1
        reads(f"a summary of degree {degree} with another level", ranges=[_range("a", "f", reads_merkle_hashes=deeper)])
    reads(
        "a summary of nothing",
        ranges=[_range("f", "g", reads_merkle_hashes=kv_rwset_pb2.QueryReadsMerkleSummary(max_degree=3))],
    )
    reads("a conflict before a phantom", _read("a", None), ranges=[_range("a", "f")])
    maker.add(
        "reads: of another chaincode, right",
        results=_raw("free", reads=[_read("a", (STATE_BLOCK, 1))]),
        only_fabric=True,
    )
    maker.add("reads: of another chaincode, wrong", results=_raw("free", reads=[_read("a", AT)]), only_fabric=True)
    maker.add(
        "reads: a phantom, then a conflict in the next namespace",
        results=together(
            _raw(CHAINCODE, range_queries_info=[_range("a", "f")]), _raw("free", reads=[_read("a", None)])
        ),
        only_fabric=True,
    )
    maker.cut()

    write = kv_rwset_pb2.KVWrite
    reads("of a key, which is written", _read("a", AT), writes=[write(key="a", value=b"2")])
    reads("of that key in its block", _read("a", AT), writes=[write(key="a", value=b"3")])
    reads("of a key that its block makes", _read("new", None))
    reads("nothing, makes a key", writes=[write(key="new", value=b"1")])
    reads("of that key as it was", _read("new", None))
    reads("a range that got a key", ranges=[_range("m", "o")])
    reads("that range with the key", ranges=[_range("m", "o", _read("new", (len(maker.table.blocks) + 1, 3)))])
    reads("nothing, deletes a key", writes=[write(key="b", is_delete=True)])
    reads("of the deleted key as it was", _read("b", AT))
    reads("of the deleted key as gone", _read("b", None))
    reads("a range without the deleted key", ranges=[_range("b", "d", whole[2])])
    reads("a range with the deleted key", ranges=[_range("b", "d", *whole[1:3])])
    reads("a range that stopped at the deleted key", ranges=[_range("aa", "b", exhausted=False)])
    maker.add("reads: writes a key and is endorsed by nobody", results=written(CHAINCODE, ("c", b"9")), endorsers=[])
    reads("of that key, which was not written", _read("c", AT))
    reads("writes a key twice, which leaves it", writes=[write(key="d", value=b"8"), write(key="d", value=b"9")])
    reads("of that key all the same", _read("d", AT))
    reads(
        "writes a new key twice, which makes none",
        writes=[write(key="none", value=b"8"), write(key="none", value=b"9")],
    )
    reads("of that new key", _read("none", None))
    maker.cut()
    reads("of what the block before wrote", _read("a", (len(maker.table.blocks), 0)))
    reads("of what it deleted", _read("b", None))
    reads("of what it wrote twice", _read("d", (len(maker.table.blocks), 15)))
    reads("of the new key written twice", _read("none", None))
    maker.cut()


def _repetitions(maker: _Maker) -> None:
    first = maker.add("repeated: the first")
    maker.add_envelope("repeated: the same again", first)
    forged = Signer(maker.client.identity, ec_key())
    nonce = b"one nonce for two of them"

    def numbered(parts: Parts) -> None:
        parts.signature_header.nonce = nonce
        parts.channel_header.tx_id = transaction_id_of(nonce, parts.signature_header.creator)

    maker.add("repeated: somebody else with an id that comes", numbered, creator=forged)
    maker.add("repeated: the id's own transaction", numbered)
    maker.add("repeated: the id once more", numbered)
    maker.add("repeated: too few endorsements", _numbered(b"second nonce"), endorsers=[])
    maker.add("repeated: that id with enough", _numbered(b"second nonce"))
    maker.add("repeated: somebody else with an id of the next block", _numbered(b"third nonce"), creator=forged)
    unnamed = _numbered(b"fourth nonce")
    maker.add(
        "repeated: nobody's id, of a nonce of the next block",
        unnamed,
        lambda parts: setattr(parts.channel_header, "tx_id", ""),
    )
    claimed = transaction_id_of(b"fifth nonce", maker.client.identity)
    maker.add(
        "repeated: another nonce with an id of the next block",
        lambda parts: setattr(parts.channel_header, "tx_id", claimed),
    )
    maker.cut()
    maker.add_envelope("repeated: the first in another block", first)
    maker.add("repeated: the id of the third", numbered)
    maker.add("repeated: the id that somebody else took", _numbered(b"third nonce"))
    maker.add("repeated: the id that nobody named", unnamed)
    maker.add("repeated: the id that another nonce took", _numbered(b"fifth nonce"))
    maker.add("repeated: refused for its endorsements and its id", _numbered(b"second nonce"), endorsers=[])
    maker.add("repeated: an id that is right", _numbered(b"sixth nonce"))
    maker.cut()


def _numbered(nonce: bytes) -> Change:
    def change(parts: Parts) -> None:
        parts.signature_header.nonce = nonce
        parts.channel_header.tx_id = transaction_id_of(nonce, parts.signature_header.creator)

    return change


def _policies(maker: _Maker) -> None:
    orgs, peers = maker.table.organisations, maker.peers
    one, two, three, four = (orgs[msp_id] for msp_id in MSPS)
    sets: dict[str, list[Signer]] = {
        "nobody": [],
        "a client": [one.signer("client")],
        "one peer": peers[:1],
        "another peer": peers[1:2],
        "two peers": peers[:2],
        "all peers": peers,
        "an administrator of the second": [two.signer("admin")],
        "a researcher of the third": [three.signer("client", "research")],
        "a researcher of the fourth": [four.signer("client", "research")],
        "an orderer of the fourth": [four.signer("orderer")],
        "an orderer of the third": [three.signer("orderer")],
    }
    for chaincode in (
        "strict",
        "free",
        "nobody",
        "everybody",
        "reference",
        "relative",
        "strange",
        "rootless",
        "astray",
        "elsewhere",
        "odd",
    ):
        for what, endorsers in sets.items():
            maker.add(f"{chaincode} endorsed by {what}", chaincode=chaincode, endorsers=endorsers, only_fabric=True)
    maker.cut()


def _collections(maker: _Maker) -> None:
    peers = maker.peers

    def private(collection: str, **more: Any) -> Any:
        write = kv_rwset_pb2.KVWriteHash(key_hash=b"k" * 32, value_hash=b"v" * 32, **more)
        return _hashed("private", collection, kv_rwset_pb2.HashedRWSet(hashed_writes=[write]).SerializeToString())

    def add(name: str, results: Any, endorsers: Sequence[Signer]) -> None:
        maker.add(f"private: {name}", chaincode="private", results=results, endorsers=endorsers, only_fabric=True)

    add("a collection without a policy, two peers", private("common"), peers[:2])
    add("a collection without a policy, one peer", private("common"), peers[:1])
    add("a collection with a policy, its peer", private("own"), peers[3:])
    add("a collection with a policy, two others", private("own"), peers[:2])
    add("an organisation's own, its peer", private("_implicit_org_OneMSP"), peers[:1])
    add("an organisation's own, another's peer", private("_implicit_org_OneMSP"), peers[1:2])
    add("a stranger's own", private("_implicit_org_EveMSP"), peers)
    add("the judge's own", private("_implicit_org_JudgeMSP"), peers)
    add("public and private, two peers", together(written("private", ("p", b"v"))), peers[:2])
    add(
        "a private read of nothing",
        _hashed(
            "private",
            "common",
            kv_rwset_pb2.HashedRWSet(hashed_reads=[kv_rwset_pb2.KVReadHash(key_hash=b"n" * 32)]).SerializeToString(),
        ),
        peers[:2],
    )
    add("an empty collection that is not there", _hashed("private", "other", b""), peers[:2])
    maker.cut()
    kv = kv_rwset_pb2

    def at(block: int, place: int) -> Any:
        read = kv.KVReadHash(key_hash=b"k" * 32)
        read.version.block_num, read.version.tx_num = block, place
        return _hashed("private", "common", kv.HashedRWSet(hashed_reads=[read]).SerializeToString())

    add("a private read of the right version", at(len(maker.table.blocks), 0), peers[:2])
    add("a private read of another version", at(1, 0), peers[:2])
    add("a private deletion", private("common", is_delete=True), peers[:2])
    add("a private read of what was deleted", at(len(maker.table.blocks), 0), peers[:2])
    add("a private purge that is no deletion", private("common", is_purge=True), peers[:2])
    add("a private read of what is written", at(len(maker.table.blocks), 0), peers[:2])
    maker.cut()
