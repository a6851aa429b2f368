"""What the page shows: how every part fares, what the radios hear just now, and the last day.

The day survives a restart in a file beside the database, written each hour and at the end.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from drivers.base import Frame
from gateway.clock import Clock
from gateway.core.chronicle import Chronicle, ChronicleInvalid
from gateway.core.vitals import Vitals, status_document
from gateway.keys import durable
from gateway.model import Stamp, TimeQuality

log = logging.getLogger(__name__)

HEARD = 40
"""So many of the newest frames are shown."""
SAMPLE_S = 30.0
KEEP_S = 3600.0
_PEER_TAIL = 4  # of an address or number: enough to tell two apart, too little to call somebody


class Panel:
    """Told of every frame; asked by the page. Owned by the event loop."""

    def __init__(
        self, path: Path, vitals: Callable[[], Awaitable[Vitals]], now: Callable[[], Stamp], clock: Clock
    ) -> None:
        self._path, self._vitals, self._now, self._clock = path, vitals, now, clock
        self._heard: deque[tuple[float, Frame]] = deque(maxlen=HEARD)
        self._day = Chronicle(clock.monotonic())

    def heard(self, frame: Frame) -> None:
        """A frame came in."""
        now, lora = self._clock.monotonic(), frame.lora
        self._heard.append((now, frame))
        if lora is None:
            self._day.heard(frame.radio, 0, None, None, now)
        else:
            self._day.heard(frame.radio, lora.airtime_us, lora.rssi_dbm, lora.snr_db, now)

    def sent(self, radio: str, airtime_us: int) -> None:
        """A frame went out."""
        self._day.sent(radio, airtime_us, self._clock.monotonic())

    async def document(self) -> dict[str, object]:
        """All that the page needs, as JSON has it."""
        vitals = await self._vitals()
        now = self._clock.monotonic()
        heard = [_heard(frame, now - at) for at, frame in reversed(self._heard)]
        return {"status": status_document(vitals), "heard": heard, "day": self._day.document(now)}

    async def run(self) -> None:
        """Follow the log until cancelled; keep the day."""
        self._restore()
        keep_at = self._clock.monotonic() + KEEP_S
        try:
            while True:
                vitals = await self._vitals()
                now = self._clock.monotonic()
                self._day.stands(vitals.store.head.size, vitals.backlog, now)
                if now >= keep_at:
                    await asyncio.to_thread(self._keep)
                    keep_at = now + KEEP_S
                await self._clock.sleep(SAMPLE_S)
        finally:
            self._keep()

    def _keep(self) -> None:
        stamp = self._now()
        steps = self._day.kept(self._clock.monotonic())
        document = {"unix_ms": stamp.unix_ms, "quality": int(stamp.quality), "steps": steps}
        try:
            durable.replace(self._path, json.dumps(document, separators=(",", ":")).encode(), mode=0o640)
        except OSError as error:  # plots are not worth more than a word
            log.warning("the last day cannot be kept", extra={"path": str(self._path), "reason": str(error)})

    def _restore(self) -> None:
        try:
            document: dict[str, Any] = json.loads(self._path.read_bytes())
            stamp = self._now()
            age_s = (stamp.unix_ms - int(document["unix_ms"])) / 1000
            if min(stamp.quality, int(document["quality"])) > TimeQuality.UNTRUSTED:
                self._day.restore(document["steps"], age_s, self._clock.monotonic())
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, ChronicleInvalid) as error:
            log.warning("the last day is forgotten", extra={"path": str(self._path), "reason": str(error)})


def _heard(frame: Frame, age_s: float) -> dict[str, object]:
    lora = frame.lora
    return {
        "secondsAgo": round(age_s, 1),
        "radio": frame.radio,
        "peer": f"…{frame.peer[-_PEER_TAIL:]}",
        "bytes": len(frame.payload),
        "frequencyMhz": None if lora is None else round(lora.frequency_hz / 1e6, 3),
        "spreadingFactor": None if lora is None else lora.spreading_factor,
        "rssiDbm": None if lora is None else round(lora.rssi_dbm, 1),
        "snrDb": None if lora is None else round(lora.snr_db, 1),
    }
