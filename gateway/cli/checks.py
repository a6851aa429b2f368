"""Checks on a screen: a line each, and below them a live table of what is heard."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence

import click

from drivers.base import ChannelFigures, Check
from gateway.cli.channels import channel_table
from gateway.core.vitals import channel_document

MARKS = {"pass": "ok  ", "warn": "WARN", "fail": "FAIL"}


class Screen:
    """Lines, and below them a table that is drawn over itself where there is a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = sys.stdout.isatty()
        self._drawn = 0
        # What a driver logs on its way stands in the check it leads to; between the lines it would be noise.
        logging.getLogger("drivers").addHandler(logging.NullHandler())

    def line(self, check: Check) -> None:
        """A check; what to do stands below it."""
        if self._quiet:
            return
        click.echo(f"{MARKS[check.verdict]}  {check.name:<16} {check.seen}")
        if check.fix:
            click.echo(f"      {'':<16} -> {check.fix}")

    def table(self, channels: Sequence[ChannelFigures], left_s: float) -> None:
        """What was heard so far; without a terminal only at the end."""
        if self._quiet or not (self._live or left_s == 0):
            return
        lines = list(self._rows(channels, left_s))
        if self._drawn:
            click.echo(f"\x1b[{self._drawn}A\x1b[J", nl=False)
        for line in lines:
            click.echo(line)
        self._drawn = len(lines) if left_s else 0

    @staticmethod
    def _rows(channels: Sequence[ChannelFigures], left_s: float) -> Iterator[str]:
        if left_s:
            yield f"      listening, {left_s:.0f} s more"
        yield from channel_table([channel_document(one) for one in channels])


def worst(checks: Sequence[Check]) -> str:
    """``fail``, else ``warn``, else ``pass``."""
    verdicts = {check.verdict for check in checks}
    return next((one for one in ("fail", "warn") if one in verdicts), "pass")


def heard(channels: Sequence[ChannelFigures], seconds: float) -> Check:
    """What a time of listening says of antenna and receivers."""
    frames, bad = sum(one.frames for one in channels), sum(one.crc_errors for one in channels)
    if frames:
        best = max(one.rssi_dbm for one in channels if one.frames)
        seen = (
            f"{frames} frames in {seconds:g} s, the strongest channel at {best:.0f} dBm; {bad} with a bad CRC"
        )
        return Check("RX", "pass", seen)
    if bad:
        fix = "a weak signal, or another network nearby: check the antenna and its connector"
        return Check("RX", "warn", f"only {bad} frames with a bad CRC in {seconds:g} s", fix)
    fix = "have a device send meanwhile; if it does, check the antenna, its connector and lora.frequency"
    return Check("RX", "warn", f"nothing heard in {seconds:g} s", fix)
