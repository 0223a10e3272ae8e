"""The machine that figures are from, and what processes of it use; run by itself, it prints the machine."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def description(*packages: str) -> str:
    """Processor, cores, memory, versions of Python and ``packages``, and how busy the machine is, in one line."""
    memory = _PAGE * os.sysconf("SC_PHYS_PAGES") >> 30
    versions = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
    return f"{processor()}, {os.cpu_count()} cores, {memory} GiB, {', '.join(versions)}, load {os.getloadavg()[0]:.1f}"


def processor() -> str:
    """The processor's name, or its architecture where it tells none."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, user and system; 0 when it has ended (proc(5), stat)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def own_cpu_seconds() -> float:
    """What this process has used so far, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_bytes(pid: int) -> int:
    """Memory that a process occupies now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def own_peak_bytes() -> int:
    """The most memory that this process has occupied so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def descendants(pid: int) -> list[int]:
    """The processes that ``pid`` has started and those that they have, by whichever of its threads."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *descendants(child)]
    return found


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which that part of the values is."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def milliseconds(seconds: Sequence[float], part: float) -> float:
    """A quantile in milliseconds; not a number when there are no values."""
    return 1000 * quantile(seconds, part) if seconds else float("nan")


if __name__ == "__main__":
    print(description())
