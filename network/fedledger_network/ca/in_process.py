"""A ``requests`` transport that hands REST calls to a ``CaService`` of the same process, without a socket.

The client signs, sends and checks exactly as over HTTP; nothing listens. Refuses nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter

from fedledger.identity.ca import FabricCa
from fedledger_network.ca.calls import Request
from fedledger_network.ca.service import CaService

URL = "http://localhost"


class InProcessAdapter(BaseAdapter):
    """Answers the requests of a ``requests.Session`` from ``service``."""

    def __init__(self, service: CaService) -> None:
        super().__init__()
        self._service = service

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Answer at once; the arguments that concern a connection have no meaning here."""
        body = request.body or b""
        answer = self._service.handle(
            Request(
                method=request.method or "",
                target=request.path_url,
                authorization=request.headers.get("Authorization", ""),
                body=body.encode() if isinstance(body, str) else body,
            )
        )
        response = requests.Response()
        response.status_code = answer.status
        response.headers["Content-Type"] = "application/json"
        response.encoding = "utf-8"
        response.url = request.url or ""
        response.request = request
        response.raw = BytesIO(answer.body)
        return response

    def close(self) -> None:
        """Release nothing: there is no connection."""


def in_process_ca(service: CaService, ca_name: str = "") -> FabricCa:
    """Return a Fabric CA client whose calls ``service`` answers in this process."""
    session = requests.Session()
    session.mount(f"{urlsplit(URL).scheme}://", InProcessAdapter(service))
    return FabricCa(URL, ca_name=ca_name, session=session)
