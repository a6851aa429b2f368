"""Field types that several sections share, each carrying the words for what it allows."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationInfo

from gateway.core.note import NoteInvalid
from gateway.core.pin import CoordinatorKey


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a field takes, in a technician's words; stands in the field's annotation."""

    words: str


class Section(BaseModel):
    """A section of the configuration: frozen, nothing converted silently, no unknown key."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


# A legacy advertisement carries 31 bytes (Core Specification Vol 6, Part B, 2.3.1): two of structure and
# "OFFGRID_" leave 21 for the id. Lower case only: ids that differ by case get confused over the telephone.
GatewayId = Annotated[
    str,
    StringConstraints(pattern=r"\A[a-z0-9_-]{1,20}\z"),
    Allowed("1 to 20 of the characters a-z, 0-9, '_' and '-'"),
]

# Radio names are metric labels and words of the command line.
RadioName = Annotated[
    str,
    StringConstraints(pattern=r"\A[a-z][a-z0-9_]{0,15}\z"),
    Allowed("a name of up to 16 of the characters a-z, 0-9 and '_', beginning with a letter"),
]

DriverName = Annotated[
    str,
    StringConstraints(pattern=r"\A[A-Za-z][A-Za-z0-9_.-]{0,63}\z"),
    Allowed("the name of an installed driver"),
]

# Wallets print ids and keys in lower case; people type them as they like.
BlockedDevice = Annotated[
    str,
    StringConstraints(pattern=r"\A(?:[0-9A-Fa-f]{16}|[0-9A-Fa-f]{64})\z", to_lower=True),
    Allowed("a device id of 16 hexadecimal digits or a public key of 64, in quotes"),
]

PhoneNumber = Annotated[
    str,
    StringConstraints(pattern=r"\A\+[0-9]{7,15}\z"),
    Allowed('a number with its country, such as "+491700000009", in quotes'),
]

Host = Annotated[
    str,
    StringConstraints(pattern=r"\A[A-Za-z0-9.:_-]{1,253}\z"),
    Allowed("an address to listen on, such as 0.0.0.0 or 127.0.0.1"),
]


def _path(value: object, info: ValidationInfo) -> Path:
    """Relative paths count from the configuration file, so that a folder can be moved as a whole."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("allowed: a path")
    base: Path = (info.context or {}).get("base", Path())
    return base / value


FilePath = Annotated[Path, BeforeValidator(_path), Allowed("a path")]


def _web_address(value: str, info: ValidationInfo, secure: str) -> str:
    plain = {"https": "http", "wss": "ws"}[secure]
    try:
        address = urlsplit(value)
        _check_parts(value, address)
    except ValueError as error:
        raise ValueError(f"{error}; allowed: {secure}://host[:port][/path]") from None
    if address.scheme == plain:
        if not (_is_loopback(address.hostname or "") or info.data.get("allow_insecure")):
            raise ValueError(
                f"{plain}:// can be read and changed on the way; allowed: {secure}://, or {plain}:// to this "
                "machine, or with network.allow_insecure: true"
            )
    elif address.scheme != secure:
        raise ValueError(f"allowed: {secure}://host[:port][/path]")
    return value.rstrip("/")


def _check_parts(value: str, address: SplitResult) -> None:
    """Raises :class:`ValueError` (``port`` and the codec do so by themselves) for what cannot be dialled."""
    if not re.fullmatch(r"[!-~]+", value):  # urlsplit drops line breaks in silence
        raise ValueError("only printable ASCII belongs here")
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", address.hostname or "") or address.port == 0:
        raise ValueError("no host or port to connect to")
    if address.username is not None or address.query or address.fragment:
        raise ValueError("no user, password, '?' or '#' belongs here")
    (address.hostname or "").encode("idna")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


HttpAddress = Annotated[
    str,
    AfterValidator(lambda value, info: _web_address(value, info, "https")),
    Allowed("https://host[:port][/path]"),
]
WebSocketAddress = Annotated[
    str,
    AfterValidator(lambda value, info: _web_address(value, info, "wss")),
    Allowed("wss://host[:port][/path]"),
]


def _pinned_key(value: object) -> CoordinatorKey:
    if not isinstance(value, str):
        raise ValueError("allowed: a vkey, or the base64 of 32 bytes")
    try:
        return CoordinatorKey.parse(value)
    except NoteInvalid as error:
        raise ValueError(f"{error}; allowed: a vkey of type 0x04, or the base64 of 32 bytes") from None


PinnedKey = Annotated[CoordinatorKey, BeforeValidator(_pinned_key), Allowed("the coordinator's vkey")]


def _backup_target(value: str) -> str:
    if value.startswith("s3://"):
        address = urlsplit(value)
        if re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", address.netloc) and not (
            address.query or address.fragment
        ):
            return value.rstrip("/")
    elif value.startswith("/") and "\0" not in value:
        return value.rstrip("/") or value
    raise ValueError("allowed: s3://bucket/prefix, or the absolute path of a folder")


BackupTarget = Annotated[
    str, AfterValidator(_backup_target), Allowed("s3://bucket/prefix, or the absolute path of a folder")
]

# bech32 with the prefix of the age format; that it is a key is judged when it is first used.
AgeRecipient = Annotated[
    str,
    StringConstraints(pattern=r"\Aage1[02-9ac-hj-np-z]{58}\z"),
    Allowed("an age public key, age1…, as age-keygen prints it"),
]
