"""The model behind two Unix sockets: the board's pins, and the world outside them (see the package)."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from simulators.concentrator.air import Emission, Uplink
from simulators.concentrator.chip import Chip

LIMIT = 64 * 1024  # a message on the pins' socket
TICK_S = 0.002  # how late an emission's end may be reported


class ConcentratorServer:
    """Serves one chip. Threads: one to accept on each socket, one a connection, one for time.

    ``keeps_time`` False, for a clock that stands still between requests: no thread for time, an emission is
    told of before the answer to the first request after its end.
    """

    def __init__(self, chip: Chip, path: str | Path, *, keeps_time: bool = True) -> None:
        self.chip = chip
        self._keeps_time = keeps_time
        self.path = Path(path)
        self.lock = threading.Lock()  # around the chip, whoever touches it
        self._stopping = threading.Event()
        self._busy = threading.Event()
        self._subscribers: list[socket.socket] = []
        self._resources = ExitStack()
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()

    def __enter__(self) -> ConcentratorServer:
        self._listen(self.path, self._serve_pins)
        self._listen(self.path.with_name(self.path.name + ".ctl"), self._serve_control)
        if self._keeps_time:
            self._spawn(self._keep_time, "time")
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._busy.set()
        self._resources.close()
        for connection in list(self._connections):
            _shut(connection)
        for thread in list(self._threads):
            thread.join()

    @property
    def connections(self) -> int:
        """How many there are, on both sockets."""
        return len(self._connections)

    def _listen(self, path: Path, serve: Callable[[socket.socket], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        self._resources.callback(path.unlink, missing_ok=True)
        self._resources.callback(_shut, listener)
        self._spawn(lambda: self._accept(listener, serve), f"accept {path.name}")

    def _spawn(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=f"concentrator {name}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _accept(self, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed by __exit__
            self._connections.add(connection)
            self._spawn(partial(self._serve, connection, serve), "connection")

    def _serve(self, connection: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        try:
            serve(connection)
        except OSError:
            return  # the host went away
        finally:
            self._connections.discard(connection)
            connection.close()
            self._threads.discard(threading.current_thread())

    # -- pins

    def _serve_pins(self, connection: socket.socket) -> None:
        while (head := _receive(connection, 5)) is not None:
            kind, size = struct.unpack(">cI", head)
            if size > LIMIT:
                return
            body = _receive(connection, size)
            if body is None:
                return
            kind, answer = self._answer(kind, body)
            if not self._keeps_time:
                self._publish_ended()
            connection.sendall(struct.pack(">cI", kind, len(answer)) + answer)
            if self.chip.busy():
                self._busy.set()

    def _answer(self, kind: bytes, body: bytes) -> tuple[bytes, bytes]:
        with self.lock:
            if kind == b"S" and len(body) >= 4:
                try:
                    return b"S", self.chip.transfer(body[4:], int.from_bytes(body[:4], "big"))
                except OSError as error:
                    return b"E", str(error).encode()
            if kind == b"G" and len(body) == 3:
                self.chip.set_reset(bool(body[2]))
                return b"G", b""
        return b"E", b"no such message"

    # -- control

    def _serve_control(self, connection: socket.socket) -> None:
        with connection.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                try:
                    answer = self._control(json.loads(line), connection)
                except (ValueError, KeyError, TypeError) as error:
                    answer = {"error": str(error)}
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _control(self, request: dict[str, Any], connection: socket.socket) -> dict[str, Any]:
        with self.lock:
            match request.pop("op"):
                case "rx":
                    reason = self.chip.hear(*_uplink(request))
                    self._busy.set()
                    return {"heard": True} if reason is None else {"heard": False, "reason": reason}
                case "fault":
                    self.chip.faults.set(request["name"], request.get("value"))
                    return {}
                case "counter":
                    self.chip.set_counter(int(request["value"]))
                    return {}
                case "status":
                    return _status(self.chip)
                case "subscribe":
                    self._subscribers.append(connection)
                    return {}
                case other:
                    raise ValueError(f"no operation {other!r}")

    # -- time

    def _keep_time(self) -> None:
        """Emissions end by themselves: report each to the subscribers."""
        while not self._stopping.is_set():
            with self.lock:
                self.chip.pass_time()
                busy = self.chip.busy()
            self._publish_ended()
            if busy:
                self._stopping.wait(TICK_S)
            else:
                self._busy.wait(0.1)
                self._busy.clear()

    def _publish_ended(self) -> None:
        with self.lock:
            ended = self.chip.take_ended()
        for emission in ended:
            self._publish(emission)

    def _publish(self, emission: Emission) -> None:
        event = {"event": "tx", **asdict(emission), "payload": emission.payload.hex()}
        line = json.dumps(event).encode() + b"\n"
        for subscriber in list(self._subscribers):
            try:
                subscriber.sendall(line)
            except OSError:
                self._subscribers.remove(subscriber)


def _uplink(request: dict[str, Any]) -> tuple[Uplink, int | None]:
    end_us = request.pop("end_us", None)
    if request.pop("modulation", "lora") == "fsk":
        request["spreading_factor"] = 0
    payload = bytes.fromhex(request.pop("payload"))
    rate = request.pop("coding_rate", "4/5")
    return Uplink(payload=payload, coding_rate=int(str(rate)[-1]), **request), end_us


def _status(chip: Chip) -> dict[str, Any]:
    return {
        "counter": chip.counter(),
        "receiving": chip.receiving,
        "violations": list(chip.violations),
        "emissions": [{**asdict(one), "payload": one.payload.hex()} for one in chip.emissions],
        "unheard": list(chip.unheard),
    }


def _receive(connection: socket.socket, size: int) -> bytes | None:
    """Exactly ``size`` bytes; None when the peer is done."""
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            return None
        data += piece
    return bytes(data)


def _shut(connection: socket.socket) -> None:
    """Wake whoever waits on it, then close."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # a listener, or the peer was first
    connection.close()
