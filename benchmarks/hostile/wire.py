"""What a member can send over its connection: any bytes to any transaction, with any time, now or later."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2

from fedledger.gateway import GatewayError, Proposal, Transaction
from fedledger_chaincode.contract import TRANSACTIONS
from fedledger_chaincode.messages.base import Value

from .ground import Member

Sent = str | int | bytes | Value
TAKEN = "taken"
HELD = "held"
_REMEMBERED = 12


@dataclass(frozen=True)
class Answer:
    """What became of a transaction: ``code`` is ``taken`` or the code of the refusal."""

    code: str
    payload: bytes = b""
    status: int = 0
    """Of the contract's refusal."""

    @property
    def taken(self) -> bool:
        return self.code == TAKEN


@dataclass
class Wire:
    """One certificate's connection."""

    member: Member
    ahead: int = 0
    """Seconds that its clock is ahead of everybody's."""
    waits: bool = True
    """Whether it waits for each transaction's block, which nobody can make it do."""
    held: deque[Transaction] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """Endorsed and not sent yet."""
    spent: deque[Transaction] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """Sent before."""

    def send(self, function: str, *arguments: Sent) -> Answer:
        """Submit a transaction, or evaluate a query."""
        try:
            proposal = self._proposal(function, arguments)
            described = TRANSACTIONS.get(function)
            if described is not None and described.kind == "evaluate":
                return Answer(TAKEN, proposal.evaluate())
            transaction = proposal.endorse()
            self.spent.append(transaction)
            return self._submit(transaction)
        except GatewayError as error:
            return _refused(error)

    def hold(self, function: str, *arguments: Sent) -> Answer:
        """Have a transaction endorsed, and keep it for later."""
        try:
            self.held.append(self._proposal(function, arguments).endorse())
        except GatewayError as error:
            return _refused(error)
        return Answer(HELD)

    def release(self, transaction: Transaction) -> Answer:
        """Send one that is endorsed, for the first time or again."""
        try:
            return self._submit(transaction)
        except GatewayError as error:
            return _refused(error)

    def _submit(self, transaction: Transaction) -> Answer:
        submitted = transaction.submit()
        if self.waits:
            submitted.status().raise_if_invalid()
        return Answer(TAKEN, submitted.result)

    def _proposal(self, function: str, arguments: Sequence[Sent]) -> Proposal:
        contract = self.member.network.get_contract(self.member.profile.chaincode)
        plain = contract.new_proposal(function, arguments=[encoded(argument) for argument in arguments])
        if not self.ahead:
            return plain
        proposed = gateway_pb2.ProposedTransaction.FromString(plain.get_bytes())
        proposal = proposal_pb2.Proposal.FromString(proposed.proposal.proposal_bytes)
        header = common_pb2.Header.FromString(proposal.header)
        channel = common_pb2.ChannelHeader.FromString(header.channel_header)
        channel.timestamp.seconds += self.ahead
        header.channel_header = channel.SerializeToString()
        proposal.header = header.SerializeToString()
        proposed.proposal.proposal_bytes = proposal.SerializeToString()
        return self.member.gateway.new_proposal(proposed.SerializeToString())


def encoded(argument: Sent) -> bytes:
    """An argument's bytes."""
    if isinstance(argument, Value):
        return argument.canonical()
    return argument if isinstance(argument, bytes) else str(argument).encode("utf-8", "surrogatepass")


def _refused(error: GatewayError) -> Answer:
    status = 0 if error.contract_error is None else error.contract_error.status
    return Answer(error.code, status=status)
