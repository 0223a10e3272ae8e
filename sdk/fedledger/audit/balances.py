"""Whether tokens are conserved: after every block all balances together are the supply, minted and not burnt.

Sees the contract's own records and nothing of transactions; accounts of participants, organisations, pools, stakes and
insurances are all balances.
"""

from __future__ import annotations

from collections.abc import Iterable

from fedledger.audit.findings import CheckName, Finding
from fedledger.gateway.blocks import StateUpdate
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import BalanceRecord, SupplyRecord
from fedledger_chaincode.state import SUPPLY_KEY, prefix

_BALANCES = prefix("balance")


class Balances:
    """The balance of every account, in micro-tokens, and the supply."""

    def __init__(self) -> None:
        self._balances: dict[str, int] = {}
        self._supply = 0

    @property
    def accounts(self) -> int:
        return len(self._balances)

    @property
    def supply(self) -> int:
        return self._supply

    def follow(self, updates: Iterable[StateUpdate]) -> bool:
        """Take over a block's updates of the contract's namespace; whether any of them is about tokens.

        Raises ``Finding`` when the sum of balances is not the supply.
        """
        changed = False
        for update in updates:
            key = update.key.decode()
            if key == SUPPLY_KEY or key.startswith(_BALANCES):
                changed = True
                self._take(key, update.value)
        total = sum(self._balances.values())
        if total != self._supply:
            raise Finding(
                CheckName.CONSERVATION,
                f"{self.accounts} balances add up to {total} micro-tokens, the supply is {self._supply}",
            )
        return changed

    def _take(self, key: str, value: bytes | None) -> None:
        try:
            if key == SUPPLY_KEY:
                self._supply = 0 if value is None else SupplyRecord.decode(value).total
            elif value is None:
                self._balances.pop(key, None)
            else:
                self._balances[key] = BalanceRecord.decode(value).balance
        except ContractError as error:
            raise Finding(CheckName.CONSERVATION, f"{key} cannot be read ({error.sentence})") from error
