"""Packages from npm for tests: fetched once by a lock file into ``.tools``, without install scripts."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / ".tools"
TIMEOUT_S = 100


def node_modules(of: Path) -> Path:
    """Where node finds what ``package-lock.json`` in the folder ``of`` names; skips where there is no npm."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    lock = hashlib.sha256((of / "package-lock.json").read_bytes()).hexdigest()
    folder = TOOLS / of.name / lock[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)  # workers of one run come at the same time
        if not folder.exists():
            _fetch_into(of, folder)
    return folder / "node_modules"


def _fetch_into(of: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as half_done:
        _fetch(of, Path(half_done))
        Path(half_done, "whole").rename(folder)


def _fetch(of: Path, folder: Path) -> None:
    """Into ``whole`` below. Without scripts: they compile what the packages bring compiled already, and want
    node's headers from the network for it."""
    whole = folder / "whole"
    whole.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(of / name, whole)
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", f"--cache={folder / 'cache'}")
    try:
        subprocess.run(
            ("npm", "ci", "--ignore-scripts", *quiet),
            cwd=whole,
            check=True,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.SubprocessError as error:
        message = f"npm cannot fetch the packages for {of.name}: {error}\n{getattr(error, 'stderr', '')}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
