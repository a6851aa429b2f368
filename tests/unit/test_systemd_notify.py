"""systemd hears READY, and hears WATCHDOG only while the daemon is alive."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.services import systemd
from gateway.systemclock import SystemClock


@pytest.fixture
def service_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_a_state_reaches_the_socket_that_systemd_named(service_socket: socket.socket) -> None:
    systemd.notify("READY=1\nSTATUS=score 100")
    assert service_socket.recv(100) == b"READY=1\nSTATUS=score 100"


def test_without_systemd_and_with_a_dead_socket_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    systemd.notify("READY=1")


async def test_the_watchdog_speaks_only_as_long_as_the_daemon_is_alive(
    service_socket: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    answers = 0
    hanging = asyncio.Event()

    async def alive() -> None:
        nonlocal answers
        answers += 1
        if answers > 2:
            hanging.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(systemd.watchdog(alive, clock=SystemClock()))
    await hanging.wait()
    task.cancel()
    service_socket.setblocking(False)
    assert [service_socket.recv(100) for _ in range(2)] == [b"WATCHDOG=1"] * 2
    with pytest.raises(BlockingIOError):
        service_socket.recv(100)
