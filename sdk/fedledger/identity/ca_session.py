"""hfc's Fabric CA client, repaired: tokens that Fabric CA 1.4 and later accept, deadlines, refusals with codes.

hfc 1.0.0 signs ``base64(body).base64(certificate)`` only, which Fabric CA answers with 401 unless it runs in its
weaker compatibility mode; today's token also covers the method and the URI (hyperledger/fabric-ca,
``util/util.go``, ``GenECDSAToken``). Refuses plain HTTP to any other machine, and takes no password or proxy
from the environment.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from hfc.fabric_ca.caservice import CAClient

from fedledger.errors import AccessError, BadInputError, DeadlineError
from fedledger.identity.hosts import is_loopback
from fedledger.identity.keys import sign
from fedledger.identity.wallet import Credentials

_REMEDIES: dict[int, tuple[str, str]] = {
    19: ("CA_UNKNOWN_NAME", "Name a CA that this server hosts."),
    20: (
        "CA_AUTHENTICATION",
        "Check enrolment id and secret; a secret that is used up, or an identity that is revoked, needs the"
        " organisation's registrar.",
    ),
    71: ("CA_AUTHORISATION", "Ask a registrar of the organisation who holds the missing hf. attribute."),
    73: ("CA_LOCKED", "Too many wrong secrets: the registrar must register the identity anew."),
    74: ("CA_ALREADY_REGISTERED", "Enrol with the secret that was given then, or choose another enrolment id."),
}
"""Fabric CA's error codes (``lib/caerrors/servererror.go``) that call for a remedy of their own."""


class CaError(AccessError):
    """The Fabric CA refused a request, or cannot be reached or trusted.

    ``status`` is the HTTP status and ``ca_code`` Fabric CA's own number, both 0 when no answer came. Codes:
    ``CA_UNREACHABLE``, ``CA_UNTRUSTED``, ``CA_PROTOCOL``, ``CA_AUTHENTICATION``, ``CA_AUTHORISATION``,
    ``CA_LOCKED``, ``CA_ALREADY_REGISTERED``, ``CA_UNKNOWN_NAME``, ``CA_REFUSED``.
    """

    def __init__(self, code: str, message: str, remedy: str, *, status: int = 0, ca_code: int = 0) -> None:
        super().__init__(code, message, remedy)
        self.status = status
        self.ca_code = ca_code


def authorization_token(registrar: Credentials, method: str, uri: str, body: bytes) -> str:
    """Return the Authorization header of a signed request: ``base64(certificate).base64(signature)``.

    The signature is over ``method.base64(uri).base64(body).base64(certificate)``, ``uri`` being path and query.
    """
    certificate = _base64(registrar.certificate_pem)
    signed = ".".join((method, _base64(uri.encode()), _base64(body), certificate))
    return f"{certificate}.{_base64(sign(registrar.key, signed.encode()))}"


class CaSession(CAClient):  # type: ignore[misc]  # hfc carries no types
    """One Fabric CA behind a URL. hfc composes requests and reads results; this class sends and signs them."""

    def __init__(
        self,
        url: str,
        *,
        roots: Path | None = None,
        ca_name: str = "",
        deadline: float = 30.0,
        session: requests.Session | None = None,
    ) -> None:
        """Prepare, connecting to nothing yet; ``deadline`` is in seconds, for connecting and for each answer.

        ``roots`` is a PEM of CAs to trust instead of the system's. ``session`` may carry another transport.
        Raises ``CA_PLAIN_TEXT`` for an ``http`` URL of another machine, ``MISSING_FILE`` for missing roots.
        """
        super().__init__(target=_checked(url), ca_name=ca_name)
        if roots is not None and not roots.is_file():
            raise BadInputError(
                "MISSING_FILE", f"There are no CA roots at {roots}.", "Give the PEM of the CAs to trust."
            )
        self._roots: str | bool = str(roots) if roots is not None else True
        self._deadline = deadline
        self._session = session or requests.Session()
        self._session.trust_env = False  # else ~/.netrc would replace the token

    def generateAuthToken(self, req: object, registrar: Credentials) -> Credentials:
        """Leave signing to the moment when method, URI and bytes are known."""
        return registrar

    def _send_ca_post(self, path: str, **param: Any) -> tuple[Any, int]:
        return self._send("POST", path, **param)

    def _send_ca_get(self, path: str, **param: Any) -> tuple[Any, int]:
        return self._send("GET", path, **param)

    def _send_ca_delete(self, path: str, **param: Any) -> tuple[Any, int]:
        return self._send("DELETE", path, **param)

    def _send_ca_update(self, path: str, **param: Any) -> tuple[Any, int]:
        return self._send("PUT", path, **param)

    def _send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, Credentials] | None = None,
        verify: object = None,
    ) -> tuple[Any, int]:
        del verify  # hfc's copy of the roots; this session has its own
        body = b"" if json is None else _json(json)
        request = self._session.prepare_request(
            requests.Request(
                method,
                self._base_url + path,
                data=body,
                auth=auth,
                headers={"Content-Type": "application/json"},
            )
        )
        if headers:
            registrar = headers["Authorization"]
            request.headers["Authorization"] = authorization_token(registrar, method, request.path_url, body)
        response = self._exchange(request)
        return _answer(response), response.status_code

    def _exchange(self, request: requests.PreparedRequest) -> requests.Response:
        place = self._base_url
        try:
            return self._session.send(request, timeout=self._deadline, verify=self._roots, allow_redirects=False)
        except requests.exceptions.SSLError as error:
            raise CaError(
                "CA_UNTRUSTED",
                f"The certificate of the CA server at {place} is not to be trusted: {error}.",
                "Give the CA roots of its TLS certificate and the host name that it carries.",
            ) from error
        except requests.exceptions.Timeout as error:
            raise DeadlineError(
                "CA_TIMEOUT",
                f"The CA server at {place} did not answer within {self._deadline:g} s.",
                "Look at the registrar's list of identities before repeating: the request may have been served.",
            ) from error
        except requests.exceptions.RequestException as error:
            raise CaError(
                "CA_UNREACHABLE",
                f"The CA server at {place} cannot be reached: {error}.",
                "Check that it runs and that the URL is right.",
            ) from error


@contextmanager
def understood() -> Iterator[None]:
    """Turn what hfc raises over a result of another form than Fabric CA's into ``CA_PROTOCOL``."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise CaError(
            "CA_PROTOCOL",
            f"The CA's answer is not of Fabric CA's form: {type(error).__name__} {error}.",
            "Check that the URL is a Fabric CA's.",
        ) from error


def _answer(response: requests.Response) -> dict[str, Any]:
    try:
        document = response.json()
        succeeded = document["success"]
        errors = [(int(error["code"]), str(error["message"])) for error in document["errors"] or ()]
    except (ValueError, KeyError, TypeError) as error:
        raise CaError(
            "CA_PROTOCOL",
            f"{response.url} answered with status {response.status_code} and no Fabric CA message.",
            "Check that the URL is a Fabric CA's.",
            status=response.status_code,
        ) from error
    if succeeded is True:
        return dict(document)
    number, message = errors[0] if errors else (0, "no reason given")
    code, remedy = _REMEDIES.get(number, ("CA_REFUSED", "Correct the request; the CA's log says more."))
    raise CaError(code, f"The CA refused: {message}.", remedy, status=response.status_code, ca_code=number)


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise BadInputError("CA_URL", f"{url!r} is no URL of a CA.", "Write https://host:port.")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise BadInputError(
            "CA_PLAIN_TEXT",
            f"An enrolment secret would travel to {parts.hostname} in plain text.",
            "Use https and give the CA roots.",
        )
    return url.rstrip("/")


def _json(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
