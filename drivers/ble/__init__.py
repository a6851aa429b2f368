"""Bluetooth Low Energy: phones write their messages to a GATT service, answers are notified."""

from __future__ import annotations

from drivers.ble.driver import BleDriver

__all__ = ["BleDriver"]
