"""The live view: one screen on a terminal, lines elsewhere."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

EVENTS_KEPT = 200
EVENTS_SHOWN = 9
LINE_EVERY_S = 2.5
BARS = "▁▂▃▄▅▆▇█"
HISTORY = 48

GREEN, RED, YELLOW, DIM, BOLD, PLAIN = (f"\x1b[{code}m" for code in ("32", "31", "33", "2", "1", "0"))


@dataclass(frozen=True, slots=True)
class RadioRow:
    """One radio, now."""

    name: str
    how: str
    wallets: int
    sent: int
    accepted: int
    refused: int
    heard: str


@dataclass(frozen=True, slots=True)
class Moment:
    """All that is shown. Times in seconds from the first payment on."""

    at_s: float
    seconds: float
    backhaul_up: bool
    backhaul_s: float
    link: str
    health: int
    size: int
    acked: int
    payments: int
    radios: Sequence[RadioRow]

    @property
    def backlog(self) -> int:
        return max(0, self.size - self.acked)


class Screen(Protocol):
    """Where it is shown."""

    def event(self, at_s: float, words: str) -> None: ...
    def draw(self, moment: Moment) -> None: ...
    def close(self) -> None: ...


class Lines:
    """For logs and pipes: each event, and now and then how things stand."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._drawn = 0.0

    def event(self, at_s: float, words: str) -> None:
        self._write(f"{at_s:6.1f} s  {words}")

    def draw(self, moment: Moment) -> None:
        if moment.at_s - self._drawn < LINE_EVERY_S:
            return
        self._drawn = moment.at_s
        radios = ", ".join(f"{row.name} {row.accepted} of {row.sent}" for row in moment.radios)
        backhaul = "up" if moment.backhaul_up else "CUT"
        self._write(
            f"{moment.at_s:6.1f} s  accepted: {radios}; log {moment.size}, acked {moment.acked}, "
            f"backlog {moment.backlog}; backhaul {backhaul}, link {moment.link}"
        )

    def close(self) -> None: ...

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


class Terminal:
    """Redraws one screen in place, on the terminal's second page, which leaves no trace behind."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._events: deque[str] = deque(maxlen=EVENTS_KEPT)
        self._backlogs: deque[int] = deque(maxlen=HISTORY)
        self._out.write("\x1b[?1049h\x1b[?25l")

    def event(self, at_s: float, words: str) -> None:
        self._events.append(f"{DIM}{at_s:6.1f} s{PLAIN}  {words}")

    def draw(self, moment: Moment) -> None:
        self._backlogs.append(moment.backlog)
        columns, lines = shutil.get_terminal_size()
        shown = self._lines(moment, min(columns, 100))[: lines - 1]
        body = "".join(f"{line}\x1b[K\r\n" for line in shown)
        self._out.write(f"\x1b[H{body}\x1b[J")
        self._out.flush()

    def close(self) -> None:
        self._out.write("\x1b[?25h\x1b[?1049l")
        for event in self._events:
            self._out.write(f"{event}\n")
        self._out.flush()

    def _lines(self, now: Moment, width: int) -> list[str]:
        done = min(1.0, now.at_s / now.seconds)
        bar = "━" * round(done * 30)
        return [
            f"{BOLD}off-grid gateway{PLAIN}  the main job, on simulators below its real drivers",
            f"{GREEN}{bar}{DIM}{'━' * (30 - len(bar))}{PLAIN} {now.at_s:.0f} s of {now.seconds:.0f}",
            "",
            self._backhaul(now),
            self._gateway(now),
            f"acked      {_gauge(now.acked, now.size, 30)} {now.acked} of {now.size}",
            f"backlog    {YELLOW}{_sparkline(self._backlogs)}{PLAIN} {now.backlog}",
            "",
            f"{DIM}radio   way                     wallets    sent  accepted  refused   hears{PLAIN}",
            *(_radio(row) for row in now.radios),
            "",
            f"{DIM}{'─' * (width - 1)}{PLAIN}",
            *list(self._events)[-EVENTS_SHOWN:],
        ]

    def _backhaul(self, now: Moment) -> str:
        if now.backhaul_up:
            return (
                f"backhaul   {GREEN}━━━━━ up ━━━━━{PLAIN}   link {_colour(now.link == 'connected', now.link)}"
            )
        return f"backhaul   {RED}━━ ✂ cut ✂ ━━{PLAIN}   for {now.backhaul_s:.1f} s, the radios stay open"

    def _gateway(self, now: Moment) -> str:
        health = _colour(now.health >= 80, str(now.health))
        return (
            f"gateway    health {health}   log {BOLD}{now.size}{PLAIN} entries   {now.payments} payments made"
        )


def _radio(row: RadioRow) -> str:
    return (
        f"{BOLD}{row.name:<7}{PLAIN} {row.how:<23} {row.wallets:>7} {row.sent:>7}"
        f"  {GREEN}{row.accepted:>8}{PLAIN}  {row.refused:>7}   {row.heard}"
    )


def _colour(good: bool, text: str) -> str:
    return f"{GREEN if good else RED}{text}{PLAIN}"


def _gauge(part: int, whole: int, width: int) -> str:
    full = width if whole == 0 else round(part / whole * width)
    return f"{GREEN}{'█' * full}{YELLOW}{'░' * (width - full)}{PLAIN}"


def _sparkline(values: Sequence[int] | deque[int]) -> str:
    most = max(max(values, default=0), 1)
    return "".join(BARS[min(len(BARS) - 1, value * len(BARS) // (most + 1))] for value in values)


def screen_on(out: TextIO, environment: Mapping[str, str]) -> Screen:
    """A terminal that can be redrawn, or lines."""
    if out.isatty() and environment.get("TERM", "dumb") != "dumb":
        return Terminal(out)
    return Lines(out)
