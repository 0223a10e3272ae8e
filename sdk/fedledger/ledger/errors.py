"""A refusal of the contract as the SDK raises it: code and sentence are the contract's own."""

from __future__ import annotations

from fedledger.errors import ExitCode, FedledgerError
from fedledger_chaincode.errors import ContractFault

_FORBIDDEN = 403


class LedgerRefusal(FedledgerError):
    """The contract refused a transaction; ``code`` is the contract's, such as ``ROUND_STATE``; nothing was written."""

    def __init__(self, fault: ContractFault, transaction_id: str = "") -> None:
        super().__init__(fault.code, fault.message)
        self.status = fault.status
        self.transaction_id = transaction_id
        self.exit_code = ExitCode.CONNECTION if fault.status == _FORBIDDEN else ExitCode.FAILED
