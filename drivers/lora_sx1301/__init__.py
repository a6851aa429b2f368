"""SX1301 concentrators (RAK2245) driven directly over SPI, without a packet forwarder."""

from __future__ import annotations

from drivers.lora_sx1301.driver import Sx1301Driver

__all__ = ["Sx1301Driver"]
