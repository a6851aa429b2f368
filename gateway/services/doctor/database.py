"""The database, and the folders that must be writable."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.errors import FatalError
from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped
from gateway.store.connection import connect_sqlite, prepare


def _database(patient: Patient) -> Outcome:
    path = patient.sound.storage.path
    if patient.status is not None:
        store = patient.status["store"]
        if store["state"] == "halted":
            return failed(store["reason"], "run: offgrid-gateway status, and do what it says")
        if store["state"] == "refusing":
            return failed(f"it refuses what is new: {store['reason']}", "see disk-space and file-system")
        return passed(f"open, {store['size']} leaves, answers in {store['latencyMs']} ms")
    if not os.access(path.parent, os.X_OK) and path.parent.exists():
        return skipped(f"{path.parent} may not be looked into by you; use sudo")
    if not path.exists():
        return skipped(f"{path} is not there yet; the first start makes it")
    if not os.access(path, os.R_OK | os.W_OK):
        return skipped(f"{path} may not be opened by you; use sudo")
    try:
        return _opened(path)
    except FatalError as error:
        return failed(str(error), "run: offgrid-gateway log verify; restore a backup if it is damaged")


def _opened(path: Path) -> Outcome:
    """As the gateway opens it, which also brings in what a crash left in the WAL; nothing is migrated."""
    connection = connect_sqlite(path)
    try:
        prepare(connection, path)
    finally:
        connection.close()
    return passed(f"{path}: whole, {path.stat().st_size >> 20} MiB")


def _folders(patient: Patient) -> Outcome:
    config, host = patient.sound, patient.host
    for setting, folder in (
        ("storage.path", config.storage.path.parent),
        ("runtime_dir", config.runtime_dir),
    ):
        existing = folder
        while not existing.exists():
            existing = existing.parent
        if host.may(existing, os.W_OK | os.X_OK):
            continue
        if setting == "runtime_dir" and existing == Path("/run") and host.exists("/run/systemd/system"):
            continue  # systemd makes it for the service: RuntimeDirectory=
        fix = f"run: sudo install -d -o {host.account.name} -m 750 {folder}"
        return failed(f"{setting}: {host.account.name} may not write {existing}", fix)
    if len(os.fsencode(config.control_socket)) > 100:
        return failed(
            f"runtime_dir: {config.control_socket} is too long for a socket", "name a shorter folder"
        )
    return passed(f"{config.storage.path.parent} and {config.runtime_dir} may be written")


CHECKS = (
    Check("folders", "database and control socket are made there", _folders),
    Check("database", "everything that was promised is in it", _database),
)
