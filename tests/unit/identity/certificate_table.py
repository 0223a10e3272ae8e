"""The table of certificates and MSP definitions, good and bad, that Fabric and fedledger have to judge alike.

Each run makes all of them anew. ``vectors/certificates.json`` keeps one run as a real peer judged it.
"""

from __future__ import annotations

import base64
import ipaddress
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from fabric_protos.msp import msp_config_pb2

from fedledger.identity import der
from fedledger.identity.der import encode, encode_integer
from tests.unit.identity.certificate_maker import (
    DAY,
    Authority,
    Draft,
    Extension,
    Key,
    agreement_key,
    algorithm,
    attribute,
    authority_key,
    compressed_key_info,
    constraints,
    ec_key,
    hosts,
    identifier,
    key_info,
    name,
    name_constraints,
    oid,
    pem,
    purposes,
    revocation_list,
    root_draft,
    subject_key,
    text,
    time,
    usage,
)

SERVER, CLIENT, CODE, ANY = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.3", "2.5.29.37.0"
ROLES = ("client", "peer", "admin", "orderer")
_AUTHORITY_KEY, _SUBJECT_KEY, _USAGE, _CONSTRAINTS = "2.5.29.35", "2.5.29.14", "2.5.29.15", "2.5.29.19"


@dataclass(frozen=True)
class Case:
    """One certificate as the identity of an organisation's member."""

    name: str
    organisation: str
    pem: bytes
    key: Key


@dataclass(frozen=True)
class Issued:
    """What some authority issued: what it is, the root's PEM, the certificate's PEM and its key."""

    name: str
    root: bytes
    pem: bytes
    key: Key


@dataclass
class Table:
    """Everything that is judged."""

    now: int
    organisations: dict[str, bytes] = field(default_factory=dict)
    """Serialized ``FabricMSPConfig`` by MSP id: those that are in one channel together."""
    cases: list[Case] = field(default_factory=list)
    definitions: dict[str, bytes] = field(default_factory=dict)
    """Definitions by what is odd about them, each for the MSP id ``Odd``."""

    def organisation(self, msp_id: str, *roots: bytes, **changes: Any) -> str:
        assert msp_id not in self.organisations
        self.organisations[msp_id] = definition(msp_id, *roots, **changes)
        return msp_id

    def add(self, what: str, organisation: str, content: bytes, key: Key) -> None:
        """A case by the DER of its certificate."""
        self.add_text(what, organisation, pem(content), key)

    def add_text(self, what: str, organisation: str, content: bytes, key: Key) -> None:
        assert what not in {case.name for case in self.cases}, what
        self.cases.append(Case(what, organisation, content, key))

    def define(self, what: str, *roots: bytes, **changes: Any) -> None:
        assert what not in self.definitions, what
        self.definitions[what] = definition("Odd", *roots, **changes)


def definition(
    msp_id: str,
    *roots: bytes,
    below: tuple[bytes, ...] = (),
    lists: tuple[bytes, ...] = (),
    tls: tuple[bytes, ...] = (),
    tls_below: tuple[bytes, ...] = (),
    admins: tuple[bytes, ...] = (),
    units: tuple[tuple[str, bytes], ...] = (),
    ous: Mapping[str, tuple[str, bytes]] | None = None,
    enforced: bool = True,
) -> bytes:
    """A serialized ``FabricMSPConfig``; certificates in PEM."""
    message = msp_config_pb2.FabricMSPConfig(
        name=msp_id,
        root_certs=roots,
        intermediate_certs=below,
        revocation_list=lists,
        tls_root_certs=tls,
        tls_intermediate_certs=tls_below,
        admins=admins,
    )
    message.crypto_config.signature_hash_family = "SHA2"
    message.crypto_config.identity_identifier_hash_function = "SHA256"
    message.fabric_node_ous.enable = enforced
    for role, (unit, certificate) in ({role: (role, b"") for role in ROLES} if ous is None else ous).items():
        identifier_of = getattr(message.fabric_node_ous, f"{role}_ou_identifier")
        identifier_of.organizational_unit_identifier = unit
        identifier_of.certificate = certificate
    for unit, certificate in units:
        message.organizational_unit_identifiers.add(organizational_unit_identifier=unit, certificate=certificate)
    return bytes(message.SerializeToString(deterministic=True))


def make_table(now: int, folder: Path, issued: Iterable[Issued] = ()) -> Table:
    """All of it and ``issued``; ``folder`` is for openssl, which makes some of the certificates where it is there."""
    table = Table(now)
    root = Authority.of(root_draft(ec_key(), now))
    table.organisation("Plain", pem(root.certificate))
    for part in (
        _signatures,
        _extensions,
        _times,
        _names,
        _texts,
        _encodings,
        _algorithms,
        _chains,
        _revocations,
        _constraints_on_names,
        _units,
    ):
        part(table, root)
    _definitions(table, root)
    _made_elsewhere(table, folder)
    for number, each in enumerate(issued):
        organisation = table.organisation(f"Issuer{number}", each.root)
        table.add_text(f"by {each.name}", organisation, each.pem, each.key)
    return table


def _signatures(table: Table, root: Authority) -> None:
    now = table.now
    key = ec_key()
    leaf = root.leaf(key, now)
    table.add("as Fabric CA makes it", "Plain", replace(leaf, high_s=False).signed(root), key)
    for number in range(3):
        table.add(f"a high S of the CA, {number}", "Plain", replace(leaf, high_s=True).signed(root), key)
    table.add("a signature that does not hold", "Plain", replace(leaf, broken=True).signed(root), key)
    stranger = Authority.of(root_draft(ec_key(), now))
    table.add("of a CA with the same name and another key", "Plain", leaf.signed(stranger), key)
    table.add("signed by itself", "Plain", leaf.signed(), key)
    table.add("signed by itself, in the CA's name", "Plain", replace(leaf, issuer=root.subject).signed(), key)
    table.add("issued by a member", "Plain", _by_member(root, now, key), key)
    odd = leaf.signed(root)
    while odd[-1] & 1:
        odd = leaf.signed(root)
    short = bytearray(odd)
    place = len(odd) - len(_signature_of(odd)) - 1
    short[place] = 1
    table.add("unused bits told of a signature whose last bit is zero", "Plain", bytes(short), key)
    table.add("unused bits behind a signature that is whole", "Plain", replace(leaf, unused=1).signed(root), key)
    table.add("three unused bits behind a signature", "Plain", replace(leaf, unused=3).signed(root), key)
    table.add("bytes behind the signature", "Plain", replace(leaf, after=encode(der.NULL)).signed(root), key)
    table.add("bytes behind the extensions", "Plain", replace(leaf, behind=encode(der.NULL)).signed(root), key)
    table.add("bytes behind the certificate", "Plain", leaf.signed(root) + b"\x00", key)
    table.add(
        "another algorithm named in the body", "Plain", replace(leaf, named=algorithm("ecdsa-sha384")).signed(root), key
    )
    for kind in ("ecdsa-sha1", "ecdsa-sha384", "ecdsa-sha512"):
        table.add(f"signed with {kind}", "Plain", replace(leaf, kind=kind).signed(root), key)
    other = ec_key()
    table.add("the CA's certificate as an identity", "Plain", root.certificate, root.key)
    table.add("a CA's certificate issued by the CA", "Plain", root.below(other, now).signed(root), other)


def _signature_of(certificate: bytes) -> bytes:
    return x509.load_der_x509_certificate(certificate).signature


def _by_member(root: Authority, now: int, key: Key) -> bytes:
    member_key = ec_key()
    draft = root.leaf(member_key, now)
    member = Authority(member_key, draft.subject, draft.signed(root))
    return member.leaf(key, now).signed(member)


def _extensions(table: Table, root: Authority) -> None:
    now, key = table.now, ec_key()
    leaf = root.leaf(key, now)

    def add(what: str, draft: Draft) -> None:
        table.add(what, "Plain", draft.signed(root), key)

    add("without key usage", leaf.with_extensions(without=(_USAGE,)))
    add("key usage without signatures", leaf.with_extensions(usage(2, 4)))
    add("key usage of nothing", leaf.with_extensions(usage()))
    add("key usage to sign certificates", leaf.with_extensions(usage(0, 5, 6)))
    add("key usage that is not critical", leaf.with_extensions(usage(0, critical=False)))
    add("key usage with bits behind the ninth", leaf.with_extensions(Extension(_USAGE, bytes.fromhex("030400808040"))))
    add("key usage that is no bit string", leaf.with_extensions(Extension(_USAGE, encode(der.NULL), True)))
    add("without basic constraints", leaf.with_extensions(without=(_CONSTRAINTS,)))
    add("basic constraints that are not critical", leaf.with_extensions(constraints(False, critical=False)))
    add(
        "basic constraints with false written out",
        leaf.with_extensions(Extension(_CONSTRAINTS, encode(der.SEQUENCE, encode(der.BOOLEAN, b"\x00")), True)),
    )
    add(
        "basic constraints with a boolean of 1",
        leaf.with_extensions(Extension(_CONSTRAINTS, encode(der.SEQUENCE, encode(der.BOOLEAN, b"\x01")), True)),
    )
    add("a path length without being a CA's", leaf.with_extensions(constraints(False, 0)))
    add("without subject key identifier", leaf.with_extensions(without=(_SUBJECT_KEY,)))
    add("without authority key identifier", leaf.with_extensions(without=(_AUTHORITY_KEY,)))
    add("another authority key identifier", leaf.with_extensions(authority_key(b"somebody else")))
    add("an empty authority key identifier", leaf.with_extensions(authority_key(b"")))
    add("a critical authority key identifier", leaf.with_extensions(authority_key(identifier(root.key), critical=True)))
    add("a critical subject key identifier", leaf.with_extensions(subject_key(key, critical=True)))
    add("without extensions", replace(leaf, extensions=()))
    add("version 1 without extensions", replace(leaf, extensions=(), version=0))
    add("version 1 with extensions", replace(leaf, version=0))
    add(
        "version 2 with unique identifiers",
        replace(leaf, extensions=(), version=1, unique=encode(0x81, b"\x00\x01") + encode(0x82, b"\x00\x02")),
    )
    add("version 3 with unique identifiers", replace(leaf, unique=encode(0x81, b"\x00\x01")))
    add("version 4", replace(leaf, version=3))
    strange = Extension("1.2.3.4.5", encode(der.NULL))
    add("an unknown extension", leaf.with_extensions(strange))
    add("an unknown critical extension", leaf.with_extensions(replace(strange, critical=True)))
    add("the same extension twice", replace(leaf, extensions=(*leaf.extensions, strange, strange)))
    add("Fabric CA's attributes", leaf.with_extensions(Extension("1.2.3.4.5.6.7.8.1", b'{"attrs":{"a":"b"}}')))
    add(
        "Fabric CA's attributes, critical",
        leaf.with_extensions(Extension("1.2.3.4.5.6.7.8.1", b'{"attrs":{"a":"b"}}', True)),
    )
    add("attributes that are no JSON", leaf.with_extensions(Extension("1.2.3.4.5.6.7.8.1", b"nothing")))
    add("for clients of TLS only", leaf.with_extensions(purposes(CLIENT)))
    add("for servers of TLS", leaf.with_extensions(purposes(SERVER)))
    add("for clients and servers of TLS", leaf.with_extensions(purposes(SERVER, CLIENT, critical=True)))
    add("for any purpose", leaf.with_extensions(purposes(ANY)))
    add("for an unknown purpose", leaf.with_extensions(purposes("1.2.3.4.5.6")))
    add("for code only, critical", leaf.with_extensions(purposes(CODE, critical=True)))
    add("for no purpose", leaf.with_extensions(purposes()))
    add("critical names of hosts", leaf.with_extensions(hosts("peer.cleveland.example", critical=True)))
    add(
        "critical alternative names of a kind that is not read",
        leaf.with_extensions(Extension("2.5.29.17", encode(der.SEQUENCE, encode(0x88, b"\x2a\x03")), True)),
    )
    add(
        "an address of five bytes",
        leaf.with_extensions(Extension("2.5.29.17", encode(der.SEQUENCE, encode(0x87, b"12345")))),
    )
    add("a URI with a space", leaf.with_extensions(hosts("https://clevel and.example/", tag=0x86)))
    add("a host's name that is not ASCII", leaf.with_extensions(hosts("pe\u00ebr.example")))
    policies = encode(der.SEQUENCE, encode(der.SEQUENCE, oid("1.2.3.4")))
    add("certificate policies", leaf.with_extensions(Extension("2.5.29.32", policies)))
    add("critical certificate policies", leaf.with_extensions(Extension("2.5.29.32", policies, True)))
    point = encode(der.SEQUENCE, encode(der.SEQUENCE, encode(0xA0, encode(0xA0, encode(0x86, b"http://ca.example")))))
    add("where the revocation list is, critical", leaf.with_extensions(Extension("2.5.29.31", point, True)))
    access = encode(der.SEQUENCE, encode(der.SEQUENCE, oid("1.3.6.1.5.5.7.48.1"), encode(0x86, b"http://ca.example")))
    add("where the CA answers", leaf.with_extensions(Extension("1.3.6.1.5.5.7.1.1", access)))
    add("where the CA answers, critical", leaf.with_extensions(Extension("1.3.6.1.5.5.7.1.1", access, True)))
    add(
        "a critical extension that nobody has read since 1999",
        leaf.with_extensions(Extension("2.16.840.1.113730.1.1", encode(der.BIT_STRING, b"\x06\x40"), True)),
    )
    add(
        "an extension with its false written out",
        replace(
            leaf,
            extensions=(
                *leaf.extensions,
                _Plain(
                    encode(der.SEQUENCE, oid("1.2.3.4.5"), encode(der.BOOLEAN, b"\x00"), encode(der.OCTET_STRING, b""))
                ),
            ),
        ),
    )


class _Plain(Extension):
    """An extension given as it stands."""

    def __init__(self, content: bytes) -> None:
        super().__init__("0.0", b"")
        object.__setattr__(self, "content", content)

    def encoded(self) -> bytes:
        return bytes(self.content)  # type: ignore[attr-defined]


def _times(table: Table, root: Authority) -> None:
    now, key = table.now, ec_key()
    leaf = root.leaf(key, now)

    def add(what: str, draft: Draft) -> None:
        table.add(what, "Plain", draft.signed(root), key)

    add("expired", replace(leaf, begins=now - 1_000, ends=now - 10))
    add("not yet valid", replace(leaf, begins=now + 10 * DAY, ends=now + 20 * DAY))
    add("ends before it begins", replace(leaf, begins=now, ends=now - DAY))
    add("valid for a second", replace(leaf, begins=now - 100, ends=now - 99))
    add("valid for no time", replace(leaf, begins=now - 100, ends=now - 100))
    add("begins before its CA", replace(leaf, begins=now - DAY))
    add("begins a second before its CA", replace(leaf, begins=now - 3_601))
    add("begins with its CA", replace(leaf, begins=now - 3_600))
    add("outlives its CA", replace(leaf, ends=now + 5_000 * DAY))
    add("begins when its CA has ended", replace(leaf, begins=now + 3_700 * DAY, ends=now + 3_800 * DAY))

    def between(*times: bytes) -> Draft:
        return replace(leaf, validity=encode(der.SEQUENCE, *times))

    begin, end = now - 300, now + DAY
    add("generalized times", between(time(begin, generalized=True), time(end, generalized=True)))
    add("a time with a zone", between(time(begin, zone="+0100"), time(end, zone="-0100")))
    add("a time with a zone of nothing", between(time(begin), time(end, zone="+0000")))
    add("a time without a zone", between(time(begin), time(end, zone="")))
    add("a time without seconds", between(encode(der.UTC_TIME, f"{der.aware(begin):%y%m%d%H%M}Z".encode()), time(end)))
    add("a time with fractions", between(time(begin), time(end, generalized=True, zone=".5Z")))
    add("the thirtieth of February", between(time(begin), encode(der.UTC_TIME, b"300230000000Z")))
    add("the end of time", between(time(begin), encode(der.GENERALIZED_TIME, b"99991231235959Z")))
    add("before 1950", between(encode(der.GENERALIZED_TIME, b"19491231235959Z"), time(end)))
    add("a leap second", between(time(begin), encode(der.UTC_TIME, b"300101000060Z")))
    add("a time that is text", between(time(begin), encode(der.UTF8_STRING, b"300101000000Z")))
    add("three times", between(time(begin), time(end), time(end)))
    old = Authority.of(replace(root_draft(ec_key(), now), begins=now - 20 * DAY, ends=now - 10 * DAY))
    table.organisation("Expired", pem(old.certificate))
    table.add(
        "of an expired CA, within its time",
        "Expired",
        replace(old.leaf(key, now), begins=now - 15 * DAY).signed(old),
        key,
    )
    table.add("of an expired CA, after its time", "Expired", old.leaf(key, now).signed(old), key)
    young = Authority.of(replace(root_draft(ec_key(), now), begins=now + 10 * DAY))
    table.organisation("Young", pem(young.certificate))
    table.add("of a CA that has not begun", "Young", young.leaf(key, now).signed(young), key)
    table.add(
        "of a CA that has not begun, within its time",
        "Young",
        replace(young.leaf(key, now), begins=now + 11 * DAY).signed(young),
        key,
    )


def _names(table: Table, root: Authority) -> None:
    now, key = table.now, ec_key()
    leaf = root.leaf(key, now)

    def add(what: str, subject: bytes, **changes: Any) -> None:
        table.add(what, "Plain", replace(leaf, subject=subject, **changes).signed(root), key)

    def of(*attributes: bytes) -> bytes:
        return encode(der.SEQUENCE, *(encode(der.SET, each) for each in attributes))

    unit = attribute("2.5.4.11", text("client"))
    common = attribute("2.5.4.3", text("alice"))
    for what, tag in (("PrintableString", der.PRINTABLE_STRING), ("IA5String", der.IA5_STRING)):
        add(f"units as {what}", of(attribute("2.5.4.11", text("client", tag)), common))
    add("units as T61String", of(attribute("2.5.4.11", text("client", der.T61_STRING)), common))
    add("units as BMPString", of(attribute("2.5.4.11", text("client", der.BMP_STRING)), common))
    add(
        "units as BMPString with an end",
        of(attribute("2.5.4.11", encode(der.BMP_STRING, "client\0".encode("utf-16-be"))), common),
    )
    add("a name as UniversalString", of(unit, attribute("2.5.4.3", encode(0x1C, "alice".encode("utf-32-be")))))
    add("a name that is no UTF-8", of(unit, attribute("2.5.4.3", encode(der.UTF8_STRING, b"al\xffce"))))
    add("a PrintableString with an at sign", of(unit, attribute("2.5.4.3", text("a@b", der.PRINTABLE_STRING))))
    add("a PrintableString with a star", of(unit, attribute("2.5.4.3", text("a*b&c", der.PRINTABLE_STRING))))
    add("a NumericString with letters", of(unit, attribute("2.5.4.5", encode(der.NUMERIC_STRING, b"12a"))))
    add("a T61String beyond ASCII", of(unit, attribute("2.5.4.3", encode(der.T61_STRING, b"al\xefce"))))
    add("half a character of BMPString", of(unit, attribute("2.5.4.3", encode(der.BMP_STRING, b"\xd8\x00"))))
    add("without common name", of(unit))
    add("two common names", of(unit, common, attribute("2.5.4.3", text("bob"))))
    add("unit and name in one set", encode(der.SEQUENCE, encode(der.SET, unit, common)))
    add(
        "two units in one set",
        encode(der.SEQUENCE, encode(der.SET, unit, attribute("2.5.4.11", text("research"))), encode(der.SET, common)),
    )
    add("an empty set", encode(der.SEQUENCE, encode(der.SET, unit), encode(der.SET), encode(der.SET, common)))
    add(
        "an attribute with something behind it",
        of(unit, encode(der.SEQUENCE, oid("2.5.4.3"), text("alice"), encode(der.NULL))),
    )
    add("no name at all", encode(der.SEQUENCE))
    add("serial number zero", leaf.subject, serial=encode_integer(0))
    add("a negative serial number", leaf.subject, serial=encode(der.INTEGER, b"\xfb"))
    add("a serial number of 40 bytes", leaf.subject, serial=encode(der.INTEGER, b"\x01" * 40))
    add("a serial number with a zero too many", leaf.subject, serial=encode(der.INTEGER, b"\x00\x01"))
    printable = name("ca.cleveland", tag=der.PRINTABLE_STRING)
    table.add("the CA's name in another type of text", "Plain", replace(leaf, issuer=printable).signed(root), key)
    table.add("the CA's name in capitals", "Plain", replace(leaf, issuer=name("CA.cleveland")).signed(root), key)


def _texts(table: Table, root: Authority) -> None:
    now, key = table.now, ec_key()
    content = root.leaf(key, now).signed(root)
    other = root.leaf(ec_key(), now).signed(root)
    plain = pem(content)

    def add(what: str, given: bytes) -> None:
        table.add_text(f"PEM: {what}", "Plain", given, key)

    add("text before it", b"Certificate of alice\n" + plain)
    add("text before it without a line's end", b"Certificate of alice " + plain)
    add("text behind it", plain + b"that was alice\n")
    add("another certificate behind it", plain + pem(other))
    add("the CA's certificate behind it", plain + pem(root.certificate))
    add("another certificate before it", pem(other) + plain)
    add("a key before it", pem(b"12345678", "PRIVATE KEY") + plain)
    add("lines that end with CR LF", pem(content, end="\r\n"))
    add("lines that end with CR", pem(content, end="\r"))
    add("no line's end at its end", plain.rstrip(b"\n"))
    add("spaces at the lines' ends", plain.replace(b"\n", b" \t\n"))
    add("spaces at the lines' beginnings", plain.replace(b"\n", b"\n "))
    add("spaces within the lines", pem(content, end="\n").replace(b"MII", b"M I\tI"))
    add("an empty line within", plain.replace(b"CERTIFICATE-----\nMII", b"CERTIFICATE-----\n\nMII"))
    add("one line of base64", pem(content, width=100_000))
    add("lines of 76", pem(content, width=76))
    add("headers", plain.replace(b"CERTIFICATE-----\nMII", b"CERTIFICATE-----\nProc-Type: 4\nA: b\n\nMII"))
    add("headers without an empty line", plain.replace(b"CERTIFICATE-----\nMII", b"CERTIFICATE-----\nA: b\nMII"))
    add("another label", pem(content, "X509 CERTIFICATE"))
    add("a trusted certificate's label", pem(content, "TRUSTED CERTIFICATE"))
    add("an empty label", pem(content, "").replace(b" -----", b" -----"))
    add("two labels that differ", plain.replace(b"END CERTIFICATE", b"END CERTIFICATES"))
    add("four dashes", plain.replace(b"-----BEGIN", b"----BEGIN"))
    add("six dashes", plain.replace(b"-----BEGIN", b"------BEGIN"))
    add("a space behind the dashes", plain.replace(b"CERTIFICATE-----\n", b"CERTIFICATE----- \n"))
    add("text behind the last dashes", plain.rstrip(b"\n") + b" alice\n")
    add("no base64 in it", plain.replace(b"MII", b"M\xc3\xa4I"))
    add("base64 that ends early", plain.replace(b"\n-----END", b"A\n-----END"))
    add("a beginning without an end before it", b"-----BEGIN CERTIFICATE-----\nMIIB\n" + plain)
    add("a byte order mark", b"\xef\xbb\xbf" + plain)
    add("a line's end before it", b"\n\r\n" + plain)
    add("DER instead", content)
    add("nothing", b"")
    add("an empty block", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    add("an empty block before it", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n" + plain)
    add("a null byte behind it", plain + b"\x00")


def _encodings(table: Table, root: Authority) -> None:
    now, key = table.now, ec_key()
    leaf = root.leaf(key, now)
    content = leaf.signed(root)

    def add(what: str, given: bytes) -> None:
        table.add(f"DER: {what}", "Plain", given, key)

    body = x509.load_der_x509_certificate(content).tbs_certificate_bytes
    rest = content[4 + len(body) :]
    inner = content[4:]
    add("a length of three bytes", b"\x30\x83\x00" + content[2:4] + inner)
    add("a length of five bytes", b"\x30\x85\x00\x00\x00" + content[2:4] + inner)
    add("an indefinite length", b"\x30\x80" + inner + b"\x00\x00")
    add("a length too short", b"\x30\x82" + (len(inner) - 1).to_bytes(2, "big") + inner)
    add("a length too long", b"\x30\x82" + (len(inner) + 1).to_bytes(2, "big") + inner)
    add("a set instead of a sequence", b"\x31" + content[1:])
    add("cut off", content[:-10])
    add("a body of which one byte is missing", encode(der.SEQUENCE, body[:-1], rest))
    add(
        "an algorithm with NULL",
        replace(leaf, named=None).signed(root).replace(oid("1.2.840.10045.4.3.2"), oid("1.2.840.10045.4.3.2")),
    )
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    wanted = encode(der.SEQUENCE, oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7"))

    def with_key(what: str, info: bytes) -> None:
        add(what, replace(leaf, info=info).signed(root))

    with_key(
        "a key's bits with unused ones",
        encode(
            der.SEQUENCE,
            wanted,
            encode(der.BIT_STRING, b"\x01", (int.from_bytes(point, "big") << 1).to_bytes(66, "big")),
        ),
    )
    with_key("a compressed point", compressed_key_info(key))
    with_key(
        "a point that is not on the curve",
        encode(der.SEQUENCE, wanted, encode(der.BIT_STRING, b"\x00", point[:-1] + bytes((point[-1] ^ 1,)))),
    )
    with_key(
        "a key of an unknown kind",
        encode(der.SEQUENCE, encode(der.SEQUENCE, oid("1.2.3.4")), encode(der.BIT_STRING, b"\x00", point)),
    )
    with_key(
        "a key on an unknown curve",
        encode(
            der.SEQUENCE,
            encode(der.SEQUENCE, oid("1.2.840.10045.2.1"), oid("1.3.132.0.10")),
            encode(der.BIT_STRING, b"\x00", point),
        ),
    )
    with_key(
        "a key with its curve written out",
        encode(
            der.SEQUENCE,
            encode(der.SEQUENCE, oid("1.2.840.10045.2.1"), encode(der.SEQUENCE, encode_integer(1))),
            encode(der.BIT_STRING, b"\x00", point),
        ),
    )
    with_key(
        "bytes behind the key", encode(der.SEQUENCE, wanted, encode(der.BIT_STRING, b"\x00", point), encode(der.NULL))
    )


def _algorithms(table: Table, root: Authority) -> None:
    now = table.now
    member = ec_key()
    kinds: dict[str, Key] = {
        "P-224": ec_key(ec.SECP224R1()),
        "P-384": ec_key(ec.SECP384R1()),
        "P-521": ec_key(ec.SECP521R1()),
        "Ed25519": ed25519.Ed25519PrivateKey.generate(),
        "RSA 2048": rsa.generate_private_key(65537, 2048),
        "RSA 3072": rsa.generate_private_key(65537, 3072),
    }
    for what, key in kinds.items():
        authority = Authority.of(root_draft(key, now))
        organisation = table.organisation(f"Root{what.replace(' ', '').replace('-', '')}", pem(authority.certificate))
        table.add(f"of a root with {what}", organisation, authority.leaf(member, now).signed(authority), member)
        if what != "RSA 3072":
            own = ed25519.Ed25519PrivateKey.generate() if isinstance(key, ed25519.Ed25519PrivateKey) else key
            table.add(f"an identity with {what}", "Plain", root.leaf(own, now).signed(root), own)
        if what == "Ed25519":
            table.add(
                "an identity with Ed25519 of such a root", organisation, authority.leaf(own, now).signed(authority), own
            )
        if what == "RSA 2048":
            for kind in ("rsa-sha1", "rsa-md5", "rsa-sha384", "rsa-sha512", "rsa-pss"):
                draft = replace(authority.leaf(member, now), kind=kind)
                table.add(f"signed with {kind}", organisation, draft.signed(authority), member)
            below_key = ec_key()
            between = authority.authority(authority.below(below_key, now))
            mixed = table.organisation("RsaAboveEc", pem(authority.certificate), below=(pem(between.certificate),))
            for high in (False, True):
                draft = replace(between.leaf(member, now), high_s=high)
                table.add(
                    f"of an EC intermediate below RSA, {'high' if high else 'low'} S",
                    mixed,
                    draft.signed(between),
                    member,
                )
        if what == "P-384":
            table.add(
                "P-384 signed with SHA-256",
                organisation,
                replace(authority.leaf(member, now), kind="ecdsa-sha256").signed(authority),
                member,
            )
            for high in (False, True):
                table.add(
                    f"of a P-384 root with a {'high' if high else 'low'} S",
                    organisation,
                    replace(authority.leaf(member, now), high_s=high).signed(authority),
                    member,
                )
        if what == "P-521":
            table.add(
                "of a P-521 root with a high S",
                organisation,
                replace(authority.leaf(member, now), kind="ecdsa-sha512", high_s=True).signed(authority),
                member,
            )
    weak = rsa.generate_private_key(65537, 1024)
    authority = Authority.of(root_draft(weak, now))
    organisation = table.organisation("RootRsa1024", pem(authority.certificate))
    table.add("of a root with RSA 1024", organisation, authority.leaf(member, now).signed(authority), member)
    below_rsa = rsa.generate_private_key(65537, 2048)
    between = root.authority(root.below(below_rsa, now))
    organisation = table.organisation("EcAboveRsa", pem(root.certificate), below=(pem(between.certificate),))
    table.add("of an RSA intermediate below EC", organisation, between.leaf(member, now).signed(between), member)
    agreed = agreement_key()
    table.add(
        "a key for agreement only", "Plain", replace(root.leaf(member, now), info=key_info(agreed)).signed(root), member
    )
    high = Authority.of(replace(root_draft(ec_key(), now), high_s=True))
    high_below = high.authority(replace(high.below(ec_key(), now), high_s=True))
    organisation = table.organisation("HighS", pem(high.certificate), below=(pem(high_below.certificate),))
    table.add(
        "of a CA with a high S below one with a high S",
        organisation,
        replace(high_below.leaf(member, now), high_s=True).signed(high_below),
        member,
    )


def _chains(table: Table, root: Authority) -> None:
    now, member = table.now, ec_key()
    first = root.authority(root.below(ec_key(), now, "first.cleveland"))
    second = first.authority(replace(first.below(ec_key(), now, "second.cleveland"), begins=now - 2_000))
    third = second.authority(replace(second.below(ec_key(), now, "third.cleveland"), begins=now - 1_000))
    certificates = [pem(each.certificate) for each in (first, second, third)]
    for depth in (1, 2, 3):
        organisation = table.organisation(f"Depth{depth}", pem(root.certificate), below=tuple(certificates[:depth]))
        for place, authority in enumerate((root, first, second, third)[: depth + 1]):
            what = f"{depth} intermediates, issued by number {place}"
            table.add(what, organisation, authority.leaf(member, now).signed(authority), member)
    gap = table.organisation("Gap", pem(root.certificate), below=(certificates[0],))
    table.add("an intermediate that is not listed", gap, second.leaf(member, now).signed(second), member)
    reversed_order = table.organisation("Reversed", pem(root.certificate), below=tuple(reversed(certificates[:2])))
    table.add("intermediates listed from below", reversed_order, second.leaf(member, now).signed(second), member)
    limited = Authority.of(root_draft(ec_key(), now).with_extensions(constraints(True, 0)))
    table.organisation("PathZero", pem(limited.certificate))
    table.add("path length 0, no CA between", "PathZero", limited.leaf(member, now).signed(limited), member)
    one = Authority.of(root_draft(ec_key(), now).with_extensions(constraints(True, 1)))
    one_below = one.authority(one.below(ec_key(), now))
    table.organisation("PathOne", pem(one.certificate), below=(pem(one_below.certificate),))
    table.add("path length 1, one CA between", "PathOne", one_below.leaf(member, now).signed(one_below), member)
    other = Authority.of(replace(root_draft(ec_key(), now), subject=root.subject))
    table.organisation("SameName", pem(root.certificate), pem(other.certificate))
    for what, authority in (("first", root), ("second", other)):
        table.add(
            f"two roots of one name, the {what}", "SameName", authority.leaf(member, now).signed(authority), member
        )
    table.add(
        "two roots of one name, the second named by the first's key",
        "SameName",
        other.leaf(member, now).with_extensions(authority_key(identifier(root.key))).signed(other),
        member,
    )
    renewed = Authority(root.key, root.subject, replace(root_draft(root.key, now), subject=root.subject).signed())
    table.organisation("Renewed", pem(root.certificate), pem(renewed.certificate))
    table.add("two certificates of one root", "Renewed", root.leaf(member, now).signed(root), member)
    table.organisation("Twice", pem(root.certificate), pem(root.certificate))
    table.add("one root listed twice", "Twice", root.leaf(member, now).signed(root), member)
    cross = other.authority(replace(other.below(first.key, now, "first.cleveland"), subject=first.subject))
    table.organisation(
        "Crossed", pem(root.certificate), pem(other.certificate), below=(certificates[0], pem(cross.certificate))
    )
    table.add("an intermediate under two roots", "Crossed", first.leaf(member, now).signed(first), member)
    purposeful = root.authority(root.below(ec_key(), now).with_extensions(purposes(CLIENT)))
    table.organisation("Elsewhere", pem(_rebuilt(root, now).certificate))
    intermediate = root.authority(root.below(ec_key(), now).with_extensions(purposes(SERVER)))
    table.organisation("ForServers", pem(root.certificate), below=(pem(intermediate.certificate),))
    table.add("an intermediate for servers", "ForServers", intermediate.leaf(member, now).signed(intermediate), member)
    table.add(
        "an intermediate for servers, an identity for clients",
        "ForServers",
        intermediate.leaf(member, now).with_extensions(purposes(CLIENT)).signed(intermediate),
        member,
    )
    table.define("an intermediate for clients only", pem(root.certificate), below=(pem(purposeful.certificate),))
    mute = Authority.of(root_draft(ec_key(), now).with_extensions(without=(_USAGE,)))
    table.organisation("NoUsage", pem(mute.certificate))
    table.add("of a CA without key usage", "NoUsage", mute.leaf(member, now).signed(mute), member)
    lists_only = Authority.of(root_draft(ec_key(), now).with_extensions(usage(5)))
    table.organisation("SignsOnly", pem(lists_only.certificate))
    table.add("of a CA that may not sign lists", "SignsOnly", lists_only.leaf(member, now).signed(lists_only), member)
    loose = Authority.of(
        root_draft(ec_key(), now).with_extensions(constraints(True, critical=False), usage(0, 5, critical=False))
    )
    table.organisation("NotCritical", pem(loose.certificate))
    table.add("of a CA with nothing critical", "NotCritical", loose.leaf(member, now).signed(loose), member)
    attributed = Authority.of(
        root_draft(ec_key(), now).with_extensions(
            Extension("2.5.29.32", encode(der.SEQUENCE, encode(der.SEQUENCE, oid("1.2.3.4"))), True)
        )
    )
    table.organisation("Policies", pem(attributed.certificate))
    table.add("of a CA with critical policies", "Policies", attributed.leaf(member, now).signed(attributed), member)
    commented = b"# the root of cleveland\n" + pem(root.certificate, end="\r\n") + pem(other.certificate)
    table.organisation("Commented", commented)
    table.add(
        "of a CA with text and another CA around its PEM", "Commented", root.leaf(member, now).signed(root), member
    )
    table.add("of the CA that comes second in a PEM", "Commented", other.leaf(member, now).signed(other), member)


def _rebuilt(root: Authority, now: int) -> Authority:
    return Authority.of(root_draft(ec_key(), now))


def _revocations(table: Table, root: Authority) -> None:
    now, key = table.now, ec_key()
    revoked, other = replace(root.leaf(key, now), serial=4711), replace(root.leaf(key, now), serial=4712)
    certificate = pem(root.certificate)

    def judge(what: str, *lists: bytes, extra: Mapping[str, Any] | None = None) -> None:
        organisation = table.organisation(f"List{len(table.organisations)}", certificate, lists=lists, **(extra or {}))
        table.add(f"revoked: {what}", organisation, revoked.signed(root), key)
        table.add(f"another one than that revoked: {what}", organisation, other.signed(root), key)

    plain = revocation_list(root, now, 4711)
    judge("by its CA", plain)
    judge("by the second list", revocation_list(root, now, 1), plain)
    judge("in a list that has ended", revocation_list(root, now, 4711, ends=time(now - 10)))
    judge("in a list that has not begun", revocation_list(root, now, 4711, begins=time(now + DAY)))
    judge("in a list without an end", revocation_list(root, now, 4711, ends=b""))
    judge("in a list of another name", revocation_list(root, now, 4711, issuer=name("somebody")))
    judge("in a list that somebody else signed", revocation_list(root, now, 4711, key=ec_key()))
    judge("in a list with another key's identifier", revocation_list(root, now, 4711, key_id=b"another"))
    judge("in a list that does not say whose it is", revocation_list(root, now, 4711, key_id=b""))
    judge("in an empty list", revocation_list(root, now))
    judge("twice in a list", revocation_list(root, now, 4711, 4711))
    block = plain.replace(b"X509 CRL", b"CRL")
    judge("in a list of DER", der_of(plain))
    table.define("a list with another label", certificate, lists=(block,))
    table.define("a list with text before it", certificate, lists=(b"the list\n" + plain,))
    judge("in a list with text behind it", plain + b"the list\n")
    table.define("a list that is none", certificate, lists=(b"no list",))
    table.define("an empty list of bytes", certificate, lists=(b"",))
    table.define("a list of a stranger", certificate, lists=(revocation_list(_rebuilt(root, now), now, 1),))
    odd = revocation_list(root, now, 4711, signature=b"no signature")
    table.define("a list whose signature is none", certificate, lists=(odd,))
    between_draft = replace(root.below(ec_key(), now), serial=815)
    between = root.authority(between_draft)
    below = (pem(between.certificate),)
    table.define("an intermediate that is revoked", certificate, below=below, lists=(revocation_list(root, now, 815),))
    organisation = table.organisation(
        "ListBelow", certificate, below=below, lists=(revocation_list(between, now, 4711),)
    )
    table.add(
        "revoked: by an intermediate", organisation, replace(between.leaf(key, now), serial=4711).signed(between), key
    )
    organisation = table.organisation("ListAbove", certificate, below=below, lists=(revocation_list(root, now, 4711),))
    table.add(
        "revoked: by the root above its CA",
        organisation,
        replace(between.leaf(key, now), serial=4711).signed(between),
        key,
    )
    silent = Authority.of(root_draft(ec_key(), now).with_extensions(usage(5)))
    organisation = table.organisation(
        "ListByNoSigner", pem(silent.certificate), lists=(revocation_list(silent, now, 4711),)
    )
    table.add(
        "revoked: by a CA that may not sign lists",
        organisation,
        replace(silent.leaf(key, now), serial=4711).signed(silent),
        key,
    )
    organisation = table.organisation("ListHighS", certificate, lists=(plain,))
    table.add("revoked: with a high S", organisation, replace(revoked, high_s=True).signed(root), key)


def der_of(text_of: bytes) -> bytes:
    """What stands in a PEM."""
    return base64.b64decode(b"".join(text_of.splitlines()[1:-1]))


def _constraints_on_names(table: Table, root: Authority) -> None:
    now, key = table.now, ec_key()
    kinds = {
        "Host": name_constraints([encode(0x82, b"cleveland.example")]),
        "Below": name_constraints([encode(0x82, b".cleveland.example")]),
        "NotHost": name_constraints([], [encode(0x82, b"cleveland.example")]),
        "Mail": name_constraints([encode(0x81, b"cleveland.example")]),
        "OneMail": name_constraints([encode(0x81, b"alice@cleveland.example")]),
        "Address": name_constraints([encode(0x87, ipaddress.ip_address("10.0.0.0").packed + b"\xff\x00\x00\x00")]),
        "Uri": name_constraints([encode(0x86, b"cleveland.example")]),
    }
    given: dict[str, Extension | None] = {
        "no alternative name": None,
        "the host": hosts("cleveland.example"),
        "a host below": hosts("peer.cleveland.example"),
        "a host in capitals": hosts("Peer.CLEVELAND.example"),
        "a host beside": hosts("cleveland.example.org"),
        "a host with that ending": hosts("mycleveland.example"),
        "every host": hosts("*.example"),
        "a mail address": hosts("alice@cleveland.example", tag=0x81),
        "another mail address": hosts("bob@hungary.example", tag=0x81),
        "an address within": Extension("2.5.29.17", encode(der.SEQUENCE, encode(0x87, bytes((10, 1, 2, 3))))),
        "an address outside": Extension("2.5.29.17", encode(der.SEQUENCE, encode(0x87, bytes((11, 1, 2, 3))))),
        "a URI within": hosts("https://peer.cleveland.example:7051/a", tag=0x86),
        "a URI outside": hosts("https://hungary.example/", tag=0x86),
    }
    for kind, extension in kinds.items():
        authority = Authority.of(root_draft(ec_key(), now).with_extensions(extension))
        organisation = table.organisation(f"Names{kind}", pem(authority.certificate))
        for what, names in given.items():
            draft = authority.leaf(key, now)
            draft = draft if names is None else draft.with_extensions(names)
            table.add(f"names limited to {kind}: {what}", organisation, draft.signed(authority), key)
        if kind == "Host":
            for cn in ("alice", "alice smith", "alice.", "*", "-alice", "al_ice:1", ""):
                draft = authority.leaf(key, now, cn=cn)
                table.add(f"names limited, called {cn!r}", organisation, draft.signed(authority), key)
    directory = name_constraints([encode(0xA4, name("cleveland"))])
    for what, extension in (("critical", directory), ("not critical", replace(directory, critical=False))):
        authority = Authority.of(root_draft(ec_key(), now).with_extensions(extension))
        if what == "critical":
            table.define("directory names limited, critical", pem(authority.certificate))
            continue
        organisation = table.organisation("NamesDirectory", pem(authority.certificate))
        table.add(
            "directory names limited, not critical",
            organisation,
            authority.leaf(key, now, cn="alice smith").signed(authority),
            key,
        )
    for what, broken in (
        ("an empty limit of names", Extension("2.5.29.30", encode(der.SEQUENCE), True)),
        ("a limit to half a network", name_constraints([encode(0x87, b"\x0a\x00\x00\x00\xff\x00\xff\x00")])),
        ("a limit to a domain with an end", name_constraints([encode(0x82, b"cleveland.example.")])),
    ):
        authority = Authority.of(root_draft(ec_key(), now).with_extensions(broken))
        table.define(what, pem(authority.certificate))
    limited = root.authority(root.below(ec_key(), now).with_extensions(kinds["Host"]))
    named = limited.authority(
        replace(limited.below(ec_key(), now, "lower ca"), begins=now - 2_000).with_extensions(
            hosts("ca.hungary.example")
        )
    )
    table.define(
        "an intermediate with a name that the one above may not certify",
        pem(root.certificate),
        below=(pem(limited.certificate), pem(named.certificate)),
    )


def _units(table: Table, root: Authority) -> None:
    now, key = table.now, ec_key()
    certificate = pem(root.certificate)

    def add(what: str, organisation: str, *units: str, authority: Authority = root) -> None:
        draft = replace(authority.leaf(key, now), subject=name("alice@cleveland", *units))
        table.add(f"units: {what}", organisation, draft.signed(authority), key)

    for role in ROLES:
        add(role, "Plain", role)
    add("client and another", "Plain", "research", "client", "cardiology")
    add("none", "Plain")
    add("another only", "Plain", "research")
    add("two roles", "Plain", "client", "admin")
    add("one role twice", "Plain", "client", "client")
    add("a role in capitals", "Plain", "Client")
    add("a role with a space", "Plain", "client ")
    table.organisation("NoRoles", certificate, enforced=False, admins=(pem(_admin(root, now)),))
    add("roles are not told apart", "NoRoles", "research")
    add("roles are not told apart, two roles", "NoRoles", "client", "admin")
    add("roles are not told apart, none", "NoRoles")
    table.organisation(
        "TwoRoles",
        certificate,
        ous={"client": ("client", b""), "peer": ("peer", b"")},
        admins=(pem(_admin(root, now, "client")),),
    )
    for units in (("client",), ("admin",), ("client", "admin"), ("orderer",)):
        add(f"only clients and peers are told apart: {' and '.join(units)}", "TwoRoles", *units)
    table.organisation("OtherNames", certificate, ous={role: (f"x-{role}", b"") for role in ROLES})
    add("other names for roles", "OtherNames", "x-client")
    add("other names for roles, the usual one", "OtherNames", "client")
    second = Authority.of(root_draft(ec_key(), now, "ca2.cleveland"))
    both = (certificate, pem(second.certificate))
    table.organisation(
        "BoundRole", *both, ous={role: (role, certificate if role == "admin" else b"") for role in ROLES}
    )
    add("a role that one CA gives, from it", "BoundRole", "admin")
    add("a role that one CA gives, from another", "BoundRole", "admin", authority=second)
    add("a role that any CA gives, from another", "BoundRole", "client", authority=second)
    add("a role that one CA gives beside another role, from another", "BoundRole", "client", "admin", authority=second)
    table.organisation("Demanded", *both, units=(("research", certificate),))
    add("a demanded unit", "Demanded", "research", "client")
    add("a demanded unit of another CA", "Demanded", "research", "client", authority=second)
    add("without a demanded unit", "Demanded", "client")
    table.organisation("Named", certificate, admins=(pem(_admin(root, now, "client")),))
    add("with an administrator by name", "Named", "client")


def _admin(root: Authority, now: int, *units: str) -> bytes:
    return root.leaf(ec_key(), now, *(units or ("admin",))).signed(root)


def _definitions(table: Table, root: Authority) -> None:
    now = table.now
    certificate = pem(root.certificate)

    def changed(*changes: Extension, without: tuple[str, ...] = (), **parts: Any) -> bytes:
        draft = replace(root_draft(ec_key(), now), **parts).with_extensions(*changes, without=without)
        return pem(draft.signed())

    table.define("a plain one", certificate)
    table.define("no root")
    table.define("a root that is none", b"no PEM")
    table.define("a member's certificate as root", pem(root.leaf(ec_key(), now).signed(root)))
    table.define("a root without basic constraints", changed(without=(_CONSTRAINTS,)))
    table.define("a root that is no CA's", changed(constraints(False)))
    table.define("a root without subject key identifier", changed(without=(_SUBJECT_KEY,)))
    table.define("a root that may not sign certificates", changed(usage(0, 6)))
    table.define("a root without key usage", changed(without=(_USAGE,)))
    table.define("a root with an unknown critical extension", changed(Extension("1.2.3.4.5", b"", True)))
    table.define("a root with an unknown extension", changed(Extension("1.2.3.4.5", b"")))
    table.define("a root of version 1", changed(version=0, extensions=()))
    table.define("a root whose signature does not hold", changed(broken=True))
    table.define("a root with a high S", changed(high_s=True))
    table.define("a root signed with SHA-1", changed(kind="ecdsa-sha1"))
    table.define("a root for clients of TLS only", changed(purposes(CLIENT)))
    table.define("a root for servers of TLS", changed(purposes(SERVER)))
    table.define("a root that is valid for no time", changed(ends=now - 3_600))
    table.define("a root that has ended", changed(begins=now - 20 * DAY, ends=now - DAY))
    table.define(
        "a root with a critical subject key identifier",
        changed(Extension(_SUBJECT_KEY, encode(der.OCTET_STRING, b"key"), True)),
    )
    between = root.authority(root.below(ec_key(), now))
    table.define("an intermediate as root", pem(between.certificate))
    rsa_root = Authority.of(root_draft(rsa.generate_private_key(65537, 2048), now))
    rsa_below = rsa_root.authority(rsa_root.below(ec_key(), now))
    table.define("an intermediate below RSA as root", pem(rsa_below.certificate))
    table.define(
        "an intermediate below RSA as root, with its root", pem(rsa_root.certificate), pem(rsa_below.certificate)
    )
    table.define("an intermediate", certificate, below=(pem(between.certificate),))
    table.define("an intermediate of a stranger", certificate, below=(pem(_stray(now)),))
    table.define("a root as intermediate of itself", certificate, below=(certificate,))
    table.define("a member as intermediate", certificate, below=(pem(root.leaf(ec_key(), now).signed(root)),))
    early = root.authority(replace(root.below(ec_key(), now), begins=now - 2 * DAY))
    table.define("an intermediate that began before its root", certificate, below=(pem(early.certificate),))
    zero = Authority.of(root_draft(ec_key(), now).with_extensions(constraints(True, 0)))
    zero_below = zero.authority(zero.below(ec_key(), now))
    table.define("an intermediate below path length 0", pem(zero.certificate), below=(pem(zero_below.certificate),))
    table.define("a TLS root", certificate, tls=(certificate,))
    table.define("a TLS root that is no CA's", certificate, tls=(pem(root.leaf(ec_key(), now).signed(root)),))
    table.define("a TLS root without subject key identifier", certificate, tls=(changed(without=(_SUBJECT_KEY,)),))
    table.define("a TLS intermediate without a root", certificate, tls_below=(pem(between.certificate),))
    table.define("a TLS intermediate", certificate, tls=(certificate,), tls_below=(pem(between.certificate),))
    table.define("a TLS intermediate as root", certificate, tls=(pem(between.certificate),))
    table.define("no administrators", certificate, enforced=False)
    table.define("administrators by name only", certificate, enforced=False, admins=(pem(_admin(root, now)),))
    table.define(
        "an administrator of a stranger", certificate, enforced=False, admins=(pem(_admin(_rebuilt(root, now), now)),)
    )
    table.define("an administrator who is a peer", certificate, admins=(pem(_admin(root, now, "peer")),))
    table.define("an administrator who is a client", certificate, admins=(pem(_admin(root, now, "client")),))
    table.define("an administrator who is a CA", certificate, admins=(certificate,))
    table.define("no unit for administrators", certificate, ous={"client": ("client", b""), "peer": ("peer", b"")})
    table.define("no units at all", certificate, ous={})
    table.define(
        "two roles with one unit", certificate, ous={**{role: (role, b"") for role in ROLES}, "orderer": ("peer", b"")}
    )
    table.define(
        "an empty unit for a role", certificate, ous={**{role: (role, b"") for role in ROLES}, "orderer": ("", b"")}
    )
    table.define("a unit bound to its root", certificate, ous={role: (role, certificate) for role in ROLES})
    table.define("a unit bound to a stranger", certificate, ous={role: (role, pem(_stray(now))) for role in ROLES})
    table.define("a unit bound to no certificate", certificate, ous={role: (role, b"nothing") for role in ROLES})
    table.define(
        "a unit bound to a root that has intermediates",
        certificate,
        below=(pem(between.certificate),),
        ous={role: (role, certificate) for role in ROLES},
    )
    second = between.authority(replace(between.below(ec_key(), now, "lowest"), begins=now - 1_000))
    table.define(
        "a unit bound to an intermediate that has one below",
        certificate,
        below=(pem(between.certificate), pem(second.certificate)),
        ous={role: (role, pem(between.certificate)) for role in ROLES},
    )
    table.define("a demanded unit without a certificate", certificate, units=(("research", b""),))


def _stray(now: int) -> bytes:
    stranger = Authority.of(root_draft(ec_key(), now, "ca.hungary"))
    return stranger.authority(stranger.below(ec_key(), now)).certificate


def _made_elsewhere(table: Table, folder: Path) -> None:
    """By ``cryptography``'s builder and, where it is there, by openssl."""
    now = datetime.fromtimestamp(table.now, UTC)
    for kind, root_key, digest in (
        ("P-256", ec_key(), hashes.SHA256()),
        ("RSA", rsa.generate_private_key(65537, 2048), hashes.SHA256()),
        ("Ed25519", ed25519.Ed25519PrivateKey.generate(), None),
    ):
        called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ca {kind}")])
        until = now + timedelta(days=365)
        builder = x509.CertificateBuilder(called, called, root_key.public_key(), 7, now - timedelta(hours=1), until)
        for extension, critical in (
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        root = builder.sign(root_key, digest)
        organisation = table.organisation(f"Builder{kind.replace('-', '')}", root.public_bytes(_PEM))
        for number in range(4):
            key = ec_key()
            member = x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "client"),
                    x509.NameAttribute(NameOID.COMMON_NAME, "alice"),
                ]
            )
            made = x509.CertificateBuilder(called, member, key.public_key(), 8 + number, now, until).sign(
                root_key, digest
            )
            what = f"by cryptography below {kind}, number {number}"
            table.add_text(what, organisation, made.public_bytes(_PEM), key)
    if shutil.which("openssl"):
        _by_openssl(table, folder)


_PEM = serialization.Encoding.PEM


def _by_openssl(table: Table, folder: Path) -> None:
    def run(*arguments: str) -> bytes:
        done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True)
        return done.stdout

    folder.mkdir(parents=True, exist_ok=True)
    for kind, options in (
        ("EC", ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")),
        ("RSA", ("-newkey", "rsa:2048")),
    ):
        run(
            "req",
            "-x509",
            *options,
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-days",
            "365",
            "-subj",
            f"/O=cleveland/CN=ca {kind}",
        )
        organisation = table.organisation(f"Openssl{kind}", (folder / "ca.pem").read_bytes())
        for number in range(4):
            run(
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                "a.key",
                "-out",
                "a.csr",
                "-subj",
                "/O=cleveland/OU=client/CN=alice",
            )
            # Its own text stands before the PEM, as `openssl x509 -text` prints it.
            content = run("x509", "-req", "-in", "a.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30", "-text")
            key = serialization.load_pem_private_key((folder / "a.key").read_bytes(), None)
            table.add_text(f"by openssl below {kind}, number {number}", organisation, content, key)
