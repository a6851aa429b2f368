"""The way to the coordinator: opens one WebSocket after another, each after the backoff."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import socket as sockets
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from gateway.clock import Clock
from gateway.core.backoff import MAX_DELAY_S, Backoff
from gateway.core.sync import MAX_HEARD_BYTES, Local, Session, Standing
from gateway.core.sync.checkpoints import cosigned_at_ms
from gateway.core.timekeeper import Timekeeper
from gateway.core.vitals import LinkVitals
from gateway.errors import NeedsPerson
from gateway.model import Head
from gateway.services.sync_link.cargo import Cargo
from gateway.services.sync_link.conversation import Conversation, Surroundings, tls_of
from gateway.services.sync_link.faults import LinkFault
from gateway.services.sync_link.figures import LinkFigures
from gateway.services.sync_link.remote import Remote
from gateway.services.sync_link.tls import require_dates
from gateway.store import Store

log = logging.getLogger(__name__)

SUBPROTOCOL = Subprotocol("offgrid-sync.v1")

_CLOSE_TIMEOUT_S = 1.0
# tcp(7): what was sent and is not acknowledged for so long has met a dead link.
_TCP_USER_TIMEOUT_MS = 9000
# Keep what the network has not taken in our own buffer, where the watch sees it drain; Linux, tcp(7).
_TCP_NOTSENT_LOWAT = 25
_NOTSENT_BYTES = 16 << 10


_PERSONS_TURN: Mapping[str, str] = {
    "not_registered": (
        "the coordinator does not know this gateway's id and key; run: offgrid-gateway register "
        "(its operator gives you a token)"
    ),
    "quarantined": "the coordinator keeps this gateway in quarantine; ask its operator why",
}
"""Codes of REJECT that coming again does not mend, and what does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """``url`` is ws or wss; ``tls`` belongs to wss and is None for ws. Durations in seconds.

    Growth of the log is gathered for ``gather_s`` before it is offered, so that a batch has company. TCP, TLS
    and the WebSocket's opening take four round trips, each a second or more over GPRS: ``open_timeout_s``.
    """

    url: str
    tls: ssl.SSLContext | None = None
    reconnect_interval_s: float = 5.0
    heartbeat_s: float = 120.0
    gather_s: float = 0.2
    max_entries: int = 256
    max_bytes: int = 1 << 20
    open_timeout_s: float = 20.0

    def __post_init__(self) -> None:
        if self.url.startswith("wss:") != (self.tls is not None):
            raise ValueError(f"{self.url}: a TLS context belongs to wss, and to nothing else")


class SyncLink:
    """A service: :meth:`run` until it is cancelled. The rest may be called at any time, from the loop.

    ``status`` is asked for every heartbeat; ``observe_sync`` is told the seconds from the first offer of an
    entry to the ACK that covers it; ``on_change`` is called when the link opened or ended, and at every ACK,
    ``noticed`` is awaited after a notice was kept. ``cargo`` goes to the coordinator beside the log,
    ``remote`` takes its orders.
    """

    def __init__(
        self,
        settings: LinkSettings,
        local: Local,
        store: Store,
        timekeeper: Timekeeper,
        clock: Clock,
        *,
        status: Callable[[], Mapping[str, object]],
        observe_sync: Callable[[float], None] = lambda _: None,
        on_change: Callable[[], None] = lambda: None,
        noticed: Callable[[], Awaitable[None]] | None = None,
        cargo: Cargo | None = None,
        remote: Remote | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._local = local
        self._clock = clock
        self.figures = LinkFigures(since_s=clock.monotonic(), changed=on_change)
        self._stir = asyncio.Event()
        self._backoff = Backoff(settings.reconnect_interval_s, (rng or random.SystemRandom()).random)
        self._around = Surroundings(
            store=store,
            key=local.key,
            clock=clock,
            timekeeper=timekeeper,
            figures=self.figures,
            status=status,
            stir=self._stir,
            worked=self._backoff.reset,
            observe_sync=observe_sync,
            noticed=noticed or _nobody,
            heartbeat_s=settings.heartbeat_s,
            gather_s=settings.gather_s,
            cargo=cargo,
            remote=remote,
        )

    def vitals(self) -> LinkVitals:
        """For status, health and metrics."""
        return self.figures.vitals(self._clock.monotonic())

    def heartbeat_soon(self) -> None:
        """Health changed: tell the coordinator within 5 s instead of at the next heartbeat."""
        self._stir.set()

    async def run(self) -> None:
        """Raises NeedsPerson when coming again cannot help; every other failure is met by coming again."""
        self.figures.halted = None
        while True:
            self.figures.attempts += 1
            try:
                await self._attempt()
            except NeedsPerson as needed:
                self.figures.halted = str(needed)
                self._ended("halted", str(needed))
                raise
            except LinkFault as fault:
                self._tell_person(fault)
                self._ended(fault.word, str(fault))
            await self._clock.sleep(self._backoff.next_delay())

    async def _attempt(self) -> None:
        head = await self._around.store.head()
        if head.halted is not None:
            raise NeedsPerson(head.halted.what, head.halted.fix)
        if head.cosigned_note is not None:
            self._around.timekeeper.not_before(cosigned_at_ms(head.cosigned_note))
        async with _Opened(self._settings) as socket:
            require_dates(tls_of(socket), self._around.timekeeper)
            session = Session(
                self._local,
                _standing(head, brings=self._around.cargo is not None),
                nonce=secrets.token_bytes(32),
                max_entries=self._settings.max_entries,
                max_bytes=self._settings.max_bytes,
            )
            await Conversation(socket, session, head.size, self._around).run()

    def _tell_person(self, fault: LinkFault) -> None:
        """What only a person can mend is told as such; we come again all the same: they may act there."""
        needed = _PERSONS_TURN.get(fault.word)
        if needed is not None and self.figures.halted is None:
            log.warning("the coordinator waits for a person", extra={"detail": str(fault), "reason": needed})
        self.figures.halted = needed

    def _ended(self, word: str, detail: str) -> None:
        now_s = self._clock.monotonic()
        # A link that held for longer than the longest delay cannot be a hammer.
        if self.figures.connected and now_s - self.figures.since_s >= MAX_DELAY_S:
            self._backoff.reset()
        self.figures.ended(now_s, word, detail)
        log.info("coordinator link ended", extra={"fault": word, "detail": detail})


async def _nobody() -> None:
    """Nobody wants to know."""


class _Opened:
    """The WebSocket, open; every way in which that can fail is a LinkFault."""

    def __init__(self, settings: LinkSettings) -> None:
        self._settings = settings
        self._socket: ClientConnection

    async def __aenter__(self) -> ClientConnection:
        try:
            self._socket = await self._connect()
        except ssl.SSLCertVerificationError as error:
            raise LinkFault("certificate", error.verify_message) from error
        except InvalidStatus as error:
            raise LinkFault("refused", f"HTTP {error.response.status_code}") from error
        except (OSError, WebSocketException) as error:
            raise LinkFault("unreachable", str(error) or type(error).__name__) from error
        if self._socket.subprotocol != SUBPROTOCOL:
            await self._socket.close()
            raise LinkFault("refused", f"the server does not speak {SUBPROTOCOL}")
        try:
            _tune(self._socket)
        except OSError as error:  # it ended between its opening and this
            await self._socket.close()
            raise LinkFault("lost", str(error)) from error
        return self._socket

    async def __aexit__(self, *exc_info: object) -> None:
        await self._socket.close()

    async def _connect(self) -> ClientConnection:
        return await connect(
            self._settings.url,
            ssl=self._settings.tls,
            subprotocols=[SUBPROTOCOL],
            compression=None,
            max_size=MAX_HEARD_BYTES,
            max_queue=4,
            open_timeout=self._settings.open_timeout_s,
            close_timeout=_CLOSE_TIMEOUT_S,
            ping_interval=None,  # the watch pings, and only when it is in doubt
            user_agent_header=None,
            proxy=None,
        )


def _tune(socket: ClientConnection) -> None:
    """Elsewhere than on Linux the watch alone finds a dead link, later where a large batch is on its way.

    Raises OSError, for a socket that is closed too.
    """
    if sys.platform == "linux":
        raw = socket.transport.get_extra_info("socket")
        raw.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_USER_TIMEOUT, _TCP_USER_TIMEOUT_MS)
        raw.setsockopt(sockets.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _NOTSENT_BYTES)


def _standing(head: Head, *, brings: bool) -> Standing:
    """A log that is shorter than what it signed claims none of that: so it is told what it lacks."""
    is_whole = head.size >= max(head.signed_size, head.acked_size)
    return Standing(
        origin=head.origin,
        size=head.size,
        signed_size=head.signed_size if is_whole else 0,
        signed_note=head.signed_note if is_whole else None,
        acked_size=head.acked_size if is_whole else 0,
        notices=head.notices,
        brings=brings,
    )
