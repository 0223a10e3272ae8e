"""A proposed transaction: evaluates it or collects endorsements; refuses an answer to another proposal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2

from fedledger.gateway.client import GatewayClient
from fedledger.gateway.envelopes import proposal_hash, transaction_id_of
from fedledger.gateway.errors import BlockFormatError, EndorseError
from fedledger.gateway.identity import SigningIdentity
from fedledger.gateway.transaction import Transaction

_NONCE_BYTES = 24


class Proposal:
    """A call of a transaction function, signed already or to be signed when it is sent."""

    def __init__(self, client: GatewayClient, signing_identity: SigningIdentity, proposed_transaction: Any) -> None:
        """Take a ``gateway.ProposedTransaction``; raises ``DecodeError`` for a malformed proposal."""
        self._client = client
        self._signing_identity = signing_identity
        self._proposed = proposed_transaction
        proposal = proposal_pb2.Proposal.FromString(proposed_transaction.proposal.proposal_bytes)
        header = common_pb2.Header.FromString(proposal.header)
        self._channel_name = str(common_pb2.ChannelHeader.FromString(header.channel_header).channel_id)
        self._hash = proposal_hash(header.channel_header, header.signature_header, _without_transient(proposal.payload))

    @property
    def transaction_id(self) -> str:
        """The transaction's id, 64 hexadecimal digits."""
        return str(self._proposed.transaction_id)

    def get_bytes(self) -> bytes:
        """Return a ``gateway.ProposedTransaction``, for signing elsewhere."""
        return bytes(self._proposed.SerializeToString())

    def get_digest(self) -> bytes:
        """Return what is to be signed."""
        return self._signing_identity.digest(self._proposed.proposal.proposal_bytes)

    def evaluate(self, timeout: float | None = None) -> bytes:
        """Run the function on one peer and return its result, writing nothing; raises ``EvaluateError``."""
        response = self._client.evaluate(
            gateway_pb2.EvaluateRequest(
                transaction_id=self.transaction_id,
                channel_id=self._channel_name,
                proposed_transaction=self._signed(),
                target_organizations=self._proposed.endorsing_organizations,
            ),
            timeout,
        )
        return bytes(response.result.payload)

    def endorse(self, timeout: float | None = None) -> Transaction:
        """Have enough organisations run and sign the function; raises ``EndorseError``.

        The answer must be to this very proposal: a gateway is not trusted to choose what the client signs next
        (``FOREIGN_TRANSACTION``).
        """
        response = self._client.endorse(
            gateway_pb2.EndorseRequest(
                transaction_id=self.transaction_id,
                channel_id=self._channel_name,
                proposed_transaction=self._signed(),
                endorsing_organizations=self._proposed.endorsing_organizations,
            ),
            timeout,
        )
        prepared = gateway_pb2.PreparedTransaction(
            transaction_id=self.transaction_id, envelope=response.prepared_transaction
        )
        try:
            transaction = Transaction(self._client, self._signing_identity, prepared)
        except BlockFormatError as error:
            raise self._foreign() from error
        content = transaction.content
        if not content.is_consistent or {content.proposal_hash, content.expected_proposal_hash} != {self._hash}:
            raise self._foreign()
        return transaction

    def _signed(self) -> Any:
        proposal = self._proposed.proposal
        return proposal_pb2.SignedProposal(
            proposal_bytes=proposal.proposal_bytes,
            signature=proposal.signature or self._signing_identity.sign(proposal.proposal_bytes),
        )

    def _foreign(self) -> EndorseError:
        return EndorseError(
            "FOREIGN_TRANSACTION",
            f"The gateway answered proposal {self.transaction_id} with a transaction that does not belong to it.",
            "Use a gateway of an organisation that you trust, and tell the one that runs this gateway.",
            transaction_id=self.transaction_id,
        )


def build_proposal(
    signing_identity: SigningIdentity,
    channel_name: str,
    chaincode_name: str,
    transaction_name: str,
    *,
    arguments: Iterable[str | bytes] = (),
    transient: Mapping[str, bytes] | None = None,
    endorsing_organizations: Iterable[str] = (),
) -> Any:
    """Return an unsigned ``gateway.ProposedTransaction`` with a fresh nonce and id."""
    nonce = os.urandom(_NONCE_BYTES)
    transaction_id = transaction_id_of(nonce, signing_identity.creator)
    chaincode_id = chaincode_pb2.ChaincodeID(name=chaincode_name)
    channel_header = common_pb2.ChannelHeader(
        type=common_pb2.ENDORSER_TRANSACTION,
        channel_id=channel_name,
        tx_id=transaction_id,
        extension=proposal_pb2.ChaincodeHeaderExtension(chaincode_id=chaincode_id).SerializeToString(),
    )
    channel_header.timestamp.GetCurrentTime()
    header = common_pb2.Header(
        channel_header=channel_header.SerializeToString(),
        signature_header=common_pb2.SignatureHeader(creator=signing_identity.creator, nonce=nonce).SerializeToString(),
    )
    invocation = chaincode_pb2.ChaincodeInvocationSpec(
        chaincode_spec=chaincode_pb2.ChaincodeSpec(
            type=chaincode_pb2.ChaincodeSpec.GOLANG,
            chaincode_id=chaincode_id,
            input=chaincode_pb2.ChaincodeInput(args=[_argument(value) for value in (transaction_name, *arguments)]),
        )
    )
    payload = proposal_pb2.ChaincodeProposalPayload(
        input=invocation.SerializeToString(), TransientMap=dict(transient or {})
    )
    proposal = proposal_pb2.Proposal(header=header.SerializeToString(), payload=payload.SerializeToString())
    return gateway_pb2.ProposedTransaction(
        transaction_id=transaction_id,
        proposal=proposal_pb2.SignedProposal(proposal_bytes=proposal.SerializeToString()),
        endorsing_organizations=endorsing_organizations,
    )


def _argument(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _without_transient(payload: bytes) -> bytes:
    content = proposal_pb2.ChaincodeProposalPayload.FromString(payload)
    return bytes(proposal_pb2.ChaincodeProposalPayload(input=content.input).SerializeToString())
