"""Drivers are imported on demand, and one that cannot be says what it needs."""

from __future__ import annotations

import subprocess
import sys

WITHOUT_BUMBLE = """
import sys
sys.modules["bumble"] = None  # as if it were not installed
import drivers.base, drivers.errors, drivers.registry
import gateway.app.plan, gateway.cli
assert not [name for name in sys.modules if name.startswith("drivers.ble")]
try:
    drivers.registry.load_driver("ble")
except drivers.errors.DriverConfigError as error:
    print(error)
"""


def test_a_gateway_without_bumble_runs_and_says_what_installs_the_bluetooth_driver() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_BUMBLE], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("driver 'ble' cannot be loaded: ")
    assert done.stdout.endswith("install the extra it needs: pip install 'offgrid-gateway[ble]'\n")
