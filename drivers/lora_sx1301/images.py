"""The three firmware images on disk: importing, checking, loading.

They stand in one directory as ``arb.bin``, ``agc.bin`` and ``cal.bin``, 8,192 bytes each.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from drivers.base import ImageStatus
from drivers.errors import DriverConfigError
from drivers.lora_sx1301.firmware import (
    NAMES,
    SEMTECH_SHA256,
    Firmware,
    FirmwareRejected,
    check_image,
    identify,
    parse_image,
)

LARGEST_FILE = 1_000_000  # a .var file has about 50 kB
IMPORT_COMMAND = (
    "get https://github.com/Lora-net/lora_gateway and run: "
    "offgrid-gateway firmware import lora_gateway/libloragw/src"
)


def load_firmware(folder: Path, sha256: Mapping[str, str] = SEMTECH_SHA256) -> Firmware:
    """All three images. Raises :class:`DriverConfigError` with the command to run when one is not right."""
    problems = [status for status in firmware_status(folder, sha256) if status.problem]
    if problems:
        seen = "; ".join(f"{status.name}: {status.problem}" for status in problems)
        raise DriverConfigError(f"concentrator firmware in {folder}: {seen}", fix=IMPORT_COMMAND)
    arb, agc, cal = ((folder / f"{name}.bin").read_bytes() for name in NAMES)
    return Firmware(arb=arb, agc=agc, cal=cal)


def firmware_status(folder: Path, sha256: Mapping[str, str] = SEMTECH_SHA256) -> list[ImageStatus]:
    """What stands in ``folder``, image by image; never raises for what is missing or wrong."""
    return [_status(name, folder / f"{name}.bin", sha256) for name in NAMES]


def _status(name: str, path: Path, sha256: Mapping[str, str]) -> ImageStatus:
    try:
        image = path.read_bytes()
    except FileNotFoundError:
        return ImageStatus(name, path, None, "missing")
    except OSError as error:
        return ImageStatus(name, path, None, f"cannot be read: {error.strerror}")
    digest = hashlib.sha256(image).hexdigest()
    try:
        check_image(name, image, sha256)
    except FirmwareRejected as error:
        return ImageStatus(name, path, digest, str(error))
    return ImageStatus(name, path, digest, None)


def import_firmware(
    sources: Iterable[Path], folder: Path, sha256: Mapping[str, str] = SEMTECH_SHA256
) -> list[ImageStatus]:
    """Find the three images among files and directories, check them, store them in ``folder``.

    A directory contributes its ``.var`` and ``.bin`` files. Nothing is stored unless all three are found.
    Raises :class:`FirmwareRejected`, naming what each candidate was refused for, or ``OSError``.
    """
    found: dict[str, bytes] = {}
    refused: list[str] = []
    for path in _candidates(sources):
        if path.stat().st_size > LARGEST_FILE:
            refused.append(f"{path.name}: too large")
            continue
        try:
            image = parse_image(path.read_bytes())
            found[identify(image, sha256)] = image
        except FirmwareRejected as error:
            refused.append(f"{path.name}: {error}")
    missing = [name for name in NAMES if name not in found]
    if missing:
        raise FirmwareRejected(f"not found: {', '.join(missing)}" + "".join(f"; {text}" for text in refused))
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in found.items():
        _store(folder / f"{name}.bin", image)
    return firmware_status(folder, sha256)


def _candidates(sources: Iterable[Path]) -> list[Path]:
    files: list[Path] = []
    for source in sources:
        inside = sorted(source.iterdir()) if source.is_dir() else [source]
        files += [path for path in inside if path == source or path.suffix in (".var", ".bin")]
    return files


def _store(path: Path, image: bytes) -> None:
    """Write beside, sync, rename: a power cut leaves the old image or the new one."""
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(image)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
