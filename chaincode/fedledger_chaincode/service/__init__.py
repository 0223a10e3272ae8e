"""The chaincode service: Fabric's chaincode-as-a-service protocol around the contract; it decides nothing."""

from fedledger_chaincode.service.errors import ServiceError
from fedledger_chaincode.service.execution import ChaincodeContract
from fedledger_chaincode.service.server import ChaincodeServer, TlsCredentials

__all__ = ["ChaincodeContract", "ChaincodeServer", "ServiceError", "TlsCredentials"]
