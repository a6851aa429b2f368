"""What a technician may ask of the daemon through its control socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.config import Config
from gateway.core.pin import CoordinatorKey
from gateway.core.vitals import status_document
from gateway.errors import CommandError, NeedsPerson
from gateway.keys import Identity, pinned_key
from gateway.services import inspection
from gateway.services import judged_conflicts as judged
from gateway.services.control import Command
from gateway.services.monitor import Monitor
from gateway.services.supervision import Supervisor
from gateway.store import Store

Arguments = Mapping[str, Any]


def daemon_commands(monitor: Monitor, config_path: Path) -> Mapping[str, Command]:
    """Those that only the daemon can tell; ``doctor`` sees the machine with the daemon's own rights."""

    async def status(arguments: Arguments) -> object:
        return status_document(await monitor.read())

    async def doctor(arguments: Arguments) -> object:
        from gateway.app.examine import examined  # half a megabyte that most daemons never need

        return await examined(config_path, status_document(await monitor.read()))

    return {"status": status, "doctor": doctor}


def daemon_acts(supervisor: Supervisor, reload: Callable[[], Mapping[str, object]]) -> Mapping[str, Command]:
    """Those that change what the daemon does; each is written down."""

    async def reload_configuration(arguments: Arguments) -> object:
        return reload()

    async def restart(arguments: Arguments) -> object:
        name = arguments.get("service")
        if name not in supervisor.services:
            raise CommandError(f"no service {name!r}; there are: {', '.join(supervisor.services)}")
        supervisor.restart(name)
        return {"restarted": name}

    async def sync_now(arguments: Arguments) -> object:
        supervisor.restart("link")
        return {"restarted": "link"}

    return {"reload": reload_configuration, "restart": restart, "sync": sync_now}


def log_commands(config: Config, identity: Identity, store: Store) -> Mapping[str, Command]:
    """Those that need the store alone; the command line runs them itself while the daemon is stopped."""

    async def show(arguments: Arguments) -> object:
        index, count = _integer(arguments, "index"), _integer(arguments, "count")
        return await inspection.show(store, index=index, count=10 if count is None else count)

    async def prove(arguments: Arguments) -> object:
        return await inspection.prove(store, index=_integer(arguments, "index"), content=_hash(arguments))

    async def verify(arguments: Arguments) -> object:
        return await inspection.verify(
            store, public_key=identity.public_key, coordinator=_coordinator(config)
        )

    async def epochs(arguments: Arguments) -> object:
        return await inspection.epochs(store)

    async def resume(arguments: Arguments) -> object:
        await store.resume()
        return await inspection.epochs(store)

    async def conflicts(arguments: Arguments) -> object:
        return await judged.listed(store)

    async def conflict(arguments: Arguments) -> object:
        return await judged.shown(store, arguments.get("device"), _integer(arguments, "nonce"))

    return {
        "log.show": show,
        "log.prove": prove,
        "log.verify": verify,
        "log.epochs": epochs,
        "log.resume": resume,
        "conflicts.list": conflicts,
        "conflicts.show": conflict,
    }


def _coordinator(config: Config) -> CoordinatorKey | None:
    try:
        return pinned_key(config.network.coordinator_key, config.storage.pin_path)
    except NeedsPerson:
        return None


def _integer(arguments: Arguments, name: str) -> int | None:
    value = arguments.get(name)
    if value is None or (type(value) is int and 0 <= value < 1 << 63):
        return value
    raise CommandError(f"{name}: a whole number expected")


def _hash(arguments: Arguments) -> bytes | None:
    value = arguments.get("content")
    if value is None:
        return None
    try:
        content = bytes.fromhex(value)
    except (TypeError, ValueError):
        content = b""
    if len(content) != 32:
        raise CommandError("content: 64 hexadecimal characters expected")
    return content
