"""Profiles of ``fedledger.toml``: which gateway, channel, contract, identity and store a command works with.

Refuses keys that it does not know and plain-text connections to anything but this machine.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedledger.errors import BadInputError
from fedledger.identity.files import read_public, write_atomic
from fedledger.identity.hosts import is_loopback
from fedledger.identity.profile_text import line_of, read_text, tables_of, toml_string
from fedledger.identity.wallet import Credentials, load_credentials

if TYPE_CHECKING:
    import grpc

    from fedledger.gateway import Gateway
    from fedledger.identity.ca import FabricCa

FILE_NAME = "fedledger.toml"
DEFAULT_STORES = ("file", "https", "s3", "gs", "az", "abfs")
"""Protocols that a store's URL on the ledger may name unless a profile says otherwise: folders, which every machine of
an organisation may share, and the common object stores over TLS. Not among them is what logs in elsewhere (ssh, sftp),
talks in plain text (ftp, http) or opens further URLs that it finds in what it reads (reference, zip, github)."""
_LONGEST_SOCKET_PATH = 107
"""Bytes; ``sun_path`` of unix(7) without its terminating zero."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PROTOCOL = re.compile(r"[a-z][a-z0-9+.-]+")


@dataclass(frozen=True)
class FurtherGateway:
    """Another organisation's peer, to ask when those named before it do not answer."""

    gateway: str
    """As ``Profile.gateway``."""
    tls_roots: Path | None = None
    """As ``Profile.tls_roots``: those of the other organisation."""

    def open(self) -> grpc.Channel:
        """A channel to it, which connects when it is used; raises ``MISSING_FILE``, ``BAD_TLS_MATERIAL``."""
        from fedledger.gateway import open_channel

        return open_channel(self.gateway, None if self.tls_roots is None else read_public(self.tls_roots))


@dataclass(frozen=True)
class Profile:
    """Who acts, and on which channel. Paths are absolute once loaded."""

    name: str
    gateway: str
    """``host:port`` of the organisation's peer, or ``unix:/path``."""
    channel: str
    chaincode: str
    msp_id: str
    certificate: Path
    key: Path
    store: str
    """The organisation's own artifact store: a directory or an fsspec URL, of whatever protocol."""
    tls_roots: Path | None = None
    """PEM of the CAs that the gateway's TLS certificate must chain to; without it the gateway must be local."""
    ca: str | None = None
    """URL of the organisation's Fabric CA."""
    ca_name: str | None = None
    """The CA's name, where one server hosts several; its default CA without it."""
    ca_roots: Path | None = None
    """PEM of the CAs that the Fabric CA's TLS certificate must chain to."""
    sealing_key: Path | None = None
    """The validator's private key for sealed shares, or where it will be made."""
    data: Path | None = None
    """The organisation's own training data."""
    participant: Path | None = None
    """Where the participant agent keeps what it must remember."""
    validator: Path | None = None
    """Where the validator agent keeps what it must remember."""
    further_gateways: tuple[FurtherGateway, ...] = ()
    """Asked in their order while the organisation's own does not answer; more than half of them have to agree."""
    stores: tuple[str, ...] = DEFAULT_STORES
    """Protocols of fsspec that are opened where others name a store on the ledger; never several in a chain."""

    def credentials(self) -> Credentials:
        """Read certificate and key; raises ``IdentityError`` as ``wallet.load_credentials`` does."""
        return load_credentials(self.certificate, self.key)

    def certificate_authority(self) -> FabricCa:
        """Return the organisation's Fabric CA; raises ``PROFILE_MALFORMED`` when the profile names none."""
        from fedledger.identity.ca import FabricCa

        if self.ca is None:
            raise BadInputError(
                "PROFILE_MALFORMED", f"Profile {self.name} names no Fabric CA.", 'Add ca = "https://host:port".'
            )
        return FabricCa(self.ca, roots=self.ca_roots, ca_name=self.ca_name or "")

    def connect(self) -> Gateway:
        """Return the gateway as this profile's identity; closing it closes the connection, which is made lazily.

        Raises ``IdentityError`` for an unusable key or certificate, ``MISSING_FILE``, and ``BadInputError``
        (``BAD_TLS_MATERIAL``).
        """
        from fedledger.gateway import Identity, connect, new_private_key_signer

        credentials = self.credentials()
        own, *further = [each.open() for each in (FurtherGateway(self.gateway, self.tls_roots), *self.further_gateways)]
        return connect(
            Identity(self.msp_id, credentials.certificate_pem),
            new_private_key_signer(credentials.key),
            own,
            close_connection=True,
            further_connections=further,
        )


_FURTHER = "further_gateways"
_FURTHER_FORM = f'Write {_FURTHER} = [{{ gateway = "host:port", tls_roots = "FILE" }}].'
_STORES = "stores"
_KEYS = tuple(field for field in fields(Profile) if field.name not in ("name", _FURTHER, _STORES))
_REQUIRED = frozenset(("gateway", "channel", "chaincode", "msp_id", "certificate", "key", "store"))
_PATHS = frozenset(field.name for field in _KEYS if "Path" in str(field.type))


def load_profile(path: Path, name: str) -> Profile:
    """Read ``[profiles.<name>]`` from the file at ``path``, relative paths being relative to its folder.

    Raises ``PROFILE_MISSING`` (no file, or no such profile), ``PROFILE_MALFORMED`` (with the line) and
    ``UNKNOWN_KEY``.
    """
    text = read_text(path)
    tables = tables_of(path, text)
    if name not in tables:
        raise BadInputError(
            "PROFILE_MISSING",
            f"{path} has no profile {name!r}.",
            f"Choose one of: {', '.join(sorted(tables)) or 'none is defined there'}.",
        )
    return _Reader(path.absolute(), text, name).read(tables[name])


def profile_names(path: Path) -> tuple[str, ...]:
    """Return the names of the profiles in the file, in its order; raises as ``load_profile`` does."""
    return tuple(tables_of(path, read_text(path)))


def write_profiles(path: Path, profiles: Sequence[Profile]) -> None:
    """Write the whole file anew, at once; paths inside its folder are written relative to it.

    What ``load_profile`` returns for it equals ``profiles``. Raises ``PROFILE_MALFORMED`` for names that are
    no bare TOML keys or that repeat, ``UNWRITABLE_FILE``.
    """
    names = [profile.name for profile in profiles]
    for name in names:
        if not _NAME.fullmatch(name) or names.count(name) > 1:
            raise BadInputError(
                "PROFILE_MALFORMED",
                f"A profile cannot be called {name!r}.",
                "Use letters, digits, - and _, and each name once.",
            )
    folder = path.absolute().parent
    write_atomic(path, "\n".join(_table(profile, folder) for profile in profiles).encode())


def update_profiles(path: Path, profiles: Sequence[Profile], dropped: Collection[str] = ()) -> None:
    """Bring ``profiles`` into the file and leave the others in it, but for those whose names are ``dropped``.

    What a profile has there and the new one leaves out stays, such as ``data``. A file that says all of it already is
    not touched; one that has to be written anew loses its comments. Raises as ``load_profile`` and ``write_profiles``.
    """
    present = {name: load_profile(path, name) for name in profile_names(path)} if path.exists() else {}
    updated = {name: profile for name, profile in present.items() if name not in dropped}
    for profile in profiles:
        updated[profile.name] = _completed(profile, present.get(profile.name))
    if updated != present or not path.exists():
        write_profiles(path, list(updated.values()))


def _completed(profile: Profile, before: Profile | None) -> Profile:
    """The profile with what only the earlier one says."""
    if before is None:
        return profile
    missing = [field.name for field in fields(Profile) if getattr(profile, field.name) == field.default]
    return replace(profile, **{name: getattr(before, name) for name in missing})


@dataclass(frozen=True)
class _Reader:
    """Checks one profile's table and says where in ``text`` a refusal lies."""

    path: Path
    text: str
    name: str

    def read(self, table: object) -> Profile:
        if not isinstance(table, dict):
            raise self._malformed(None, "is not a table", f"Write [profiles.{self.name}] and its keys below it.")
        known = {field.name for field in _KEYS} | {_FURTHER, _STORES}
        for key in table:
            if key not in known:
                raise BadInputError(
                    "UNKNOWN_KEY",
                    f"{self._place(key)}: profile {self.name} has an unknown key {key!r}.",
                    f"Known keys: {', '.join(sorted(known))}.",
                )
        own = {key: value for key, value in table.items() if key not in (_FURTHER, _STORES)}
        for key, value in own.items():
            if not _is_text(value):
                raise self._malformed(key, f"has a {key} that is no text", f'Write {key} = "...".')
        for key in sorted(_REQUIRED - own.keys()):
            raise self._malformed(None, f"has no {key}", f'Add {key} = "...".')
        values: dict[str, Any] = {key: self._resolve(value) if key in _PATHS else value for key, value in own.items()}
        values["gateway"] = self._gateway(own)
        values["store"] = self._store(own["store"])
        values[_FURTHER] = self._further_gateways(table.get(_FURTHER, []))
        if _STORES in table:
            values[_STORES] = self._stores(table[_STORES])
        if "ca" in own:
            self._check_authority(own)
        return Profile(name=self.name, **values)

    def _further_gateways(self, tables: object) -> tuple[FurtherGateway, ...]:
        if not isinstance(tables, list):
            raise self._malformed(_FURTHER, f"has {_FURTHER} that are no list", _FURTHER_FORM)
        return tuple(map(self._further_gateway, tables))

    def _further_gateway(self, table: object) -> FurtherGateway:
        if (
            not isinstance(table, dict)
            or not {"gateway"} <= table.keys() <= {"gateway", "tls_roots"}
            or not all(map(_is_text, table.values()))
        ):
            raise self._malformed(_FURTHER, f"has {_FURTHER} of no known form", _FURTHER_FORM)
        roots = self._resolve(table["tls_roots"]) if "tls_roots" in table else None
        return FurtherGateway(self._gateway(table, _FURTHER), roots)

    def _gateway(self, table: Mapping[str, str], key: str = "gateway") -> str:
        """The address in ``table``, which stands under ``key`` of the profile."""
        endpoint = table["gateway"]
        if endpoint.startswith("unix:"):
            socket = self._resolve(endpoint.removeprefix("unix:").removeprefix("//"))
            if len(bytes(socket)) > _LONGEST_SOCKET_PATH:
                raise self._malformed(
                    key,
                    f"has a socket path longer than {_LONGEST_SOCKET_PATH} bytes",
                    "Use a folder nearer to the root.",
                )
            return f"unix:{socket}"
        host, colon, port = endpoint.rpartition(":")
        if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in host:
            raise self._malformed(key, f"has a gateway {endpoint!r} of no known form", "Write host:port or unix:/path.")
        if "tls_roots" not in table and not is_loopback(host):
            raise self._malformed(
                key,
                f"would talk to {endpoint} in plain text",
                "Give tls_roots, the PEM of the CAs of the peer's TLS certificate.",
            )
        return endpoint

    def _store(self, store: str) -> str:
        return store if _is_url(store) else str(self._resolve(store))

    def _stores(self, protocols: object) -> tuple[str, ...]:
        if not isinstance(protocols, list) or not all(
            isinstance(protocol, str) and _PROTOCOL.fullmatch(protocol) for protocol in protocols
        ):
            raise self._malformed(
                _STORES, f"has {_STORES} that are no list of protocols", f'Write {_STORES} = ["file", "s3"].'
            )
        return tuple(protocols)

    def _check_authority(self, table: Mapping[str, str]) -> None:
        scheme, separator, rest = table["ca"].partition("://")
        if scheme not in ("http", "https") or not separator or not rest:
            raise self._malformed("ca", "has a ca that is no URL", "Write https://host:port.")

    def _resolve(self, value: str) -> Path:
        return self.path.parent / value

    def _malformed(self, key: str | None, reason: str, remedy: str) -> BadInputError:
        return BadInputError("PROFILE_MALFORMED", f"{self._place(key)}: profile {self.name} {reason}.", remedy)

    def _place(self, key: str | None) -> str:
        line = line_of(self.text, self.name, key)
        return f"{self.path}, line {line}" if line else str(self.path)


def _table(profile: Profile, folder: Path) -> str:
    values: dict[str, str | Path | None] = {field.name: getattr(profile, field.name) for field in _KEYS}
    values["gateway"] = _address(profile.gateway, folder)
    if not _is_url(profile.store):
        values["store"] = _below(folder, Path(profile.store))
    lines = _lines(values, folder)
    if profile.further_gateways:
        inline = [
            ", ".join(_lines({"gateway": _address(each.gateway, folder), "tls_roots": each.tls_roots}, folder))
            for each in profile.further_gateways
        ]
        lines.append(f"{_FURTHER} = [{', '.join(f'{{ {each} }}' for each in inline)}]")
    if profile.stores != DEFAULT_STORES:
        lines.append(f"{_STORES} = [{', '.join(map(toml_string, profile.stores))}]")
    return f"[profiles.{profile.name}]\n" + "\n".join(lines) + "\n"


def _lines(values: Mapping[str, str | Path | None], folder: Path) -> list[str]:
    return [
        f"{key} = {toml_string(str(_below(folder, value) if isinstance(value, Path) else value))}"
        for key, value in values.items()
        if value is not None
    ]


def _address(gateway: str, folder: Path) -> str:
    if not gateway.startswith("unix:"):
        return gateway
    return f"unix:{_below(folder, Path(gateway.removeprefix('unix:')))}"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _below(folder: Path, path: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _is_url(store: str) -> bool:
    return "://" in store or "::" in store
