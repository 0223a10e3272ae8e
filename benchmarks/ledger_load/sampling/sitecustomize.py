"""Samples where a Python program spends its CPU time; Python imports this by itself when its folder is on PYTHONPATH.

After every hundredth of a second of CPU time the thread that runs writes its stack to the file PID.stacks in the folder
CPU_SAMPLES_FOLDER, whoever holds the interpreter's lock: the signal is handled by ``faulthandler``, which needs none.
Threads of C libraries write nothing.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import signal
from pathlib import Path

SECONDS = 0.01

if folder := os.environ.get("CPU_SAMPLES_FOLDER"):
    stacks = (Path(folder) / f"{os.getpid()}.stacks").open("w")
    faulthandler.register(signal.SIGPROF, stacks, all_threads=False)
    signal.setitimer(signal.ITIMER_PROF, SECONDS, SECONDS)
    # A signal that is on its way when the interpreter has taken its handler away would end the process.
    atexit.register(signal.setitimer, signal.ITIMER_PROF, 0.0)
