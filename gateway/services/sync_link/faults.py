"""Why a link ended; every one of them is mended by coming again.

word          what was seen
unreachable   no TCP connection, no name, or no answer to the opening in time
refused       HTTP said something else than 101, or another subprotocol
certificate   chain, name or dates of the coordinator's certificate
lost          the connection was closed or broke
dead          no sign of life for 9 s while something was due
stalled       signs of life, and no answer for 60 s
…             a word of :class:`gateway.core.sync.Fault`, or a code of REJECT
"""

from __future__ import annotations


class LinkFault(Exception):
    """``word`` is for metrics, the message for a technician."""

    def __init__(self, word: str, detail: str) -> None:
        super().__init__(f"{word}: {detail}")
        self.word = word
