"""Debian machines that several tests boot; packages and first install are made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import Installed, Machine, build_packages, install, require_machines


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    require_machines()
    packages = build_packages(tmp_path_factory.mktemp("packages"))
    return install(packages, tmp_path_factory.mktemp("machines") / "first")


@pytest.fixture
def machine(installed: Installed, tmp_path: Path) -> Iterator[Machine]:
    """Booted, with the old release installed and set up: the gateway has started by itself."""
    machine = Machine(tmp_path / "machine", installed.packages, [installed.layer])
    try:
        machine.boot()
        yield machine
    finally:
        machine.cut_the_power()
