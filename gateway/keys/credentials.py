"""Where systemd has put a copy of a secret for this service alone; systemd.exec(5), LoadCredential=."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def handed_over(path: Path, environ: Mapping[str, str]) -> Path:
    """The credential named as the file at ``path`` is, where this process was given one; else ``path``.

    So the key itself may stay root's own (0600): the service reads a copy that lies in memory.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder and (copy := Path(folder, path.name)).exists():
        return copy
    return path
