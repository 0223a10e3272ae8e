"""Profiles are read as their programs wrote them, and what they say adds up to what was used."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ledger_load.breakdown import GO_WORK, OTHER, SIGNATURES, parts, table
from ledger_load.go_profile import Stack, decode
from ledger_load.measuring import Phase

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
VARINT, BYTES = 0, 2


def varint(number: int) -> bytes:
    if number < 0x80:
        return bytes([number])
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7)


def number(field: int, value: int) -> bytes:
    return varint(field << 3 | VARINT) + varint(value)


def part(field: int, content: bytes) -> bytes:
    return varint(field << 3 | BYTES) + varint(len(content)) + content


def written_by_go(unit: str = "nanoseconds") -> bytes:
    """A profile with the field numbers of pprof's profile.proto: main calls work, into which helper is inlined."""
    strings = ["", "samples", "count", "cpu", unit, "main.main", "main.work", "main.helper"]
    content = part(1, number(1, 1) + number(2, 2)) + part(1, number(1, 3) + number(2, 4))
    content += part(2, part(1, varint(7) + varint(9)) + part(2, varint(3) + varint(30_000_000)))
    content += part(2, part(1, varint(9)) + part(2, varint(1) + varint(10_000_000)))
    content += part(4, number(1, 7) + number(3, 0x4000) + part(4, number(1, 22)) + part(4, number(1, 21)))
    content += part(4, number(1, 9) + part(4, number(1, 20)))
    for place, name in ((20, 5), (21, 6), (22, 7)):
        content += part(5, number(1, place) + number(2, name) + number(3, name))
    content += b"".join(part(6, string.encode()) for string in strings)
    return gzip.compress(content + number(12, 10_000_000))


def test_a_profile_of_go_names_every_function_the_innermost_first() -> None:
    assert decode(written_by_go()) == [
        Stack(("main.helper", "main.work", "main.main"), 0.03),
        Stack(("main.main",), 0.01),
    ]


def test_a_profile_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="not a CPU profile"):
        decode(written_by_go(unit="bytes"))


def test_a_stack_counts_for_the_first_kind_of_work_that_fits() -> None:
    stacks = [
        Stack(("crypto/ecdsa.VerifyASN1", "crypto/x509.(*Certificate).CheckSignatureFrom", "fabric/msp.Validate"), 3.0),
        Stack(("encoding/asn1.Unmarshal", "github.com/hyperledger/fabric/msp.New"), 2.0),
        Stack(("main.main",), 5.0),
    ]
    assert parts(GO_WORK, stacks) == {SIGNATURES: 0.3, "certificates and policies": 0.2, OTHER: 0.5}


def test_the_table_adds_up() -> None:
    lines = table({"peer": {"a": 2.0, "b": 1.0}, "orderer": {"a": 1.0}}, units=1000)
    assert [line.split() for line in lines] == [
        ["peer", "orderer", "all", "part"],
        ["a", "2.00", "1.00", "3.00", "75%"],
        ["b", "1.00", "0.00", "1.00", "25%"],
        ["all", "3.00", "1.00", "4.00"],
    ]


def test_what_processes_used_is_known_by_kind_and_by_organisation() -> None:
    phase = Phase(1.0, {"peer.a": 1.0, "orderer.a": 2.0, "peer.b": 4.0, "load": 8.0})
    assert phase.by_kind() == {"peer": 5.0, "orderer": 2.0, "load": 8.0}
    assert phase.by_organisation() == {"a": 3.0, "b": 4.0}
    assert phase.by_organisation("orderer") == {"a": 2.0}


def test_the_sampler_sees_the_function_that_works_and_not_those_that_wait(tmp_path: Path) -> None:
    program = (
        "import threading, time\n"
        "def waits(): time.sleep(60)\n"
        "def works():\n"
        "    end = time.process_time() + 1\n"
        "    while time.process_time() < end: pass\n"
        "threading.Thread(target=waits, daemon=True).start()\n"
        "thread = threading.Thread(target=works)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    environment = os.environ | {
        "PYTHONPATH": str(BENCHMARKS / "ledger_load" / "sampling"),
        "CPU_SAMPLES_FOLDER": str(tmp_path),
    }
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    (written,) = tmp_path.glob("*.stacks")
    stacks = written.read_text().split("Stack (most recent call first):\n")[1:]
    assert len(stacks) > 20
    assert sum("in works" in stack for stack in stacks) > len(stacks) / 2
    assert not any("in waits" in stack for stack in stacks)
