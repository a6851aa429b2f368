"""What the coordinator may order: a short list, no shell; docs/protocol/remote.md."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from gateway.app.commands import daemon_acts, daemon_commands
from gateway.config import Config
from gateway.core.pin import CoordinatorKey
from gateway.core.remote import MAX_ANSWER_BYTES
from gateway.core.vitals import status_document
from gateway.errors import CommandError, NeedsPerson
from gateway.keys import pinned_key
from gateway.services import logs
from gateway.services.acts import Perform
from gateway.services.monitor import Monitor
from gateway.services.supervision import Supervisor

LEVELS = ("debug", "info", "warning", "error")

Arguments = Mapping[str, Any]


def order_acts(
    monitor: Monitor, config_path: Path, supervisor: Supervisor, radios: Collection[str], bundle: Path
) -> Mapping[str, Perform]:
    """By the names that orders have; ``bundle`` is the file that ``support-bundle`` writes anew."""
    told = daemon_commands(monitor, config_path)
    acts = daemon_acts(supervisor, dict)

    async def restart(arguments: Arguments) -> object:
        name = arguments.get("radio")
        if name not in radios:
            raise CommandError(f"no radio {name!r}; there are: {', '.join(sorted(radios)) or 'none'}")
        return await acts["restart"]({"service": name})

    async def support_bundle(arguments: Arguments) -> object:
        status = status_document(await monitor.read())
        size = await asyncio.to_thread(_write_bundle, config_path, status, bundle)
        if size > MAX_ANSWER_BYTES:
            return {"path": str(bundle), "bytes": size}
        return await asyncio.to_thread(bundle.read_bytes)

    return {
        "status": told["status"],
        "doctor": told["doctor"],
        "support-bundle": support_bundle,
        "sync": acts["sync"],
        "restart": restart,
        "log-level": log_level,
    }


def pinned(config: Config) -> CoordinatorKey | None:
    """Whose orders are taken; None: nobody's."""
    try:
        return pinned_key(config.network.coordinator_key, config.storage.pin_path)
    except NeedsPerson:
        return None


async def log_level(arguments: Arguments) -> object:
    """Until the next reload or restart: the configuration says what it is for good."""
    level = arguments.get("level")
    if level not in LEVELS:
        raise CommandError(f"no level {level!r}; there are: {', '.join(LEVELS)}")
    logs.set_level(level)
    return {"level": level}


def _write_bundle(config_path: Path, status: Mapping[str, Any], path: Path) -> int:
    """Bytes of the archive; the one before is replaced. Raises CommandError."""
    from gateway.app.examine import patient_at  # half a megabyte that most daemons never need
    from gateway.app.support import write_bundle

    fresh = path.with_name(f".{path.name}.new")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            write_bundle(patient_at(config_path, status), out)
        fresh.replace(path)
        return path.stat().st_size
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}") from error
