"""A simulated modem and a phone network, until interrupted; commands and events as JSON lines on a socket.

    python -m simulators.modem --profile EC25 --directory run/modem
    {"op": "text", "from": "+491700000002", "text": "hi"}    a phone texts the modem; "data": hex, 8-bit
    {"op": "fault", "name": "hang", "value": "cfun"}         see simulators.modem.faults
    {"op": "vanish"}                 {"op": "appear", "name": "usb-other"}     {"op": "restart"}
    {"op": "register", "stat": 2}    {"op": "network", "loss": 0.1}            {"op": "sim", "in": false}
    {"op": "status"}

What phones receive is told to every connection: ``{"event": "text", "to": …, "from": …, "text": …}``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from simulators.modem.modem import Modem, Sim
from simulators.modem.network import Network
from simulators.modem.phone import Message, Phone
from simulators.modem.power import PowerPin
from simulators.modem.profiles import PROFILES
from simulators.modem.tty import ModemPorts

MAX_PHONES = 1000


class Control:
    """One JSON object a line, answered by one."""

    def __init__(self, ports: ModemPorts) -> None:
        self._ports = ports
        self._modem = ports.modem
        self._network = ports.modem.network
        self._sim = ports.modem.sim
        self._phones: dict[str, Phone] = {}
        self._listeners: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._listeners.add(writer)
        try:
            async for line in reader:
                try:
                    answer = self._do(json.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    answer = {"error": str(error)}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            return  # whoever it was has gone
        finally:
            self._listeners.discard(writer)
            writer.close()

    def phone(self, number: str) -> Phone:
        """The phone of that number; a new one is switched on."""
        if number not in self._phones:
            if len(self._phones) >= MAX_PHONES:
                raise ValueError(f"{MAX_PHONES} phones are enough")
            self._phones[number] = Phone(
                self._network, number, on_message=lambda message: self._publish(number, message)
            )
        return self._phones[number]

    def _publish(self, number: str, message: Message) -> None:
        word, said = (
            ("data", message.text.hex()) if isinstance(message.text, bytes) else ("text", message.text)
        )
        event = {"event": "text", "to": number, "from": message.sender, word: said}
        for writer in self._listeners:
            writer.write(json.dumps(event).encode() + b"\n")

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.pop("op"):
            case "text":
                text = bytes.fromhex(request["data"]) if "data" in request else str(request["text"])
                to = request.get("to") or (self._sim.number if self._sim else "")
                self.phone(request["from"]).send(to, text)
            case "fault":
                self._modem.faults.set(request["name"], request["value"])
            case "register":
                self._modem.register(int(request["stat"]))
            case "sim":
                self._move_sim(bool(request["in"]))
            case "vanish":
                self._ports.vanish()
            case "appear":
                self._ports.appear(request.get("name", ""))
            case "restart":
                self._modem.restart(warning="UNDER-VOLTAGE POWER DOWN")
            case "network":
                for name, value in request.items():
                    if name not in ("delay_s", "loss", "duplicate", "reorder", "reorder_s"):
                        raise KeyError(f"no condition {name!r}")
                    setattr(self._network.conditions, name, value)
            case "status":
                return self._status()
            case other:
                raise ValueError(f"no operation {other!r}")
        return {}

    def _move_sim(self, inside: bool) -> None:
        if inside and self._modem.sim is None and self._sim is not None:
            self._modem.insert_sim(self._sim)
        elif not inside:
            self._modem.remove_sim()

    def _status(self) -> dict[str, Any]:
        return {
            "port": str(self._ports.path),
            "running": self._modem.running,
            "restarts": self._modem.restarts,
            "stored": len(self._modem.memory("MT")),
            "submitted": len(self._network.submitted),
            "lost": self._network.lost,
        }


async def run(options: argparse.Namespace) -> None:
    """Until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    network = Network(seed=options.seed)
    modem = Modem(PROFILES[options.profile], network, Sim(options.number, pin=options.pin))
    ports = ModemPorts(modem, options.directory / "dev")
    socket = options.directory / "control.sock"
    async with ports, PowerPin(modem, options.directory / "power.sock"):
        server = await asyncio.start_unix_server(Control(ports).serve, socket)
        async with server:
            sys.stdout.write(f"its AT port is {ports.path}; commands go to {socket}\n")
            sys.stdout.flush()
            await stopped.wait()
    network.close()
    socket.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m simulators.modem", description=__doc__)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="EC25")
    parser.add_argument(
        "--directory", type=Path, required=True, help="ports in dev/, control.sock, power.sock"
    )
    parser.add_argument("--number", default="+491700000001", help="the modem's own")
    parser.add_argument("--pin", default="")
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
