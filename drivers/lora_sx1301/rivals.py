"""Programs that drive a concentrator too: two on one chip, and neither hears anything."""

from __future__ import annotations

from drivers.transport.holders import Holder, running

FORWARDERS = (
    "lora_pkt_fwd",
    "poly_pkt_fwd",
    "mp_pkt_fwd",
    "gps_pkt_fwd",
    "basic_pkt_fwd",
    "station",  # LoRa Basics Station
    "chirpstack-concentratord-sx1301",
)


def rivals(spi: str) -> list[Holder]:
    """Those that run. What they have open only root sees, so they may be busy with another board; none
    where the board is a simulated one."""
    return running(FORWARDERS) if spi.startswith("spidev:") else []


def suspicion(spi: str) -> str:
    """Words to add to a failure that a rival would explain; empty where there is none."""
    return "".join(f"; {one} runs and may be driving the same chip: {one.remedy}" for one in rivals(spi))
