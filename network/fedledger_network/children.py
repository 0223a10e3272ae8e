"""How child processes are started that end with who started them, whatever ends it.

The kernel's notice of a parent's end (prctl(2), PR_SET_PDEATHSIG) is about the *thread* that started the child, so all
children of a process are started by one thread that lives as long as the process does.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from fedledger_network import launcher

ResultT = TypeVar("ResultT")


def ending_with_parent(arguments: Sequence[str], on_parents_end: signal.Signals = signal.SIGTERM) -> tuple[str, ...]:
    """A command that runs ``arguments`` under the same process id and is signalled when this process ends.

    A function run between fork and exec would do the same, but is not safe beside gRPC's threads.
    """
    own = (sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), str(int(on_parents_end)))
    return (*own, *arguments)


def from_lasting_thread(start: Callable[[], ResultT]) -> ResultT:
    """Call ``start`` in the thread that starts all children of this process and lives as long as it does."""
    return _starter(os.getpid()).submit(start).result()


@cache
def _starter(process_id: int) -> ThreadPoolExecutor:
    """The thread that starts all children of this process; a forked process gets its own."""
    return ThreadPoolExecutor(1, thread_name_prefix=f"starter of {process_id}")
