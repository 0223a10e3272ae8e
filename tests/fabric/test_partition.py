"""An organisation whose line is cut: the others go on, it says what it can and cannot do, and it catches up.

It runs in network namespaces, with a pair of virtual interfaces as the line; where those are not allowed it is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedledger_network.fabric import Programs
from tests.fabric.conftest import ORGANISATIONS, free_ports

pytestmark = pytest.mark.fabric

_SECONDS = 400


@pytest.fixture(scope="module")
def namespace() -> list[str]:
    """What runs a command in a network namespace of its own."""
    command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    probe = "ip link set lo up && ip link add near type veth peer name far && unshare --net true"
    try:
        tried = subprocess.run([*command, "sh", "-c", probe], capture_output=True, text=True, timeout=30)
    except FileNotFoundError as error:
        pytest.skip(f"NO PARTITION WAS TESTED. There is no {error.filename} on this machine.")
    if tried.returncode:
        pytest.skip(f"NO PARTITION WAS TESTED. Network namespaces are not allowed here: {tried.stderr.strip()}")
    return command


@pytest.mark.timeout(_SECONDS + 60)
def test_an_organisation_behind_a_cut_line_catches_up_and_the_others_go_on(
    programs: Programs, namespace: list[str], tmp_path: Path
) -> None:
    command = [*namespace, sys.executable, "-m", "tests.fabric.partition", str(tmp_path / "net"), str(free_ports())]
    (tmp_path / "net").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    during = told["during"]
    assert during["tasks"] > 0, "its own peer answers queries"
    assert during["height"] <= told["behind"] + 1 < told["ahead"], "and gets no further blocks, but for one on its way"
    assert during["submission"].startswith("ENDORSE_"), "its members cannot submit, and are told"
    assert len(told["hashes"]) == 1
    assert told["organisations"] == sorted(ORGANISATIONS)
    assert told["lost"] == []
    assert told["submission"] == ""
