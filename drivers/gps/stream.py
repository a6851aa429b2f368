"""NMEA sentences and UBX frames out of one byte stream; no I/O."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.gps import ubx
from drivers.gps.nmea import Gga, Rmc, parse_sentence
from drivers.gps.ubx import TimeGps

LONGEST_SENTENCE = 120  # NMEA allows 82; some receivers go beyond
LONGEST_FRAME = 1024  # longer ones are none that we asked for


class GpsStream:
    """Feed bytes as they come; what cannot be parsed is counted, skipped and never kept."""

    def __init__(self) -> None:
        self.errors = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Rmc | Gga | TimeGps]:
        """The messages that ``data`` completes."""
        self._buffer += data
        while (piece := self._next()) is not None:
            try:
                message = parse_sentence(piece) if piece[:1] == b"$" else ubx.parse_frame(piece)
            except ValueError:
                self.errors += 1
                continue
            if message is not None:
                yield message

    def _next(self) -> bytes | None:
        """The next whole sentence or frame; noise before it is dropped."""
        buffer = self._buffer
        while buffer:
            if buffer[:1] == b"$":
                size = self._sentence_size()
            elif buffer[:2] == ubx.SYNC[: len(buffer)]:
                size = self._frame_size()
            else:
                size = -1
            if size == 0:
                return None
            if size > 0:
                piece = bytes(buffer[:size])
                del buffer[:size]
                return piece
            del buffer[:1]
        return None

    def _sentence_size(self) -> int:
        """Up to its line feed; 0 while that is to come, -1 when it cannot be one."""
        end = self._buffer.find(b"\n", 0, LONGEST_SENTENCE)
        if end >= 0:
            return end + 1
        return 0 if len(self._buffer) < LONGEST_SENTENCE else -1

    def _frame_size(self) -> int:
        if len(self._buffer) < 6:
            return 0
        size = 8 + int.from_bytes(self._buffer[4:6], "little")
        if size > LONGEST_FRAME:
            return -1
        return size if len(self._buffer) >= size else 0
