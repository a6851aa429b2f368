"""A phone that texts: what a person or a wallet behind it sends, and what arrives, joined."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from simulators.modem.network import Network
from simulators.modem.sms import Part, read_deliver, text_of


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message as it was read."""

    sender: str
    text: str | bytes


class Phone:
    """A number on the network. ``on_message`` takes each whole message; without it they wait in ``inbox``."""

    def __init__(
        self, network: Network, number: str, *, on_message: Callable[[Message], None] | None = None
    ) -> None:
        self.number = number
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.reports: list[int] = []
        self._network = network
        self._on_message = on_message or self.inbox.put_nowait
        self._parts: dict[tuple[str, str, int, int], dict[int, Part]] = {}
        self.reachable = True
        network.attach(number, self)

    def send(self, destination: str, text: str | bytes, *, report: bool = False) -> None:
        """In as many parts as it takes."""
        self._network.text(self.number, destination, text, report=report)

    def switch(self, on: bool) -> None:
        """In reach of the network or not; what came meanwhile comes then."""
        self.reachable = on
        if on:
            self._network.retry(self.number)

    def take(self, tpdu: bytes) -> bool:
        if not self.reachable:
            return False
        if tpdu[0] % 4 == 2:
            self.reports.append(tpdu[-1])
            return True
        part = read_deliver(tpdu)
        group = self._parts.setdefault((part.sender, part.coding, part.reference, part.total), {})
        group[part.number] = part
        if len(group) == part.total:
            del self._parts[part.sender, part.coding, part.reference, part.total]
            whole = [group[number] for number in sorted(group)]
            self._on_message(Message(part.sender, text_of(whole)))
        return True
