"""The contract, rounds, the audit and killed programs on either engine."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fedledger.agents.stores import ValidatorStore
from fedledger.audit import CheckName, Outcome, verify_network
from fedledger.audit.findings import BLOCK_CHECKS
from fedledger.gateway import EvaluateError
from fedledger.gateway.errors import GatewayError
from fedledger.ledger import LedgerRefusal, TaskLedger
from fedledger.secure_aggregation import PreparedUpdate
from fedledger_chaincode.contract import Contract
from fedledger_chaincode.messages.records import ModelRecord
from tests.attacks.conftest import ORGANISATIONS, training_free_spec
from tests.embedded.clients import CHAINCODE, CHANNEL, NAMES, Client
from tests.embedded.processes import within_patience
from tests.fabric.ledger import consortium, failures
from tests.scenarios.agents import agreed, attesting, process_of, refused_updates, working
from tests.scenarios.engines import Engine
from tests.scenarios.members import answers
from tests.unit.contract.ledger import digest, task_spec

KILLED = "hungary"
LAST_ROUND = 5


def new_task() -> str:
    return f"task-{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
def governor(engine: Engine) -> Iterator[Client]:
    with engine.member(NAMES[0], "governor") as found:
        yield found


# The contract


def test_every_peer_tells_the_contracts_transactions(engine: Engine) -> None:
    expected = {transaction["name"] for transaction in Contract().metadata()["contracts"]["fedledger"]["transactions"]}
    for organisation in NAMES:
        with engine.member(organisation, "auditor") as auditor:
            answer = auditor.evaluate("org.hyperledger.fabric:GetMetadata")
        told = answer["contracts"]["fedledger"]["transactions"]
        assert {transaction["name"] for transaction in told} == expected


def test_a_refusal_by_the_contract_reaches_the_client_with_code_and_sentence(engine: Engine) -> None:
    with engine.member(NAMES[0]) as participant:
        with pytest.raises(EvaluateError) as evaluated:
            participant.evaluate("GetTask", "nothing")
        assert evaluated.value.contract_error is not None
        assert (evaluated.value.contract_error.status, evaluated.value.code) == (404, "NOT_FOUND")
        with pytest.raises(LedgerRefusal, match="WRONG_ROLE"):
            TaskLedger(participant.network, CHAINCODE).propose_task(task_spec(task=new_task()))


def test_an_event_tells_its_task(governor: Client) -> None:
    task = new_task()
    submitted = governor.contract.submit_async("ProposeTask", task_spec(task=task).canonical())
    number = submitted.status().block_number
    with governor.network.chaincode_events(CHAINCODE, start_block=number) as events:
        event = next(event for event in events if event.transaction_id == submitted.transaction_id)
    assert json.loads(event.payload)["task"] == task


# Rounds


def test_two_rounds_of_a_task_from_proposal_to_the_last_model(engine: Engine) -> None:
    with consortium(engine.profiles, task_spec(task=new_task())) as members:
        members.begin()
        first = ModelRecord.decode(members.through(1))
        second = ModelRecord.decode(members.through(2))
        view = members.view()
    assert (first.version, first.parent) == (1, digest("model 0"))
    assert (second.version, second.parent) == (2, first.model_digest)
    assert view.record.state == "completed"


def test_a_round_ends_without_a_validator_that_was_killed_and_the_next_one_with_it(engine: Engine) -> None:
    deadlines = {"updates": 240, "attestations": 8, "aggregates": 8, "disputes": 3}
    spec = training_free_spec(task=new_task(), deadlines=deadlines)
    with agreed(engine, spec) as play:
        threads = [validator for name, validator in play.validators.items() if name != KILLED]
        with process_of(engine, KILLED, spec.task) as process, working(*threads):
            play.contribute(1, *ORGANISATIONS[:3])
            process.kill()
            process.wait()
            play.contribute(1, ORGANISATIONS[3])
            first = play.await_round(1, "finalised")
            assert attesting(first) == set(ORGANISATIONS) - {KILLED}
            with process_of(engine, KILLED, spec.task):
                # On a busy machine it may come too late for a round's deadline once more.
                for number in range(2, LAST_ROUND + 1):
                    play.contribute(number, *ORGANISATIONS)
                    view = play.await_round(number, "finalised")
                    assert view.settlement is not None and len(view.settlement.updates) == len(ORGANISATIONS)
                    if KILLED in attesting(view):
                        break
                else:
                    raise AssertionError(f"the validator of {KILLED} does not attest any more")
    assert refused_updates(engine) == [], "participants do not get into each other's way"


def test_of_two_updates_that_race_for_the_last_of_a_budget_one_counts(engine: Engine) -> None:
    privacy = task_spec(privacy={"epsilon_budget": 1_000_000}).privacy.model_dump(mode="json")
    spec = training_free_spec(task=new_task(), privacy=privacy)
    racing, others = ORGANISATIONS[0], ORGANISATIONS[1:]
    with agreed(engine, spec) as play:
        play.open()
        play.contribute(1, *others)
        both = [play.honest(racing, update) for update in ([1_000, 0, 0, 0], [0, 1_000, 0, 0])]

        def submit(prepared: PreparedUpdate) -> str:
            for validator, sealed in zip(play.view().cohort.validators, prepared.sealed, strict=True):
                ValidatorStore(validator.store).shares_of("fedledger", spec.task, play.rounds).put(sealed)
            try:
                (result,) = play.ledger(racing, "participant").submit_updates([play.sign(racing, prepared)])
            except GatewayError:
                return "conflict"
            return result.code or result.status

        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(submit, both))
        assert outcomes.count("received") == 1 and {*outcomes} <= {"received", "EQUIVOCATION", "conflict"}
        engine.settle()
        assert len(play.view().updates) == len(ORGANISATIONS)
        with working(*play.validators.values()):
            play.await_round(1, "finalised")
            auditor = play.ledger(racing, "auditor")
            # Nobody has any budget left: the validators end the task.
            assert within_patience(lambda: auditor.task(spec.task).record.state == "completed")
        engine.settle()
        standings = {view.member.msp: view.standing for view in auditor.members(spec.task)}
        assert {(each.contributions, each.epsilon) for each in standings.values()} == {(1, 1_000_000)}


# The audit


@pytest.mark.parametrize("organisation", [NAMES[1], NAMES[3]])
def test_the_audit_accepts_the_blocks_of_any_peer(engine: Engine, organisation: str) -> None:
    with engine.member(organisation, "auditor") as auditor:
        report = verify_network(auditor.network)
    outcomes = {check.name: check.outcome for check in report.checks}
    # What is about models and privacy needs a real task: some of these updates and models are made up.
    assert {outcomes[name] for name in (*BLOCK_CHECKS, CheckName.ROUNDS)} == {Outcome.PASSED}, failures(report)


# Killed programs


def test_a_contract_that_was_killed_comes_back_and_meanwhile_says_so(engine: Engine, governor: Client) -> None:
    engine.kill_contract(NAMES[0])
    with pytest.raises(GatewayError) as failed:
        for _ in range(200):
            governor.contract.new_proposal("ProposeTask", arguments=[task_spec(task=new_task()).canonical()]).endorse()
    assert failed.value.contract_error is None
    reason = engine.expects(embedded="chaincode service", fabric="could not launch chaincode|error in simulation")
    assert failed.match(str(reason))
    engine.start_contract(NAMES[0])

    def works() -> bool:
        try:
            governor.contract.submit_transaction("ProposeTask", task_spec(task=new_task()).canonical())
        except GatewayError:
            return False
        return True

    assert within_patience(works)


def test_what_was_reported_committed_is_there_when_everything_was_killed(engine: Engine, governor: Client) -> None:
    tasks = [new_task() for _ in range(3)]
    for task in tasks:
        governor.contract.submit_transaction("ProposeTask", task_spec(task=task).canonical())
    engine.kill()
    engine.start()
    assert within_patience(lambda: answers(governor))
    engine.settle()
    for organisation in NAMES:
        with engine.member(organisation, "auditor") as auditor:
            known = {task.task for task in TaskLedger(auditor.network, CHANNEL).tasks()}
        assert set(tasks) <= known
    further = new_task()
    TaskLedger(governor.network, CHAINCODE).propose_task(task_spec(task=further))
    assert TaskLedger(governor.network, CHAINCODE).task(further).record.state == "proposed"
