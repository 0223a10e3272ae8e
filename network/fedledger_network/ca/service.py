"""The REST calls of Fabric CA 1.5 over development authorities: a request value in, a response value out.

Needs no socket, so that a development network enrols its members through the same calls in one process. Refuses
unknown paths, methods and CA names, and bodies over one MiB. For development only, as the authorities are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import structlog

from fedledger.errors import FedledgerError
from fedledger_network.ca import enrollment, registration, revocation
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.calls import Call, Request, WrongSecret
from fedledger_network.ca.enrollment import Answer
from fedledger_network.ca.refusals import CaErrorCode, CaRefusal

PREFIX = "/api/v1/"
LARGEST_BODY = 1024 * 1024
"""Bytes; a signing request takes about one thousand."""

_log = structlog.get_logger(__name__)

_CALLS: Mapping[str, Mapping[str, Callable[[Call], Answer]]] = {
    "cainfo": {"GET": enrollment.info, "POST": enrollment.info, "HEAD": enrollment.info},
    "enroll": {"POST": enrollment.enroll},
    "reenroll": {"POST": enrollment.reenroll},
    "register": {"POST": registration.register},
    "revoke": {"POST": revocation.revoke},
    "gencrl": {"POST": revocation.generate_list},
    "identities": {"GET": registration.list_identities, "POST": registration.add_identity},
    "affiliations": {"GET": registration.list_affiliations, "POST": registration.add_affiliation},
}
_CALLS_ON_IDENTITIES: Mapping[str, Callable[[Call, str], Answer]] = {
    "GET": registration.show_identity,
    "DELETE": registration.remove_identity,
}


@dataclass(frozen=True)
class Response:
    """An HTTP response with a JSON body in Fabric CA's envelope."""

    status: int
    body: bytes


class CaService:
    """Answers for one or several authorities; requests without ``caname`` go to the first."""

    def __init__(self, *authorities: DevelopmentAuthority, accept_v1_tokens: bool = False) -> None:
        """``accept_v1_tokens`` is Fabric CA's compatibility mode: tokens that cover the body only."""
        self._authorities = {authority.name: authority for authority in authorities}
        self._default = authorities[0]
        self._accept_v1_tokens = accept_v1_tokens

    def handle(self, request: Request) -> Response:
        """Answer a request; whatever it changed is on the disk when this returns."""
        try:
            status, result = self._answer(request)
        except CaRefusal as refusal:
            _log.warning(
                "ca_refused",
                method=request.method,
                path=request.path,
                status=refusal.status,
                code=int(refusal.code),
                reason=refusal.reason,
            )
            return _envelope(refusal.status, None, refusal)
        _log.info("ca_answered", method=request.method, path=request.path, status=status)
        return _envelope(status, result, None)

    def _answer(self, request: Request) -> Answer:
        if len(request.body) > LARGEST_BODY:
            raise CaRefusal(400, CaErrorCode.READING_BODY, "Failed reading request body: it is too large")
        handler = _route(request)
        authority = self._addressed(request)
        call = Call(authority, request, self._accept_v1_tokens)
        try:
            with authority.registry.transaction():
                return handler(call)
        except WrongSecret as refusal:
            with authority.registry.transaction():
                authority.registry.count_failure(refusal.identity)
            raise
        except FedledgerError as error:
            raise CaRefusal(500, CaErrorCode.UNKNOWN, error.message) from error

    def _addressed(self, request: Request) -> DevelopmentAuthority:
        name = request.query.get("ca") or request.document.get("caname") or self._default.name
        authority = self._authorities.get(str(name))
        if authority is None:
            raise CaRefusal(404, CaErrorCode.CA_NOT_FOUND, f"CA '{name}' does not exist")
        return authority


def _route(request: Request) -> Callable[[Call], Answer]:
    path = request.path.removeprefix(PREFIX).removeprefix("/")
    collection, slash, member = path.partition("/")
    methods: Mapping[str, Callable[[Call], Answer]] | None = _CALLS.get(path)
    if slash and collection == "identities" and member and "/" not in member:
        enrollment_id = unquote(member)
        methods = {method: _about(answer, enrollment_id) for method, answer in _CALLS_ON_IDENTITIES.items()}
    if methods is None:
        raise CaRefusal(404, CaErrorCode.UNKNOWN, f"There is no {request.path}")
    if request.method not in methods:
        raise CaRefusal(405, CaErrorCode.METHOD_NOT_ALLOWED, f"Method {request.method} is not allowed")
    return methods[request.method]


def _about(answer: Callable[[Call, str], Answer], enrollment_id: str) -> Callable[[Call], Answer]:
    return lambda call: answer(call, enrollment_id)


def _envelope(status: int, result: object, refusal: CaRefusal | None) -> Response:
    errors = [] if refusal is None else [{"code": int(refusal.code), "message": refusal.message}]
    document = {
        "result": "" if result is None else result,
        "errors": errors,
        "messages": [],
        "success": refusal is None,
    }
    return Response(status, json.dumps(document).encode())
