"""Run a simulated concentrator until interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from simulators.concentrator.chip import Chip
from simulators.concentrator.images import TEST_IMAGES
from simulators.concentrator.server import ConcentratorServer


def main() -> None:
    """Parse the command line, serve, stop on SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m simulators.concentrator", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="where to listen; controls on SOCKET.ctl")
    parser.add_argument("--firmware", type=Path, help="write the test images arb.bin, agc.bin, cal.bin here")
    arguments = parser.parse_args()
    if arguments.firmware is not None:
        arguments.firmware.mkdir(parents=True, exist_ok=True)
        for name, image in TEST_IMAGES.items():
            (arguments.firmware / f"{name}.bin").write_bytes(image)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    # The PPS falls on the seconds of the machine's wall clock.
    phase_us = (time.monotonic_ns() - time.time_ns()) // 1000 % 1_000_000
    chip = Chip(lambda: time.monotonic_ns() // 1000, pps_phase_us=phase_us)
    with ConcentratorServer(chip, arguments.socket):
        sys.stdout.write(f"listening on unix:{arguments.socket}\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
