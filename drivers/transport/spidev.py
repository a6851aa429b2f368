"""Linux spidev by its ioctls (include/uapi/linux/spi/spidev.h); no package to compile on a gateway.

One transfer is one ``SPI_IOC_MESSAGE(1)``: both directions at once, chip select low from first bit to last.
"""

from __future__ import annotations

import array
import fcntl
import os
import struct

MODE_0, BITS_PER_WORD = 0, 8
LONGEST = 4096  # spidev's own buffer (its module parameter bufsiz)

# _IOW('k', number, size): direction 1 in bits 30 and 31, size in 16 to 29, 'k' in 8 to 15.
SPI_IOC_MESSAGE_1 = 0x40206B00
SPI_IOC_WR_MODE = 0x40016B01
SPI_IOC_WR_BITS_PER_WORD = 0x40016B03
SPI_IOC_WR_MAX_SPEED_HZ = 0x40046B04

# struct spi_ioc_transfer: tx_buf, rx_buf, len, speed_hz, delay_usecs, bits_per_word, cs_change, tx_nbits,
# rx_nbits, word_delay_usecs, pad
TRANSFER = struct.Struct("=QQIIHBBBBBx")


class SpiDevice:
    """``/dev/spidev<bus>.<chip>`` in mode 0, words of 8 bits. Every call may raise OSError."""

    def __init__(self, path: str, clock_hz: int) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._clock_hz = clock_hz
        try:
            self._set(SPI_IOC_WR_MODE, "=B", MODE_0)
            self._set(SPI_IOC_WR_BITS_PER_WORD, "=B", BITS_PER_WORD)
            self._set(SPI_IOC_WR_MAX_SPEED_HZ, "=I", clock_hz)
        except BaseException:
            self.close()
            raise

    def transfer(self, mosi: bytes) -> bytes:
        """Exchange at most 4,096 bytes; the interpreter is free meanwhile."""
        out, back = array.array("B", mosi), array.array("B", bytes(len(mosi)))
        message = TRANSFER.pack(
            out.buffer_info()[0],
            back.buffer_info()[0],
            len(mosi),
            self._clock_hz,
            0,
            BITS_PER_WORD,
            0,
            0,
            0,
            0,
        )
        fcntl.ioctl(self._descriptor, SPI_IOC_MESSAGE_1, message)
        return back.tobytes()

    def set_clock(self, clock_hz: int) -> None:
        """From the next transfer on."""
        self._clock_hz = clock_hz

    def close(self) -> None:
        """Closing twice is harmless."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _set(self, request: int, layout: str, value: int) -> None:
        fcntl.ioctl(self._descriptor, request, struct.pack(layout, value))
