"""A contract's outcome as the chaincode's response; a bug becomes one that tells the client nothing.

A transaction whose proposal's time is far from this service's clock is refused before the contract sees it, so
that a submitter cannot pick its time; an evaluation looks the same to a chaincode and is refused alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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

METADATA_FUNCTION = "org.hyperledger.fabric:GetMetadata"
METADATA_SCHEMA = "https://hyperledger.github.io/fabric-chaincode-node/main/api/contract-schema.json"

OK = 200

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """``response`` is a ``protos.Response``; writes and event count only when ``accepted``."""

    response: Any
    accepted: bool


@dataclass(frozen=True)
class ContractHost:
    """A contract with what the service answers for it; ``clock`` in seconds since the epoch."""

    invoke: Callable[[Stub], bytes]
    metadata: bytes
    clock: Callable[[], float]

    def run(self, stub: Stub) -> Outcome:
        """Let the contract decide; raises ``ShimError`` when the peer could not be asked."""
        try:
            self._check_time(stub)
            self._check_size(stub)
            result = self.metadata if stub.function == METADATA_FUNCTION else self.invoke(stub)
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
        except Exception:
            # What went wrong may quote state: the client gets the transaction's id, the log the traceback.
            _log.exception("contract_failed", transaction=stub.transaction_id, channel=stub.channel_id)
            return _refused(
                500,
                "INTERNAL: The contract failed. Ask the peer's operator to look for transaction "
                f"{stub.transaction_id} in the chaincode's log.",
            )
        return Outcome(proposal_response_pb2.Response(status=OK, payload=result), accepted=True)

    def _check_time(self, stub: Stub) -> None:
        skew = stub.timestamp - self.clock()
        if abs(skew) > MAXIMUM_CLOCK_SKEW:
            raise ContractError(
                400,
                "CLOCK_SKEW",
                f"The proposal's time is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'} "
                f"the peer's chaincode; {MAXIMUM_CLOCK_SKEW} are allowed.",
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


def metadata_document(metadata: Mapping[str, Any]) -> bytes:
    """The contract metadata as the JSON of Fabric's contract API; a missing ``$schema`` is added.

    Raises:
        ValueError: ``contracts`` or ``info`` is missing, or a value is no JSON.
    """
    missing = [member for member in ("contracts", "info") if not isinstance(metadata.get(member), Mapping)]
    if missing:
        raise ValueError(f"contract metadata needs an object {' and '.join(missing)}")
    document = {"$schema": METADATA_SCHEMA, **metadata}
    return json.dumps(
        document, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    ).encode()


def _refused(status: int, message: str) -> Outcome:
    # A peer endorses whatever is below 400: a refusal must never get there.
    return Outcome(proposal_response_pb2.Response(status=max(status, 400), message=message), accepted=False)
