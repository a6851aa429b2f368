"""The gateway's certificate, renewed while it runs: its own in time, an authority's once it is there.

A new certificate is for the same key, so registration, promises and checkpoints stay as they are; only the
link is opened again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.core.certificate_dates import Validity
from gateway.core.health import CERTIFICATE_WARNING_S
from gateway.errors import CommandError, GatewayError, KeyFileError
from gateway.keys.certificates import Certificates
from gateway.keys.identity import check_certificate
from gateway.model import Stamp, TimeQuality

log = logging.getLogger(__name__)

LOOK_S = 3600.0
UNTRUSTED_LOOK_S = 10.0
"""While nobody has confirmed the time, no date can be judged; soon somebody will have."""
WHAT = ("certificate",)


class Renewal:
    """Owned by the event loop; ``changed`` is called when another certificate is in force."""

    def __init__(
        self,
        certificates: Certificates,
        private_key_path: Path,
        gateway_id: str,
        changed: Callable[[], None],
        now: Callable[[], Stamp],
        clock: Clock,
    ) -> None:
        self._certificates, self._key_path, self._gateway_id = certificates, private_key_path, gateway_id
        self._changed, self._now, self._clock = changed, now, clock
        self._shown = certificates.in_force()
        self._shown_at = _changed_ns(self._shown)
        self.validity: Validity | None = certificates.validity()

    async def rotate(self, arguments: Mapping[str, Any]) -> object:
        """The act. Raises CommandError where there is nothing that could be put in force, or what is there is
        no certificate of our key: the link goes on with the one it has, and so does the daemon."""
        if arguments.get("what") not in WHAT:
            raise CommandError(f"what is to be rotated? there is: {', '.join(WHAT)}")
        try:
            if self._was_replaced():
                check_certificate(self._key_path, self._certificates.in_force())
            else:
                await self._make()
        except KeyFileError as error:
            raise CommandError(str(error)) from error
        self._take()
        return {"certificate": str(self._shown), "notAfter": self.validity and self.validity.not_after_ms}

    async def run(self, rotate: Callable[[], Awaitable[object]]) -> None:
        """Look until cancelled; ``rotate`` is the act, so that it is written down who did it."""
        while True:
            trusted = self._now().quality >= TimeQuality.AGREED
            if trusted and self._due():
                try:
                    await rotate()
                except GatewayError as error:  # health tells of the date; the next look tries again
                    log.error("the certificate is not renewed", extra={"reason": str(error)})
            await self._clock.sleep(LOOK_S if trusted else UNTRUSTED_LOOK_S)

    async def _make(self) -> None:
        if not self._certificates.is_own():
            raise CommandError(
                f"{self._shown} is an authority's: get a new one for the same key from it, put it in "
                "place as security.certificate_path, then run: offgrid-gateway rotate certificate"
            )
        await asyncio.to_thread(self._certificates.renew, self._key_path, self._gateway_id)

    def _due(self) -> bool:
        if self.validity is None or not self._certificates.is_own():
            return False
        return self.validity.not_after_ms - self._now().unix_ms <= CERTIFICATE_WARNING_S * 1000

    def _was_replaced(self) -> bool:
        """Whether somebody has put another file in place since the link was given one."""
        path = self._certificates.in_force()
        return path != self._shown or _changed_ns(path) != self._shown_at

    def _take(self) -> None:
        self._shown = self._certificates.in_force()
        self._shown_at = _changed_ns(self._shown)
        self.validity = self._certificates.validity()
        log.info("certificate in force", extra={"path": str(self._shown)})
        self._changed()


def _changed_ns(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
