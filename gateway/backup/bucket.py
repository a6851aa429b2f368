"""A bucket by the S3 protocol; obstore is imported with this module, where the target is one."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from gateway.backup.target import Listed, TargetFailed, TargetMissing

if TYPE_CHECKING:
    from obstore.store import S3Config  # there only for type checkers

_TIMEOUT = timedelta(seconds=60)
_DENIED = (PermissionDeniedError, UnauthenticatedError)


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketSettings:
    """``url``: s3://bucket/prefix. Credentials None: from the environment (AWS_ACCESS_KEY_ID and so on)."""

    url: str
    endpoint: str | None = None
    region: str | None = None
    credentials_path: Path | None = None
    allow_http: bool = False


class Bucket:
    """A :class:`gateway.backup.target.Target`."""

    def __init__(self, settings: BucketSettings) -> None:
        parts = urlsplit(settings.url)
        self._where = settings.url
        self._prefix = parts.path.strip("/")
        config: S3Config = {"region": settings.region or "us-east-1"}
        if settings.endpoint is not None:
            config["endpoint"], config["virtual_hosted_style_request"] = settings.endpoint, False
        if settings.credentials_path is not None:
            config.update(_credentials(settings.credentials_path))
        self._store = S3Store(
            parts.netloc,
            config=config,
            client_options={"timeout": _TIMEOUT, "connect_timeout": "10s", "allow_http": settings.allow_http},
            retry_config={"max_retries": 2, "retry_timeout": _TIMEOUT},
        )

    def create(self, name: str, content: bytes) -> None:
        with self._told(f"{name} cannot be written"):
            try:
                obstore.put(self._store, self._path(name), content, mode="create")  # If-None-Match: *
            except AlreadyExistsError:
                return

    def read(self, name: str) -> bytes:
        with self._told(f"{name} cannot be read"):
            try:
                return bytes(obstore.get(self._store, self._path(name)).bytes())
            except (NotFoundError, FileNotFoundError):
                raise TargetMissing(f"backup.target {self._where}: {name} is not there") from None

    def list(self, folder: str) -> list[Listed]:
        skip = len(self._path(""))
        with self._told("cannot be listed"):
            found = [item for page in obstore.list(self._store, self._path(folder)) for item in page]
        listed = [
            Listed(item["path"][skip:], item["size"], item["last_modified"].timestamp()) for item in found
        ]
        return sorted(listed, key=lambda item: item.name)

    def delete(self, name: str) -> None:
        with self._told(f"{name} cannot be deleted"):
            try:
                obstore.delete(self._store, self._path(name))
            except (NotFoundError, FileNotFoundError):
                return

    def _path(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except _DENIED as error:
            fix = "check backup.credentials_path and what this key may do in the bucket"
            raise TargetFailed(f"backup.target {self._where}: {what}: denied; {fix}") from error
        except (BaseError, OSError) as error:
            said = " ".join(str(error).split())[:300]
            raise TargetFailed(f"backup.target {self._where}: {what}: {said}") from error


def _credentials(path: Path) -> S3Config:
    """An AWS credentials file: [default], aws_access_key_id, aws_secret_access_key, aws_session_token."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        section = parser["default"]
        found: S3Config = {
            "access_key_id": section["aws_access_key_id"],
            "secret_access_key": section["aws_secret_access_key"],
        }
    except OSError as error:
        raise TargetFailed(
            f"backup.credentials_path {path}: cannot be read: {error.strerror}; put it there, mode 600"
        ) from error
    except (configparser.Error, KeyError, UnicodeDecodeError):
        raise TargetFailed(
            f"backup.credentials_path {path}: [default] lacks aws_access_key_id or aws_secret_access_key"
        ) from None
    token = section.get("aws_session_token")
    if token is not None:
        found["session_token"] = token
    return found
