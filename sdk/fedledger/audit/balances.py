"""Whether tokens are conserved: after every block all that accounts hold is the supply, minted and not burnt.

Sees the contract's own records and nothing of transactions. An account holds its balance, payments and gifts that lie
beside it, and what it has earned and not collected; what the void has earned is burnt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from fedledger.audit.findings import CheckName, Finding
from fedledger.gateway.blocks import StateUpdate
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import BalanceRecord, EarningsRecord, SupplyRecord
from fedledger_chaincode.rules.rewards import uncollected
from fedledger_chaincode.state import SUPPLY_KEY
from fedledger_chaincode.transactions.context import VOID, insurance_account

_AMOUNTS = ("balance", "received", "gifts")
_COUNTERS = ("earned", "collected")


class Balances:
    """What every account holds, in micro-tokens, and the supply."""

    def __init__(self) -> None:
        self._kept: Mapping[str, dict[str, int]] = defaultdict(dict)
        """By kind of key, then by the rest of the key."""
        self._made = 0

    @property
    def accounts(self) -> int:
        accounts = {rest.partition("/")[0] for kind in ("balance", "received", *_COUNTERS) for rest in self._kept[kind]}
        gifts = {insurance_account(rest.partition("/")[0]) for rest in self._kept["gifts"]}
        return len((accounts | gifts) - {VOID})

    @property
    def supply(self) -> int:
        return self._made - self._earnings(of_void=True)

    def follow(self, updates: Iterable[StateUpdate]) -> bool:
        """Take over a block's updates of the contract's namespace; whether any of them is about tokens.

        Raises ``Finding`` when what all accounts hold is not the supply.
        """
        changed = False
        for update in updates:
            key = update.key.decode()
            kind, slash, rest = key.partition("/")
            if key == SUPPLY_KEY or (slash and kind in (*_AMOUNTS, *_COUNTERS)):
                changed = True
                self._take(kind, rest, update.value)
        if changed and (held := self._held()) != self.supply:
            raise Finding(
                CheckName.CONSERVATION,
                f"{self.accounts} accounts hold {held} micro-tokens, the supply is {self.supply}",
            )
        return changed

    def _held(self) -> int:
        return sum(sum(self._kept[kind].values()) for kind in _AMOUNTS) + self._earnings(of_void=False)

    def _earnings(self, *, of_void: bool) -> int:
        """What is earned and not collected, by the void or by all others."""
        earned, collected = (self._kept[kind] for kind in _COUNTERS)
        places = [place for place in {**earned, **collected} if (place.partition("/")[0] == VOID) == of_void]
        return sum(uncollected(earned.get(place, 0), collected.get(place, 0)) for place in places)

    def _take(self, kind: str, rest: str, value: bytes | None) -> None:
        try:
            if kind == SUPPLY_KEY:
                self._made = 0 if value is None else SupplyRecord.decode(value).total
            elif value is None:
                self._kept[kind].pop(rest, None)
            elif kind in _COUNTERS:
                self._kept[kind][rest] = EarningsRecord.decode(value).total
            else:
                self._kept[kind][rest] = BalanceRecord.decode(value).balance
        except ContractError as error:
            raise Finding(CheckName.CONSERVATION, f"{kind}/{rest} cannot be read ({error.sentence})") from error
