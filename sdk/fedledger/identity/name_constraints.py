"""Alternative names and the constraints that authorities put on them (RFC 5280, 4.2.1.6 and 4.2.1.10).

Names of kinds that nobody here can compare make a critical constraint one that is not understood.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from fedledger.identity import der
from fedledger.identity.der import DerError, Reader

_EMAIL, _DNS, _URI, _ADDRESS = 0x81, 0x82, 0x86, 0x87
_PERMITTED, _EXCLUDED = 0xA0, 0xA1
_LABEL = re.compile(r"[!-\-/-~]{1,63}")
_LOCAL_PART = re.compile(r"[0-9A-Za-z!#$%&'*+/=?^_`{|}~-]+(\.[0-9A-Za-z!#$%&'*+/=?^_`{|}~-]+)*")
_ESCAPES = re.compile(r"%(?![0-9A-Fa-f]{2})|[\x00-\x20\x7f]")

_Of = TypeVar("_Of")
_Name = TypeVar("_Name")
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Names:
    """What else than its subject a certificate names."""

    emails: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    addresses: tuple[_Address, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.emails or self.hosts or self.uris or self.addresses)

    @classmethod
    def parse(cls, value: bytes) -> Names:
        """Read the extension's content; raises ``DerError``."""
        found: dict[int, list[bytes]] = {kind: [] for kind in (_EMAIL, _DNS, _URI, _ADDRESS)}
        reader = Reader(value).inside(der.SEQUENCE)
        while reader:
            name = reader.any()
            if name.tag in found:
                found[name.tag].append(name.content)
        uris = tuple(map(_ascii, found[_URI]))
        for uri in uris:
            if _ESCAPES.search(uri) or (_host(uri) and not _is_domain(_host(uri))):
                raise DerError("a URI in it cannot be read")
        return cls(
            emails=tuple(map(_ascii, found[_EMAIL])),
            hosts=tuple(map(_ascii, found[_DNS])),
            uris=uris,
            addresses=tuple(map(_address, found[_ADDRESS])),
        )


@dataclass(frozen=True)
class Subtrees:
    """What names may, or must not, be."""

    emails: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    networks: tuple[_Network, ...] = ()


@dataclass(frozen=True)
class NameConstraints:
    """The names that may stand in the certificates below an authority's."""

    permitted: Subtrees
    excluded: Subtrees
    understood: bool
    """Whether it has constraints of the kinds that can be compared only."""

    @classmethod
    def parse(cls, value: bytes) -> NameConstraints:
        """Read the extension's content; raises ``DerError``."""
        outer = Reader(value)
        reader = outer.inside(der.SEQUENCE)
        permitted, excluded = reader.optional(_PERMITTED), reader.optional(_EXCLUDED)
        contents = [b"" if each is None else each.content for each in (permitted, excluded)]
        if outer or reader or not any(contents):
            raise DerError("its name constraints are empty or not understood")
        (allowed, first), (forbidden, second) = (_subtrees(content) for content in contents)
        return cls(allowed, forbidden, first and second)

    def allows(self, names: Names) -> bool:
        """Whether all names of a certificate below may stand there."""
        return (
            all(self._allowed(lambda of: of.networks, address, _in_network) for address in names.addresses)
            and all(_is_domain(host) and self._allowed(lambda of: of.hosts, host, _host_is) for host in names.hosts)
            and all(self._allows_uri(uri) for uri in names.uris)
            and all(self._allows_email(email) for email in names.emails)
        )

    def _allowed(
        self, kind: Callable[[Subtrees], Iterable[_Of]], name: _Name, matches: Callable[[_Of, _Name, bool], bool]
    ) -> bool:
        permitted, excluded = tuple(kind(self.permitted)), tuple(kind(self.excluded))
        if permitted and not any(matches(each, name, False) for each in permitted):
            return False
        return not any(matches(each, name, True) for each in excluded)

    def _allows_uri(self, uri: str) -> bool:
        host = _host(uri).lower()
        if host.startswith("[") or not host:
            return False
        name, colon, port = host.partition(":")
        if colon and ":" in port:
            return False
        return not _is_address(name) and self._allowed(lambda of: of.uris, name, _host_is)

    def _allows_email(self, email: str) -> bool:
        local, at, domain = email.rpartition("@")
        if not at or not _LOCAL_PART.fullmatch(local) or not _is_domain(domain):
            return False
        return self._allowed(lambda of: of.emails, f"{local}@{domain.lower()}", _email_is)


def _subtrees(content: bytes) -> tuple[Subtrees, bool]:
    """The subtrees, and whether they are of kinds that can be compared."""
    found: dict[int, list[bytes]] = {kind: [] for kind in (_EMAIL, _DNS, _URI, _ADDRESS)}
    understood = True
    reader = Reader(content)
    while reader:
        base = reader.inside(der.SEQUENCE).any()
        if base.tag in found:
            found[base.tag].append(base.content)
        else:
            understood = False
    emails, hosts, uris = (tuple(map(_ascii, found[kind])) for kind in (_EMAIL, _DNS, _URI))
    for email in emails:
        local, at, domain = email.rpartition("@")
        if not _is_domain(domain, constraint=not at) or (at and not _LOCAL_PART.fullmatch(local)):
            raise DerError("a constraint of it is no address")
    if not all(_is_domain(name, constraint=True) for name in (*hosts, *uris)) or any(map(_is_address, uris)):
        raise DerError("a constraint of it is no domain")
    return Subtrees(emails, hosts, uris, tuple(map(_network, found[_ADDRESS]))), understood


def _host_is(constraint: str, name: str, excluded: bool) -> bool:
    """Whether a host is the domain or below it; a wildcard is excluded with any name that it stands for."""
    constraint, name = constraint.lower(), name.lower()
    if not constraint or name == constraint:
        return True
    if name.endswith(constraint if constraint.startswith(".") else f".{constraint}"):
        return True
    parent = constraint.partition(".")[2]
    return excluded and bool(parent) and name == f"*.{parent}"


def _email_is(constraint: str, email: str, excluded: bool) -> bool:
    local, at, domain = constraint.rpartition("@")
    if at:
        return email == f"{local}@{domain.lower()}"
    return _host_is(constraint, email.rpartition("@")[2], excluded)


def _in_network(network: _Network, address: _Address, excluded: bool) -> bool:
    return address.version == network.version and address in network


def _is_domain(name: str, constraint: bool = False) -> bool:
    if not name:
        return True
    labels = (name[1:] if constraint and name.startswith(".") else name).split(".")
    return all(_LABEL.fullmatch(label) for label in labels)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _host(uri: str) -> str:
    try:
        return urlsplit(uri).netloc.rpartition("@")[2]
    except ValueError as error:
        raise DerError("a URI in it cannot be read") from error


def _address(content: bytes) -> _Address:
    if len(content) not in (4, 16):
        raise DerError("an address in it has another length")
    return ipaddress.ip_address(content)


def _network(content: bytes) -> _Network:
    if len(content) not in (8, 32):
        raise DerError("a network in it has another length")
    half = len(content) // 2
    mask = int.from_bytes(content[half:], "big")
    ones = mask.bit_count()
    if mask != ((1 << ones) - 1) << (8 * half - ones):
        raise DerError("a network in it has no mask")
    return ipaddress.ip_network((content[:half], ones), strict=False)


def _ascii(content: bytes) -> str:
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise DerError("a name in it is not ASCII") from None
