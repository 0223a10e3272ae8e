"""The only module that knows world-state keys: typed reads and writes of records.

Keys are ``kind/part/part``; parts are identifiers, MSP ids, hex digests and zero-padded numbers, none of which holds
a slash, so keys are injective. Reads are batched: a transaction names all the keys it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import Record
from fedledger_chaincode.stub import Stub

RecordT = TypeVar("RecordT", bound=Record)
REMEMBERED_RECORDS = 512
_AFTER_SLASH = "0"
"""The character after '/' in code-point order: the end of a prefix's range."""


def task_key(task: str) -> str:
    return f"task/{task}"


def consent_key(task: str, msp: str) -> str:
    return f"consent/{task}/{msp}"


def amendment_key(task: str, number: int) -> str:
    return f"amendment/{task}/{number:07d}"


def suspension_key(task: str, msp: str) -> str:
    return f"suspension/{task}/{msp}"


def use_key(task: str, version: int, msp: str, purpose: str) -> str:
    return f"use/{task}/{version:07d}/{msp}/{purpose}"


def head_key(task: str) -> str:
    return f"head/{task}"


def member_key(task: str, participant: str) -> str:
    return f"member/{task}/{participant}"


def roster_key(task: str, msp: str) -> str:
    return f"roster/{task}/{msp}"


def standing_key(task: str, participant: str) -> str:
    return f"standing/{task}/{participant}"


def validator_key(task: str, msp: str) -> str:
    return f"validator/{task}/{msp}"


def round_key(task: str, number: int) -> str:
    return f"round/{task}/{number:07d}"


def cohort_key(task: str, number: int) -> str:
    return f"cohort/{task}/{number:07d}"


def update_key(task: str, number: int, participant: str) -> str:
    return f"update/{task}/{number:07d}/{participant}"


def equivocation_key(task: str, number: int, participant: str) -> str:
    return f"equivocation/{task}/{number:07d}/{participant}"


def revoked_key(task: str, number: int, owner: str) -> str:
    """Of a participant, or of an organisation by its MSP id, which is never as long as a pseudonym."""
    return f"revoked/{task}/{number:07d}/{owner}"


def fixed_key(task: str, number: int) -> str:
    return f"fixed/{task}/{number:07d}"


def attestation_key(task: str, number: int, msp: str) -> str:
    return f"attestation/{task}/{number:07d}/{msp}"


def reference_key(task: str, number: int, msp: str) -> str:
    return f"reference/{task}/{number:07d}/{msp}"


def reference_faults_key(task: str) -> str:
    return f"reference-faults/{task}"


def late_key(task: str, number: int, phase: str, msp: str) -> str:
    return f"late/{task}/{number:07d}/{phase}/{msp}"


def dispute_key(task: str, number: int) -> str:
    return f"dispute/{task}/{number:07d}"


def docket_key(task: str) -> str:
    return f"docket/{task}"


def disclosure_key(task: str, number: int, msp: str) -> str:
    return f"disclosure/{task}/{number:07d}/{msp}"


def votes_key(task: str, number: int, judge: str) -> str:
    return f"votes/{task}/{number:07d}/{judge}"


def barred_key(task: str) -> str:
    return f"barred/{task}"


def settlement_key(task: str, number: int) -> str:
    return f"settlement/{task}/{number:07d}"


def aggregate_key(task: str, number: int, msp: str) -> str:
    return f"aggregate/{task}/{number:07d}/{msp}"


def report_key(task: str, number: int, msp: str) -> str:
    return f"report/{task}/{number:07d}/{msp}"


def model_key(task: str, version: int) -> str:
    return f"model/{task}/{version:07d}"


def evaluation_key(task: str, version: int, participant: str) -> str:
    return f"evaluation/{task}/{version:07d}/{participant}"


def balance_key(account: str) -> str:
    return f"balance/{account}"


def allowance_key(owner: str, spender: str) -> str:
    return f"allowance/{owner}/{spender}"


def mint_key(task: str, proposal: str) -> str:
    return f"mint/{task}/{proposal}"


def received_key(account: str) -> str:
    return f"received/{account}"


def earned_key(account: str, task: str) -> str:
    return f"earned/{account}/{task}"


def collected_key(account: str, task: str) -> str:
    return f"collected/{account}/{task}"


def earning_tasks_key(account: str) -> str:
    return f"earning-tasks/{account}"


def gifts_key(task: str, number: int) -> str:
    return f"gifts/{task}/{number:07d}"


SUPPLY_KEY = "supply"


def prefix(kind: str, *parts: str) -> str:
    """The common beginning of keys of a kind, for a query's range."""
    return "/".join((kind, *parts)) + "/"


@lru_cache(REMEMBERED_RECORDS)
def _decoded(record: type[RecordT], value: bytes) -> RecordT:
    """Records are frozen and decoding is a function of the bytes: a round's transactions share its large records."""
    return record.decode(value)


class WorldState:
    """Records in and out of the stub. Unlike the stub's, its reads by key see what the transaction has written, so
    that two steps of one transaction never overwrite each other."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._written: dict[str, bytes] = {}
        self._committed: dict[str, bytes | None] = {}

    def fetch(self, keys: Sequence[str]) -> None:
        """Ask the peer for ``keys`` in one request; reading them then asks no more. What is committed stays the same
        for a whole transaction."""
        unknown = [key for key in dict.fromkeys(keys) if key not in self._written and key not in self._committed]
        if unknown:
            self._committed.update(zip(unknown, self._stub.get_state(unknown), strict=True))

    def find(self, record: type[RecordT], keys: Sequence[str]) -> list[RecordT | None]:
        """Records at ``keys`` in their order; None where there is none."""
        self.fetch(keys)
        return [self._record(record, key) for key in keys]

    def find_one(self, record: type[RecordT], key: str) -> RecordT | None:
        if key not in self._written and key not in self._committed:
            self.fetch([key])
        return self._record(record, key)

    def get(self, record: type[RecordT], key: str, what: str) -> RecordT:
        """The record at ``key``; raises 404 ``NOT_FOUND`` naming ``what``."""
        found = self.find_one(record, key)
        if found is None:
            raise ContractError(
                404, "NOT_FOUND", f"There is no {what}.", "Check the name; list commands show what exists."
            )
        return found

    def scan(self, record: type[RecordT], start: str) -> Iterator[tuple[str, RecordT]]:
        """All records whose keys begin with ``start`` (which ends in a slash). For queries only."""
        for key, value in self._stub.get_state_range(start, start[:-1] + _AFTER_SLASH):
            yield key, record.decode(value)

    def _record(self, record: type[RecordT], key: str) -> RecordT | None:
        value = self._written[key] if key in self._written else self._committed[key]
        return None if value is None else _decoded(record, value)

    def put(self, key: str, record: Record) -> None:
        """Write a record. What was read at its key and is unknown to this version stays."""
        before = self._record(type(record), key) if key in self._written or key in self._committed else None
        self._written[key] = (record if before is None else record.carrying(before)).canonical()
        self._stub.put_state(key, self._written[key])
