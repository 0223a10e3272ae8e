"""A client whose clock is ahead of everybody else's, for demonstrations and tests: what it sends claims to be later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2

from fedledger.gateway import Contract, Proposal
from fedledger.ledger import TaskLedger


class _ContractAhead(Contract):
    """The same contract, called from the future."""

    seconds = 0

    @classmethod
    def of(cls, contract: Contract, seconds: int) -> _ContractAhead:
        ahead = cls(
            contract._client,
            contract._signing_identity,
            contract._channel_name,
            contract._chaincode_name,
            contract._contract_name,
        )
        ahead.seconds = seconds
        return ahead

    def new_proposal(
        self,
        name: str,
        *,
        arguments: Iterable[str | bytes] = (),
        transient: Mapping[str, bytes] | None = None,
        endorsing_organizations: Iterable[str] = (),
    ) -> Proposal:
        plain = super().new_proposal(
            name, arguments=arguments, transient=transient, endorsing_organizations=endorsing_organizations
        )
        proposed = gateway_pb2.ProposedTransaction.FromString(plain.get_bytes())
        proposal = proposal_pb2.Proposal.FromString(proposed.proposal.proposal_bytes)
        header = common_pb2.Header.FromString(proposal.header)
        channel_header = common_pb2.ChannelHeader.FromString(header.channel_header)
        channel_header.timestamp.seconds += self.seconds
        header.channel_header = channel_header.SerializeToString()
        proposal.header = header.SerializeToString()
        proposed.proposal.proposal_bytes = proposal.SerializeToString()
        return Proposal(self._client, self._signing_identity, proposed)


class LedgerAhead(TaskLedger):
    """A ledger's client with a clock that is so many seconds ahead."""

    def __init__(self, ledger: TaskLedger, seconds: int) -> None:
        super().__init__(ledger._network, ledger._chaincode)
        self._contract = _ContractAhead.of(self._contract, seconds)
