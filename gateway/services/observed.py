"""A radio whose frames are told to the metrics on their way through; otherwise it is the driver itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Self

from drivers.base import (
    Broadcaster,
    DriverStats,
    Frame,
    Notifier,
    Receiver,
    Transmitter,
    TxReceipt,
    TxRequest,
)

Heard = Callable[[Frame], None]
Sent = Callable[[TxReceipt], None]


class ObservedReceiver:
    """Tells ``heard`` of every frame."""

    def __init__(self, radio: Receiver, heard: Heard) -> None:
        self._radio = radio
        self._heard = heard

    async def __aenter__(self) -> Self:
        await self._radio.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._radio.__aexit__(kind, error, trace)

    def stats(self) -> DriverStats:
        return self._radio.stats()

    async def frames(self) -> AsyncIterator[Frame]:
        async for frame in self._radio.frames():
            self._heard(frame)
            yield frame


class ObservedTransceiver(ObservedReceiver):
    """Tells ``sent`` of every frame that went out, besides."""

    def __init__(self, radio: Receiver, sender: Transmitter, heard: Heard, sent: Sent) -> None:
        super().__init__(radio, heard)
        self._sender = sender
        self._sent = sent

    async def transmit(self, request: TxRequest) -> TxReceipt:
        receipt = await self._sender.transmit(request)
        self._sent(receipt)
        return receipt

    def routes(self) -> Mapping[str, object]:
        """None where the driver can only answer."""
        return self._sender.routes() if isinstance(self._sender, Broadcaster) else {}


class ObservedNotifier(ObservedTransceiver):
    """Tells of notices, too."""

    def __init__(
        self, radio: Receiver, sender: Transmitter, notifier: Notifier, heard: Heard, sent: Sent
    ) -> None:
        super().__init__(radio, sender, heard, sent)
        self._notifier = notifier

    async def notify(self, request: TxRequest) -> TxReceipt:
        receipt = await self._notifier.notify(request)
        self._sent(receipt)
        return receipt


def observed(radio: Receiver, heard: Heard, sent: Sent) -> ObservedReceiver:
    """What can send still can."""
    if not isinstance(radio, Transmitter):
        return ObservedReceiver(radio, heard)
    if isinstance(radio, Notifier):
        return ObservedNotifier(radio, radio, radio, heard, sent)
    return ObservedTransceiver(radio, radio, heard, sent)
