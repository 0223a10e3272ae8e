"""An X.509 certificate as Fabric's programs read it: the bytes that count, and refused what they refuse.

Fabric reads certificates with Go's ``crypto/x509``, whose rules are followed here where they are laxer or stricter
than those of RFC 5280: whoever judges a Fabric ledger has to read the same certificates. Judges no signature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from fedledger.identity import der
from fedledger.identity.der import BitString, DerError, Reader
from fedledger.identity.errors import IdentityError
from fedledger.identity.name_constraints import NameConstraints, Names
from fedledger.identity.pem import first_block

CertifiedKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
"""Kinds of keys that an authority may have; of identities' keys RSA is none."""

ATTRIBUTES = "1.2.3.4.5.6.7.8.1"
"""Fabric CA's extension: the raw JSON ``{"attrs": {name: value}}``."""

_RSA, _EC, _ED25519, _X25519, _DSA = (
    "1.2.840.113549.1.1.1",
    "1.2.840.10045.2.1",
    "1.3.101.112",
    "1.3.101.110",
    "1.2.840.10040.4.1",
)
_CURVES: Mapping[str, type[ec.EllipticCurve]] = {
    "1.3.132.0.33": ec.SECP224R1,
    "1.2.840.10045.3.1.7": ec.SECP256R1,
    "1.3.132.0.34": ec.SECP384R1,
    "1.3.132.0.35": ec.SECP521R1,
}
_UNCOMPRESSED = 0x04
_X25519_BYTES = 32
_ORGANIZATIONAL_UNIT, _COMMON_NAME = "2.5.4.11", "2.5.4.3"
_SUBJECT_KEY, _KEY_USAGE, _ALTERNATIVE_NAMES, _BASIC_CONSTRAINTS = "2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.19"
_NAME_CONSTRAINTS, _CRL_POINTS, _POLICIES, _MAPPINGS = "2.5.29.30", "2.5.29.31", "2.5.29.32", "2.5.29.33"
_AUTHORITY_KEY, _POLICY_CONSTRAINTS, _EXTENDED_USAGE, _INHIBIT_ANY = "2.5.29.35", "2.5.29.36", "2.5.29.37", "2.5.29.54"
_AUTHORITY_ACCESS = "1.3.6.1.5.5.7.1.1"
_NEVER_CRITICAL = frozenset({_AUTHORITY_KEY, _SUBJECT_KEY, _AUTHORITY_ACCESS})
_USAGE_BITS = 9
_CERTIFICATE_SIGN = 5
_PRINTABLE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 '()+,-./:=?*&")
_LARGEST_LENGTH = (1 << 63) - 1


@dataclass(frozen=True)
class Extension:
    """One extension as it stands."""

    critical: bool
    value: bytes


@dataclass(frozen=True)
class Certificate:
    """One certificate; equal to another when all of its bytes are."""

    encoded: bytes
    """Its DER."""
    to_be_signed: bytes = field(compare=False, repr=False)
    version: int = field(compare=False)
    serial_number: int = field(compare=False)
    signature_algorithm: bytes = field(compare=False, repr=False)
    """DER of the ``AlgorithmIdentifier``."""
    signature: bytes = field(compare=False, repr=False)
    issuer: bytes = field(compare=False, repr=False)
    """DER of the name."""
    subject: bytes = field(compare=False, repr=False)
    units: tuple[str, ...] = field(compare=False)
    """The subject's organizational units, in order and as often as they are there."""
    common_name: str = field(compare=False)
    not_before: int = field(compare=False)
    """Seconds since 1970 UTC, as ``not_after``; both belong to the validity."""
    not_after: int = field(compare=False)
    key_info: bytes = field(compare=False, repr=False)
    """DER ``SubjectPublicKeyInfo``."""
    key: CertifiedKey | None = field(compare=False, repr=False)
    """None for a key that may stand in a certificate and is of no use."""
    extensions: Mapping[str, Extension] = field(compare=False, repr=False)
    """By object identifier."""

    @property
    def valid_from(self) -> datetime:
        return der.aware(self.not_before)

    @property
    def valid_until(self) -> datetime:
        return der.aware(self.not_after)

    @cached_property
    def subject_key(self) -> bytes | None:
        """The subject key identifier."""
        extension = self.extensions.get(_SUBJECT_KEY)
        return None if extension is None else Reader(extension.value).take(der.OCTET_STRING).content

    @cached_property
    def constraints(self) -> tuple[bool, int] | None:
        """BasicConstraints: whether it is a CA's, and how many CAs may be below it (-1: any number)."""
        extension = self.extensions.get(_BASIC_CONSTRAINTS)
        if extension is None:
            return None
        reader = Reader(extension.value).inside(der.SEQUENCE)
        is_authority = reader.boolean() if reader.next_is(der.BOOLEAN) else False
        longest = reader.integer() if reader.next_is(der.INTEGER) else -1
        return is_authority, longest

    @property
    def is_authority(self) -> bool:
        """Whether it is a CA's."""
        return self.constraints is not None and self.constraints[0]

    @cached_property
    def may_sign_certificates(self) -> bool:
        """Whether its key usage, if any is told, allows that."""
        extension = self.extensions.get(_KEY_USAGE)
        if extension is None:
            return True
        bits = Reader(extension.value).bits()
        told = any(bits.has(place) for place in range(_USAGE_BITS))
        return not told or bits.has(_CERTIFICATE_SIGN)

    @cached_property
    def extended_usages(self) -> tuple[str, ...]:
        """The purposes that it is limited to; empty where it is not."""
        extension = self.extensions.get(_EXTENDED_USAGE)
        return () if extension is None else _identifiers(extension.value)

    @cached_property
    def demands_policy(self) -> bool:
        """Whether it demands that certificate policies are followed somewhere below it."""
        extension = self.extensions.get(_POLICY_CONSTRAINTS)
        return extension is not None and Reader(extension.value).inside(der.SEQUENCE).next_is(0x80)

    @cached_property
    def names(self) -> Names | None:
        """The subject alternative names; None without that extension."""
        extension = self.extensions.get(_ALTERNATIVE_NAMES)
        return None if extension is None else Names.parse(extension.value)

    @cached_property
    def name_constraints(self) -> NameConstraints | None:
        """What an authority's certificate says about names below it."""
        extension = self.extensions.get(_NAME_CONSTRAINTS)
        return None if extension is None else NameConstraints.parse(extension.value)

    @cached_property
    def not_understood(self) -> tuple[str, ...]:
        """Critical extensions that nobody understands."""
        return tuple(
            name for name, extension in self.extensions.items() if extension.critical and not self._is_understood(name)
        )

    @cached_property
    def attributes(self) -> Mapping[str, str]:
        """What Fabric CA attests, empty if nothing; raises ``BAD_ATTRIBUTES``."""
        extension = self.extensions.get(ATTRIBUTES)
        return {} if extension is None else read_attributes(extension.value)

    def _is_understood(self, name: str) -> bool:
        if name == _ALTERNATIVE_NAMES:
            return bool(self.names)
        if name == _NAME_CONSTRAINTS:
            return self.name_constraints is not None and self.name_constraints.understood
        return name in _CHECKS


def load_pem(text: bytes) -> Certificate:
    """Read the first PEM block of a text, whatever its label; raises ``MALFORMED_IDENTITY``."""
    block = first_block(text)
    if block is None:
        raise malformed("there is no PEM block in it")
    return parse(block)


def parse(encoded: bytes) -> Certificate:
    """Read DER; raises ``MALFORMED_IDENTITY``."""
    try:
        outer = Reader(encoded)
        whole = outer.take(der.SEQUENCE)
        if outer:
            raise DerError("there is something behind it")
        return _read(whole.encoded, Reader(whole.content))
    except DerError as error:
        raise malformed(str(error)) from error


def read_attributes(value: bytes) -> dict[str, str]:
    """Fabric CA's attributes; raises ``BAD_ATTRIBUTES``."""
    try:
        attributes = json.loads(value)["attrs"]
        if isinstance(attributes, dict) and all(isinstance(text, str) for text in attributes.values()):
            return attributes
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _bad_attributes() from error
    raise _bad_attributes()


def malformed(reason: str) -> IdentityError:
    """The error for bytes that are no certificate."""
    return IdentityError(
        "MALFORMED_IDENTITY",
        f"The certificate cannot be read: {reason}.",
        "Give the one PEM certificate that the CA returned.",
    )


def _read(encoded: bytes, reader: Reader) -> Certificate:
    whole = reader.take(der.SEQUENCE)
    body = Reader(whole.content)
    version = _version(body)
    serial = body.integer()
    if serial < 0:
        raise DerError("its serial number is negative")
    algorithm = body.take(der.SEQUENCE)
    if reader.take(der.SEQUENCE).content != algorithm.content:
        raise DerError("it names two different signature algorithms")
    _algorithm(algorithm.content)
    issuer = body.take(der.SEQUENCE)
    _attributes_of(issuer.encoded)
    validity = body.inside(der.SEQUENCE)
    not_before, not_after = validity.time(), validity.time()
    subject = body.take(der.SEQUENCE)
    attributes = _attributes_of(subject.encoded)
    key_info = body.take(der.SEQUENCE)
    key = _key(Reader(key_info.content))
    extensions = _extensions(body, version)
    found = Certificate(
        encoded=encoded,
        to_be_signed=whole.encoded,
        version=version,
        serial_number=serial,
        signature_algorithm=algorithm.encoded,
        signature=reader.bits().aligned(),
        issuer=issuer.encoded,
        subject=subject.encoded,
        units=tuple(value for kind, value in attributes if kind == _ORGANIZATIONAL_UNIT),
        common_name=next((value for kind, value in reversed(attributes) if kind == _COMMON_NAME), ""),
        not_before=not_before,
        not_after=not_after,
        key_info=key_info.encoded,
        key=key,
        extensions=extensions,
    )
    for name, extension in extensions.items():
        _check(name, extension)
    return found


def _version(body: Reader) -> int:
    """1, 2 or 3."""
    explicit = body.optional(0xA0)
    if explicit is None:
        return 1
    reader = Reader(explicit.content)
    version = reader.integer() + 1
    if reader or not 1 <= version <= 3:
        raise DerError("its version is unknown")
    return version


def _algorithm(content: bytes) -> tuple[str, bytes]:
    """Object identifier and the DER of the parameters, empty without any."""
    reader = Reader(content)
    name = reader.oid()
    return name, reader.any().encoded if reader else b""


def _attributes_of(name: bytes) -> list[tuple[str, str]]:
    """A distinguished name's attributes in order."""
    found = []
    reader = Reader(name).inside(der.SEQUENCE)
    while reader:
        together = reader.inside(der.SET)
        while together:
            attribute = together.inside(der.SEQUENCE)
            kind = attribute.oid()
            value = attribute.any()
            found.append((kind, _text(value.tag, value.content)))
    return found


def _text(tag: int, content: bytes) -> str:
    match tag:
        case der.UTF8_STRING:
            return _decoded(content, "utf-8")
        case der.PRINTABLE_STRING if set(content) <= _PRINTABLE:
            return content.decode("ascii")
        case der.T61_STRING:
            return content.decode("latin-1")
        case der.IA5_STRING:
            return _decoded(content, "ascii")
        case der.NUMERIC_STRING if set(content) <= set(b"0123456789 "):
            return content.decode("ascii")
        case der.BMP_STRING if len(content) % 2 == 0:
            return _basic_plane(content.removesuffix(b"\x00\x00"))
    raise DerError("a name holds text that cannot be read")


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise DerError("a name holds text that cannot be read") from None


def _basic_plane(content: bytes) -> str:
    """Two bytes a character, none of them half of one or none at all (Unicode, 23.7)."""
    points = [int.from_bytes(content[place : place + 2], "big") for place in range(0, len(content), 2)]
    if any(point >= 0xFFFE or 0xFDD0 <= point <= 0xFDEF or 0xD800 <= point <= 0xDFFF for point in points):
        raise DerError("a name holds text that cannot be read")
    return "".join(map(chr, points))


def _key(reader: Reader) -> CertifiedKey | None:
    name, parameters = _algorithm(reader.take(der.SEQUENCE).content)
    bits = reader.bits()
    try:
        return _public_key(name, parameters, bits)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DerError(f"its key cannot be read ({error})") from error


def _public_key(name: str, parameters: bytes, bits: BitString) -> CertifiedKey | None:
    data = bits.aligned()
    if name == _EC:
        curve = _CURVES.get(Reader(parameters).oid())
        if curve is None or data[:1] != bytes((_UNCOMPRESSED,)):
            raise DerError("its curve or point is of an unknown kind")
        return ec.EllipticCurvePublicKey.from_encoded_point(curve(), data)
    if name == _RSA:
        return _rsa_key(parameters, data)
    if name in (_ED25519, _X25519):
        if parameters:
            raise DerError("its key has parameters")
        if name == _ED25519:
            return ed25519.Ed25519PublicKey.from_public_bytes(data)
        if len(data) != _X25519_BYTES:
            raise DerError("its key has another length")
        return None
    if name == _DSA:
        numbers = [Reader(data).integer()]
        group = Reader(parameters).inside(der.SEQUENCE)
        numbers += [group.integer(), group.integer(), group.integer()]
        if min(numbers) <= 0:
            raise DerError("its key has a number that is not positive")
    return None


def _rsa_key(parameters: bytes, data: bytes) -> CertifiedKey | None:
    if parameters != der.encode(der.NULL):
        raise DerError("its RSA key is without the parameter NULL")
    reader = Reader(data).inside(der.SEQUENCE)
    modulus, exponent = reader.integer(), reader.integer()
    if modulus <= 0 or not 0 < exponent <= _LARGEST_LENGTH:
        raise DerError("its RSA key has a number that is not positive")
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _extensions(body: Reader, version: int) -> dict[str, Extension]:
    if version == 1:
        return {}
    for tag in (0x81, 0x82):
        body.optional(tag)
    found: dict[str, Extension] = {}
    explicit = body.optional(0xA3) if version == 3 else None
    if explicit is None:
        return found
    reader = Reader(explicit.content).inside(der.SEQUENCE)
    while reader:
        entry = reader.inside(der.SEQUENCE)
        name = entry.oid()
        critical = entry.boolean() if entry.next_is(der.BOOLEAN) else False
        if name in found:
            raise DerError(f"it has the extension {name} twice")
        found[name] = Extension(critical, entry.take(der.OCTET_STRING).content)
    return found


def _check(name: str, extension: Extension) -> None:
    """Refuse an extension that is malformed, or critical although it never is."""
    if extension.critical and name in _NEVER_CRITICAL:
        raise DerError(f"its extension {name} is marked as critical")
    check = _CHECKS.get(name)
    if check is not None:
        check(extension.value)


def _identifiers(value: bytes) -> tuple[str, ...]:
    reader = Reader(value).inside(der.SEQUENCE)
    found = []
    while reader:
        found.append(reader.oid())
    return tuple(found)


def _check_basic_constraints(value: bytes) -> None:
    reader = Reader(value).inside(der.SEQUENCE)
    if reader.next_is(der.BOOLEAN):
        reader.boolean()
    if reader.next_is(der.INTEGER) and not 0 <= reader.integer() <= _LARGEST_LENGTH:
        raise DerError("its path length is no number of authorities")


def _check_authority_key(value: bytes) -> None:
    reader = Reader(value).inside(der.SEQUENCE)
    if reader.next_is(0x80):
        reader.any()


def _check_policies(value: bytes) -> None:
    reader = Reader(value).inside(der.SEQUENCE)
    seen: set[bytes] = set()
    while reader:
        policy = reader.inside(der.SEQUENCE).take(der.OBJECT_IDENTIFIER).content
        if policy in seen or policy[-1:] > b"\x7f" or not policy:
            raise DerError("it has a policy twice, or one that is none")
        seen.add(policy)


def _check_mappings(value: bytes) -> None:
    reader = Reader(value).inside(der.SEQUENCE)
    while reader:
        pair = reader.inside(der.SEQUENCE)
        pair.take(der.OBJECT_IDENTIFIER)
        pair.take(der.OBJECT_IDENTIFIER)


def _check_policy_constraints(value: bytes) -> None:
    reader = Reader(value).inside(der.SEQUENCE)
    for tag in (0x80, 0x81):
        element = reader.optional(tag)
        if element is not None:
            number = Reader(der.encode(der.INTEGER, element.content)).integer()
            if not -_LARGEST_LENGTH <= number + 1 <= _LARGEST_LENGTH + 1:
                raise DerError("its policy constraints hold a number that is too large")


def _check_revocation_points(value: bytes) -> None:
    reader = Reader(value).inside(der.SEQUENCE)
    while reader:
        point = reader.inside(der.SEQUENCE)
        name = point.optional(0xA0)
        uris = Reader(b"") if name is None else Reader(name.content).inside(0xA0)
        while uris.next_is(0x86):
            uris.any()


def _check_authority_access(value: bytes) -> None:
    reader = Reader(value).inside(der.SEQUENCE)
    while reader:
        access = reader.inside(der.SEQUENCE)
        access.oid()
        access.optional(0x86)


_CHECKS = {
    _SUBJECT_KEY: lambda value: Reader(value).take(der.OCTET_STRING),
    _KEY_USAGE: lambda value: Reader(value).bits(),
    _ALTERNATIVE_NAMES: Names.parse,
    _BASIC_CONSTRAINTS: _check_basic_constraints,
    _NAME_CONSTRAINTS: NameConstraints.parse,
    _CRL_POINTS: _check_revocation_points,
    _POLICIES: _check_policies,
    _MAPPINGS: _check_mappings,
    _AUTHORITY_KEY: _check_authority_key,
    _POLICY_CONSTRAINTS: _check_policy_constraints,
    _EXTENDED_USAGE: _identifiers,
    _INHIBIT_ANY: lambda value: Reader(value).integer(),
    _AUTHORITY_ACCESS: _check_authority_access,
}
"""How the content of each extension that is understood is read; each raises ``DerError``."""


def _bad_attributes() -> IdentityError:
    return IdentityError(
        "BAD_ATTRIBUTES",
        'The certificate\'s attribute extension is not {"attrs": {name: text}}.',
        "Enrol again at the organisation's Fabric CA.",
    )
