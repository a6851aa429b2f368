"""The support bundle: one archive that tells somebody far away how a gateway fares, without its secrets.

Only what is named here goes in, each bounded, each scrubbed. Of the database nothing goes in but its size:
it says who paid whom.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import subprocess
import tarfile
from base64 import b64encode
from binascii import Error, a2b_base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from gateway import __version__
from gateway.config import Config
from gateway.core.scrub import Scrubber, is_secret
from gateway.services.doctor import Patient, document, examine

MAX_FILE = 1 << 20
"""Of what is longer the end is kept: it is the newest."""
MAX_CONFIG = 128 << 10
JOURNAL_LINES = 5000
JOURNAL_S = 20.0
FOLDER = "offgrid-support"

SYSTEM_FILES = (
    *("/proc/device-tree/model", "/proc/meminfo", "/proc/mounts", "/proc/uptime", "/proc/loadavg"),
    *("/proc/cmdline", "/proc/net/dev", "/etc/os-release", "/etc/debian_version", "/proc/modules"),
    *("/boot/firmware/config.txt", "/boot/config.txt", "/boot/firmware/cmdline.txt", "/boot/cmdline.txt"),
)
LISTED = ("/dev/spidev*", "/dev/gpiochip*", "/dev/tty[AUS]*[0-9]", "/dev/serial/by-id/*", "/dev/offgrid/*")

Journal = Callable[[Sequence[str]], str]
Part = tuple[str, str]


def journal(selection: Sequence[str]) -> str:
    """The newest lines of systemd's journal; what went wrong instead, where it cannot be read."""
    command = ["journalctl", "--no-pager", "--output=short-iso", f"--lines={JOURNAL_LINES}", *selection]
    try:
        done = subprocess.run(command, capture_output=True, timeout=JOURNAL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"journalctl: {error}\n"
    return (done.stdout or done.stderr).decode("utf-8", "replace")


def write_bundle(patient: Patient, out: BinaryIO, *, read_journal: Journal = journal) -> list[str]:
    """Write the archive (tar.gz) to ``out``; returns the names of what is in it."""
    scrubber = Scrubber(_secrets(patient))
    made = datetime.fromtimestamp(patient.host.unix_s(), UTC)
    names = []
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in _parts(patient, scrubber, read_journal):
            content = scrubber.text(newest(text)).encode()[:MAX_FILE]
            entry = tarfile.TarInfo(f"{FOLDER}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), int(made.timestamp()), 0o600
            archive.addfile(entry, io.BytesIO(content))
            names.append(name)
    return names


def newest(text: str) -> str:
    """The end of it, from the beginning of a line: half a secret would no longer be known as one."""
    return text if len(text) <= MAX_FILE else text[-MAX_FILE:].partition("\n")[2]


def _parts(patient: Patient, scrubber: Scrubber, read_journal: Journal) -> Iterator[Part]:
    yield "README.txt", _read_me(patient)
    yield "doctor.json", _json(document(examine(patient)), scrubber)
    if patient.status is not None:
        yield "status.json", _json(patient.status, scrubber)
    yield "config.yml", _configuration(patient, scrubber)
    yield "packages.txt", "".join(sorted(_packages()))
    yield "files.txt", "".join(_files(patient))
    yield "devices.txt", "".join(_devices(patient))
    for name in SYSTEM_FILES:
        text = patient.host.read(name)
        if text is not None:
            yield f"system{name}", text
    yield "journal-gateway.txt", read_journal(["--unit=offgrid-gateway.service"])
    yield "journal-kernel.txt", read_journal(["--dmesg"])
    if patient.config is not None:
        yield from _audit(patient.config)


def _read_me(patient: Patient) -> str:
    made = datetime.fromtimestamp(patient.host.unix_s(), UTC).isoformat(timespec="seconds")
    who = "unknown" if patient.config is None else patient.config.gateway.id
    return (
        f"offgrid-gateway {__version__}, gateway {who}, {made}.\n"
        "Tokens, keys, PINs, passwords and telephone numbers were taken out; look through it before you\n"
        "send it. "
        "Nothing of the database is in here but its size.\n"
    )


def _json(value: object, scrubber: Scrubber) -> str:
    return json.dumps(scrubber.value(value), indent=2, default=str) + "\n"


def _configuration(patient: Patient, scrubber: Scrubber) -> str:
    """The settings without their comments, where people write what they must not forget."""
    values = _settings(patient)
    if values is None:
        return "# cannot be read\n"
    return str(yaml.safe_dump(scrubber.value(values), sort_keys=False, allow_unicode=True))


def _settings(patient: Patient) -> dict[str, Any] | None:
    """As the file has them, sound or not; None where it is no YAML."""
    try:
        with patient.config_path.open("rb") as file:
            values = yaml.safe_load(file.read(MAX_CONFIG))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return None
    return values if isinstance(values, dict) else None


def _packages() -> Iterator[str]:
    for one in importlib.metadata.distributions():
        yield f"{one.metadata['Name']} {one.version}\n"


def _files(patient: Patient) -> Iterator[str]:
    """Size, rights and age of the gateway's own files; not what is in them."""
    if patient.config is None:
        return
    security, storage = patient.config.security, patient.config.storage
    folders = {storage.path.parent, security.private_key_path.parent, patient.config_path.parent}
    for folder in sorted(folders):
        for path in sorted(folder.glob("*")):
            try:
                seen = path.lstat()
            except OSError as error:
                yield f"{path}: {error.strerror}\n"
                continue
            changed = datetime.fromtimestamp(seen.st_mtime, UTC).isoformat(timespec="seconds")
            yield f"{seen.st_mode:o} {seen.st_uid}:{seen.st_gid} {seen.st_size:>12} {changed} {path}\n"


def _devices(patient: Patient) -> Iterator[str]:
    for pattern in LISTED:
        for name in patient.host.names(pattern):
            target = patient.host.target(name)
            yield f"{name}\n" if target == name else f"{name} -> {target}\n"


def _audit(config: Config) -> Iterator[Part]:
    try:
        with config.storage.audit_path.open("rb") as file:
            file.seek(0, io.SEEK_END)
            file.seek(max(0, file.tell() - MAX_FILE))
            yield "audit.jsonl", file.read().decode("utf-8", "replace")
    except OSError:
        return


def _secrets(patient: Patient) -> Iterator[str]:
    """Whatever of this gateway is secret by value, also where its configuration is not sound."""
    values, base = _settings(patient) or {}, patient.config_path.parent
    yield from _named(values)
    key = base / _path(values, "security", "private_key_path", "/etc/offgrid/gateway.key")
    yield from _of_key(_text(key))
    database = base / _path(values, "storage", "path", "/var/lib/offgrid/gateway.db")
    for folder in {base, key.parent, database.parent}:
        for path in folder.glob("*token*"):
            yield from _text(path).split()


def _path(values: Mapping[str, Any], section: str, name: str, default: str) -> str:
    found = values.get(section)
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else default


def _text(path: Path) -> str:
    """Nothing where it cannot be read: then it cannot get into the bundle either."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_CONFIG).decode("utf-8", "replace")
    except OSError:
        return ""


def _named(values: Mapping[str, Any], secret: bool = False) -> Iterator[str]:
    for name, value in values.items():
        inside = secret or is_secret(str(name))
        if isinstance(value, Mapping):
            yield from _named(value, inside)
        elif inside and isinstance(value, str | int):
            yield str(value)


def _of_key(pem: str) -> Iterator[str]:
    """The PEM's lines, and the seed as hex and base64: somebody may have pasted either."""
    body = [line for line in pem.split("\n") if line and not line.startswith("-----")]
    yield from body
    try:
        seed = a2b_base64("".join(body))[-32:]
    except Error:
        return
    yield from (seed.hex(), seed.hex().upper(), b64encode(seed).decode().rstrip("="))
