"""A service's settings out of the environment, under the names of Fabric's own chaincode-as-a-service samples.

It refuses to serve in the clear when TLS was asked for, and half a TLS configuration.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedledger_chaincode.service.errors import ServiceError
from fedledger_chaincode.service.execution import ChaincodeContract
from fedledger_chaincode.service.server import TlsCredentials

_KEY, _CERTIFICATE, _CLIENT_CA = "CHAINCODE_TLS_KEY", "CHAINCODE_TLS_CERT", "CHAINCODE_CLIENT_CA_CERT"


@dataclass(frozen=True)
class Settings:
    """Package id, address, and TLS (None: in the clear)."""

    chaincode_id: str
    address: str
    tls: TlsCredentials | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read CHAINCODE_ID, CHAINCODE_SERVER_ADDRESS and the files that the TLS variables name.

        Raises:
            ServiceError: ``BAD_SETTINGS`` when a variable is missing, contradicts others or names no readable file.
        """
        return cls(
            _required(environment, "CHAINCODE_ID", "It is the package id that the peer printed on installation."),
            _required(environment, "CHAINCODE_SERVER_ADDRESS", "Give host:port or unix:/path."),
            _tls(environment),
        )


def load_contract(name: str) -> ChaincodeContract:
    """An instance of the class ``module:Class``; raises ``ServiceError`` ``BAD_CONTRACT``."""
    module, _, attribute = name.partition(":")
    try:
        contract: Any = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise _bad_contract(name, str(error)) from error
    if not callable(getattr(contract, "invoke", None)):
        raise _bad_contract(name, "it has no method invoke")
    served: ChaincodeContract = contract
    return served


def _tls(environment: Mapping[str, str]) -> TlsCredentials | None:
    disabled = environment.get("CHAINCODE_TLS_DISABLED", "").lower()
    if disabled not in ("", "true", "false"):
        raise _bad_settings(f"CHAINCODE_TLS_DISABLED is {disabled!r}", "Set true or false.")
    given = [name for name in (_KEY, _CERTIFICATE, _CLIENT_CA) if environment.get(name)]
    if disabled == "true" or not (given or disabled):
        return None
    for name in (_KEY, _CERTIFICATE):
        if name not in given:
            raise _bad_settings(f"{name} is not set", "TLS needs a key and a certificate, each a PEM file.")
    return TlsCredentials(
        key=_file(environment, _KEY),
        certificate=_file(environment, _CERTIFICATE),
        client_ca=_file(environment, _CLIENT_CA) if _CLIENT_CA in given else None,
    )


def _required(environment: Mapping[str, str], name: str, remedy: str) -> str:
    value = environment.get(name)
    if not value:
        raise _bad_settings(f"{name} is not set", remedy)
    return value


def _file(environment: Mapping[str, str], name: str) -> bytes:
    try:
        return Path(environment[name]).read_bytes()
    except OSError as error:
        raise _bad_settings(f"{name} names a file that cannot be read: {error}", "Name a PEM file.") from error


def _bad_settings(reason: str, remedy: str) -> ServiceError:
    return ServiceError("BAD_SETTINGS", f"The chaincode service is not configured: {reason}.", remedy)


def _bad_contract(name: str, reason: str) -> ServiceError:
    return ServiceError(
        "BAD_CONTRACT", f"The contract {name!r} cannot be loaded: {reason}.", "Name a class as module:Class."
    )
