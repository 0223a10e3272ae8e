"""Fabric's query system chaincode, ``qscc``: the ledger's height and its blocks; evaluated only.

Source: hyperledger/fabric, ``core/scc/qscc/query.go``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.peer import chaincode_pb2, proposal_response_pb2, transaction_pb2

from fedledger.gateway.blocks import header_hash, parse_block, parse_envelope_header, validation_codes
from fedledger.gateway.errors import BlockFormatError
from fedledger_network.embedded.ledger_view import LedgerView

NAME = "qscc"
_OK, _ERROR = 200, 500
_NUMBER = re.compile("[0-9]+")
_NO_SUCH = "no such transaction ID [{}] in index"
_NEWEST = (1 << 64) - 1
"""As a block's number: the newest one."""


class _Refused(Exception):
    """The text is for the client."""


@dataclass(frozen=True)
class QueryChaincode:
    """Answers queries about the ledger of ``channel``."""

    channel: str
    view: LedgerView

    def evaluate(self, chaincode_input: bytes) -> Any:
        """The ``protos.Response`` to a ``protos.ChaincodeInput``."""
        arguments = [bytes(a) for a in chaincode_pb2.ChaincodeInput.FromString(chaincode_input).args]
        if len(arguments) < 2:
            return _error(f"Incorrect number of arguments, {len(arguments)}")
        function, channel, *given = (argument.decode(errors="replace") for argument in arguments)
        if function != "GetChainInfo" and not given:
            return _error(f"missing 3rd argument for {function}")
        if channel != self.channel:
            return _error(f"Invalid chain ID, {channel}")
        try:
            match function:
                case "GetChainInfo":
                    payload = self._chain_info()
                case "GetBlockByNumber":
                    payload = self._block_by_number(given[0])
                case "GetBlockByHash":
                    payload = self._block_by_hash(arguments[2])
                case "GetBlockByTxID":
                    payload = self._block_by_transaction(given[0])
                case "GetTransactionByID":
                    payload = self._transaction(given[0])
                case _:
                    return _error(f"Requested function {function} not found.")
        except _Refused as refusal:
            return _error(str(refusal))
        return proposal_response_pb2.Response(status=_OK, payload=payload)

    def _chain_info(self) -> bytes:
        height = self.view.height
        newest = parse_block(self.view.block(height - 1)).header
        info = ledger_pb2.BlockchainInfo(
            height=height, currentBlockHash=header_hash(newest), previousBlockHash=newest.previous_hash
        )
        return bytes(info.SerializeToString())

    def _block_by_number(self, argument: str) -> bytes:
        if not _NUMBER.fullmatch(argument) or int(argument) > _NEWEST:
            raise _Refused(
                f'Failed to parse block number with error strconv.ParseUint: parsing "{argument}": invalid syntax'
            )
        number, height = int(argument), self.view.height
        if number >= height and number != _NEWEST:
            raise _Refused(f"Failed to get block number {number}, error no such block number [{number}] in index")
        return self.view.block(min(number, height - 1))

    def _block_by_hash(self, wanted: bytes) -> bytes:
        for number in reversed(range(self.view.height)):
            block = self.view.block(number)
            if header_hash(parse_block(block).header) == wanted:
                return block
        told = wanted.decode(errors="replace")
        raise _Refused(f"Failed to get block hash {told}, error no such block hash [{wanted.hex()}] in index")

    def _block_by_transaction(self, transaction_id: str) -> bytes:
        found = self.view.transaction(transaction_id)
        if found is None:
            raise _Refused(f"Failed to get block for txID {transaction_id}, error {_NO_SUCH.format(transaction_id)}")
        return self.view.block(found.block)

    def _transaction(self, transaction_id: str) -> bytes:
        found = self.view.transaction(transaction_id)
        block = None if found is None else parse_block(self.view.block(found.block))
        codes = () if block is None else validation_codes(block)
        for envelope, code in zip(() if block is None else block.data.data, codes, strict=True):
            if _id_of(envelope) == transaction_id:
                processed = transaction_pb2.ProcessedTransaction(
                    transactionEnvelope=common_pb2.Envelope.FromString(envelope), validationCode=code
                )
                return bytes(processed.SerializeToString())
        raise _Refused(f"Failed to get transaction with id {transaction_id}, error {_NO_SUCH.format(transaction_id)}")


def _id_of(envelope: bytes) -> str:
    try:
        return parse_envelope_header(envelope).transaction_id
    except BlockFormatError:
        return ""


def _error(message: str) -> Any:
    return proposal_response_pb2.Response(status=_ERROR, message=message)
