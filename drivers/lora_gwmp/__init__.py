"""Any packet forwarder that speaks the Semtech UDP protocol v2 (GWMP), as a driver."""

from __future__ import annotations

from drivers.lora_gwmp.driver import GwmpDriver

__all__ = ["GwmpDriver"]
