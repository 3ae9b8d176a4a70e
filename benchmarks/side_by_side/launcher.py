"""Runs one command and writes its CPU time and peak memory to a file: `launcher.py FILE COMMAND…`.

The kernel counts a parent's memory into a child's peak, so the parent is this small process and not the harness.
Imports nothing but what Python itself has loaded already.
"""

import os
import sys

_pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, _status, _usage = os.wait4(_pid, 0)
with open(sys.argv[1], "w") as _file:  # noqa: PTH123 - pathlib would be 2 MiB of this process
    _file.write(f"{os.waitstatus_to_exitcode(_status)} {_usage.ru_utime} {_usage.ru_stime} {_usage.ru_maxrss}")
