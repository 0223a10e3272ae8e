"""Whatever all organisations endorsed, the contract computes it again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fabric_protos.peer import chaincode_event_pb2

import fedledger_chaincode
from fedledger.audit import CheckName, contract_versions, verify
from fedledger.errors import BadInputError
from fedledger_chaincode.contract import VERSION
from tests.unit.audit.make_contract import zipped
from tests.unit.audit.members import TrainingConsortium
from tests.unit.audit.tampering import double_earnings, fails
from tests.unit.contract.ledger import MSPS


class TestTheContract:
    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda action, rwset: double_earnings(action, rwset), id="other earnings"),
            pytest.param(lambda action, rwset: _other_model(action, rwset), id="another model digest"),
            pytest.param(
                lambda action, rwset: rwset.writes.add(key="balance/org:Eve", value=b'{"balance":1}'), id="more"
            ),
            pytest.param(lambda action, rwset: rwset.writes.pop(), id="less"),
            pytest.param(lambda action, rwset: setattr(rwset.writes[0], "is_delete", True), id="a deletion"),
            pytest.param(lambda action, rwset: rwset.reads.pop(), id="an unread key"),
            pytest.param(lambda action, rwset: setattr(action, "events", b""), id="no event"),
            pytest.param(lambda action, rwset: setattr(action.response, "payload", b"{}"), id="another response"),
            pytest.param(lambda action, rwset: setattr(action.response, "status", 201), id="another status"),
        ],
    )
    def test_computes_again_what_all_organisations_endorsed(
        self, members: TrainingConsortium, change: Callable[[Any, Any], None]
    ) -> None:
        number = members.ledger.block_of("FinaliseRound")
        members.ledger.change_result(number, change)
        assert fails(verify(members.ledger.blocks), CheckName.CONTRACT, number)

    def test_never_sets_policies_of_keys(self, members: TrainingConsortium) -> None:
        number = members.ledger.block_of("FinaliseRound")
        members.ledger.change_result(number, lambda action, rwset: rwset.metadata_writes.add(key="head/heart"))
        assert fails(verify(members.ledger.blocks), CheckName.CODES, number)

    def test_of_another_version_may_have_computed_the_same(self, members: TrainingConsortium) -> None:
        members.ledger.change_result(members.ledger.block_of("OpenRound"), _by_version_0_9)
        report = verify(members.ledger.blocks)
        assert report.ok
        assert "1 were made by versions that are not here" in report.check("contract version").detail

    def test_of_another_version_cannot_be_judged_where_the_result_differs(self, members: TrainingConsortium) -> None:
        def differently(action: Any, rwset: Any) -> None:
            _by_version_0_9(action, rwset)
            rwset.writes.pop()

        number = members.ledger.block_of("OpenRound")
        members.ledger.change_result(number, differently)
        report = verify(members.ledger.blocks)
        assert fails(report, CheckName.VERSION, number)
        assert "version 0.9 of the contract, and this is" in report.check("contract version").detail

    def test_refuses_what_it_would_have_refused(self, members: TrainingConsortium) -> None:
        ledger = members.ledger
        number = len(ledger.blocks)

        def as_auditor(stub: Any) -> None:
            stub.creator = auditor.creator

        auditor = ledger.actor(MSPS[0], "auditor", name="auditor")
        ledger.submit_forged(members.governors[MSPS[0]], as_auditor, "Transfer", f"org:{MSPS[1]}", 5, consistent=True)
        report = verify(ledger.blocks)
        assert fails(report, CheckName.CONTRACT, number)
        assert "WRONG_ROLE" in report.check("contract re-run").detail


def _by_version_0_9(action: Any, rwset: Any) -> None:
    action.chaincode_id.version = "0.9"


def _other_model(action: Any, rwset: Any) -> None:
    write = next(write for write in rwset.writes if write.key.startswith("model/"))
    record = json.loads(write.value) | {"model_digest": "0" * 64}
    write.value = json.dumps(record, separators=(",", ":"), sort_keys=True).encode()


class TestAnUpgradedContract:
    """Blocks of an earlier version that set another event than the installed one."""

    @pytest.fixture()
    def earlier(self, tmp_path: Path) -> Path:
        package = Path(fedledger_chaincode.__file__).parent
        copy = tmp_path / "earlier" / package.name
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for name, old, new in (
            ("contract.py", f'VERSION = "{VERSION}"', 'VERSION = "0.9"'),
            ("transactions/rounds.py", 'context.event("RoundOpened"', 'context.event("RoundBegun"'),
        ):
            text = (copy / name).read_text()
            assert old in text
            (copy / name).write_text(text.replace(old, new))
        return copy.parent

    @pytest.fixture()
    def opened_by_the_earlier(self, members: TrainingConsortium) -> int:
        def renamed(action: Any, rwset: Any) -> None:
            _by_version_0_9(action, rwset)
            event = chaincode_event_pb2.ChaincodeEvent.FromString(action.events)
            event.event_name = "RoundBegun"
            action.events = event.SerializeToString(deterministic=True)

        number = members.ledger.block_of("OpenRound")
        members.ledger.change_result(number, renamed)
        return number

    def test_is_run_by_each_transactions_own_version(
        self, members: TrainingConsortium, earlier: Path, opened_by_the_earlier: int
    ) -> None:
        assert fails(verify(members.ledger.blocks), CheckName.VERSION, opened_by_the_earlier)
        with contract_versions([earlier]) as versions:
            report = verify(members.ledger.blocks, versions=versions)
        assert report.ok
        assert f"; 1 those of version 0.9, from {earlier}" in report.check("contract version").detail

    def test_is_run_by_the_version_that_comes_with_the_release(
        self, members: TrainingConsortium, earlier: Path, opened_by_the_earlier: int, tmp_path: Path
    ) -> None:
        files = {str(path.relative_to(earlier)): path.read_bytes() for path in earlier.rglob("*.py")}
        (tmp_path / "fedledger_chaincode-0.9.zip").write_bytes(zipped(files))
        with contract_versions(folder=tmp_path) as versions:
            report = verify(members.ledger.blocks, versions=versions)
        assert report.ok
        assert "; 1 those of version 0.9, which comes with this release" in report.check("contract version").detail

    def test_fails_where_its_own_version_computes_something_else(
        self, members: TrainingConsortium, earlier: Path, opened_by_the_earlier: int
    ) -> None:
        number = members.ledger.block_of("CloseRound")
        members.ledger.change_result(number, lambda action, rwset: (_by_version_0_9(action, rwset), rwset.writes.pop()))
        with contract_versions([earlier]) as versions:
            assert fails(verify(members.ledger.blocks, versions=versions), CheckName.CONTRACT, number)

    @pytest.mark.parametrize(
        ("fault", "told"),
        [
            ('raise ContractError(409, "CLOSED", "No.")', "is refused by the contract (CLOSED: No.)"),
            ("raise KeyError(task)", "makes the contract fail (KeyError)"),
            ("raise SystemExit", "makes the contract fail (the process has ended)"),
        ],
    )
    def test_fails_where_its_own_version_does_not_do_it(
        self, members: TrainingConsortium, earlier: Path, opened_by_the_earlier: int, fault: str, told: str
    ) -> None:
        rounds = earlier / "fedledger_chaincode" / "transactions" / "rounds.py"
        rounds.write_text(rounds.read_text().replace('check_task(record.state, "OpenRound")', fault))
        with contract_versions([earlier]) as versions:
            report = verify(members.ledger.blocks, versions=versions)
        assert fails(report, CheckName.CONTRACT, opened_by_the_earlier)
        assert told in report.check("contract re-run").detail

    def test_is_looked_for_where_it_is_said_to_be(self, tmp_path: Path, earlier: Path) -> None:
        with pytest.raises(BadInputError) as nothing, contract_versions([tmp_path]):
            pass
        assert nothing.value.code == "NOT_A_CONTRACT"
        with pytest.raises(BadInputError) as twice, contract_versions([earlier, earlier]):
            pass
        assert twice.value.code == "SAME_VERSION"
