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


WITHOUT_OPENSSL = """
import sys
import drivers.ble
assert "cryptography" not in sys.modules
from bumble import crypto
ours, theirs = crypto.EccKey.generate(), crypto.EccKey.from_private_key_bytes(bytes(31) + b"\\x07")
assert ours.dh(theirs.x, theirs.y) == theirs.dh(ours.x, ours.y)
assert "cryptography" in sys.modules
key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")  # RFC 4493 section 4, example 1
assert crypto.aes_cmac(b"", key).hex() == "bb1d6929e95937287fa37d129b756746"
assert crypto.e(bytes(16), bytes(16))[::-1].hex() == "66e94bd4ef8a2c3b884cfa59ca342b2e"
"""


def test_the_bluetooth_driver_loads_openssl_only_when_a_phone_pairs() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_OPENSSL], check=True)


WITHOUT_COMPANY_NAMES = """
import drivers.ble
from bumble import company_ids
from bumble.core import AdvertisingData
assert not company_ids.COMPANY_IDENTIFIERS
print(AdvertisingData.from_bytes(bytes.fromhex("04ff4c0001")))
"""


def test_bluetooth_leaves_the_table_of_company_names_unloaded_and_still_prints_an_advertisement() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPANY_NAMES], capture_output=True, text=True, check=True
    )
    assert "0x004C" in done.stdout
