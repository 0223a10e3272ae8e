"""``fedledger doctor``: what is missing or wrong on this machine, and how to mend it."""

from __future__ import annotations

import importlib.util
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from fedledger.agents.stores import ValidatorStore
from fedledger.cli.output import Format, show, table
from fedledger.cli.session import DEFAULT_CONFIG, ConfigOption, FormatOption, connected
from fedledger.errors import ExitCode, FedledgerError
from fedledger.identity.profile import Profile, load_profile, profile_names
from fedledger_network.fabric.programs import find_programs

_EXPIRES_SOON = timedelta(days=30)
_SLOW_SECONDS = 2.0
_PACKAGES = {
    "tensorflow": "participants: install fedledger[train]",
    "tensorflow_federated": "participants: install fedledger[train]",
    "tensorflow_privacy": "participants with differential privacy: install fedledger[train]",
    "numba": "participants, validators and auditors: install fedledger[validate]",
    "hfc": "enrolment: install fedledger[ca]",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``mend`` says what to do when it is not ok."""

    what: str
    ok: bool
    found: str
    mend: str = ""


def doctor(
    config: ConfigOption = DEFAULT_CONFIG,
    profile: Annotated[str | None, typer.Option("--profile", help="Look at this profile only.")] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Look at Python, packages, Fabric's programs, and each profile's certificate, gateways and store."""
    findings = [*_machine(), *_profiles(config, profile)]
    show(
        {"ok": all(finding.ok for finding in findings), "findings": [asdict(finding) for finding in findings]},
        table(
            "What was looked at",
            ["", "what", "found", "to mend it"],
            [("ok" if f.ok else "!!", f.what, f.found, "" if f.ok else f.mend) for f in findings],
        ),
        output,
    )
    if not all(finding.ok for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


def _machine() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("Python", version.startswith("3.11."), version, "Install Python 3.11.")
    for package, mend in _PACKAGES.items():
        there = importlib.util.find_spec(package) is not None
        yield Finding(package, there, "installed" if there else "not installed", f"Needed by {mend}.")
    yield _checked("Hyperledger Fabric", lambda: f"{find_programs().version} in {find_programs().home}")


def _profiles(config: Path, only: str | None) -> Iterator[Finding]:
    if not config.exists():
        yield Finding("profiles", only is None, f"no {config}", "Name the file with --config, or bring up a network.")
        return
    for name in [only] if only else profile_names(config):
        try:
            profile = load_profile(config, name)
        except FedledgerError as error:
            yield Finding(name, False, error.message, error.remedy)
            continue
        yield _certificate(profile)
        for what, alone in _gateways(profile):
            yield _checked(f"{name}: {what}", lambda profile=alone: _reached(profile))  # type: ignore[misc]
        yield _checked(f"{name}: store", lambda profile=profile: _store(profile))  # type: ignore[misc]


def _certificate(profile: Profile) -> Finding:
    what = f"{profile.name}: certificate"
    try:
        expires = profile.credentials().certificate.not_valid_after_utc
    except FedledgerError as error:
        return Finding(what, False, error.message, error.remedy)
    left = expires - datetime.now(UTC)
    mend = f"Renew it: fedledger identity reenroll --profile {profile.name}"
    return Finding(what, left > _EXPIRES_SOON, f"expires {expires:%Y-%m-%d}", mend)


def _gateways(profile: Profile) -> Iterator[tuple[str, Profile]]:
    """Each gateway of a profile as a profile of its own: together, one that answers hides those that do not."""
    yield "gateway", replace(profile, further_gateways=())
    for each in profile.further_gateways:
        yield "further gateway", replace(profile, gateway=each.gateway, tls_roots=each.tls_roots, further_gateways=())


def _reached(profile: Profile) -> str:
    started = time.perf_counter()
    with connected(profile) as opened:
        count = len(opened.ledger.tasks())
    seconds = time.perf_counter() - started
    slow = ", slowly" if seconds > _SLOW_SECONDS else ""
    return f"{profile.gateway} answers in {seconds:.2f} s{slow}; {count} tasks"


def _store(profile: Profile) -> str:
    store = ValidatorStore.own(profile.store)
    digest = store.artifacts.put(b"fedledger doctor")
    store.artifacts.delete(digest)
    return f"{profile.store} can be written"


def _checked(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, look())
    except FedledgerError as error:
        return Finding(what, False, error.message, error.remedy)
