"""An S3 server for tests: moto's, a process in an environment of its own (requirements/moto.lock)."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements/moto.lock"
FOLDER = ROOT / ".tools/moto"


def installed() -> Path:
    """moto_server; skips where scripts/fetch-moto.sh has not been run, as scripts/test.sh does."""
    stamp = FOLDER / "moto.lock"
    if not stamp.exists() or stamp.read_bytes() != LOCK.read_bytes():
        pytest.skip("no S3 server: run ./scripts/fetch-moto.sh")
    return FOLDER / "bin/moto_server"


@contextmanager
def s3_server(*, unjudged: int = 1_000_000) -> Iterator[str]:
    """Its address; it ends with the context. From the request after ``unjudged`` on, keys are judged."""
    quiet = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(unjudged)}
    program = [str(installed()), "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(
        program, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=quiet
    ) as server:
        try:
            yield _address(server)
        finally:
            server.kill()


def make_bucket(address: str, name: str) -> None:
    """Empty."""
    request = urllib.request.Request(f"{address}/{name}", method="PUT")  # noqa: S310 - ours
    urllib.request.urlopen(request).close()  # noqa: S310 - ours


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stderr is not None
    for line in server.stderr:
        found = re.search(r"Running on (http://127\.0\.0\.1:\d+)", line)
        if found:
            return found[1]
    raise AssertionError("moto_server ended before it listened")
