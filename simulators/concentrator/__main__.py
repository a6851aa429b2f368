"""Run a simulated concentrator until interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from simulators.concentrator.chip import Chip
from simulators.concentrator.images import TEST_IMAGES, TEST_SHA256
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
        if arguments.firmware is not None:
            sys.stdout.write(_configuration(arguments.socket.absolute(), arguments.firmware.absolute()))
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


def _configuration(path: Path, firmware: Path) -> str:
    """What a gateway's configuration says to drive this board."""
    return f"""\
a gateway drives it with this in config.yml, beside frequency and region:
  lora:
    driver: lora_sx1301
    options:
      address: unix:{path}
      firmware: {firmware}
      firmware_sha256:        # of the test images; a real board takes Semtech's, without this
""" + "".join(f"        {name}: {digest}\n" for name, digest in TEST_SHA256.items())


if __name__ == "__main__":
    main()
