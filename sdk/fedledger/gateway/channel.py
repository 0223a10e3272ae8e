"""gRPC channels that suit a Fabric peer; refuses an unencrypted connection to another machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from fedledger.errors import BadInputError

MAX_MESSAGE_BYTES = 100 * 1024 * 1024
"""Largest message either way, as a Fabric peer's own limit."""

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A Fabric peer refuses pings more often than once a minute.
    ("grpc.keepalive_time_ms", 120_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A peer that restarts is found again soon; gRPC's own limit is two minutes.
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


def open_channel(
    endpoint: str,
    tls_roots: bytes | None = None,
    *,
    client_certificate: bytes | None = None,
    client_key: bytes | None = None,
    server_name: str | None = None,
) -> grpc.Channel:
    """Return a channel to a peer at ``host:port`` or ``unix:path``; it connects when first used.

    ``tls_roots`` are PEM certificates that the peer's certificate must descend from, without them the connection is
    not encrypted, which is allowed on this machine only. ``client_certificate`` and ``client_key`` (PEM) are for
    mutual TLS; ``server_name`` is the name to find in the peer's certificate when it is not the host.
    The channel belongs to the process that opened it: open it after a fork, not before.
    Raises ``BadInputError``: ``BAD_ENDPOINT``, ``PLAINTEXT_REMOTE``, ``BAD_TLS_MATERIAL``.
    """
    host = _host(endpoint)
    local = host is None or _is_loopback(host)
    options: list[tuple[str, int | str]] = list(_OPTIONS)
    if local:
        options.append(("grpc.enable_http_proxy", 0))
    if server_name is not None:
        options.append(("grpc.ssl_target_name_override", server_name))
    if (client_certificate is None) != (client_key is None):
        raise _bad_tls("a client certificate needs its key, and a key its certificate")
    if tls_roots is not None:
        _load_certificates(tls_roots)
        if client_certificate is not None:
            _load_certificates(client_certificate)
        return grpc.secure_channel(
            endpoint, grpc.ssl_channel_credentials(tls_roots, client_key, client_certificate), options
        )
    if client_certificate is not None or server_name is not None:
        raise _bad_tls("a client certificate or a server's name has no use without TLS roots")
    if not local:
        raise BadInputError(
            "PLAINTEXT_REMOTE",
            f"The connection to {endpoint} would not be encrypted.",
            "Give the TLS root certificates of the peer's organisation.",
        )
    return grpc.insecure_channel(endpoint, options)


def tls_certificate_hash(client_certificate: bytes) -> bytes:
    """Return SHA-256 of a PEM certificate's DER: what binds event requests to a mutual TLS connection."""
    return _load_certificates(client_certificate)[0].fingerprint(hashes.SHA256())


def _host(endpoint: str) -> str | None:
    """Return the host part, None for a unix socket."""
    if endpoint.startswith("unix:") and len(endpoint) > len("unix:"):
        return None
    host, colon, port = endpoint.rpartition(":")
    if not colon or not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise BadInputError(
            "BAD_ENDPOINT", f"{endpoint!r} is no gateway address.", "Write host:port, or unix: and a socket's path."
        )
    return host.strip("[]")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _load_certificates(pem: bytes) -> Sequence[x509.Certificate]:
    # gRPC takes unusable roots without a word and then fails every call as unavailable.
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise _bad_tls("they hold no PEM certificate") from error


def _bad_tls(reason: str) -> BadInputError:
    return BadInputError(
        "BAD_TLS_MATERIAL", f"The TLS certificates cannot be used: {reason}.", "Check the profile's TLS files."
    )
