"""Another program that has a device open."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOLD = """
import fcntl, sys
held = open(sys.argv[1], "r+b", 0)
if sys.argv[2:] == ["lock"]:
    fcntl.flock(held, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_program(path: Path, *how: str) -> Iterator[int]:
    """Its process id; with "lock" it locks the device too."""
    arguments = [sys.executable, "-c", HOLD, str(path), *how]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        try:
            yield program.pid
        finally:
            program.communicate()
