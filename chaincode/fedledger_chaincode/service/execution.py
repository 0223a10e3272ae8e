"""A contract's outcome as the chaincode's response; a bug becomes one that tells the client nothing.

A transaction whose proposal's time is far from this service's clock is refused before the contract sees it, so
that a submitter cannot pick its time; an evaluation looks the same to a chaincode and is refused alike.
No value of the ledger's state gets into the log: a failure is logged by its type and where it happened.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from fabric_protos.peer import proposal_response_pb2

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.service.errors import ShimError
from fedledger_chaincode.stub import Stub

MAXIMUM_CLOCK_SKEW = 300
"""Seconds between a proposal's time and the service's clock."""

MAXIMUM_ARGUMENT_BYTES = 8 << 20
"""A transaction's arguments together: larger data belongs beside the ledger."""

MAXIMUM_RESULT_BYTES = 64 << 20
"""A transaction's result: a message to the peer holds 100 MB."""

MAXIMUM_MESSAGE_CHARACTERS = 1000
"""A refusal's message: a gateway puts every endorser's into HTTP/2 headers, which gRPC cuts off at 8 KB."""

METADATA_FUNCTION = "org.hyperledger.fabric:GetMetadata"
METADATA_SCHEMA = "https://hyperledger.github.io/fabric-chaincode-node/main/api/contract-schema.json"

OK = 200

_log = structlog.get_logger(__name__)


class ChaincodeContract(Protocol):
    """What can be served. A ``metadata() -> Mapping`` besides, in the form of Fabric's contract API, is published."""

    def invoke(self, stub: Stub) -> bytes:
        """Run one transaction; called from many threads at a time, raises ``ContractError`` to refuse."""
        ...


@dataclass(frozen=True)
class Outcome:
    """``response`` is a ``protos.Response``; writes and event count only when ``accepted``."""

    response: Any
    accepted: bool


@dataclass(frozen=True)
class ContractHost:
    """A contract with what the service answers for it.

    ``metadata`` is the answer to GetMetadata, None leaves that to the contract; ``clock`` gives seconds since the
    epoch, and ``maximum_clock_skew`` seconds are allowed between it and a proposal's time.
    """

    invoke: Callable[[Stub], bytes]
    metadata: bytes | None
    clock: Callable[[], float]
    maximum_clock_skew: float

    def run(self, stub: Stub) -> Outcome:
        """Let the contract decide; raises ``ShimError`` when the peer could not be asked."""
        try:
            self._check_time(stub)
            self._check_size(stub)
            answers_itself = self.metadata is not None and stub.function == METADATA_FUNCTION
            result = self.metadata if answers_itself else self.invoke(stub)
            if not isinstance(result, bytes):
                raise TypeError(f"the contract returned {type(result).__name__}, not bytes")
            if len(result) > MAXIMUM_RESULT_BYTES:
                raise ContractError(
                    413,
                    "RESULT_TOO_LARGE",
                    f"The result has {len(result)} bytes, more than {MAXIMUM_RESULT_BYTES}.",
                    "Ask for less at a time.",
                )
        except ShimError:
            raise
        except ContractError as refusal:
            _log.info("refused", transaction=stub.transaction_id, channel=stub.channel_id, code=refusal.code)
            return _refused(refusal.status, refusal.response_message)
        except Exception as error:
            _log.error("contract_failed", transaction=stub.transaction_id, channel=stub.channel_id, **where(error))
            return _refused(
                500,
                "INTERNAL: The contract failed. Ask the peer's operator to look for transaction "
                f"{stub.transaction_id} in the chaincode's log.",
            )
        return Outcome(proposal_response_pb2.Response(status=OK, payload=result), accepted=True)

    def _check_time(self, stub: Stub) -> None:
        skew = stub.timestamp - self.clock()
        if abs(skew) > self.maximum_clock_skew:
            raise ContractError(
                400,
                "CLOCK_SKEW",
                f"The proposal's time is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'} "
                f"the peer's chaincode; {self.maximum_clock_skew:g} are allowed.",
                "Set the clock and submit again.",
            )

    def _check_size(self, stub: Stub) -> None:
        size = sum(len(argument) for argument in stub.arguments)
        if size > MAXIMUM_ARGUMENT_BYTES:
            raise ContractError(
                413,
                "ARGUMENTS_TOO_LARGE",
                f"The arguments have {size} bytes, more than {MAXIMUM_ARGUMENT_BYTES}.",
                "Keep large data in the artifact store and submit its digest.",
            )


def where(error: BaseException) -> dict[str, Any]:
    """An exception as log fields: its type, its causes' types and the lines it went through, outermost first.

    Its text is left out, because it may quote what the contract read.
    """
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": [f"{type(each).__module__}.{type(each).__qualname__}" for each in causes],
        "traceback": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def metadata_document(metadata: Mapping[str, Any]) -> bytes:
    """The contract metadata as the JSON of Fabric's contract API; a missing ``$schema`` is added.

    Raises:
        ValueError: ``contracts`` or ``info`` is missing, or a value is no JSON.
    """
    missing = [member for member in ("contracts", "info") if not isinstance(metadata.get(member), Mapping)]
    if missing:
        raise ValueError(f"contract metadata needs an object {' and '.join(missing)}")
    document = {"$schema": METADATA_SCHEMA, **metadata}
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode()


def _refused(status: int, message: str) -> Outcome:
    # Texts from decoded JSON may hold lone surrogates, which protobuf cannot carry.
    text = message.encode("utf-8", "backslashreplace").decode()
    if len(text) > MAXIMUM_MESSAGE_CHARACTERS:
        text = text[: MAXIMUM_MESSAGE_CHARACTERS - 1] + "…"
    # A peer endorses whatever is below 400: a refusal must never get there.
    return Outcome(proposal_response_pb2.Response(status=max(status, 400), message=text), accepted=False)
