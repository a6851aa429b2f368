"""Who is answered by text message, and how often: each answer costs money, and machines answer back."""

from __future__ import annotations

import re
from collections import OrderedDict

MAX_NUMBERS = 1024
"""Numbers whose answers are counted; the one answered longest ago is forgotten."""

MAX_LINES = 1024
"""Lines that are remembered as answered; the oldest is forgotten."""

HOUR_S = 3600.0
_NUMBER = re.compile(r"\+?[0-9]{7,15}", re.ASCII)
"""E.164, or as it is dialled at home; shorter ones are services, and so are names."""


class Courtesy:
    """``answers_per_hour`` for each number, that many at once at most; owned by the event loop."""

    def __init__(self, answers_per_hour: int) -> None:
        self._rate = answers_per_hour
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lines: OrderedDict[str, None] = OrderedDict()

    def may_answer(self, number: str, now: float) -> bool:
        """Takes one answer from this number's hour (``now``: monotonic seconds); False: say nothing."""
        if _NUMBER.fullmatch(number) is None:
            return False
        left, at = self._left.pop(number, (float(self._rate), now))
        left = min(float(self._rate), left + (now - at) * self._rate / HOUR_S)
        if len(self._left) >= MAX_NUMBERS:
            self._left.popitem(last=False)
        self._left[number] = (left - 1 if left >= 1 else left, now)
        return left >= 1

    def is_new(self, line: str) -> bool:
        """Whether this very line was not asked about before."""
        if line in self._lines:
            return False
        if len(self._lines) >= MAX_LINES:
            self._lines.popitem(last=False)
        self._lines[line] = None
        return True
