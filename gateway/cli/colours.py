"""Colours on a terminal, and nowhere else; none where NO_COLOR is set (https://no-color.org)."""

from __future__ import annotations

import os
import sys

GREEN, RED, YELLOW, DIM, BOLD = "32", "31", "33", "2", "1"


def painted(text: str, *colours: str) -> str:
    """``text``, in these where whoever reads it can see them."""
    colours = tuple(filter(None, colours))
    if not colours or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return f"\x1b[{';'.join(colours)}m{text}\x1b[0m"
