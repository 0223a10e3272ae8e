"""Certificates made byte by byte, good and bad: every part can be replaced, and whatever comes out is signed."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fedledger.identity import der, keys
from fedledger.identity.der import encode, encode_integer

DAY = 86_400
Bytes = bytes
Key = PrivateKeyTypes

ALGORITHMS = {
    "ecdsa-sha1": "1.2.840.10045.4.1",
    "ecdsa-sha256": "1.2.840.10045.4.3.2",
    "ecdsa-sha384": "1.2.840.10045.4.3.3",
    "ecdsa-sha512": "1.2.840.10045.4.3.4",
    "rsa-sha1": "1.2.840.113549.1.1.5",
    "rsa-md5": "1.2.840.113549.1.1.4",
    "rsa-sha256": "1.2.840.113549.1.1.11",
    "rsa-sha384": "1.2.840.113549.1.1.12",
    "rsa-sha512": "1.2.840.113549.1.1.13",
    "rsa-pss": "1.2.840.113549.1.1.10",
    "ed25519": "1.3.101.112",
}
DIGESTS = {
    "sha1": hashes.SHA1(),
    "md5": hashes.MD5(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def oid(dotted: str) -> Bytes:
    """An OBJECT IDENTIFIER."""
    first, second, *arcs = map(int, dotted.split("."))
    content = b""
    for arc in (40 * first + second, *arcs):
        octets = [arc & 0x7F]
        while arc := arc >> 7:
            octets.insert(0, arc & 0x7F | 0x80)
        content += bytes(octets)
    return encode(der.OBJECT_IDENTIFIER, content)


def text(value: str, tag: int = der.UTF8_STRING) -> Bytes:
    return encode(tag, value.encode("utf-16-be" if tag == der.BMP_STRING else "utf-8"))


def attribute(kind: str, value: Bytes) -> Bytes:
    return encode(der.SEQUENCE, oid(kind), value)


def name(common_name: str, *units: str, organisation: str = "cleveland", tag: int = der.UTF8_STRING) -> Bytes:
    """A distinguished name O, OU..., CN."""
    parts = [("2.5.4.10", organisation), *(("2.5.4.11", unit) for unit in units), ("2.5.4.3", common_name)]
    return encode(der.SEQUENCE, *(encode(der.SET, attribute(kind, text(value, tag))) for kind, value in parts if value))


def time(seconds: int, *, generalized: bool = False, zone: str = "Z") -> Bytes:
    """A UTCTime, or a GeneralizedTime."""
    moment = f"{der.aware(seconds):%Y%m%d%H%M%S}{zone}"
    if generalized:
        return encode(der.GENERALIZED_TIME, moment.encode())
    return encode(der.UTC_TIME, moment[2:].encode())


@dataclass(frozen=True)
class Extension:
    oid: str
    value: Bytes
    critical: bool = False

    def encoded(self) -> Bytes:
        flag = encode(der.BOOLEAN, b"\xff") if self.critical else b""
        return encode(der.SEQUENCE, oid(self.oid), flag, encode(der.OCTET_STRING, self.value))


def constraints(authority: bool, longest: int | None = None, *, critical: bool = True) -> Extension:
    content = encode(der.BOOLEAN, b"\xff") if authority else b""
    content += b"" if longest is None else encode_integer(longest)
    return Extension("2.5.29.19", encode(der.SEQUENCE, content), critical)


def usage(*bits: int, critical: bool = True) -> Extension:
    """KeyUsage with these bits, 0 being digitalSignature, 5 keyCertSign and 6 cRLSign."""
    word = sum(0x8000 >> bit for bit in bits)
    data = word.to_bytes(2, "big").rstrip(b"\x00")
    unused = (data[-1] & -data[-1]).bit_length() - 1 if data else 0
    return Extension("2.5.29.15", encode(der.BIT_STRING, bytes((unused,)), data), critical)


def purposes(*oids: str, critical: bool = False) -> Extension:
    return Extension("2.5.29.37", encode(der.SEQUENCE, *map(oid, oids)), critical)


def hosts(*names: str, tag: int = 0x82, critical: bool = False) -> Extension:
    """Subject alternative names of one kind."""
    return Extension("2.5.29.17", encode(der.SEQUENCE, *(encode(tag, each.encode()) for each in names)), critical)


def name_constraints(permitted: list[Bytes], excluded: list[Bytes] = [], *, critical: bool = True) -> Extension:  # noqa: B006
    """Subtrees given as encoded general names."""
    parts = [
        encode(tag, *(encode(der.SEQUENCE, base) for base in bases))
        for tag, bases in ((0xA0, permitted), (0xA1, excluded))
        if bases
    ]
    return Extension("2.5.29.30", encode(der.SEQUENCE, *parts), critical)


def key_info(key: Key) -> Bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[union-attr]


def identifier(key: Key) -> Bytes:
    digest = hashes.Hash(hashes.SHA1())
    digest.update(key_info(key))
    return digest.finalize()


def subject_key(key: Key, *, critical: bool = False) -> Extension:
    return Extension("2.5.29.14", encode(der.OCTET_STRING, identifier(key)), critical)


def authority_key(content: Bytes, *, critical: bool = False) -> Extension:
    return Extension("2.5.29.35", encode(der.SEQUENCE, encode(0x80, content) if content else b""), critical)


def algorithm_for(key: Key) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "ecdsa-sha384" if key.curve.name == "secp384r1" else "ecdsa-sha256"
    return "ed25519" if isinstance(key, ed25519.Ed25519PrivateKey) else "rsa-sha256"


def algorithm(kind: str) -> Bytes:
    """DER of an ``AlgorithmIdentifier``."""
    if kind == "rsa-pss":
        digest = encode(der.SEQUENCE, oid("2.16.840.1.101.3.4.2.1"), encode(der.NULL))
        mask = encode(der.SEQUENCE, oid("1.2.840.113549.1.1.8"), digest)
        parameters = encode(der.SEQUENCE, encode(0xA0, digest), encode(0xA1, mask), encode(0xA2, encode_integer(32)))
        return encode(der.SEQUENCE, oid(ALGORITHMS[kind]), parameters)
    parameters = encode(der.NULL) if kind.startswith("rsa") else b""
    return encode(der.SEQUENCE, oid(ALGORITHMS[kind]), parameters)


def signature(key: Key, kind: str, message: Bytes, high_s: bool | None = None) -> Bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    digest = DIGESTS[kind.partition("-")[2]] if kind != "rsa-pss" else hashes.SHA256()
    if isinstance(key, rsa.RSAPrivateKey):
        if kind == "rsa-pss":
            return key.sign(message, padding.PSS(padding.MGF1(digest), 32), digest)
        return key.sign(message, padding.PKCS1v15(), digest)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    made = key.sign(message, ec.ECDSA(digest))
    if high_s is None:
        return made
    low = keys.with_low_s(made, key.public_key())
    r, s = decode_dss_signature(low)
    return encode_dss_signature(r, keys._ORDERS[key.curve.name] - s) if high_s else low


@dataclass(frozen=True)
class Draft:
    """A certificate before it is signed; bytes given for a part replace it."""

    key: Key
    subject: Bytes
    begins: int
    ends: int
    extensions: tuple[Extension, ...] = ()
    serial: int | Bytes = field(default_factory=lambda: secrets.randbits(63) | 1)
    version: int = 2
    issuer: Bytes | None = None
    info: Bytes | None = None
    validity: Bytes | None = None
    kind: str | None = None
    """The signature's algorithm."""
    named: Bytes | None = None
    """The ``AlgorithmIdentifier`` behind the body, where it is another one than in it."""
    high_s: bool | None = None
    behind: Bytes = b""
    """What stands behind the extensions."""
    after: Bytes = b""
    """What stands behind the signature."""
    unused: int = 0
    """How many bits of the signature are told to be unused; it is moved so that it is whole without them."""
    spoilt: bool = False
    """Whether the unused bits are told and the signature is not moved."""
    broken: bool = False
    unique: Bytes = b""

    def with_extensions(self, *changes: Extension, without: tuple[str, ...] = ()) -> Draft:
        """The same with extensions replaced by those of one kind, added, or left out."""
        gone = {change.oid for change in changes} | set(without)
        return replace(self, extensions=(*(each for each in self.extensions if each.oid not in gone), *changes))

    def signed(self, issuer: Authority | None = None) -> Bytes:
        """DER; without an issuer it signs itself."""
        key = self.key if issuer is None else issuer.key
        kind = self.kind or algorithm_for(key)
        above = self.issuer or (self.subject if issuer is None else issuer.subject)
        serial = self.serial if isinstance(self.serial, bytes) else encode_integer(self.serial)
        version = b"" if not self.version else encode(0xA0, encode_integer(self.version))
        validity = self.validity or encode(der.SEQUENCE, time(self.begins), time(self.ends))
        extensions = b""
        if self.extensions:
            listed = encode(der.SEQUENCE, *(each.encoded() for each in self.extensions))
            extensions = encode(0xA3, listed)
        body = encode(
            der.SEQUENCE,
            *(version, serial, algorithm(kind), above, validity, self.subject),
            *(self.info or key_info(self.key), self.unique, extensions, self.behind),
        )
        made = signature(key, kind, body, self.high_s)
        if self.broken:
            made = signature(key, kind, body + b"x", self.high_s)
        if self.unused and not self.spoilt:
            made = (int.from_bytes(made, "big") << self.unused).to_bytes(len(made) + 1, "big").lstrip(b"\x00")
        bits = encode(der.BIT_STRING, bytes((self.unused,)), made)
        return encode(der.SEQUENCE, body, self.named or algorithm(kind), bits, self.after)


@dataclass(frozen=True)
class Authority:
    """A CA: what it signs with and its certificate."""

    key: Key
    subject: Bytes
    certificate: Bytes
    """DER."""

    def leaf(self, key: Key, now: int, *units: str, cn: str = "alice@cleveland") -> Draft:
        """A draft as Fabric CA would make it."""
        return Draft(
            key,
            name(cn, *(units or ("client",))),
            now - 300,
            now + 365 * DAY,
            (
                usage(0),
                constraints(False),
                subject_key(key),
                authority_key(identifier(self.key)),
            ),
        )

    def below(self, key: Key, now: int, cn: str = "ica.cleveland") -> Draft:
        """A draft of a CA below this one."""
        return replace(root_draft(key, now, cn), begins=now - 3_000).with_extensions(
            authority_key(identifier(self.key))
        )

    def authority(self, draft: Draft) -> Authority:
        """Sign a CA's draft."""
        return Authority(draft.key, draft.subject, draft.signed(self))

    @classmethod
    def of(cls, draft: Draft) -> Authority:
        """A root."""
        return cls(draft.key, draft.subject, draft.signed())


def root_draft(key: Key, now: int, cn: str = "ca.cleveland") -> Draft:
    """A root as Fabric CA would make it."""
    return Draft(
        key,
        name(cn),
        now - 3_600,
        now + 3_650 * DAY,
        (usage(0, 5, 6), constraints(True), subject_key(key)),
    )


def revocation_list(
    authority: Authority, now: int, *serials: int, key_id: Bytes | None = None, key: Key | None = None, **changes: Bytes
) -> Bytes:
    """A revocation list in PEM."""
    signer = authority.key if key is None else key
    kind = algorithm_for(signer)
    entries = [encode(der.SEQUENCE, encode_integer(serial), time(now)) for serial in serials]
    told = identifier(authority.key) if key_id is None else key_id
    extensions = encode(0xA0, encode(der.SEQUENCE, authority_key(told).encoded())) if told else b""
    body = encode(
        der.SEQUENCE,
        encode_integer(1),
        algorithm(kind),
        changes.get("issuer", authority.subject),
        changes.get("begins", time(now - 60)),
        changes.get("ends", time(now + 30 * DAY)),
        encode(der.SEQUENCE, *entries) if entries else b"",
        extensions,
    )
    bits = encode(der.BIT_STRING, b"\x00", changes.get("signature") or signature(signer, kind, body))
    return pem(encode(der.SEQUENCE, body, algorithm(kind), bits), "X509 CRL")


def pem(content: Bytes, label: str = "CERTIFICATE", *, end: str = "\n", width: int = 64) -> Bytes:
    encoded = base64.b64encode(content).decode()
    lines = [encoded[place : place + width] for place in range(0, len(encoded), width)]
    return (end.join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----"]) + end).encode()


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def compressed_key_info(key: ec.EllipticCurvePrivateKey) -> Bytes:
    """A key whose point is compressed, which Fabric does not read."""
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    kind = encode(der.SEQUENCE, oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7"))
    return encode(der.SEQUENCE, kind, encode(der.BIT_STRING, b"\x00", point))


def agreement_key() -> x25519.X25519PrivateKey:
    return x25519.X25519PrivateKey.generate()
