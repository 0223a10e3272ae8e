"""A contract on a channel: evaluates and submits its transaction functions; knows nothing of what they mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fedledger.gateway.client import GatewayClient
from fedledger.gateway.commit import SubmittedTransaction
from fedledger.gateway.identity import SigningIdentity
from fedledger.gateway.proposal import Proposal, build_proposal


class Contract:
    """The transaction functions of one chaincode; strings become UTF-8, results are bytes.

    ``transient`` is handed to the contract and not written to the ledger. ``endorsing_organizations`` (MSP ids)
    replaces the gateway's own choice of endorsers.
    """

    def __init__(
        self,
        client: GatewayClient,
        signing_identity: SigningIdentity,
        channel_name: str,
        chaincode_name: str,
        contract_name: str | None,
    ) -> None:
        self._client = client
        self._signing_identity = signing_identity
        self._channel_name = channel_name
        self._chaincode_name = chaincode_name
        self._contract_name = contract_name

    @property
    def chaincode_name(self) -> str:
        """The chaincode's name on the channel."""
        return self._chaincode_name

    @property
    def contract_name(self) -> str | None:
        """The name of one of several contracts in the chaincode; None for the default one."""
        return self._contract_name

    def evaluate_transaction(
        self,
        name: str,
        *arguments: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        endorsing_organizations: Iterable[str] = (),
    ) -> bytes:
        """Query the ledger and return the result, writing nothing; raises ``EvaluateError``."""
        return self.new_proposal(
            name, arguments=arguments, transient=transient, endorsing_organizations=endorsing_organizations
        ).evaluate()

    def submit_transaction(
        self,
        name: str,
        *arguments: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        endorsing_organizations: Iterable[str] = (),
    ) -> bytes:
        """Change the ledger, wait until the change is committed, and return the result.

        Raises ``EndorseError``, ``SubmitError``, ``CommitStatusError`` or ``CommitError``, by the phase that failed.
        """
        submitted = self.submit_async(
            name, *arguments, transient=transient, endorsing_organizations=endorsing_organizations
        )
        submitted.status().raise_if_invalid()
        return submitted.result

    def submit_async(
        self,
        name: str,
        *arguments: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        endorsing_organizations: Iterable[str] = (),
    ) -> SubmittedTransaction:
        """Hand a change to the orderers and return without waiting; raises ``EndorseError`` or ``SubmitError``."""
        return (
            self.new_proposal(
                name, arguments=arguments, transient=transient, endorsing_organizations=endorsing_organizations
            )
            .endorse()
            .submit()
        )

    def new_proposal(
        self,
        name: str,
        *,
        arguments: Iterable[str | bytes] = (),
        transient: Mapping[str, bytes] | None = None,
        endorsing_organizations: Iterable[str] = (),
    ) -> Proposal:
        """Return a proposal whose steps the caller takes one by one."""
        return Proposal(
            self._client,
            self._signing_identity,
            build_proposal(
                self._signing_identity,
                self._channel_name,
                self._chaincode_name,
                f"{self._contract_name}:{name}" if self._contract_name else name,
                arguments=arguments,
                transient=transient,
                endorsing_organizations=endorsing_organizations,
            ),
        )
