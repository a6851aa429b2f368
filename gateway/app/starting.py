"""The configuration that a start begins with: the file, and over it what the coordinator applied.

The daemon marks a trial as it starts with it; a start that finds the mark follows a crash, a power cut or a
refusal to start, and goes on with what was before.
"""

from __future__ import annotations

from pathlib import Path

from gateway.config import Config, applied_beside, load
from gateway.config import applied as disk
from gateway.core.applied import Applied
from gateway.errors import CommandError, ConfigError


def write(path: Path, applied: Applied) -> None:
    """On disk when this returns. Raises CommandError."""
    try:
        from gateway.keys import durable  # and with it cryptography, which most starts need not wait for here

        content, owner = disk.document(applied), durable.folder_owner(path)
        durable.replace(path, content, mode=0o640, owner=owner)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}") from error


def start(config_path: Path) -> tuple[Config, str]:
    """The configuration to start with, and words for the log where the applied one is not in it.

    Raises ConfigError where the gateway's own is wrong, CommandError where a trial cannot be marked.
    """
    path = applied_beside(config_path)
    try:
        applied = disk.read(path)
    except CommandError as error:
        return load(config_path, applied={}), str(error)
    said = ""
    if applied.trial is not None:
        if applied.trial.started:
            applied = applied.rolled_back("the gateway stopped before link and health were back")
            said = applied.last
        applied = applied.started()
        write(path, applied)
    try:
        return load(config_path, applied=applied.in_force), said
    except ConfigError as error:
        if not applied.in_force:
            raise
        said = f"{error.problems[0]}; what the coordinator applied is left out"
    if applied.trial is not None:
        applied = applied.rolled_back(said)
        write(path, applied)
        try:
            return load(config_path, applied=applied.in_force), said
        except ConfigError:
            pass  # what was confirmed once is no better: the file of the person on site has the last word
    return load(config_path, applied={}), said
