"""How a start fails."""

from __future__ import annotations


class StartFailure(Exception):
    """A step of the start failed. ``part`` is one word for metrics; the text names seen and expected."""

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part = part
