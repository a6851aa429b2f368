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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is ``long`` runs only where asked for: ``-m long``, as ``./scripts/test-debian.sh`` does."""
    if "long" not in config.option.markexpr:
        for item in items:
            if item.get_closest_marker("long") is not None:
                item.add_marker(pytest.mark.skip(reason="long: ./scripts/test-debian.sh runs it"))
