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

from fedledger_network.embedded import query_chaincode
from fedledger_network.embedded.block_events import BlockEvents
from fedledger_network.embedded.calls import Aborting, OpenStreams
from fedledger_network.embedded.channel import Channel, CurrentChannel
from fedledger_network.embedded.endorser import NOT_ENDORSED, REFUSED, EndorsementRefused, Endorser, PeerFailure
from fedledger_network.embedded.intake import EnvelopeRefused, Intake
from fedledger_network.embedded.ledger_view import LedgerView
from fedledger_network.embedded.orderer import Orderer
from fedledger_network.embedded.proposals import (
    MALFORMED,
    Proposal,
    ProposalMalformed,
    ProposalRefused,
    RefusedByEveryPeer,
    Request,
    check_signer,
    msp_of,
    read_proposal,
    read_request,
)

_FOREVER = 365 * 24 * 3600.0
_CHECK_SECONDS = 1.0
_NO_PLAN = "no combination of peers can be derived which satisfy the endorsement policy"
_NOT_EVALUATED = "failed to evaluate transaction, see attached details for more info"
_NOT_ORDERED = "insufficient number of orderers could successfully process transaction to satisfy quorum requirement"
_NO_READER = (
    "Failed evaluating policy on signed data during check policy on channel [{}] with policy "
    "[/Channel/Application/Readers]: [signature set did not satisfy policy]"
)


@dataclass(frozen=True)
class GatewayService:
    """The gateway of every organisation: for each client it is that of the client's own organisation."""

    channel: CurrentChannel
    endorser: Endorser
    orderer: Orderer
    intake: Intake
    view: LedgerView
    events: BlockEvents
    streams: OpenStreams
    aborting: Aborting

    def Evaluate(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            asked = read_request(request.proposed_transaction)
            asked.refuse_incomplete()
        except ProposalMalformed as error:
            message = f"failed to unpack transaction proposal: {error}"
            self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, message)
        if asked.channel != self.channel.get().name:
            self._no_channel(asked.channel, grpc.StatusCode.UNAVAILABLE, context)
        here, failed = self._own_peer(asked), "evaluate call to endorser returned error: "
        try:
            endorser = self._evaluating(request.target_organizations, asked, here, context)
            proposal = self._proposal(asked)
            if proposal.chaincode == query_chaincode.NAME:
                return gateway_pb2.EvaluateResponse(result=self._query(proposal))
            return gateway_pb2.EvaluateResponse(result=self.endorser.evaluate(proposal, endorser))
        except RefusedByEveryPeer as refusal:
            code = grpc.StatusCode.UNAVAILABLE if refusal.is_error else grpc.StatusCode.ABORTED
            self.aborting.abort(context, code, _NOT_EVALUATED, self._of_all(refusal, here))
        except ProposalRefused as refusal:
            code, failure = grpc.StatusCode.FAILED_PRECONDITION, PeerFailure(here, str(refusal))
            self.aborting.abort(context, code, failed + failure.message, [failure])
        except PeerFailure as failure:
            code = grpc.StatusCode.UNKNOWN if failure.by_chaincode else grpc.StatusCode.ABORTED
            self.aborting.abort(context, code, failed + failure.message, [failure])

    def Endorse(self, request: Any, context: grpc.ServicerContext) -> Any:
        if not request.proposed_transaction.proposal_bytes:
            message = "the proposed transaction must contain a signed proposal"
            self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, message)
        try:
            asked = read_request(request.proposed_transaction)
        except ProposalMalformed as error:
            self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if asked.channel != self.channel.get().name or not self.endorser.runs(asked.chaincode):
            self._no_plan(asked.chaincode, asked.channel, context)
        here = self._own_peer(asked)
        named = list(dict.fromkeys(request.endorsing_organizations))
        unknown = [msp for msp in named if msp not in self.endorser.organisations]
        if unknown:
            self.aborting.abort(
                context,
                grpc.StatusCode.UNAVAILABLE,
                f"failed to find any endorsing peers for org(s): {', '.join(unknown)}",
            )
        others = [msp for msp in self.endorser.organisations if msp != here]
        wanted = len(named) or self.channel.get().endorsements
        try:
            envelope = self.endorser.endorse(self._proposal(asked), named or [here, *others], wanted)
        except ProposalRefused as refusal:
            self.aborting.abort(context, grpc.StatusCode.ABORTED, NOT_ENDORSED, [PeerFailure(here, str(refusal))])
        except EndorsementRefused as refusal:
            self.aborting.abort(context, grpc.StatusCode.ABORTED, str(refusal), refusal.failures)
        return gateway_pb2.EndorseResponse(prepared_transaction=envelope)

    def Submit(self, request: Any, context: grpc.ServicerContext) -> Any:
        envelope = request.prepared_transaction
        for missing, message in (
            (not request.HasField("prepared_transaction"), "a prepared transaction is required"),
            (not envelope.signature, "prepared transaction must be signed"),
        ):
            if missing:
                self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, message)
        if request.channel_id != self.channel.get().name:
            self._no_channel(request.channel_id, grpc.StatusCode.FAILED_PRECONDITION, context)
        try:
            self.intake.take(envelope)
        except EnvelopeRefused as refusal:
            status = common_pb2.Status.Name(refusal.status)
            message = f"received unsuccessful response from orderer: status={status}, info={refusal}"
            failures = [PeerFailure(msp_id, message) for msp_id in self.endorser.organisations]
            self.aborting.abort(context, grpc.StatusCode.UNAVAILABLE, _NOT_ORDERED, failures)
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

    def _no_channel(self, channel: str, code: grpc.StatusCode, context: grpc.ServicerContext) -> NoReturn:
        message = f"failed to get config for channel [{channel}]: could not get last config for channel {channel}"
        self.aborting.abort(context, code, message)

    def _own_peer(self, asked: Request) -> str:
        """The organisation whose gateway this is for the client: its own, if it has one here."""
        here, msp_id = self.endorser.organisations, msp_of(asked.creator)
        return msp_id if msp_id in here else here[0]

    def _of_all(self, refusal: RefusedByEveryPeer, here: str) -> list[PeerFailure]:
        """What each peer says, the client's own first: errors of other organisations' peers come over gRPC."""
        remote = f"rpc error: code = Unknown desc = {refusal}" if refusal.is_error else str(refusal)
        others = [PeerFailure(msp_id, remote) for msp_id in self.endorser.organisations if msp_id != here]
        return [PeerFailure(here, str(refusal)), *others]

    def _evaluating(self, targets: list[str], asked: Request, own: str, context: grpc.ServicerContext) -> str:
        """The organisation whose peer answers a query: the client's own, unless others are named."""
        here = self.endorser.organisations
        found = [msp for msp in targets or here if msp in here]
        is_known = self.endorser.runs(asked.chaincode) or asked.chaincode == query_chaincode.NAME
        if not found or not is_known:
            message = f"no peers available to evaluate chaincode {asked.chaincode} in channel {asked.channel}"
            self.aborting.abort(context, grpc.StatusCode.FAILED_PRECONDITION, message)
        return own if own in found else found[0]

    def _proposal(self, asked: Request) -> Proposal:
        """The proposal of a request that peers run; raises ``ProposalRefused``."""
        proposal = read_proposal(asked, self.channel.get())
        if self.view.transaction(proposal.transaction_id) is not None:
            raise ProposalRefused(
                f"duplicate transaction found [{proposal.transaction_id}]. Creator [{proposal.creator.hex()}]"
            )
        name = proposal.chaincode
        if not self.endorser.runs(name) and name != query_chaincode.NAME:
            raise RefusedByEveryPeer(
                f"make sure the chaincode {name} has been successfully defined on channel {proposal.channel} and try "
                f"again: chaincode {name} not found",
                is_error=False,
            )
        return proposal

    def _signed_request(self, kind: Any, signed: Any, what: str, invalid: str, context: grpc.ServicerContext) -> Any:
        if not signed.request:
            self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"a {what} is required")
        try:
            return kind.FromString(signed.request)
        except DecodeError:
            return self.aborting.abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"invalid {invalid}: {MALFORMED}")

    def _check_reader(self, channel: str, identity: bytes, signed: Any, context: grpc.ServicerContext) -> Channel:
        """The configuration under which the client may read; a peer does not look at its certificate's end."""
        configuration = self.channel.get()
        message = ""
        if not channel:
            message = "Invalid channel ID name during check policy on signed data. Name must be different from nil."
        elif channel != configuration.name:
            message = f"Failed to get policy manager for channel [{channel}]"
        else:
            try:
                check_signer(configuration, identity, signed.request, signed.signature, expired_too=True)
            except ProposalRefused as refusal:
                message = f"{_NO_READER.format(channel)}: {refusal}"
        if message:
            self.aborting.abort(context, grpc.StatusCode.PERMISSION_DENIED, message)
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
