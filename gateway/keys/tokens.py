"""The file of tokens: written by the command line, read again by the daemon whenever it has changed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.core.tokens import MAX_TOKENS, Token, TokensInvalid, decode, encode
from gateway.errors import CommandError
from gateway.keys import durable

MODE = 0o640


class TokenFile:
    """All tokens there are; a file that is not there has none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._tokens: tuple[Token, ...] = ()

    def tokens(self) -> tuple[Token, ...]:
        """Those that stand now. Raises CommandError where the file cannot be read: then nobody may act."""
        try:
            stat = self._path.stat()
            if (seen := (stat.st_ino, stat.st_mtime_ns)) != self._seen:
                self._tokens, self._seen = decode(self._path.read_bytes()), seen
        except FileNotFoundError:
            return ()
        except (OSError, TokensInvalid) as error:
            raise CommandError(
                f"{self._path}: {error}; delete it and make new tokens with: offgrid-gateway token add"
            ) from error
        return self._tokens

    def add(self, token: Token) -> None:
        """Raises CommandError where the name is taken or there are too many."""

        def added(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
            if any(one.name == token.name for one in tokens):
                raise CommandError(
                    f"there is a token {token.name!r}; revoke it first, or choose another name"
                )
            if len(tokens) >= MAX_TOKENS:
                raise CommandError(
                    f"there are {MAX_TOKENS} tokens, which is as many as are kept; revoke some"
                )
            return (*tokens, token)

        self._change(added)

    def revoke(self, name: str) -> None:
        """Raises CommandError where there is none of this name."""

        def without(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
            left = tuple(one for one in tokens if one.name != name)
            if len(left) == len(tokens):
                raise CommandError(f"there is no token {name!r}")
            return left

        self._change(without)

    def _change(self, change: Callable[[tuple[Token, ...]], tuple[Token, ...]]) -> None:
        with self._locked():
            owner = durable.folder_owner(self._path)
            durable.replace(self._path, encode(change(self.tokens())), mode=MODE, owner=owner)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._path.with_name(f"{self._path.name}.lock")
        with open(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
