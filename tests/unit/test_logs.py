"""A line is one line, carries its fields, and betrays nothing."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from gateway.services import logs

Lines = Callable[[Literal["json", "text"], str], io.StringIO]


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level

    def configure(style: Literal["json", "text"], level: str) -> io.StringIO:
        out = io.StringIO()
        logs.configure(level, style, out)
        return out

    yield configure
    root.handlers[:] = before
    root.setLevel(level)


log = logging.getLogger("gateway.somewhere")


def only_line(out: io.StringIO) -> dict[str, Any]:
    text = out.getvalue()
    assert text.count("\n") == 1
    line: dict[str, Any] = json.loads(text)
    return line


def test_fields_stand_in_the_json_line_under_their_own_names(lines: Lines) -> None:
    out = lines("json", "info")
    log.info("upload recorded", extra={"correlation": "c1", "index": 7, "content": b"\x01\xff"})
    line = only_line(out)
    assert line["message"] == "upload recorded"
    assert (line["correlation"], line["index"], line["content"]) == ("c1", 7, "01ff")
    assert (line["level"], line["logger"]) == ("info", "gateway.somewhere")
    assert line["time"].endswith("Z")


@pytest.mark.parametrize("style", ["json", "text"])
def test_what_a_stranger_sent_starts_no_line_and_reaches_no_terminal(
    lines: Lines, style: Literal["json", "text"]
) -> None:
    out = lines(style, "info")
    log.info("seen", extra={"detail": "a\nforged line\x1b[2J" + "x" * 100_000})
    text = out.getvalue()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert len(text) < 2 * logs.MAX_FIELD


@pytest.mark.parametrize("style", ["json", "text"])
def test_a_secret_is_withheld_whoever_logs_it(lines: Lines, style: Literal["json", "text"]) -> None:
    out = lines(style, "info")
    log.info("registered", extra={"token": "tok-123", "private_key": b"key-456"})
    assert "tok-123" not in out.getvalue()
    assert b"key-456".hex() not in out.getvalue()


def test_a_failure_brings_the_end_of_its_traceback_in_the_same_line(lines: Lines) -> None:
    out = lines("json", "info")
    try:
        raise ValueError("boom")
    except ValueError:
        log.exception("failed")
    assert only_line(out)["exception"].endswith("ValueError: boom")


def test_the_level_can_be_changed_while_running_and_libraries_stay_quiet(lines: Lines) -> None:
    out = lines("json", "warning")
    log.info("not yet")
    logs.set_level("debug")
    log.debug("now")
    logging.getLogger("websockets.client").info("connection open")
    assert only_line(out)["message"] == "now"
