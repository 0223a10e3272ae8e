"""What all services of the node share about calls: how many streams may be open, and how a call is refused.

A refusal carries Fabric's error details, clipped so that they fit into the metadata that gRPC lets through.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import grpc
from fabric_protos.gateway import gateway_pb2
from google.protobuf import any_pb2
from google.rpc import status_pb2

from fedledger_network.embedded.endorser import PeerFailure

CALLS_AT_A_TIME = 512
"""Calls that are served at a time; each occupies a thread, and further ones are refused."""
STREAMS_AT_A_TIME = 256
"""How many of them may be streams of events or blocks, which last as long as the client likes."""
_STATUS_DETAILS = "grpc-status-details-bin"
_LONGEST_MESSAGE = 1_000
_LONGEST_DETAILS = 3_600
"""Bytes of all details together: gRPC takes 8 KiB of metadata, in which they stand by a third longer."""


@dataclass(frozen=True)
class Aborting:
    """Ends calls as the gateway at ``address``."""

    address: str

    def abort(
        self,
        context: grpc.ServicerContext,
        code: grpc.StatusCode,
        message: str,
        failures: Sequence[PeerFailure] = (),
    ) -> NoReturn:
        """End the call, with what each peer said in ``grpc-status-details-bin``."""
        message = _clipped(message, _LONGEST_MESSAGE)
        status = status_pb2.Status(code=code.value[0], message=message)
        for failure in failures:
            detail = gateway_pb2.ErrorDetail(
                address=self.address,
                msp_id=failure.msp_id,
                message=_clipped(failure.message, _LONGEST_DETAILS // len(failures)),
            )
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        context.set_trailing_metadata(((_STATUS_DETAILS, status.SerializeToString()),))
        context.abort(code, message)
        raise AssertionError("abort returns never")


class OpenStreams:
    """Counts streams, so that they cannot take every thread from other calls."""

    def __init__(self, on_gone: Callable[[], None], most: int = STREAMS_AT_A_TIME) -> None:
        """``on_gone`` is called when a stream's client has gone, however that happens."""
        self._on_gone = on_gone
        self._most = most
        self._free = threading.BoundedSemaphore(most)

    @contextmanager
    def open(self, context: grpc.ServicerContext) -> Iterator[None]:
        """Count one for as long as the context lasts; refuses with RESOURCE_EXHAUSTED when there are too many."""
        if not self._free.acquire(blocking=False):
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"too many streams are open, at most {self._most} are allowed"
            )
        try:
            context.add_callback(self._on_gone)
            yield
        finally:
            self._free.release()


def _clipped(text: str, most: int) -> str:
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= most else encoded[: most - 3].decode("utf-8", "ignore") + "..."
