"""Fabric's Gateway service (``gateway.Gateway``) over the embedded node, with the errors that Fabric's clients expect.

Source: hyperledger/fabric, ``internal/pkg/gateway``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from google.protobuf.message import DecodeError

from fedledger.gateway.blocks import EnvelopeHeader, parse_envelope_header
from fedledger.gateway.errors import BlockFormatError
from fedledger_network.embedded import query_chaincode
from fedledger_network.embedded.block_events import BlockEvents
from fedledger_network.embedded.calls import Aborting, OpenStreams
from fedledger_network.embedded.channel import Channel, CurrentChannel
from fedledger_network.embedded.endorser import NOT_ENDORSED, REFUSED, EndorsementRefused, Endorser, PeerFailure
from fedledger_network.embedded.ledger_view import LedgerView
from fedledger_network.embedded.orderer import Orderer, OrderingRefused
from fedledger_network.embedded.proposals import (
    ChannelNotFound,
    Proposal,
    ProposalMalformed,
    ProposalRefused,
    check_signer,
    msp_of,
    read_proposal,
)

_FOREVER = 365 * 24 * 3600.0
_CHECK_SECONDS = 1.0
_NO_PLAN = "no combination of peers can be derived which satisfy the endorsement policy"
_NOT_ORDERED = "no orderers could successfully process transaction"


@dataclass(frozen=True)
class GatewayService:
    """The gateway of every organisation: for each client it is that of the client's own organisation."""

    channel: CurrentChannel
    endorser: Endorser
    orderer: Orderer
    view: LedgerView
    events: BlockEvents
    streams: OpenStreams
    aborting: Aborting

    def Evaluate(self, request: Any, context: grpc.ServicerContext) -> Any:
        failed = "evaluate call to endorser returned error: "
        try:
            proposal = self._proposal(request.proposed_transaction, request.transaction_id, context)
        except ChannelNotFound as refusal:
            message = f"failed to get config for channel [{refusal.channel}]"
            self.aborting.abort(context, grpc.StatusCode.UNAVAILABLE, message)
        except ProposalRefused as refusal:
            self.aborting.abort(context, grpc.StatusCode.FAILED_PRECONDITION, failed + str(refusal))
        try:
            if proposal.chaincode == query_chaincode.NAME:
                return gateway_pb2.EvaluateResponse(result=self._query(proposal))
            endorser = self._evaluating(request.target_organizations, proposal, context)
            return gateway_pb2.EvaluateResponse(result=self.endorser.evaluate(proposal, endorser))
        except PeerFailure as failure:
            code = grpc.StatusCode.UNKNOWN if failure.by_chaincode else grpc.StatusCode.ABORTED
            self.aborting.abort(context, code, failed + failure.message, [failure])

    def Endorse(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            proposal = self._proposal(request.proposed_transaction, request.transaction_id, context)
        except ChannelNotFound as refusal:
            self._no_plan(refusal.chaincode, refusal.channel, context)
        except ProposalRefused as refusal:
            self.aborting.abort(context, grpc.StatusCode.ABORTED, NOT_ENDORSED, [PeerFailure("", str(refusal))])
        if not self.endorser.runs(proposal.chaincode):
            self._no_plan(proposal.chaincode, proposal.channel, context)
        named = list(dict.fromkeys(request.endorsing_organizations))
        unknown = [msp for msp in named if msp not in self.endorser.organisations]
        if unknown:
            self.aborting.abort(
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
            self.aborting.abort(context, grpc.StatusCode.ABORTED, str(refusal), refusal.failures)
        return gateway_pb2.EndorseResponse(prepared_transaction=envelope)

    def Submit(self, request: Any, context: grpc.ServicerContext) -> Any:
        envelope = request.prepared_transaction
        header = self._header_to_submit(envelope, context)
        try:
            check_signer(self.channel.get(), header.creator, envelope.payload, envelope.signature)
            self.orderer.submit(envelope.SerializeToString())
        except (ProposalRefused, OrderingRefused) as refusal:
            code = grpc.StatusCode.UNAVAILABLE if isinstance(refusal, OrderingRefused) else grpc.StatusCode.ABORTED
            message = f"received unsuccessful response from orderer: {refusal}"
            self.aborting.abort(context, code, _NOT_ORDERED, [PeerFailure(msp_of(header.creator), message)])
        return gateway_pb2.SubmitResponse()

    def CommitStatus(self, signed: Any, context: grpc.ServicerContext) -> Any:
        request = self._signed_request(
            gateway_pb2.CommitStatusRequest, signed, "commit status request", "status request", context
        )
        for missing, message in (
            (not request.identity, "no identity provided"),
            (not request.channel_id, "no channel ID provided"),
            (not request.transaction_id, "transaction ID should not be empty"),
        ):
            if missing:
                self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, message)
        self._check_reader(request.channel_id, request.identity, signed, context)
        until = time.monotonic() + (context.time_remaining() or _FOREVER)
        while context.is_active():
            found = self.view.wait_for_transaction(
                request.transaction_id, min(until, time.monotonic() + _CHECK_SECONDS)
            )
            if found is not None:
                return gateway_pb2.CommitStatusResponse(result=found.code, block_number=found.block)
            if self.orderer.failure is not None:
                self.aborting.abort(context, grpc.StatusCode.UNAVAILABLE, str(self.orderer.failure))
            if self.view.is_closed:
                self.aborting.abort(context, grpc.StatusCode.UNAVAILABLE, "the node is stopping")
        return self.aborting.abort(context, grpc.StatusCode.CANCELLED, "the client has gone")

    def ChaincodeEvents(self, signed: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        request = self._signed_request(
            gateway_pb2.ChaincodeEventsRequest,
            signed,
            "chaincode events request",
            "chaincode events request",
            context,
        )
        allowed = self._check_reader(request.channel_id, request.identity, signed, context)
        with self.streams.open(context):
            number = self._start(request, context)
            after = request.after_transaction_id
            while context.is_active() and not self.view.is_closed:
                if not self.view.wait_for_height(number + 1):
                    continue
                if allowed is not self.channel.get():
                    allowed = self._check_reader(request.channel_id, request.identity, signed, context)
                emitted = self.events.of(number)
                number += 1
                if after:
                    # One that has no event is never passed, as at Fabric.
                    emitted, after = emitted.after(after), "" if emitted.has(after) else after
                events = emitted.of_chaincode(request.chaincode_id)
                if events:
                    yield gateway_pb2.ChaincodeEventsResponse(events=events, block_number=number - 1)
            if context.is_active():
                self.aborting.abort(context, grpc.StatusCode.UNAVAILABLE, "the node is stopping")

    # --- parts

    def _no_plan(self, chaincode: str, channel: str, context: grpc.ServicerContext) -> NoReturn:
        message = f"{_NO_PLAN}: No metadata was found for chaincode {chaincode} in channel {channel}"
        self.aborting.abort(context, grpc.StatusCode.FAILED_PRECONDITION, message)

    def _query(self, proposal: Proposal) -> Any:
        result = query_chaincode.QueryChaincode(proposal.channel, self.view).evaluate(proposal.chaincode_input)
        if result.status >= REFUSED:
            message = f"chaincode response {result.status}, {result.message}"
            raise PeerFailure(proposal.msp_id, message, by_chaincode=True)
        return result

    def _evaluating(self, targets: list[str], proposal: Proposal, context: grpc.ServicerContext) -> str:
        """The organisation whose peer answers a query: the client's own, unless others are named."""
        here = self.endorser.organisations
        found = [msp for msp in targets or here if msp in here]
        if not found or not self.endorser.runs(proposal.chaincode):
            message = f"no peers available to evaluate chaincode {proposal.chaincode} in channel {proposal.channel}"
            self.aborting.abort(context, grpc.StatusCode.FAILED_PRECONDITION, message)
        return proposal.msp_id if proposal.msp_id in found else found[0]

    def _proposal(self, signed: Any, transaction_id: str, context: grpc.ServicerContext) -> Proposal:
        """The proposal of a request; raises ``ProposalRefused``."""
        if not signed.proposal_bytes:
            self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, "a signed proposal is required")
        try:
            proposal = read_proposal(signed, self.channel.get())
        except ProposalMalformed as error:
            self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if transaction_id and transaction_id != proposal.transaction_id:
            message = "the transaction's id is not its proposal's"
            self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, message)
        if self.view.transaction(proposal.transaction_id) is not None:
            raise ProposalRefused(
                f"duplicate transaction found [{proposal.transaction_id}]. Creator: [{proposal.creator.hex()[:64]}]"
            )
        return proposal

    def _header_to_submit(self, envelope: Any, context: grpc.ServicerContext) -> EnvelopeHeader:
        reason = ""
        if not envelope.payload:
            reason = "a prepared transaction is required"
        elif not envelope.signature:
            reason = "prepared transaction must be signed"
        else:
            try:
                header = parse_envelope_header(envelope.SerializeToString())
            except BlockFormatError as error:
                reason = error.message
            else:
                if header.type == common_pb2.ENDORSER_TRANSACTION and header.transaction_id:
                    if header.transaction_id == header.expected_transaction_id:
                        return header
                    # An id that is not its creator's own would stand in the way of the transaction that it belongs to.
                    reason = "the transaction's id is not that of its nonce and creator"
                else:
                    reason = f"an envelope of type {header.type} is no transaction"
        return self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, reason)

    def _signed_request(self, kind: Any, signed: Any, what: str, invalid: str, context: grpc.ServicerContext) -> Any:
        if not signed.request:
            self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"a {what} is required")
        try:
            return kind.FromString(signed.request)
        except DecodeError as error:
            return self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"invalid {invalid}: {error}")

    def _check_reader(self, channel: str, identity: bytes, signed: Any, context: grpc.ServicerContext) -> Channel:
        """The configuration under which the client may read."""
        configuration = self.channel.get()
        if channel != configuration.name:
            message = f"channel {channel} not found" if channel else "a channel is required"
            self.aborting.abort(context, grpc.StatusCode.NOT_FOUND, message)
        try:
            check_signer(configuration, identity, signed.request, signed.signature)
        except ProposalRefused as refusal:
            self.aborting.abort(context, grpc.StatusCode.PERMISSION_DENIED, str(refusal))
        return configuration

    def _start(self, request: Any, context: grpc.ServicerContext) -> int:
        """The block of the transaction behind which to begin, if there is one, else what the position says."""
        found = self.view.transaction(request.after_transaction_id) if request.after_transaction_id else None
        if found is not None:
            return found.block
        match request.start_position.WhichOneof("Type"):
            case "specified":
                return int(request.start_position.specified.number)
            case None | "next_commit":
                return self.view.height
            case kind:
                message = f"invalid start position type: *orderer.SeekPosition_{kind.capitalize()}"
                return self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, message)
