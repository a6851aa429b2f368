"""docs/troubleshooting.md names checks, metrics, tests, commands: each exists, no check is missing; so do the
tests that docs/security.md names."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from gateway.cli import COMMANDS
from gateway.services.doctor import CHECKS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "troubleshooting.md").read_text()
SECURITY = (ROOT / "docs" / "security.md").read_text()
PAINS = 28


@cache
def _tests() -> frozenset[str]:
    files = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return frozenset(name for text in files for name in re.findall(r"def (test_\w+)", text))


@cache
def _metrics() -> frozenset[str]:
    files = (path.read_text() for path in (ROOT / "gateway" / "services" / "metrics").glob("*.py"))
    return frozenset(name for text in files for name in re.findall(r'"(gateway_\w+)"', text))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\btest `(\w+)`", TEXT + SECURITY))))
def test_each_test_that_it_names_exists(name: str) -> None:
    assert name in _tests()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bmetric `(\w+)`", TEXT))))
def test_each_metric_that_it_names_exists(name: str) -> None:
    assert name in _metrics()


def test_each_check_that_it_names_exists_and_every_check_is_named() -> None:
    assert set(re.findall(r"\bcheck `([\w-]+)`", TEXT)) == {check.name for check in CHECKS}


def test_each_pain_of_the_field_has_its_check_metric_or_test() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", TEXT, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, PAINS + 1))
    for number, here in rows:
        assert re.search(r"(check|metric|test) `", here), number


def test_each_command_that_it_names_exists() -> None:
    named = set(re.findall(r"offgrid-gateway ([a-z][a-z-]+)", TEXT))
    assert {"doctor", "status", "support-bundle"} <= named <= set(COMMANDS)
    for script in set(re.findall(r"\./scripts/([\w-]+\.sh)", TEXT)):
        assert (ROOT / "scripts" / script).exists()
