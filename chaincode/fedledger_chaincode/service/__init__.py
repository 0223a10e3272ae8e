"""The chaincode service: Fabric's chaincode-as-a-service protocol around the contract; it decides nothing."""

from fedledger_chaincode.service.errors import ServiceError
from fedledger_chaincode.service.server import ChaincodeService, TlsCredentials

__all__ = ["ChaincodeService", "ServiceError", "TlsCredentials"]
