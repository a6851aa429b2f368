"""The audit log: on disk before an act, chained, bounded, and honest about what it cannot read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import AuditLog, AuditUnwritten
from gateway.core.audit import GENESIS, MAX_LINE, Act, State, encode, link, read
from gateway.errors import CommandError
from gateway.model import Stamp, TimeQuality
from gateway.services.acts import REFUSALS_EVERY_S, Acts

NOW = Stamp(1_795_000_000_000, TimeQuality.AGREED)


def act(name: str = "sync", **arguments: str) -> Act:
    return Act(at=NOW, actor="token office", act=name, state=State.DONE, arguments=arguments)


def names(log: AuditLog) -> list[str | None]:
    return [None if line.act is None else line.act.act for line in read(log.lines())]


def broken(log: AuditLog) -> list[int]:
    lines = read(log.lines(), link(GENESIS) if log.is_whole else None)
    return [number for number, line in enumerate(lines) if not line.chained]


def test_what_was_appended_is_read_back_whole_and_chained(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.append(act("restart", service="lora"))
    AuditLog(tmp_path / "audit.jsonl").append(act("sync"))
    lines = list(read(log.lines(), link(GENESIS)))
    assert [line.act for line in lines] == [act("restart", service="lora"), act("sync")]
    assert all(line.chained for line in lines)


@pytest.mark.parametrize("edit", ["changed", "removed", "put in"])
def test_an_edited_file_does_not_chain(tmp_path: Path, edit: str) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    for name in ("one", "two", "three"):
        log.append(act(name))
    lines = path.read_bytes().splitlines(keepends=True)
    match edit:
        case "changed":
            lines[1] = lines[1].replace(b"office", b"nobody")
        case "removed":
            del lines[1]
        case "put in":
            lines.insert(1, encode(act("four"), link(lines[0].strip())) + b"\n")
    path.write_bytes(b"".join(lines))
    assert broken(log) == [1 if edit == "removed" else 2]


def test_a_line_that_a_power_cut_tore_stays_and_is_covered(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.append(act("one"))
    log.append(act("two"))
    path.write_bytes(path.read_bytes()[:-20])
    log.append(act("three"))
    assert names(log) == ["one", None, "three"]
    path.write_bytes(path.read_bytes().replace(b"token office", b"token orifice"))
    assert broken(log), "an edit of any line, the torn one too, shows in the next"


def test_full_files_are_set_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", file_bytes=1, kept=2)
    for name in ("one", "two", "three", "four"):
        log.append(act(name))
    assert names(log) == ["two", "three", "four"]
    assert not log.is_whole
    assert broken(log) == []
    assert sorted(path.name for path in tmp_path.glob("audit.jsonl*")) == [
        "audit.jsonl",
        "audit.jsonl.1",
        "audit.jsonl.2",
        "audit.jsonl.lock",
    ]


@given(st.text(), st.dictionaries(st.text(), st.text(), max_size=12))
def test_any_words_fit_a_line(word: str, arguments: dict[str, str]) -> None:
    one = Act(at=NOW, actor=word, act=word, state=State.FAILED, arguments=arguments, detail=word)
    line = encode(one, link(GENESIS))
    assert len(line) <= MAX_LINE
    assert b"\n" not in line
    assert json.loads(line)["state"] == "failed"


def test_the_longest_words_fit_a_line() -> None:
    word = "\x01" * 1000
    one = Act(
        at=NOW,
        actor=word,
        act=word,
        state=State.FAILED,
        detail=word,
        arguments={f"{number}{word}": word for number in range(20)},
    )
    assert len(encode(one, link(GENESIS))) <= MAX_LINE


async def test_what_cannot_be_written_down_is_not_done(tmp_path: Path) -> None:
    done: list[str] = []

    async def sync(arguments: Mapping[str, Any]) -> object:
        done.append("sync")
        return None

    log = AuditLog(tmp_path / "missing" / "audit.jsonl")
    with pytest.raises(AuditUnwritten, match="nothing was done"):
        log.append(act())
    with pytest.raises(CommandError, match="nothing was done"):
        await Acts(log, {"sync": sync}, lambda: NOW, lambda: 0.0).perform("user pi", "sync", {})
    assert done == []


async def test_a_failed_act_says_why(tmp_path: Path) -> None:
    async def restart(arguments: Mapping[str, Any]) -> object:
        raise CommandError("no service 'x'")

    log = AuditLog(tmp_path / "audit.jsonl")
    with pytest.raises(CommandError):
        await Acts(log, {"restart": restart}, lambda: NOW, lambda: 0.0).perform("user pi", "restart", {})
    last = [line.act for line in read(log.lines())][-1]
    assert last is not None
    assert (last.state, last.detail) == (State.FAILED, "no service 'x'")


async def test_a_stranger_who_guesses_does_not_fill_the_log(tmp_path: Path) -> None:
    log, at = AuditLog(tmp_path / "audit.jsonl"), [0.0]
    acts = Acts(log, {}, lambda: NOW, lambda: at[0])
    for _ in range(1000):
        await acts.refused("192.0.2.7", "sync", "this token is not known here")
    at[0] = REFUSALS_EVERY_S
    await acts.refused("192.0.2.7", "sync", "this token is not known here")
    said = [line.act.detail for line in read(log.lines()) if line.act]
    assert said == [
        "this token is not known here",
        "this token is not known here (999 more since the last line)",
    ]
