"""The clock that everything reads; passed in, so that tests own time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two clocks and a way to wait; the shape of :class:`drivers.base.Clock`, so one object serves both."""

    def monotonic(self) -> float:
        """Seconds since some start, never going back."""
        ...

    def unix_ns(self) -> int:
        """The host's wall clock in nanoseconds since 1970; may be wrong and may step."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait this long on this clock."""
        ...
