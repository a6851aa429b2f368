"""The coordinator's key on disk: one line, a vkey, put there by ``register``."""

from __future__ import annotations

from pathlib import Path

from gateway.core.note import NoteInvalid
from gateway.core.pin import CoordinatorKey
from gateway.errors import NeedsPerson
from gateway.keys import durable

_MAX_BYTES = 4096


def pinned_key(configured: CoordinatorKey | None, path: Path) -> CoordinatorKey:
    """The key to trust: the configured one, else the one that registration pinned at ``path``.

    Raises :class:`NeedsPerson` where there is none, or where the file is damaged.
    """
    key = configured or _read(path)
    if key is None:
        raise NeedsPerson("the coordinator's key is not known", "run: offgrid-gateway register")
    return key


def store_pin(path: Path, key: CoordinatorKey) -> bool:
    """Pin ``key``; False if it was pinned already. Raises :class:`NeedsPerson` where another key is pinned,
    and :class:`OSError` where the file cannot be written."""
    pinned = _read(path)
    if pinned == key:
        return False
    if pinned is not None:
        raise NeedsPerson(
            f"the coordinator's key is {key}, but {pinned} is pinned",
            f"if the coordinator has told you so, remove {path} and register again",
        )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    durable.replace(path, f"{key}\n".encode(), mode=0o644)
    return True


def _read(path: Path) -> CoordinatorKey | None:
    try:
        with path.open("rb") as file:
            return CoordinatorKey.parse(file.read(_MAX_BYTES).decode("utf-8").strip())
    except FileNotFoundError:
        return None
    except (NoteInvalid, UnicodeDecodeError) as error:
        raise NeedsPerson(
            f"{path} does not hold a coordinator's key: {error}",
            "remove it and run: offgrid-gateway register",
        ) from None
    except OSError as error:
        raise NeedsPerson(
            f"{path} cannot be read: {error.strerror}", "let the service user read it"
        ) from error
