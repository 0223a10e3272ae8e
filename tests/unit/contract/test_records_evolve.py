"""Records and views are read as another version has written them, messages as they were signed or not at all."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages import protocol1, records, round, task, tokens, views
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER, Evolving, Record, Value, View, canonical
from fedledger_chaincode.messages.records import BalanceRecord, CohortEntry, CohortRecord, HeadRecord, TaskRecord
from fedledger_chaincode.messages.views import AccountBalance, MemberViews, Wallet
from fedledger_chaincode.replay import ReplayStub
from fedledger_chaincode.state import WorldState
from tests.unit.contract.ledger import MSPS, Actor, Argument, Consortium, Ledger, digest, task_spec

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-MAXIMUM_INTEGER, MAXIMUM_INTEGER) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
"""What a record may hold: no version of the contract writes numbers that are not whole."""
NAMES = st.text(max_size=12) | st.sampled_from(["canonical", "decode", "model_fields", "model_extra", "__class__"])
HEAD = {
    "task": "heart",
    "version": 3,
    "model_digest": digest("model 3"),
    "model_size": 100,
    "round": 7,
    "round_state": "finalised",
    "called": 0,
}


def unknown_to(*classes: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    known = {name for each in classes for name in each.model_fields}
    return st.dictionaries(NAMES.filter(lambda name: name not in known), JSON, min_size=1, max_size=3)


def classes_of(module: ModuleType) -> list[type[Value]]:
    found = [each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__]
    return [each for each in found if issubclass(each, Value)]


def parts(annotation: Any) -> Iterator[type[Value]]:
    """The values that a field of this type may hold."""
    if inspect.isclass(annotation) and issubclass(annotation, Value):
        yield annotation
    for argument in get_args(annotation):
        yield from parts(argument)


@pytest.mark.parametrize("record", classes_of(records), ids=lambda each: each.__name__)
def test_what_is_stored_consists_of_records_and_of_messages(record: type[Value]) -> None:
    assert issubclass(record, Record)
    for name, field in record.model_fields.items():
        for part in parts(field.annotation):
            signed = part.__module__ in {module.__name__ for module in (round, task, tokens, protocol1)}
            assert issubclass(part, Record) or signed, f"{record.__name__}.{name}"


@pytest.mark.parametrize("view", classes_of(views), ids=lambda each: each.__name__)
def test_what_queries_answer_is_a_view(view: type[Value]) -> None:
    assert issubclass(view, View)


@pytest.mark.parametrize(
    "message",
    [each for module in (round, task, tokens, protocol1) for each in classes_of(module)],
    ids=lambda each: f"{each.__module__.rpartition('.')[2]}.{each.__name__}",
)
def test_messages_stay_strict(message: type[Value]) -> None:
    assert not issubclass(message, Evolving) and message.model_config["extra"] == "forbid"
    assert message.decode.__func__ is Value.decode.__func__  # type: ignore[attr-defined]


def test_bytes_need_not_be_the_encoding_of_what_they_say() -> None:
    spaced = json.dumps(HEAD, indent=1).encode()
    assert HeadRecord.decode(spaced) == HeadRecord.decode(canonical(HEAD))


def test_an_absent_field_takes_its_default() -> None:
    stored = {"participant": digest("p"), "msp": MSPS[0], "public_key": "00", "stake": 5, "first_round": 2}
    member = records.MemberRecord.decode(canonical(stored))
    assert (member.last_round, member.valid_until, member.suspended) == (None, None, "")


def test_a_field_without_a_default_has_to_be_there() -> None:
    with pytest.raises(ContractError, match="BAD_MESSAGE: HeadRecord: round_state"):
        HeadRecord.decode(canonical({name: value for name, value in HEAD.items() if name != "round_state"}))


@given(unknown=unknown_to(HeadRecord))
def test_unknown_fields_survive_a_rewrite(unknown: dict[str, Any]) -> None:
    read = HeadRecord.decode(canonical(HEAD | unknown))
    rewritten = read.model_copy(update={"round": 8, "round_state": "open"})
    assert written(rewritten) >= fields(HEAD | unknown | {"round": 8, "round_state": "open"})


@given(unknown=unknown_to(CohortEntry))
def test_unknown_fields_of_a_part_survive_while_the_part_does(unknown: dict[str, Any]) -> None:
    entry = {"participant": digest("p"), "msp": MSPS[0], "quarantined": False, "reputation": 5} | unknown
    read = CohortRecord.decode(canonical({"participants": [entry], "validators": []}))
    assert written(read.participants[0]) >= fields(entry)


@given(unknown=unknown_to(BalanceRecord))
def test_unknown_fields_survive_when_the_record_at_a_key_is_made_anew(unknown: dict[str, Any]) -> None:
    stub = stub_over({"balance/org:A": canonical({"balance": 5} | unknown)})
    state = WorldState(stub)
    state.find(BalanceRecord, ["balance/org:A", "balance/org:B"])
    for balance in (7, 9):
        state.put("balance/org:A", BalanceRecord(balance=balance))
    state.put("balance/org:B", BalanceRecord(balance=1))
    assert fields(json.loads(stub.writes["balance/org:A"] or b"")) >= fields({"balance": 9} | unknown)
    assert not json.loads(stub.writes["balance/org:B"] or b"").keys() & unknown.keys()


@given(unknown=unknown_to(BalanceRecord))
def test_a_record_that_brings_an_unknown_field_keeps_its_own(unknown: dict[str, Any]) -> None:
    before = BalanceRecord.decode(canonical({"balance": 1} | dict.fromkeys(unknown, "before")))
    after = BalanceRecord.decode(canonical({"balance": 2} | unknown))
    assert written(after.carrying(before)) >= fields({"balance": 2} | unknown)


def test_a_message_inside_a_record_is_as_it_was_signed() -> None:
    consortium = Consortium.active(task_spec())
    consortium.open(1)
    consortium.submit(MSPS[0], 1)
    (stored,) = (json.loads(value) for key, value in consortium.ledger.world.items() if key.startswith("update/"))
    kept = records.UpdateRecord.decode(canonical(stored | {"seen_by": "nobody"}))
    assert json.loads(kept.canonical())["seen_by"] == "nobody"
    stored["signed"]["manifest"]["comment"] = "added later"
    with pytest.raises(ContractError, match="Extra inputs are not permitted"):
        records.UpdateRecord.decode(canonical(stored))


def test_a_specification_inside_a_record_is_as_it_was_agreed_on() -> None:
    spec = task_spec()
    stored = {"spec": spec.model_dump(mode="json", by_alias=True), "spec_hash": spec.sha256(), "state": "active"}
    stored |= {"proposer": MSPS[0], "proposed_at": 1}
    assert TaskRecord.decode(canonical(stored)).spec == spec
    stored["spec"]["more"] = 1
    with pytest.raises(ContractError, match="Extra inputs are not permitted"):
        TaskRecord.decode(canonical(stored))


@given(unknown=unknown_to(Wallet, AccountBalance))
def test_a_view_of_another_version_of_the_contract_is_read(unknown: dict[str, Any]) -> None:
    answer = {"msp": MSPS[0], "accounts": [{"account": "pool:heart", "balance": 4} | unknown]} | unknown
    wallet = Wallet.decode(canonical(answer))
    assert [(each.account, each.balance) for each in wallet.accounts] == [("pool:heart", 4)]


def test_a_view_holds_records_that_have_grown() -> None:
    consortium = Consortium.active(task_spec())
    answer = json.loads(consortium.members().canonical())
    for view in answer["members"]:
        view["member"]["colour"] = view["standing"]["colour"] = "green"
    read = MemberViews.decode(canonical(answer))
    assert read.members[0].member.participant == answer["members"][0]["member"]["participant"]


def test_what_was_recorded_before_is_the_same_though_it_has_grown() -> None:
    """A step that is taken twice, before and after an upgrade, is one step."""
    consortium = Consortium.active(task_spec())
    consortium.open(1)
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.close(1)
    consortium.attest(MSPS[0], 1)
    (key,) = (key for key in consortium.ledger.world if key.startswith("attestation/"))
    grown = canonical(json.loads(consortium.ledger.world[key]) | {"colour": "green"})
    consortium.ledger.world[key] = grown
    consortium.attest(MSPS[0], 1)
    assert consortium.ledger.world[key] == grown


class GrowingLedger(Ledger):
    """After each transaction another version of the contract writes every record again, with a field of its own."""

    def submit(self, actor: Actor, function: str, *arguments: Argument) -> bytes:
        known = set(self.world)
        answer = super().submit(actor, function, *arguments)
        lost = [key for key in known & set(self.world) if json.loads(self.world[key]).get("grown") != key]
        assert lost == [], function
        for key, value in self.world.items():
            self.world[key] = canonical(json.loads(value) | {"grown": key})
        return answer


def test_no_transaction_of_a_whole_task_loses_what_it_does_not_know() -> None:
    consortium = Consortium.founded(task_spec())
    consortium.ledger = GrowingLedger()
    consortium.begin()
    for number in (1, 2):
        consortium.through(number)
    assert consortium.view().record.state == "completed"


def fields(document: dict[str, Any]) -> set[tuple[str, bytes]]:
    """Names with the bytes of their values: what a later version adds does no harm."""
    return {(name, canonical([value])) for name, value in document.items()}


def written(record: Record) -> set[tuple[str, bytes]]:
    return fields(json.loads(record.canonical()))


def stub_over(world: dict[str, bytes]) -> ReplayStub:
    return ReplayStub(world, "0" * 64, "channel", "Nothing", [], b"", 0)
