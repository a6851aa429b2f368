"""Where systemd has put a copy of a secret for this service alone; systemd.exec(5), LoadCredential=."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

UNIT_FOLDERS = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system")  # systemd.unit(5)


def handed_over(path: Path, environ: Mapping[str, str]) -> Path:
    """The credential named as the file at ``path`` is, where this process was given one; else ``path``.

    So the key itself may stay root's own (0600): the service reads a copy that lies in memory.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder and (copy := Path(folder, path.name)).exists():
        return copy
    return path


def is_handed_over(path: Path, root: Path = Path("/")) -> bool:
    """Whether the service's unit, or a drop-in of it, has systemd hand a copy of ``path`` to it.

    The account that the service runs under then need not be able to read the file itself.
    """
    line = f"LoadCredential={path.name}:{path}"
    return any(
        line in unit.read_text(encoding="utf-8", errors="replace").splitlines()
        for folder in UNIT_FOLDERS
        for pattern in ("offgrid-gateway.service", "offgrid-gateway.service.d/*.conf")
        for unit in root.joinpath(folder).glob(pattern)
    )
