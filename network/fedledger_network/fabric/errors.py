"""What goes wrong with a Fabric network: a program that is missing, refuses or dies; each error shows its own words."""

from __future__ import annotations

from fedledger.errors import DeadlineError, FedledgerError


class FabricError(FedledgerError):
    """Codes: ``FABRIC_MISSING``, ``FABRIC_VERSION``, ``NOT_A_MEMBER``, ``PORT_TAKEN``, ``PROGRAM_DIED``,
    ``PROGRAM_STUCK``, ``COMMAND_FAILED``, ``UNKNOWN_PROGRAM``, ``NOT_STARTED``."""


class FabricTimeout(DeadlineError):
    """Codes: ``PROGRAM_SILENT``, ``COMMAND_SILENT``, ``NOT_CONVERGED``."""
