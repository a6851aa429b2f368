"""The applied configuration on disk, ``applied.json`` beside the database; one file, so no crash parts it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gateway.config.model import Storage
from gateway.config.source import Source, parse
from gateway.core.applied import Applied, Settings, Trial, overlaid
from gateway.errors import CommandError

NAME = "applied.json"
MAX_BYTES = 64 << 10
"""An order brings 16 KiB of settings at most, and two of them are kept."""


def applied_path(values: Mapping[str, Any], base: Path) -> Path:
    """Beside the database that a configuration file in ``base`` names, sound or not."""
    storage = values.get("storage")
    named = storage.get("path") if isinstance(storage, dict) else None
    database = base / named if isinstance(named, str) and named else Storage().path
    return database.with_name(NAME)


def read(path: Path) -> Applied:
    """Nothing applied where there is no file. Raises CommandError for a file that is damaged or shut."""
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_BYTES))
        trial = document.pop("trial")
        return Applied(**document, trial=None if trial is None else Trial(**trial))
    except FileNotFoundError:
        return Applied()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CommandError(f"{path} is damaged; delete it: the gateway's own configuration holds") from error


def document(applied: Applied) -> bytes:
    """The file's content."""
    return json.dumps(asdict(applied), indent=2).encode() + b"\n"


def in_force(source: Source, base: Path) -> Settings:
    """What is laid over the file. A damaged or shut file counts for nothing: the daemon says so."""
    try:
        return read(applied_path(source.values, base)).in_force
    except CommandError:
        return {}


def over(source: Source, settings: Settings) -> Source:
    """The file with these settings over it, which are blamed for what they say. Raises ConfigError."""
    if not settings:
        return source
    above = parse(json.dumps(settings).encode(), "applied by the coordinator")
    return replace(source, values=overlaid(source.values, above.values), over=above)
