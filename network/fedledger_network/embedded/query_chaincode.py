"""Fabric's query system chaincode, ``qscc``: the ledger's height and its blocks; evaluated only.

Source: hyperledger/fabric, ``core/scc/qscc/query.go``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.peer import chaincode_pb2, proposal_response_pb2, transaction_pb2

from fedledger.gateway.blocks import header_hash, parse_block, parse_envelope_header, validation_codes
from fedledger.gateway.errors import BlockFormatError
from fedledger_network.embedded.ledger_view import LedgerView

NAME = "qscc"
_OK, _ERROR = 200, 500


@dataclass(frozen=True)
class QueryChaincode:
    """Answers queries about the ledger of ``channel``."""

    channel: str
    view: LedgerView

    def evaluate(self, chaincode_input: bytes) -> Any:
        """The ``protos.Response`` to a ``protos.ChaincodeInput``."""
        arguments = [bytes(a) for a in chaincode_pb2.ChaincodeInput.FromString(chaincode_input).args]
        functions: dict[bytes, Callable[[Sequence[bytes]], bytes]] = {
            b"GetChainInfo": lambda _: self._chain_info(),
            b"GetBlockByNumber": lambda given: self._block_by_number(given[0]),
            b"GetBlockByTxID": lambda given: self.view.block(self._block_of(given[0])),
            b"GetTransactionByID": lambda given: self._transaction(given[0].decode()),
        }
        function = functions.get(arguments[0]) if arguments else None
        if function is None:
            return _error("Requested function not found.")
        if len(arguments) < 2 or arguments[1].decode(errors="replace") != self.channel:
            return _error(f"Invalid chain ID, {arguments[1:2]}")
        try:
            payload = function(arguments[2:])
        except (LookupError, ValueError) as error:
            return _error(f"Failed to answer {arguments[0].decode()}: {error}")
        return proposal_response_pb2.Response(status=_OK, payload=payload)

    def _chain_info(self) -> bytes:
        height = self.view.height
        newest = parse_block(self.view.block(height - 1)).header
        info = ledger_pb2.BlockchainInfo(
            height=height, currentBlockHash=header_hash(newest), previousBlockHash=newest.previous_hash
        )
        return bytes(info.SerializeToString())

    def _block_by_number(self, argument: bytes) -> bytes:
        number = int(argument)
        return self.view.block(self.view.height - 1 if number == (1 << 64) - 1 else number)

    def _block_of(self, transaction_id: bytes) -> int:
        found = self.view.transaction(transaction_id.decode())
        if found is None:
            raise LookupError(f"no such transaction ID [{transaction_id.decode()}] in index")
        return found.block

    def _transaction(self, transaction_id: str) -> bytes:
        block = parse_block(self.view.block(self._block_of(transaction_id.encode())))
        for envelope, code in zip(block.data.data, validation_codes(block), strict=True):
            if _id_of(envelope) == transaction_id:
                processed = transaction_pb2.ProcessedTransaction(
                    transactionEnvelope=common_pb2.Envelope.FromString(envelope), validationCode=code
                )
                return bytes(processed.SerializeToString())
        raise LookupError(f"no such transaction ID [{transaction_id}]")


def _id_of(envelope: bytes) -> str:
    try:
        return parse_envelope_header(envelope).transaction_id
    except BlockFormatError:
        return ""


def _error(message: str) -> Any:
    return proposal_response_pb2.Response(status=_ERROR, message=message)
