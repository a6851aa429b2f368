"""Where Unix sockets may stand: their addresses end at 107 bytes, folders' paths do not."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_ADDRESS = 107
"""Bytes of a Unix socket's path; unix(7), sun_path."""


@contextmanager
def room_for(longest: str, folder: Path) -> Iterator[Path]:
    """The folder, or where this name in it makes too long an address a short one, which goes again."""
    if len(os.fsencode(folder / longest)) <= LONGEST_ADDRESS:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="offgrid-", dir="/tmp") as short:
        yield Path(short)
