"""Run a simulated receiver until interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from simulators.gps.receiver import GpsReceiver


def main() -> None:
    """Parse the command line, speak, stop on SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m simulators.gps", description=__doc__)
    parser.add_argument("--link", type=Path, required=True, help="a symbolic link to the terminal, made here")
    parser.add_argument("--lat", type=float, help="degrees WGS84")
    parser.add_argument("--lon", type=float)
    arguments = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    # The pulses fall on the seconds of the machine's wall clock, as the simulated concentrator's do.
    ahead_us = (time.time_ns() - time.monotonic_ns()) // 1000
    zero_s, phase_us = -(-ahead_us // 1_000_000), -ahead_us % 1_000_000
    with GpsReceiver(
        lambda: time.monotonic_ns() // 1000, unix_at_zero_s=zero_s, phase_us=phase_us, tick_s=0.02
    ) as receiver:
        if arguments.lat is not None and arguments.lon is not None:
            receiver.sky.latitude_deg, receiver.sky.longitude_deg = arguments.lat, arguments.lon
        arguments.link.unlink(missing_ok=True)
        arguments.link.symlink_to(receiver.path)
        sys.stdout.write(f"speaking on {receiver.path}\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
        arguments.link.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
