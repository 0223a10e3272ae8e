"""Strict messages and their one encoding: RFC 8785 (JCS) bytes, hashed with SHA-256.

A message that has an unknown field, a missing field, a wrong type, or bytes that are not the canonical encoding
is refused, so that one value has exactly one digest and one signature. Records and views, which nobody signs, are read
as another version of the contract has written them.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Self, TypeVar

import rfc8785
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.texts import check_text

MICRO = 1_000_000
"""Micro-units: every amount, rate and score on the ledger is an integer number of millionths."""

MAXIMUM_INTEGER = 2**53 - 1
"""The largest integer that RFC 8785 can encode exactly."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""Hex SHA-256, lower case."""
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
MspId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Natural = Annotated[int, Field(ge=0, le=MAXIMUM_INTEGER)]
Positive = Annotated[int, Field(ge=1, le=MAXIMUM_INTEGER)]
Fraction = Annotated[int, Field(ge=0, le=MICRO)]
"""A number in [0, 1] in micro-units."""


def _check(text: str, info: ValidationInfo) -> str:
    return check_text(text) if info.context is _INCOMING else text


def _check_line(text: str, info: ValidationInfo) -> str:
    return check_text(text, one_line=True) if info.context is _INCOMING else text


_INCOMING = object()
"""Context of what a client sends. What is on a ledger already stays readable, whatever it holds."""

Text = Annotated[str, Field(max_length=2_000), AfterValidator(_check)]
"""What a client sends holds no hidden character but line feeds."""
Line = Annotated[str, Field(max_length=2_000), AfterValidator(_check_line)]
"""What a client sends holds no hidden character at all."""


class Value(BaseModel):
    """A strict frozen value: no unknown fields, no coercion."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, validate_default=True)

    def canonical(self) -> bytes:
        """The RFC 8785 encoding."""
        return canonical(self.model_dump(mode="json", by_alias=True))

    def sha256(self) -> str:
        """Hex SHA-256 of the canonical encoding."""
        return hashlib.sha256(self.canonical()).hexdigest()

    @classmethod
    def decode(cls, received: bytes) -> Self:
        """Parse canonical bytes. Texts of messages that clients send are checked, texts of records are not.

        Raises:
            ContractError: 400 ``BAD_MESSAGE`` naming the field that is wrong, or that the bytes are not canonical.
        """
        message = cls._parsed(received, _INCOMING)
        if message.canonical() != received:
            raise ContractError(
                400,
                "NOT_CANONICAL",
                f"{cls.__name__}: the bytes are not the RFC 8785 encoding of the message.",
                "Encode the message with a JCS library.",
            )
        return message

    @classmethod
    def _parsed(cls, received: bytes, context: object) -> Self:
        try:
            return cls.model_validate_json(received, context=context)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "message"
            raise ContractError(
                400,
                "BAD_MESSAGE",
                f"{cls.__name__}: {where}: {first['msg']}.",
                "Correct the field and send it again.",
            ) from None


class Evolving(Value):
    """A value of which versions of the contract know different fields: what is absent takes its default, which is what
    its absence meant before there was such a field, and what is unknown is kept. docs/decisions/012-records-evolve.md.
    """

    model_config = ConfigDict(extra="allow")

    @classmethod
    def decode(cls, received: bytes) -> Self:
        """Parse JSON that an earlier or a later version has written.

        Raises:
            ContractError: 400 ``BAD_MESSAGE`` naming the field that is wrong.
        """
        return cls._parsed(received, None)


class Record(Evolving):
    """What is stored in the world state. What it consists of are records too, or messages as they were signed."""

    def carrying(self, before: Self) -> Self:
        """This record, in the place of the one before, with the fields of that one that are unknown here."""
        unknown = (before.model_extra or {}).keys() - (self.model_extra or {}).keys()
        return self.model_copy(update={name: (before.model_extra or {})[name] for name in unknown}) if unknown else self


class View(Evolving):
    """What a query answers."""


ValueT = TypeVar("ValueT", bound=Value)


# The standard library's encoder is many times faster than one in Python, and the contract encodes at every step. For
# ASCII text and, inside objects and arrays, integers of up to fifteen digits it writes RFC 8785's bytes; whatever else
# there may be (the pattern also meets digits in strings) is left to the complete implementation. The pattern begins
# with one set of characters, which the regular expression engine looks for twenty times faster than for alternatives.
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
_MAY_DIFFER = re.compile(r"[\[:,]-?\d+(?:[.eE]|(?<=\d{16}))")


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value.

    Raises:
        ContractError: 400 ``BAD_MESSAGE`` when the value has no exact encoding (an integer beyond 2^53 - 1).
    """
    try:
        fast = _encoder.encode(value)
        if fast.isascii() and fast[0] in '{["' and not _MAY_DIFFER.search(fast):
            return fast.encode()
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, ValueError) as error:
        raise ContractError(400, "BAD_MESSAGE", f"The value has no canonical encoding: {error}.") from None
