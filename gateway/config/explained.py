"""A configuration file from a few answers, each setting explained where it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM_FOLDER = Path("/etc/offgrid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What only a person can say. ``frequency`` MHz None: no LoRa; ``region`` None: it listens only.

    ``radios``: addresses by section (lora "": a packet forwarder; ble, gsm, gps).
    """

    gateway_id: str
    latitude_deg: float
    longitude_deg: float
    place: str
    api_url: str
    ws_url: str
    frequency: int | None
    region: str | None
    allow_insecure: bool = False
    radios: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The way most people reach it."""
        if self.frequency is not None:
            return "lora"
        return "sms" if "gsm" in self.radios else "mesh"


def explained(answers: Answers, folder: Path) -> str:
    """YAML for a file in ``folder``: system paths below /etc/offgrid, else all of it beside the file."""
    return "\n".join(_lines(answers, in_system=folder == SYSTEM_FOLDER)) + "\n"


def _lines(answers: Answers, *, in_system: bool) -> Iterator[str]:
    yield "# The gateway's configuration, as `offgrid-gateway init` wrote it. Every other setting and its"
    yield "# default stand in config.example.yml. After a change: offgrid-gateway check-config, then reload"
    yield "gateway:                        # who this gateway is; registered with the coordinator"
    yield f"  id: {json.dumps(answers.gateway_id)}"
    yield "  location:                     # degrees WGS84, and a name for people"
    yield f"    lat: {answers.latitude_deg}"
    yield f"    lon: {answers.longitude_deg}"
    yield f"    name: {json.dumps(answers.place, ensure_ascii=False)}"
    yield f"  type: {answers.kind:<24}# the way most people reach it"
    yield ""
    yield "network:                        # the way to the coordinator"
    if answers.allow_insecure:
        yield "  allow_insecure: true          # what is sent can be read and changed on the way"
    yield f"  api_url: {answers.api_url}"
    yield f"  ws_url: {answers.ws_url}"
    yield ""
    yield from _lora(answers)
    yield from _others(answers)
    yield from _places(in_system=in_system)


def _lora(answers: Answers) -> Iterator[str]:
    if answers.frequency is None:
        return
    yield "lora:"
    yield f"  frequency: {answers.frequency}                # MHz"
    if answers.region is None:
        yield "  region: null                  # not set: it listens and NEVER TRANSMITS; EU868 or US915"
    else:
        yield f"  region: {answers.region:<22}# whose rules every transmission keeps"
    if answers.radios.get("lora"):
        yield "  driver: lora_sx1301           # a RAK2245 on this machine's SPI (docs/lora-concentrator.md)"
        yield "  antenna_gain_dbi: 0.0         # cable loss taken off, so that the EIRP comes out right"
    else:
        yield "  driver: lora_gwmp             # a packet forwarder calls at UDP port 1700 of this machine"
    yield ""


def _others(answers: Answers) -> Iterator[str]:
    if "ble" in answers.radios:
        yield "ble:                            # phones by Bluetooth"
        yield f"  controller: {answers.radios['ble']}"
        yield ""
    if "gsm" in answers.radios:
        yield "gsm:                            # text messages"
        yield f"  port: {answers.radios['gsm']}"
        yield "  pin: null                     # the SIM's, in quotes; null: it asks for none"
        yield "  coordinator_number: null      # where the newest checkpoint goes when nothing else does"
        yield ""
    if "gps" in answers.radios:
        yield "gps:                            # position, and time without a network"
        yield f"  address: {answers.radios['gps']}"
        yield ""


def _places(*, in_system: bool) -> Iterator[str]:
    database, keys, runtime = (
        ("/var/lib/offgrid/gateway.db", "/etc/offgrid", "/run/offgrid")
        if in_system
        else ("data/gateway.db", "keys", "run")
    )
    yield "storage:"
    yield f"  path: {database}"
    yield "  max_snapshots: 1000           # how much of what the coordinator has acknowledged is kept,"
    yield "  retention_days: 90            # and how long; what it has not acknowledged is never dropped"
    yield ""
    yield "security:                       # made by `offgrid-gateway keygen`; the key is for its owner only"
    yield f"  private_key_path: {keys}/gateway.key"
    yield f"  certificate_path: {keys}/gateway.crt"
    yield ""
    yield f"runtime_dir: {runtime}"
