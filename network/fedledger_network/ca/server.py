"""The development CA over HTTP, by starlette and uvicorn, on 127.0.0.1 only.

Refuses any other address, with or without TLS: it is for development only.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route

from fedledger.errors import BadInputError
from fedledger.identity.wallet import Wallet
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.calls import Request
from fedledger_network.ca.service import LARGEST_BODY, CaService

LOOPBACK = "127.0.0.1"
_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"]
_STOPPING_SECONDS = 10.0


def create_app(*authorities: DevelopmentAuthority, accept_v1_tokens: bool = False) -> Starlette:
    """Return the ASGI application that answers Fabric CA's REST calls for one or several authorities."""
    service = CaService(*authorities, accept_v1_tokens=accept_v1_tokens)

    async def answer(http: HttpRequest) -> HttpResponse:
        response = await run_in_threadpool(service.handle, await _received(http))
        return HttpResponse(response.body, response.status, media_type="application/json")

    return Starlette(routes=[Route("/{path:path}", answer, methods=_METHODS)])


class CaServer:
    """A server in a thread of this process, from entering the context to leaving it."""

    def __init__(
        self,
        *authorities: DevelopmentAuthority,
        port: int = 0,
        tls: Wallet | None = None,
        accept_v1_tokens: bool = False,
    ) -> None:
        """Bind to a port of 127.0.0.1 (0: any free one), with ``tls`` as the server's certificate if given.

        Raises ``ADDRESS_IN_USE``.
        """
        self._socket = _bound(port)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://{LOOPBACK}:{self._socket.getsockname()[1]}"
        configuration = uvicorn.Config(
            create_app(*authorities, accept_v1_tokens=accept_v1_tokens),
            log_config=None,
            access_log=False,
            lifespan="off",
            ssl_certfile=None if tls is None else str(tls.certificate_path),
            ssl_keyfile=None if tls is None else str(tls.key_path),
        )
        configuration.load()  # what is wrong with the TLS files shows here, not in the thread
        self._server = uvicorn.Server(configuration)
        self._thread = threading.Thread(target=self._serve, name="development-ca", daemon=True)

    def __enter__(self) -> CaServer:
        self._socket.listen()  # requests wait in the backlog until the thread accepts them
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_STOPPING_SECONDS)
        self._socket.close()

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


async def _received(http: HttpRequest) -> Request:
    query = http.scope["query_string"]
    target = http.scope.get("raw_path", http.url.path.encode()) + (b"?" + query if query else b"")
    body = b""
    async for chunk in http.stream():
        body += chunk
        if len(body) > LARGEST_BODY:  # the service refuses it; the rest need not be kept
            break
    return Request(http.method, target.decode("latin-1"), http.headers.get("authorization", ""), body)


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
    except OSError as error:
        bound.close()
        raise BadInputError(
            "ADDRESS_IN_USE",
            f"The CA cannot listen on {LOOPBACK}:{port}: {error.strerror or error}.",
            "Stop what listens there, or choose another port.",
        ) from error
    return bound
