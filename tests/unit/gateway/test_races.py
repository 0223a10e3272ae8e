"""What TaskLedger submits again: a refusal by a peer that lags behind, and none by the contract itself."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from fedledger.ledger import LedgerRefusal, TaskLedger
from fedledger.ledger.client import ATTEMPTS

NOT_FOUND = "chaincode response 404, NOT_FOUND: There is no task heart."
OTHERS = ("peer.hungary:7051", "HungaryMSP", NOT_FOUND)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("failed to endorse transaction, see attached details for more info", 1),
        ("failed to collect enough transaction endorsements, see attached details for more info", ATTEMPTS),
    ],
)
def test_a_refusal_counts_at_once_unless_another_peer_has_endorsed(
    peer: Any, gateway: Any, refusal: Any, text: str, sent: int
) -> None:
    peer.refusals["Endorse"] = refusal(grpc.StatusCode.ABORTED, text, (OTHERS,))
    ledger = TaskLedger(gateway.get_network("fedledger"), "fedledger")
    with pytest.raises(LedgerRefusal, match="NOT_FOUND"):
        ledger.approve_task("heart", "0" * 64)
    assert peer.methods().count("Endorse") == sent
