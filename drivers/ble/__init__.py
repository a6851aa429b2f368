"""Bluetooth Low Energy: phones write their messages to a GATT service, answers are notified."""

from __future__ import annotations

from drivers.ble import late_crypto

late_crypto.install()

from drivers.ble.driver import BleDriver  # noqa: E402 - bumble must find it there

__all__ = ["BleDriver"]
