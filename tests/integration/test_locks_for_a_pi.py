"""The lock files name what a 64-bit Raspberry Pi can install without a compiler, on Debian 12 and 13."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def test_every_lock_resolves_for_aarch64_from_wheels_alone() -> None:
    done = subprocess.run(
        [REPOSITORY / "scripts" / "lock.sh", "--check"], capture_output=True, text=True, timeout=100
    )
    if "error sending request" in done.stderr or "Failed to fetch" in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{lock}.lock: aarch64, Python {python}: fine"
        for lock in ("core", "pi")
        for python in ("3.11", "3.13")
    ]
