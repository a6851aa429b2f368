"""Tell a running model what happens to its board: ``python -m simulators.concentrator.tell --help``."""

from __future__ import annotations

import argparse
import json
import socket
import sys
from pathlib import Path
from typing import Any

USAGE = """\
A fault, its end, a frame at the antenna, how it fares; a value is JSON, else a word:

  %(prog)s run/sx1301.sock fault name=missing_chip value=true     null ends it
  %(prog)s run/sx1301.sock fault name=stuck_miso value=0
  %(prog)s run/sx1301.sock fault name=bit_error_rate value=1e-5
  %(prog)s run/sx1301.sock fault name=pll value=B
  %(prog)s run/sx1301.sock fault name=calibration value=128       the status it ends with
  %(prog)s run/sx1301.sock fault name=corrupt_firmware value=100  the byte that does not hold
  %(prog)s run/sx1301.sock fault name=frozen_counter value=soft_reset   what cures it; hard_reset, never
  %(prog)s run/sx1301.sock fault name=rx_dead value=hard_reset          agc_stuck likewise
  %(prog)s run/sx1301.sock fault name=spi_gone value=true
  %(prog)s run/sx1301.sock fault name=no_pps value=true
  %(prog)s run/sx1301.sock rx frequency_hz=868100000 payload=00ff spreading_factor=7
  %(prog)s run/sx1301.sock status
"""


def main(arguments: list[str] | None = None) -> int:
    """Ask once, print the answer; 1 where it was refused or nobody listens."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators.concentrator.tell",
        description=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("socket", type=Path, help="the model's socket; its controls are at SOCKET.ctl")
    parser.add_argument("op", help="fault, rx, counter or status")
    parser.add_argument("fields", nargs="*", metavar="NAME=VALUE", type=_field)
    chosen = parser.parse_args(arguments)
    try:
        answer = ask(chosen.socket, {"op": chosen.op, **dict(chosen.fields)})
    except OSError as error:
        sys.stderr.write(f"error: nobody answers at {chosen.socket}.ctl ({error.strerror or error}); ")
        sys.stderr.write("start it: python -m simulators.concentrator --socket ...\n")
        return 1
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    return 1 if "error" in answer else 0


def _field(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, value if name == "payload" else json.loads(value)
    except ValueError:
        return name, value


def ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """One operation and its answer. OSError where nobody listens, or nobody answers in 10 s."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10.0)
        control.connect(f"{path}.ctl")
        control.sendall(json.dumps(request).encode() + b"\n")
        with control.makefile("r", encoding="utf-8") as lines:
            line = lines.readline()
    if not line:
        raise ConnectionResetError("it hung up")
    answer: dict[str, Any] = json.loads(line)
    return answer


if __name__ == "__main__":
    sys.exit(main())
