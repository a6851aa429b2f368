"""The gateway's error tree, classed by what the caller should do next.

    GatewayError
    ├── ConfigError          the configuration is wrong: print every problem, exit 2
    ├── NeedsPerson          this service halts until a person acts; all others go on
    ├── CommandError         a command of the technician failed for a plain reason: print it, exit 1
    └── FatalError           the daemon cannot go on: cancel every task, exit 1
        └── KeyFileError     the private key or its certificate is missing, exposed or damaged

Anything else that escapes a service (``drivers.errors.DriverLost``, :class:`OSError`, a bug) is taken for
transient: that service is restarted with a backoff.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class GatewayError(Exception):
    """Base of everything the gateway raises on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a configuration file, and where; lines and columns count from 1, 0: none could be
    read."""

    file: str
    line: int
    column: int
    path: str  # dotted, such as "lora.frequency"; empty for the file as a whole
    message: str  # what was seen and what is allowed

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(GatewayError):
    """The configuration cannot be used; ``problems`` holds all that is wrong with it, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class NeedsPerson(GatewayError):
    """A service halts, for retrying cannot help. ``what`` was seen; ``fix`` tells a technician what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what = what
        self.fix = fix


class CommandError(GatewayError):
    """A command could not do its work; the message says what was seen and what to do."""


class FatalError(GatewayError):
    """Nothing sensible can go on: the daemon stops and systemd decides."""


class KeyFileError(FatalError):
    """A key or certificate file is missing, readable by others, damaged, or not the other's counterpart."""
