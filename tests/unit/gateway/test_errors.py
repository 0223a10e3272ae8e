"""What peers, orderers and gRPC say in their own words gets a code, an exit code and what to do."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from fedledger.errors import ExitCode
from fedledger.gateway import Contract, EndorseError

SAID = {
    "request unauthorized due to incorrect timestamp 2026-11-25T21:57:59Z, peer time 2026-11-25T22:14:39Z": (
        "CLOCK_SKEW",
        ExitCode.FAILED,
        "clock",
    ),
    "proposal client identity expired": ("CERTIFICATE_EXPIRED", ExitCode.CONNECTION, "Renew"),
    "message payload is 1000437 bytes and exceeds maximum allowed 1000000 bytes": (
        "TRANSACTION_TOO_LARGE",
        ExitCode.FAILED,
        "artifact store",
    ),
    "grpc: received message larger than max (105907449 vs. 104857600)": (
        "MESSAGE_TOO_LARGE",
        ExitCode.FAILED,
        "artifact store",
    ),
    "too many requests for /gateway.Gateway, exceeding concurrency limit (500)": (
        "TOO_MANY_CALLS",
        ExitCode.CONNECTION,
        "keep one stream open instead of opening many",
    ),
    "too many streams are open, at most 256 are allowed": ("TOO_MANY_CALLS", ExitCode.CONNECTION, "keep one stream"),
    "rpc error: code = DeadlineExceeded desc = context deadline exceeded": (
        "ENDORSE_UNAVAILABLE",
        ExitCode.CONNECTION,
        "runs",
    ),
}


@pytest.mark.parametrize("message", SAID)
@pytest.mark.parametrize("as_detail", [True, False])
def test_words_become_codes(peer: Any, contract: Contract, refusal: Any, message: str, as_detail: bool) -> None:
    details = (("peer0.hungary:7051", "HungaryMSP", message),) if as_detail else ()
    text = "failed to endorse transaction" if as_detail else message
    peer.refusals["Endorse"] = refusal(grpc.StatusCode.UNAVAILABLE, text, details)
    code, exit_code, remedy = SAID[message]
    with pytest.raises(EndorseError) as refused:
        contract.submit_transaction("OpenRound")
    assert (refused.value.code, refused.value.exit_code) == (code, exit_code)
    assert remedy in refused.value.remedy
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("status", "message", "remedy"),
    [
        (grpc.StatusCode.ABORTED, "rpc error: code = DeadlineExceeded desc = context deadline exceeded", "try again"),
        (grpc.StatusCode.FAILED_PRECONDITION, "no peer combination can satisfy the endorsement policy", "try again"),
        (grpc.StatusCode.ABORTED, "something else", ""),
    ],
)
def test_an_endorsement_that_may_be_tried_again_says_so(
    peer: Any, contract: Contract, refusal: Any, status: grpc.StatusCode, message: str, remedy: str
) -> None:
    peer.refusals["Endorse"] = refusal(status, message)
    with pytest.raises(EndorseError) as refused:
        contract.submit_transaction("OpenRound")
    assert refused.value.code == f"ENDORSE_{status.name}"
    assert remedy in refused.value.remedy
    assert bool(remedy) is bool(refused.value.remedy)
