"""Payments that come just before a round's last step, or a stake, do not make it fail, whoever is paid."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from fedledger.ledger import TaskLedger
from fedledger_chaincode.messages.records import ModelRecord
from fedledger_chaincode.messages.round import ValidatorRegistration
from fedledger_network.consortium import BlockCutting
from fedledger_network.consortium import Consortium as Organisations
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode
from tests.embedded.clients import CHAINCODE, MSPS, NAMES, Client, client
from tests.fabric.ledger import consortium
from tests.unit.contract.ledger import digest, task_spec


@pytest.fixture(scope="module")
def folder() -> Iterator[NetworkFolder]:
    """A running network whose blocks wait for what is submitted together."""
    with tempfile.TemporaryDirectory(prefix="node-") as place:
        organisations = replace(Organisations.of_names(*NAMES), blocks=BlockCutting(milliseconds=50))
        made = NetworkFolder.create(Path(place) / "network", organisations)
        with EmbeddedNode(made):
            yield made


@pytest.fixture(scope="module")
def governors(folder: NetworkFolder) -> Iterator[list[Client]]:
    with ExitStack() as opened:
        yield [opened.enter_context(client(folder, name, "governor")) for name in NAMES]


def after_payments(payments: list[tuple[Client, str]], validator: Client, *step: str) -> list[str]:
    """What becomes of payments of 1 micro-token and then of a step: all endorsed on one state, submitted in order."""
    paid = [(payer, payer.endorsed("Transfer", account, "1")) for payer, account in payments]
    taken = validator.endorsed(*step)
    for payer, prepared in paid:
        payer.hand_over(prepared)
    validator.hand_over(taken)
    statuses = [payer.status(prepared.transaction_id) for payer, prepared in (*paid, (validator, taken))]
    assert [status.block_number for status in statuses] == sorted(status.block_number for status in statuses)
    return [status.code_name for status in statuses]


def test_a_round_is_finalised_while_everybody_that_it_pays_is_paid(
    folder: NetworkFolder, governors: list[Client]
) -> None:
    incentive = {"slashing_validator": 500_000}
    with consortium(folder.profiles, task_spec(incentive=incentive, training={"rounds": 1})) as members:
        members.begin()
        members.open(1)
        for msp in MSPS:
            members.submit(msp, 1)
        members.close(1)
        for msp in MSPS:
            members.attest(msp, 1)
        members.settle(1)
        for msp in MSPS:
            members.post_share(msp, 1)
            members.report(msp, 1, liars=(MSPS[3],))
        winner = f"participant:{members.participants[MSPS[0]].pseudonym}"
    first, second, third, _ = governors
    payments = [(first, winner), (second, f"org:{MSPS[0]}"), (third, "insurance:heart")]
    with client(folder, NAMES[1], "validator") as validator:
        assert after_payments(payments, validator, "FinaliseRound", "heart", "1") == ["VALID"] * 4
        ledger = TaskLedger(validator.network, CHAINCODE)
        model: ModelRecord = ledger.model("heart", 1)
        earned = {payment.account: payment.amount for payment in model.payments}
        assert earned[winner] > 0
        assert ledger.balance_of(winner) == earned[winner] + 1
        # All stakes are back but for half of the liar's, and what nobody earned of the pool in equal parts.
        incentive = ledger.task("heart").record.spec.incentive
        part = (incentive.reward_per_round - sum(earned.values())) // 4
        assert part > 0
        assert ledger.balance_of(f"org:{MSPS[0]}") == 1_000_000_000 + earned[f"org:{MSPS[0]}"] + part
        assert ledger.balance_of(f"org:{MSPS[3]}") == 950_000_000 + part
        assert ledger.balance_of("insurance:heart") == 1
        # What was slashed is burnt.
        assert ledger.total_supply() == 4_000_000_000 - 50_000_000 + sum(earned.values()) + 4 * part


def test_a_validator_registers_while_its_organisation_is_paid(folder: NetworkFolder, governors: list[Client]) -> None:
    with consortium(folder.profiles, task_spec(task="second")) as members:
        members.propose()
        for msp in MSPS:
            members.approve(msp)
    registration = ValidatorRegistration(task="second", sealing_key=digest("key"), store="file:///stores").canonical()
    payments = [(governor, f"org:{MSPS[0]}") for governor in governors[1:2]]
    with client(folder, NAMES[0], "validator") as validator:
        codes = after_payments(payments, validator, "RegisterValidator", registration.decode())
    assert codes == ["VALID"] * 2
