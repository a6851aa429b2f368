"""Orders of the coordinator: judged, written down, carried out one at a time, answered over the link."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gateway.core.pin import CoordinatorKey
from gateway.core.remote import (
    MAX_ANSWER_BYTES,
    MAX_PARTS,
    Kind,
    Order,
    Piece,
    Recipient,
    Refused,
    judge,
    pieces,
    read_arguments,
)
from gateway.errors import CommandError, FatalError, GatewayError
from gateway.keys import durable
from gateway.model import Stamp

log = logging.getLogger(__name__)

ACTOR = "coordinator"
FORGER = "somebody on the link"
"""Of its own, so that whoever makes orders up cannot use up the lines that real refusals get."""
MAX_WAITING = 4
"""A further order is refused as busy: people send them, one after another."""
ORDER_S = 120.0
"""Seconds until an order is answered as one that took too long."""


@dataclass(frozen=True, slots=True)
class NumberBook:
    """The last number that was carried out, on disk before the order is."""

    path: Path

    def last(self) -> int:
        """0 where there is none. Raises CommandError where the file is damaged or cannot be read."""
        try:
            return int(self.path.read_text())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise CommandError(f"{self.path} is damaged ({error}); delete it, and it begins at 0") from error

    def keep(self, number: int) -> None:
        """Raises CommandError: what cannot be remembered may not be done, it could be replayed."""
        try:
            durable.replace(self.path, b"%d\n" % number, mode=0o600)
        except OSError as error:
            raise CommandError(f"{self.path} cannot be written: {error.strerror or error}") from error


class Acts(Protocol):
    """What there is to order; each is written down, and so are refusals."""

    @property
    def names(self) -> Collection[str]: ...
    async def perform(self, actor: str, name: str, arguments: Mapping[str, Any]) -> object: ...
    async def refused(self, actor: str, name: str, why: str) -> None: ...


class Orders:
    """A service (:meth:`run`), and what the link hands orders to. Owned by the event loop.

    ``coordinator`` is the pinned key, None while there is none. Answers wait for a link, over its ends too; a
    part that is on its way when a link ends is lost, and so is an answer there is no more room for.
    """

    def __init__(
        self,
        key: bytes,
        coordinator: Callable[[], CoordinatorKey | None],
        book: NumberBook,
        acts: Acts,
        now: Callable[[], Stamp],
    ) -> None:
        self._key, self._coordinator, self._book, self._acts, self._now = key, coordinator, book, acts, now
        self._waiting: asyncio.Queue[Order] = asyncio.Queue(MAX_WAITING)
        self._answers: asyncio.Queue[Piece] = asyncio.Queue(2 * MAX_PARTS)
        self._working = False
        self._told = asyncio.Event()
        self._told.set()

    async def take(self, order: Order) -> None:
        """Judge it; what is good is carried out later."""
        try:
            why = await self._accepted(order)
        except CommandError as error:
            why = str(error)
        if why is not None:
            await self._refuse(order, why)

    async def piece(self) -> Piece:
        """The next part of an answer; the one before is gone."""
        if self._answers.empty() and self._waiting.empty() and not self._working:
            self._told.set()
        return await self._answers.get()

    async def told(self) -> None:
        """Until every order was carried out and the link, which asks for more, has sent its answer."""
        await self._told.wait()

    async def run(self) -> None:
        """Carry them out. Raises the FatalError of one."""
        while True:
            order = await self._waiting.get()
            self._working = True
            self._say(order.number, *await self._carried_out(order))
            self._working = False

    async def _accepted(self, order: Order) -> str | None:
        coordinator = self._coordinator()
        if coordinator is None:
            return f"{Refused.FORGED}: no coordinator is pinned"
        last = await asyncio.to_thread(self._book.last)
        to = Recipient(self._key, coordinator.public_key, last, self._now().unix_ms)
        why = judge(order, to, self._acts.names)
        if why is None and self._waiting.full():
            why = f"{Refused.BUSY}: {MAX_WAITING} orders wait already"
        if why is None:
            await asyncio.to_thread(self._book.keep, order.number)
            self._told.clear()
            self._waiting.put_nowait(order)
        return why

    async def _refuse(self, order: Order, why: str) -> None:
        log.warning("order refused", extra={"order": order.number, "command": order.name, "reason": why})
        self._say(order.number, Kind.REFUSED, why.encode())
        try:
            await self._acts.refused(FORGER if why.startswith(Refused.FORGED) else ACTOR, order.name, why)
        except CommandError as error:
            log.error("a refusal was not written down", extra={"reason": str(error)})

    async def _carried_out(self, order: Order) -> tuple[Kind, bytes]:
        log.info("order", extra={"order": order.number, "command": order.name})
        try:
            async with asyncio.timeout(ORDER_S):
                result = await self._acts.perform(ACTOR, order.name, read_arguments(order.arguments))
        except FatalError:
            raise
        except GatewayError as error:
            return Kind.REFUSED, str(error).encode()
        except ValueError as error:
            return Kind.REFUSED, f"{Refused.MALFORMED}: {error}".encode()
        except TimeoutError:
            return Kind.REFUSED, f"it took more than {ORDER_S:.0f} s; the log says more".encode()
        except Exception as error:  # a bug in one command: the daemon goes on, the coordinator is told
            log.exception("an order failed")
            return Kind.REFUSED, f"the gateway failed: {type(error).__name__}; its log says more".encode()
        if isinstance(result, bytes):
            return Kind.FILE, result
        return Kind.JSON, json.dumps(result, default=str).encode()

    def _say(self, number: int, kind: Kind, data: bytes) -> None:
        if len(data) > MAX_ANSWER_BYTES:
            words = f"done, but its answer of {len(data)} bytes is too long"
            kind, data = Kind.REFUSED, words.encode()
        parts = list(pieces(number, kind, data))
        if self._answers.qsize() + len(parts) > self._answers.maxsize:
            log.warning("no room for the answer to an order", extra={"order": number})
            return
        self._told.clear()
        for part in parts:
            self._answers.put_nowait(part)
