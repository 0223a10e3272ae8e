"""Fabric's Gateway service (``gateway.Gateway``) over the embedded node, with the errors that Fabric's clients expect.

Source: hyperledger/fabric, ``internal/pkg/gateway``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import chaincode_event_pb2
from google.protobuf import any_pb2
from google.rpc import status_pb2

from fedledger.gateway.blocks import EndorserTransaction, parse_block, parse_envelope_header, validation_codes
from fedledger.gateway.errors import BlockFormatError
from fedledger.identity.msp import parse_serialized_identity
from fedledger_network.embedded import query_chaincode
from fedledger_network.embedded.channel import CurrentChannel
from fedledger_network.embedded.endorser import REFUSED, EndorsementRefused, Endorser, PeerFailure
from fedledger_network.embedded.ledger_view import LedgerView
from fedledger_network.embedded.orderer import Orderer, OrderingRefused
from fedledger_network.embedded.proposals import Proposal, ProposalRefused, check_signer, read_proposal
from fedledger_network.embedded.validation import VALID

_STATUS_DETAILS = "grpc-status-details-bin"
_FOREVER = 365 * 24 * 3600.0


@dataclass(frozen=True)
class GatewayService:
    """The gateway of every organisation: for each client it is that of the client's own organisation."""

    address: str
    channel: CurrentChannel
    endorser: Endorser
    orderer: Orderer
    view: LedgerView

    def Evaluate(self, request: Any, context: grpc.ServicerContext) -> Any:
        proposal = self._proposal(request.proposed_transaction, request.transaction_id, context)
        if proposal.chaincode == query_chaincode.NAME:
            return gateway_pb2.EvaluateResponse(result=self._query(proposal, context))
        targets = [msp for msp in request.target_organizations if msp in self.endorser.organisations]
        if request.target_organizations and not targets:
            self._abort(
                context, grpc.StatusCode.UNAVAILABLE, "no endorsing peers found that match the target organisations"
            )
        try:
            result = self.endorser.evaluate(proposal, targets[0] if targets else proposal.msp_id)
        except PeerFailure as failure:
            message = f"evaluate call to endorser returned error: {failure.message}"
            self._abort(context, grpc.StatusCode.UNKNOWN, message, [failure])
        return gateway_pb2.EvaluateResponse(result=result)

    def Endorse(self, request: Any, context: grpc.ServicerContext) -> Any:
        proposal = self._proposal(request.proposed_transaction, request.transaction_id, context)
        named = list(dict.fromkeys(request.endorsing_organizations))
        unknown = [msp for msp in named if msp not in self.endorser.organisations]
        if unknown:
            self._abort(
                context,
                grpc.StatusCode.UNAVAILABLE,
                f"failed to find any endorsing peers for org(s): {', '.join(unknown)}",
            )
        others = [msp for msp in self.endorser.organisations if msp != proposal.msp_id]
        organisations = named or [proposal.msp_id, *others]
        wanted = len(named) or self.channel.get().endorsements
        try:
            envelope = self.endorser.endorse(proposal, organisations, wanted)
        except EndorsementRefused as refusal:
            self._abort(context, grpc.StatusCode.ABORTED, str(refusal), refusal.failures)
        return gateway_pb2.EndorseResponse(prepared_transaction=envelope)

    def Submit(self, request: Any, context: grpc.ServicerContext) -> Any:
        envelope = request.prepared_transaction
        if not envelope.payload or not envelope.signature:
            self._abort(context, grpc.StatusCode.INVALID_ARGUMENT, "a prepared and signed transaction is required")
        serialized = envelope.SerializeToString()
        try:
            header = parse_envelope_header(serialized)
            if header.type != common_pb2.ENDORSER_TRANSACTION:
                message = f"transactions of type {header.type} are not taken"
                self._abort(context, grpc.StatusCode.INVALID_ARGUMENT, message)
            check_signer(self.channel.get(), header.creator, envelope.payload, envelope.signature)
            self.orderer.submit(serialized)
        except BlockFormatError as error:
            self._abort(context, grpc.StatusCode.INVALID_ARGUMENT, error.message)
        except ProposalRefused as refusal:
            self._abort(context, grpc.StatusCode.ABORTED, f"received unsuccessful response from orderer: {refusal}")
        except OrderingRefused as refusal:
            self._abort(
                context,
                grpc.StatusCode.UNAVAILABLE,
                "no orderers could successfully process transaction",
                [PeerFailure(_msp_of(header.creator), f"received unsuccessful response from orderer: {refusal}")],
            )
        return gateway_pb2.SubmitResponse()

    def CommitStatus(self, signed: Any, context: grpc.ServicerContext) -> Any:
        request = gateway_pb2.CommitStatusRequest.FromString(signed.request)
        self._check_request(request.channel_id, request.identity, signed, context)
        until = time.monotonic() + (_remaining(context) or _FOREVER)
        while context.is_active():
            found = self.view.wait_for_transaction(request.transaction_id, min(until, time.monotonic() + 1.0))
            if found is not None:
                return gateway_pb2.CommitStatusResponse(result=found.code, block_number=found.block)
            if self.view.is_closed:
                self._abort(context, grpc.StatusCode.UNAVAILABLE, "the node is stopping")
            if self.orderer.failure is not None:
                self._abort(context, grpc.StatusCode.UNAVAILABLE, str(self.orderer.failure))
        return self._abort(context, grpc.StatusCode.CANCELLED, "the client has gone")

    def ChaincodeEvents(self, signed: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        request = gateway_pb2.ChaincodeEventsRequest.FromString(signed.request)
        self._check_request(request.channel_id, request.identity, signed, context)
        number = self._start(request.start_position)
        skipping = request.after_transaction_id
        while context.is_active() and not self.view.is_closed:
            if not self.view.wait_for_height(number + 1):
                continue
            events = _events(self.view.block(number), request.chaincode_id)
            if skipping:
                events = _after(events, skipping)
                skipping = ""
            number += 1
            if events:
                yield gateway_pb2.ChaincodeEventsResponse(events=events, block_number=number - 1)
        if context.is_active():
            self._abort(context, grpc.StatusCode.UNAVAILABLE, "the node is stopping")

    def _query(self, proposal: Proposal, context: grpc.ServicerContext) -> Any:
        result = query_chaincode.QueryChaincode(proposal.channel, self.view).evaluate(proposal.chaincode_input)
        if result.status >= REFUSED:
            failure = PeerFailure(proposal.msp_id, f"chaincode response {result.status}, {result.message}")
            message = f"evaluate call to endorser returned error: {failure.message}"
            self._abort(context, grpc.StatusCode.UNKNOWN, message, [failure])
        return result

    # --- checks

    def _proposal(self, signed: Any, transaction_id: str, context: grpc.ServicerContext) -> Proposal:
        if not signed.proposal_bytes:
            self._abort(context, grpc.StatusCode.INVALID_ARGUMENT, "the proposed transaction is missing")
        try:
            proposal = read_proposal(signed, self.channel.get())
        except ProposalRefused as refusal:
            self._abort(
                context,
                grpc.StatusCode.ABORTED,
                "failed to collect enough transaction endorsements",
                [PeerFailure("", str(refusal))],
            )
        if transaction_id and transaction_id != proposal.transaction_id:
            self._abort(context, grpc.StatusCode.INVALID_ARGUMENT, "the transaction's id is not its proposal's")
        if self.view.transaction(proposal.transaction_id) is not None:
            self._abort(
                context,
                grpc.StatusCode.ABORTED,
                "failed to collect enough transaction endorsements",
                [PeerFailure(proposal.msp_id, f"duplicate transaction found [{proposal.transaction_id}]")],
            )
        return proposal

    def _check_request(self, channel: str, identity: bytes, signed: Any, context: grpc.ServicerContext) -> None:
        configuration = self.channel.get()
        if channel != configuration.name:
            self._abort(context, grpc.StatusCode.NOT_FOUND, f"error getting ledger height: channel {channel} not found")
        try:
            check_signer(configuration, identity, signed.request, signed.signature)
        except ProposalRefused as refusal:
            self._abort(context, grpc.StatusCode.PERMISSION_DENIED, str(refusal))

    def _start(self, position: Any) -> int:
        kind = position.WhichOneof("Type")
        if kind == "oldest":
            return 0
        if kind == "specified":
            return int(position.specified.number)
        if kind == "newest":
            return self.view.height - 1
        return self.view.height

    def _abort(
        self,
        context: grpc.ServicerContext,
        code: grpc.StatusCode,
        message: str,
        failures: Sequence[PeerFailure] = (),
    ) -> NoReturn:
        """End the call with Fabric's error details in the trailing metadata."""
        status = status_pb2.Status(code=code.value[0], message=message)
        for failure in failures:
            packed = any_pb2.Any()
            packed.Pack(gateway_pb2.ErrorDetail(address=self.address, msp_id=failure.msp_id, message=failure.message))
            status.details.append(packed)
        context.set_trailing_metadata(((_STATUS_DETAILS, status.SerializeToString()),))
        context.abort(code, message)
        raise AssertionError("abort returns never")


def _msp_of(creator: bytes) -> str:
    return parse_serialized_identity(creator)[0]


def _remaining(context: grpc.ServicerContext) -> float | None:
    return context.time_remaining()


def _events(block_bytes: bytes, chaincode: str) -> list[Any]:
    block = parse_block(block_bytes)
    found = []
    for envelope, code in zip(block.data.data, validation_codes(block), strict=True):
        if code != VALID or parse_envelope_header(envelope).type != common_pb2.ENDORSER_TRANSACTION:
            continue
        event = EndorserTransaction.parse(envelope).event
        if event is not None and event.chaincode_name == chaincode:
            found.append(
                chaincode_event_pb2.ChaincodeEvent(
                    chaincode_id=event.chaincode_name,
                    tx_id=event.transaction_id,
                    event_name=event.event_name,
                    payload=event.payload,
                )
            )
    return found


def _after(events: list[Any], transaction_id: str) -> list[Any]:
    """The events after those of a transaction, all when it has none among them."""
    places = [index for index, event in enumerate(events) if event.tx_id == transaction_id]
    return events[places[-1] + 1 :] if places else events
