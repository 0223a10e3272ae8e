"""What organisations vote on about tokens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fedledger_chaincode.messages.base import Identifier, Positive, Text, Value

MintDecision = Literal["approve", "reject"]


class MintProposal(Value):
    """Tokens that a task's organisations may decide to make.

    Its digest is its name. Whoever wants the same amount again says so in another ``reason``.
    """

    schema_: Literal["fedledger/mint/1"] = Field(alias="schema", default="fedledger/mint/1")
    task: Identifier
    recipient: Annotated[str, Field(pattern=r"^(org|insurance):[A-Za-z0-9._-]{1,63}$")]
    """``org:<MSP id>`` of an organisation of the task, or ``insurance:<task>``."""
    amount: Positive
    """In micro-tokens."""
    reason: Annotated[Text, Field(min_length=1)]
