"""Why a device's message is refused: the one list of codes, as docs/protocol/messages.md has it."""

from __future__ import annotations

from enum import IntEnum

from gateway.errors import GatewayError

MAX_DETAIL = 80
"""Bytes of free text in a refusal, so that it fits one small frame."""


class Refusal(IntEnum):
    """The number goes into NACK, the word (`word`) into JSON, logs and metrics."""

    MALFORMED = 1
    COUNT = 2
    DUPLICATE = 3
    ROOT = 4
    SIGNATURE = 5
    TOO_LARGE = 6
    RATE_LIMITED = 7
    BLOCKED = 8
    STORAGE_FULL = 9
    BUSY = 10
    NOT_FOUND = 11
    UNSUPPORTED = 12
    HALTED = 13
    QUOTA = 14
    EXPIRED = 15

    @property
    def word(self) -> str:
        return self.name.lower()


class Refused(GatewayError):
    """A device's message is not accepted; the device is answered with the code.

    `retry_after_s` is 0 where coming again would not help. `detail` is cut to `MAX_DETAIL` bytes of ASCII.
    """

    def __init__(self, code: Refusal, detail: str = "", *, retry_after_s: int = 0) -> None:
        self.code = code
        self.detail = detail.encode("ascii", "replace")[:MAX_DETAIL].decode()
        self.retry_after_s = retry_after_s
        super().__init__(f"{code.word}: {self.detail}" if detail else code.word)
