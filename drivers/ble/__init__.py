"""Bluetooth Low Energy: phones write their messages to a GATT service, answers are notified."""

from __future__ import annotations

from drivers.ble import late_crypto, no_company_names

late_crypto.install()
no_company_names.install()

from drivers.ble.driver import BleDriver  # noqa: E402 - bumble must find them there

__all__ = ["BleDriver"]
