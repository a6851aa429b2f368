"""The control socket answers its own group, within bounds, and outlives whatever is thrown at it."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import AuditLog
from gateway.core.audit import read
from gateway.errors import CommandError, FatalError, NeedsPerson
from gateway.model import Stamp, TimeQuality
from gateway.services import control
from gateway.services.acts import Acts, Perform


async def echo(arguments: Mapping[str, Any]) -> object:
    return dict(arguments)


async def refuse(arguments: Mapping[str, Any]) -> object:
    raise CommandError("no leaf 9; the log has 3")


async def broken(arguments: Mapping[str, Any]) -> object:
    raise KeyError("a bug")


async def fatal(arguments: Mapping[str, Any]) -> object:
    raise FatalError("store corrupt")


COMMANDS = {"echo": echo, "refuse": refuse, "broken": broken, "fatal": fatal}


def acts(log: AuditLog, performed: Mapping[str, Perform]) -> Acts:
    return Acts(log, performed, lambda: Stamp(1_795_000_000_000, TimeQuality.GPS), lambda: 0.0)


def no_acts(beside: Path) -> Acts:
    return acts(AuditLog(beside.with_name("audit.jsonl")), {})


@contextlib.asynccontextmanager
async def serving(runtime_dir: Path) -> AsyncIterator[Path]:
    path = runtime_dir / "control.sock"
    task = asyncio.create_task(control.serve(path, COMMANDS, no_acts(path)))
    while not path.exists():
        await asyncio.sleep(0)
    yield path
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def ask(path: Path, line: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(line)
    answer: dict[str, Any] = json.loads(await reader.readline())
    assert await reader.read() == b""
    writer.close()
    return answer


async def test_a_command_is_answered_and_the_socket_is_for_the_group_only(tmp_path: Path) -> None:
    async with serving(tmp_path / "run") as path:
        answer = await ask(path, b'{"command": "echo", "arguments": {"index": 7}}\n')
        assert answer == {"ok": True, "result": {"index": 7}}
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_a_refusal_says_why_and_a_bug_says_where_to_look(tmp_path: Path) -> None:
    async with serving(tmp_path) as path:
        assert await ask(path, b'{"command": "refuse"}\n') == {
            "ok": False,
            "error": "no leaf 9; the log has 3",
        }
        assert "KeyError" in (await ask(path, b'{"command": "broken"}\n'))["error"]
        assert "known: broken, echo, fatal, refuse" in (await ask(path, b'{"command": "x"}\n'))["error"]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"7\n",
        b'{"command": 7}\n',
        b'{"command": "echo", "arguments": []}\n',
        b"\xff\xfe\n",
        b"[" * 50_000 + b"\n",
        b"x" * (2 * control.MAX_REQUEST) + b"\n",
    ],
)
async def test_garbage_is_told_what_was_expected(tmp_path: Path, line: bytes) -> None:
    async with serving(tmp_path) as path:
        assert (await ask(path, line))["ok"] is False
        assert (await ask(path, b'{"command": "echo"}\n'))["ok"] is True


async def test_one_who_never_finishes_is_cut_and_too_many_are_not_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as path:
        idle = [await asyncio.open_unix_connection(str(path)) for _ in range(control.MAX_CONNECTIONS)]
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert await reader.read() == b""
        writer.close()
        for _, other in idle:
            other.close()
        while True:  # as soon as one of them has left, another is let in
            with contextlib.suppress(OSError, json.JSONDecodeError):
                assert (await ask(path, b'{"command": "echo"}\n'))["ok"] is True
                break
    monkeypatch.setattr(control, "REQUEST_S", 0.01)
    async with serving(tmp_path) as path:
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert await reader.read() == b""
        writer.close()


async def test_a_broken_store_seen_by_a_command_ends_the_service_and_so_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    task = asyncio.create_task(control.serve(path, COMMANDS, no_acts(path)))
    while not path.exists():
        await asyncio.sleep(0)
    _, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b'{"command": "fatal"}\n')
    with pytest.raises(FatalError, match="store corrupt"):
        await task
    writer.close()


async def test_what_a_crash_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("left by a crash")
    task = asyncio.create_task(control.serve(path, COMMANDS, no_acts(path)))
    while not path.is_socket():
        await asyncio.sleep(0)
    assert (await ask(path, b'{"command": "echo"}\n'))["ok"] is True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_directory_that_cannot_be_made_waits_for_a_person(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NeedsPerson, match="runtime_dir"):
        await control.serve(tmp_path / "file" / "control.sock", COMMANDS, no_acts(tmp_path / "x"))


async def test_a_visitor_who_has_not_asked_yet_keeps_nobody_from_leaving(tmp_path: Path) -> None:
    async with serving(tmp_path) as path:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b'{"command": ')
        await ask(path, b'{"command": "echo"}\n')  # by then the visitor before was let in
    async with asyncio.timeout(control.REQUEST_S / 2):
        assert await reader.read() == b""
    writer.close()


async def test_a_command_that_closes_its_own_socket_is_still_answered(tmp_path: Path) -> None:
    path, served = tmp_path / "control.sock", asyncio.Event()

    async def leave(arguments: Mapping[str, Any]) -> object:
        task.cancel()
        await served.wait()
        return "left"

    task = asyncio.create_task(control.serve(path, {"leave": leave}, no_acts(path)))
    while not path.exists():
        await asyncio.sleep(0)
    asking = asyncio.create_task(ask(path, b'{"command": "leave"}\n'))
    while path.exists():
        await asyncio.sleep(0)
    served.set()
    assert (await asking)["result"] == "left"
    await asyncio.gather(task, return_exceptions=True)


async def test_a_command_without_end_is_ended_when_the_socket_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LEAVE_S", 0.01)
    path, begun = tmp_path / "control.sock", asyncio.Event()

    async def ponder(arguments: Mapping[str, Any]) -> object:
        begun.set()
        return await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(control.serve(path, {"ponder": ponder}, no_acts(path)))
    while not path.exists():
        await asyncio.sleep(0)
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b'{"command": "ponder"}\n')
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await reader.read() == b""
    writer.close()


async def test_an_act_is_written_down_before_and_after_with_the_user_who_asked(tmp_path: Path) -> None:
    path, log = tmp_path / "control.sock", AuditLog(tmp_path / "audit.jsonl")
    seen: list[str] = []

    async def restart(arguments: Mapping[str, Any]) -> object:
        seen.extend(line.act.state for line in read(log.lines()) if line.act)
        return {"restarted": arguments["service"]}

    task = asyncio.create_task(control.serve(path, COMMANDS, acts(log, {"restart": restart})))
    while not path.exists():
        await asyncio.sleep(0)
    answer = await ask(path, b'{"command": "restart", "arguments": {"service": "lora"}}\n')
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert answer == {"ok": True, "result": {"restarted": "lora"}}
    assert seen == ["begun"]
    written = [line.act for line in read(log.lines()) if line.act]
    assert [act.state for act in written] == ["begun", "done"]
    assert written[0].actor == f"user {getpass.getuser()}"
    assert written[0].arguments == {"service": "lora"}
