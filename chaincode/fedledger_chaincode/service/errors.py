"""Failures of the service itself, never of a business rule: the peer gets them as an ERROR message."""

from __future__ import annotations


class ShimError(Exception):
    """The transaction cannot be carried out; says nothing about the contract's rules."""


class MalformedInvocation(ShimError):
    """A TRANSACTION or INIT whose input or proposal does not parse or contradicts its message."""


class PeerError(ShimError):
    """The peer answered a request with ERROR; the text is the peer's."""


class ProtocolViolation(ShimError):
    """The peer sent what the chaincode protocol does not allow."""


class StreamClosed(ShimError):
    """The stream to the peer ended while the transaction was under way."""


class PeerSilent(ShimError):
    """The peer left a request without an answer for too long."""


class TransactionRepeated(ShimError):
    """The peer sent a transaction again that was under way, so it had given up the first."""


class TransactionOver(ShimError):
    """The stub was used after its transaction had been answered."""


class ServiceError(Exception):
    """The service cannot start: ``code``, a sentence, and what to do."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        self.code = code
        self.message = message
        self.remedy = remedy
        super().__init__(f"{code}: {message} {remedy}")
