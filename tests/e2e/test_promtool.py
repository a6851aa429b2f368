"""promtool, Prometheus' own judge, on the alert rules that ship."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MONITORING = Path(__file__).parents[2] / "monitoring"


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        message = "promtool is not on PATH (Debian package prometheus); ./scripts/test.sh fetches it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_alert_rules_are_rules(promtool: str) -> None:
    assert "SUCCESS" in run(promtool, "check", "rules", "alerts.yml")


def test_every_alert_fires_when_it_should_and_not_earlier(promtool: str) -> None:
    assert "SUCCESS" in run(promtool, "test", "rules", "alerts.test.yml")


def test_no_rule_ships_without_a_test() -> None:
    rules, tests = ((MONITORING / name).read_text() for name in ("alerts.yml", "alerts.test.yml"))
    names = {line.split()[-1] for line in rules.splitlines() if "alert:" in line}
    tested = {line.split()[-1] for line in tests.splitlines() if "alertname:" in line}
    assert names == tested
