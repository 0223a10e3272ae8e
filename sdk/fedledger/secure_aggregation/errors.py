"""What secure aggregation refuses, as errors with a code and a remedy; codes for unreadable shares."""

from __future__ import annotations

from enum import StrEnum

from fedledger.errors import BadInputError, FedledgerError


class UpdateError(BadInputError):
    """An update that cannot be encoded or shared as it is."""


class ParametersError(BadInputError):
    """Parameters of a task under which an aggregate would be unsafe or wrong."""


class KeyFileError(BadInputError):
    """A sealing key that cannot be read."""


class AggregateError(FedledgerError):
    """An aggregate share or a sum that must not be used."""


class Defect(StrEnum):
    """Why a validator cannot read its share: the ``reason`` of a finding on the ledger (section 7.2)."""

    SHARE_MISSING = "SHARE_MISSING"
    WRONG_DIGEST = "WRONG_DIGEST"
    NOT_OPENED = "NOT_OPENED"
    WRONG_LENGTH = "WRONG_LENGTH"
    NOT_AN_ELEMENT = "NOT_AN_ELEMENT"
    LEAF_MISMATCH = "LEAF_MISMATCH"
    ROOT_MISMATCH = "ROOT_MISMATCH"
