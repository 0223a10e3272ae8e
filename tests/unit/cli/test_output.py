"""What reaches a terminal: text of other organisations as it stands, with nothing that the terminal would obey; logs go
to where stderr is now."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog
from rich.console import Console

from fedledger.cli import main, output
from fedledger.cli.audit import lines
from fedledger.cli.output import Format, complain, configure_logging, facts, safe, say, show, table, working
from fedledger.cli.task_text import agreement_of, open_amendment
from fedledger.errors import FedledgerError
from fedledger_chaincode.messages.records import AmendmentRecord
from fedledger_chaincode.messages.views import TaskView
from tests.unit.contract.ledger import Consortium, task_spec

HOSTILE = (
    "research only\x1b[2K\x1b[1A\x1b[8m hidden\x07\x08\r\nprivacy   dp-sgd \u202eevil\u200b \x9b2J "
    "[red]a[/red] [/x] :heart:"
)
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069]")
SEQUENCES = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")
"""What this program itself has a terminal do: colours, and the sign that something is under way."""


@pytest.fixture
def logging() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_a_log_line_goes_to_the_stderr_of_its_moment(monkeypatch: pytest.MonkeyPatch, logging: None) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    configure_logging(verbose=False, quiet=False)
    log = structlog.get_logger("test")
    monkeypatch.setattr(sys, "stderr", second)
    first.close()
    log.warning("said")
    assert "said" in second.getvalue()


@pytest.fixture(params=["terminal", "pipe"])
def screen(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], str]:
    """What the screen got so far, on stdout and stderr."""
    written = io.StringIO()
    is_terminal = request.param == "terminal"

    def console(**options: object) -> Console:
        given = {"file": written, "force_terminal": is_terminal, "width": 400} | options
        return Console(**given)  # type: ignore[arg-type]

    monkeypatch.setattr(output, "Console", console)
    monkeypatch.setattr(output, "messages", console(highlight=False, soft_wrap=True))

    def so_far() -> str:
        written.write(capsys.readouterr().out)
        return written.getvalue()

    return so_far


def test_a_safe_text_is_one_line_that_says_what_was_in_it() -> None:
    assert safe("a\nb\tc\x1b[2K\x9b\u202e\U000e0041\udc80") == r"a\nb\tc\x1b[2K\x9b\u202e\U000e0041\udc80"
    assert safe("étude [red]心臓[/red] 🫀") == "étude [red]心臓[/red] 🫀"


def a_table() -> None:
    show({}, table(HOSTILE, ["a", ">b"], [(HOSTILE, 1)]), Format.TEXT)


def some_facts() -> None:
    show({}, facts({"purpose": HOSTILE, HOSTILE: 1}), Format.TEXT)


def a_sentence() -> None:
    show({}, f"Version 3 is deprecated: {HOSTILE}", Format.TEXT)


def progress() -> None:
    say(HOSTILE)
    with working(HOSTILE) as tell:
        tell(HOSTILE)


def an_error() -> None:
    complain("Error", HOSTILE)


SHOWN = [a_table, some_facts, a_sentence, progress, an_error]


@pytest.mark.parametrize("shown", SHOWN)
def test_nothing_that_another_organisation_wrote_is_obeyed_by_the_terminal(
    screen: Callable[[], str], shown: Callable[[], None]
) -> None:
    shown()
    seen = SEQUENCES.sub("", screen()).replace("\r", "") if shown is progress else SEQUENCES.sub("", screen())
    assert "research only" in seen
    assert not OBEYED.search(seen)
    assert r"\x1b[2K\x1b[1A\x1b[8m hidden\x07" in seen
    assert r"\u202e" in seen


@pytest.mark.parametrize("shown", SHOWN)
def test_nothing_that_another_organisation_wrote_is_markup(
    screen: Callable[[], str], shown: Callable[[], None]
) -> None:
    shown()
    assert "[red]a[/red] [/x] :heart:" in SEQUENCES.sub("", screen())


@pytest.mark.parametrize("shown", [a_table, some_facts])
def test_a_cell_forges_no_line(screen: Callable[[], str], shown: Callable[[], None]) -> None:
    shown()
    assert not [line for line in SEQUENCES.sub("", screen()).splitlines() if line.strip().startswith("privacy")]


def test_json_is_exact(screen: Callable[[], str]) -> None:
    show({"purpose": HOSTILE}, "", Format.JSON)
    assert json.loads(screen()) == {"purpose": HOSTILE}
    assert not OBEYED.search(screen())


def test_an_error_of_a_command_is_told_as_it_stands(
    screen: Callable[[], str], monkeypatch: pytest.MonkeyPatch, logging: None
) -> None:
    def app(*_: object, **__: object) -> None:
        raise FedledgerError("STORE_UNAVAILABLE", "The store nosuch://[/x] [red]\x1b[2J", "Ask [/y].")

    monkeypatch.setattr(main, "app", app)
    assert main.run([]) == 1
    assert r"Error STORE_UNAVAILABLE: The store nosuch://[/x] [red]\x1b[2J" in SEQUENCES.sub("", screen())
    assert "Ask [/y]." in screen()


def test_a_bug_is_told_with_its_traceback_as_it_stands(
    screen: Callable[[], str], monkeypatch: pytest.MonkeyPatch, logging: None
) -> None:
    def app(*_: object, **__: object) -> None:
        raise KeyError(HOSTILE)

    monkeypatch.setattr(main, "app", app)
    assert main.run([]) == 5
    assert "This is a bug" in screen() and "KeyError" in screen()
    assert not OBEYED.search(SEQUENCES.sub("", screen()))


def test_a_log_line_is_one_line_with_nothing_to_obey(monkeypatch: pytest.MonkeyPatch, logging: None) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logging(verbose=False, quiet=False)
    structlog.get_logger("test").warning("said", reason=HOSTILE, traceback="one\ntwo")
    (line,) = written.getvalue().splitlines()
    assert not OBEYED.search(line)
    assert r"one\ntwo" in line


class TestAnAgreement:
    """On a ledger of a contract that still took such texts."""

    @pytest.fixture
    def view(self) -> TaskView:
        view = Consortium.active().view()
        spec = view.record.spec.model_copy(update={"title": HOSTILE, "purpose": HOSTILE})
        amendment = AmendmentRecord.model_construct(
            task=spec.task,
            number=1,
            spec=spec,
            spec_hash=spec.sha256(),
            proposer="EvilMSP",
            state="open",
            approved=("EvilMSP",),
            rejected=(),
        )
        return view.model_copy(update={"amendments": (amendment,)})

    def test_is_shown_to_who_approves_it_line_by_line(self, screen: Callable[[], str], view: TaskView) -> None:
        show({}, facts(agreement_of(view.amendments[0].spec)), Format.TEXT)
        seen = SEQUENCES.sub("", screen())
        assert not OBEYED.search(seen)
        assert len([line for line in seen.splitlines() if line.startswith("privacy: mechanism")]) == 1

    def test_that_is_to_change_forges_no_change(self, screen: Callable[[], str], view: TaskView) -> None:
        show({}, open_amendment(view), Format.TEXT)
        seen = SEQUENCES.sub("", screen())
        assert not OBEYED.search(seen)
        fields = [line.split(":")[0] for line in seen.splitlines()[1:]]
        assert [field for field in fields if field != "  WARNING"] == ["  title", "  purpose"]


def test_an_audits_finding_forges_no_verdict(screen: Callable[[], str]) -> None:
    from fedledger.audit.report import AuditReport, Check, Outcome

    finding = Check("contract re-run", Outcome.FAILED, 1, "x\nThe ledger of channel c is as it should be: 9 blocks.", 3)
    show({}, lines(AuditReport((finding,), "c", 9)), Format.TEXT)
    assert [line for line in screen().splitlines() if line.startswith("The ledger")] == [
        "The ledger of channel c is NOT as it should be. The first bad block is 3."
    ]


def test_specifications_of_tests_hold_nothing_hidden() -> None:
    assert safe(task_spec().purpose) == task_spec().purpose
