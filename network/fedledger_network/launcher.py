"""Runs before a child process's own program: ``python launcher.py PARENT SIGNAL PROGRAM ARGUMENT...``.

It asks the kernel to send SIGNAL when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG; Linux only), then
becomes PROGRAM. Refuses to run anything once PARENT is gone.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, number = int(sys.argv[1]), int(sys.argv[2])
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number):
        sys.exit("The kernel does not tell of a parent's end.")
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(sys.argv[3], sys.argv[3:])
