"""What a peer offers in READY's payload, ``protos.ChaincodeAdditionalParams``; refuses wrong types in its fields.

The published Python bindings lack the message (fabric-protos, peer/chaincode_shim.proto), so it is described
here, in a pool of its own that cannot collide with bindings that will have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from fedledger_chaincode.service.errors import ProtocolViolation

DEFAULT_BATCH = 100
"""Records or keys a request may hold when the peer offers batches without a size, as in Fabric's Go shim."""

_BOOL = descriptor_pb2.FieldDescriptorProto.TYPE_BOOL
_UINT32 = descriptor_pb2.FieldDescriptorProto.TYPE_UINT32
_FIELDS = {
    "use_write_batch": (1, _BOOL),
    "max_size_write_batch": (2, _UINT32),
    "use_get_multiple_keys": (3, _BOOL),
    "max_size_get_multiple_keys": (4, _UINT32),
}


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="chaincode_additional_params.proto", package="protos", syntax="proto3"
    )
    message = file.message_type.add(name="ChaincodeAdditionalParams")
    for name, (number, kind) in _FIELDS.items():
        message.field.add(name=name, number=number, type=kind, label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("protos.ChaincodeAdditionalParams"))


ChaincodeAdditionalParams = _message_class()


@dataclass(frozen=True)
class PeerCapabilities:
    """Most records in one WRITE_BATCH_STATE and keys in one GET_STATE_MULTIPLE; 0 where not offered."""

    write_batch: int = 0
    get_multiple: int = 0

    @classmethod
    def from_ready(cls, payload: bytes) -> PeerCapabilities:
        """Read READY's payload: empty from older peers; fields not known yet are passed over.

        Raises:
            ProtocolViolation: the payload does not parse or a known field has another type.
        """
        params = ChaincodeAdditionalParams()
        try:
            params.ParseFromString(payload)
        except DecodeError:
            raise ProtocolViolation("The payload of READY is no ChaincodeAdditionalParams.") from None
        # A known number with another wire type lands among the unknown fields instead of being an error.
        unknown_fields: Any = UnknownFieldSet(params)
        known = {number for number, _ in _FIELDS.values()}
        if any(unknown.field_number in known for unknown in unknown_fields):
            raise ProtocolViolation("A field of ChaincodeAdditionalParams in READY has the wrong type.")
        return cls(
            write_batch=(params.max_size_write_batch or DEFAULT_BATCH) if params.use_write_batch else 0,
            get_multiple=(params.max_size_get_multiple_keys or DEFAULT_BATCH) if params.use_get_multiple_keys else 0,
        )
