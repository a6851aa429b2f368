"""The kit as the author of a driver uses it: a package of their own, installed beside the gateway."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "docs" / "example-driver"
REPOSITORY = Path(__file__).parents[2]

BREAKS = {
    "ends when the device vanishes": (
        "async def _read",
        "async def _hang_up(self) -> None:\n        self._queue.close()\n\n    async def _read",
        'self._queue.lose(DriverLost("the radio hung up"))',
        "self._queue.close()",
        "frames() ended when the device vanished: raise DriverLost",
    ),
    "does not count what it drops": (
        '"ok" if self._queue.put(frame) else "queue_full"',
        '"ok" if self._queue.put(frame) else "lost"',
        "",
        "",
        "stats().frames['queue_full'] never came to 4: count each frame by its outcome",
    ),
    "takes any size": (
        "if not 0 < len(request.payload) <= MAX_PAYLOAD:",
        "if False:",
        "",
        "",
        "refused as 'sent', expected 'size'",
    ),
    "forgets its name": (
        "radio=self._name",
        'radio="acme"',
        "",
        "",
        "put the configured name 'radio' into the frame",
    ),
}


def conforms(package: Path) -> subprocess.CompletedProcess[str]:
    # The kit's patience is for devices; a promise that is broken for good must not take a test as long.
    command = "import drivers.conformance as kit, sys; kit.PATIENCE_S = 2.0; sys.exit(kit.main(sys.argv[1:]))"
    path = os.pathsep.join((str(package), str(REPOSITORY)))
    return subprocess.run(
        (sys.executable, "-c", command, "acme_bench:AcmeBench"),
        cwd=package,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "acme-radio"))


def test_the_example_keeps_every_promise(package: Path) -> None:
    ran = conforms(package)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "11 of 11 promises kept" in ran.stdout


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_driver_is_told_what_to_mend(package: Path, name: str) -> None:
    source = package / "acme_radio.py"
    *replaced, words = BREAKS[name]
    text = source.read_text()
    for old, new in (replaced[0:2], replaced[2:4]):
        assert old in text
        text = text.replace(old, new) if old else text
    source.write_text(text)
    ran = conforms(package)
    assert ran.returncode == 1, ran.stdout
    assert words in ran.stdout


def test_whoever_names_no_bench_is_told_how(package: Path) -> None:
    for words in ((), ("acme_bench",), ("acme_bench:Nothing",), ("no_such_module:X",)):
        ran = subprocess.run(
            (sys.executable, "-m", "drivers.conformance", *words),
            cwd=package,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 2
        assert "usage: python -m drivers.conformance MODULE:BENCH" in ran.stderr


async def test_an_installed_driver_is_found_by_its_entry_point(package: Path, tmp_path: Path) -> None:
    """By pip, as its users do, without the network; then the gateway judges a configuration with it."""
    site = tmp_path / "site"
    quiet = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    await asyncio.to_thread(
        subprocess.run,
        (sys.executable, "-m", "pip", "install", *quiet, "--target", str(site), str(package)),
        check=True,
        capture_output=True,
    )
    config = tmp_path / "config.yml"
    config.write_text(
        "gateway: {id: gw, location: {lat: 0, lon: 0, name: Here}, type: mesh}\n"
        "network: {api_url: 'http://localhost:1', ws_url: 'ws://localhost:1'}\n"
        "radios: {acme: {driver: acme_line, options: {port: 70000}}}\n"
    )
    ran = await asyncio.to_thread(
        subprocess.run,
        (sys.executable, "-m", "gateway", "check-config", str(config)),
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "port 70000 is not one of 1 to 65535" in ran.stdout + ran.stderr
