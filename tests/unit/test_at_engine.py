"""The AT engine fed with what modems really say, whole and in single bytes."""

from __future__ import annotations

import re
from ast import literal_eval
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gsm_at.engine import (
    MAX_LINE,
    MAX_REPLY_LINES,
    AtEngine,
    Event,
    Overrun,
    Prompt,
    Reply,
    Stray,
    Urc,
)

LOGS = Path(__file__).parents[1] / "vectors" / "at"


def fed(engine: AtEngine, data: bytes, size: int = 0) -> list[Event]:
    size = size or len(data)
    return [event for at in range(0, len(data), size) for event in engine.feed(data[at : at + size])]


@pytest.mark.parametrize("size", [0, 1, 2, 7])
@pytest.mark.parametrize("echo", [b"AT+CSQ\r", b""])
def test_a_reply_is_the_same_with_and_without_echo_and_in_any_pieces(echo: bytes, size: int) -> None:
    engine = AtEngine()
    assert engine.command("AT+CSQ") == b"AT+CSQ\r"
    events = fed(engine, echo + b"\r\n+CSQ: 20,0\r\n\r\nOK\r\n", size)
    assert events == [Reply("AT+CSQ", ("+CSQ: 20,0",), "OK")]


@pytest.mark.parametrize(
    ("line", "result", "code"),
    [
        ("OK", "OK", -1),
        ("ERROR", "ERROR", -1),
        ("+CME ERROR: 10", "CME", 10),
        ("+CME ERROR: SIM not inserted", "CME", -1),
        ("+CMS ERROR: 500", "CMS", 500),
        ("+CMS ERROR: 99999999999", "CMS", -1),
        ("NO DIALTONE", "ERROR", -1),
    ],
)
def test_every_final_result_ends_the_command(line: str, result: str, code: int) -> None:
    engine = AtEngine()
    engine.command("AT+X")
    assert fed(engine, f"\r\n{line}\r\n".encode()) == [Reply("AT+X", (), result, code)]


@pytest.mark.parametrize("size", [0, 1, 3])
def test_unsolicited_codes_inside_a_reply_are_told_apart_from_it(size: int) -> None:
    engine = AtEngine()
    engine.command("AT+CMGL=4")
    events = fed(
        engine,
        b'\r\n+CMGL: 1,0,,20\r\n\r\n+CMTI: "SM",3\r\n0791\r\n\r\n+CDS: 4\r\n00060102\r\nRING\r\n'
        b"\r\n+CREG: 5\r\n+CMGL: 2,1,,9\r\n0001\r\nOK\r\n",
        size,
    )
    assert events == [
        Urc('+CMTI: "SM",3'),
        Urc("+CDS: 4", "00060102"),
        Urc("RING"),
        Urc("+CREG: 5"),
        Reply("AT+CMGL=4", ("+CMGL: 1,0,,20", "0791", "+CMGL: 2,1,,9", "0001"), "OK"),
    ]


def test_what_the_command_asked_for_is_no_unsolicited_code() -> None:
    engine = AtEngine()
    engine.command("AT+CMEE=1;+CREG?")
    assert fed(engine, b"\r\n+CREG: 2,1\r\nOK\r\n") == [Reply("AT+CMEE=1;+CREG?", ("+CREG: 2,1",), "OK")]


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("echo", [b"0001FF\x1a", b""])
def test_a_message_goes_out_between_prompt_and_ctrl_z(echo: bytes, size: int) -> None:
    engine = AtEngine()
    engine.command("AT+CMGS=2", prompt=True)
    assert fed(engine, b"AT+CMGS=2\r\r\n> ", size) == [Prompt()]
    assert engine.payload("0001FF") == b"0001FF\x1a"
    events = fed(engine, echo + b'\r\n+CDSI: "SM",1\r\n\r\n+CMGS: 255\r\n\r\nOK\r\n', size)
    assert events == [Urc('+CDSI: "SM",1'), Reply("AT+CMGS=2", ("+CMGS: 255",), "OK")]


def test_a_code_between_prompt_and_payload_is_seen_and_nothing_else_can_be_written() -> None:
    engine = AtEngine()
    engine.command("AT+CMGS=2", prompt=True)
    assert fed(engine, b'\r\n> \r\n+CDSI: "SM",1\r\n') == [Prompt(), Urc('+CDSI: "SM",1')]
    with pytest.raises(RuntimeError, match="is pending"):
        engine.command("AT")
    engine.payload("00")
    with pytest.raises(RuntimeError, match="no prompt"):
        engine.payload("00")


def test_a_refused_prompt_is_a_reply_and_no_payload_can_be_written() -> None:
    engine = AtEngine()
    engine.command("AT+CMGS=2", prompt=True)
    with pytest.raises(RuntimeError, match="no prompt"):
        engine.payload("00")
    assert fed(engine, b"\r\n+CMS ERROR: 331\r\n") == [Reply("AT+CMGS=2", (), "CMS", 331)]


def test_a_greater_sign_is_a_prompt_only_where_one_is_awaited() -> None:
    engine = AtEngine()
    engine.command("AT+COPS?")
    assert fed(engine, b"> odd\r\nOK\r\n") == [Reply("AT+COPS?", ("> odd",), "OK")]


def test_what_comes_after_giving_up_is_stray_and_answers_no_later_command() -> None:
    engine = AtEngine()
    engine.command("AT+CMGS=2", prompt=True)
    fed(engine, b"> ")
    assert engine.escape() == b"\x1b"
    assert fed(engine, b"+CMGS: 3\r\nOK\r\n+CMS ERROR: 1\r\n") == [
        Stray("+CMGS: 3"),
        Stray("OK"),
        Stray("+CMS ERROR: 1"),
    ]
    engine.command("AT")
    assert fed(engine, b"OK\r\n") == [Reply("AT", (), "OK")]


def test_a_report_whose_pdu_was_lost_is_told_without_it() -> None:
    engine = AtEngine()
    assert fed(engine, b'+CDS: 25\r\n+CMTI: "SM",1\r\n') == [Urc("+CDS: 25"), Urc('+CMTI: "SM",1')]


def test_a_line_without_end_is_thrown_away_and_the_next_is_read() -> None:
    engine = AtEngine()
    engine.command("AT")
    events = fed(engine, b"\xff" * (MAX_LINE + 500) + b"\r\nOK\r\n", 100)
    assert events == [Overrun(MAX_LINE + 500), Reply("AT", (), "OK")]


def test_a_reply_without_end_is_bounded() -> None:
    engine = AtEngine()
    engine.command("AT+CMGL=4")
    (reply,) = fed(engine, b"junk\r\n" * (MAX_REPLY_LINES + 100) + b"OK\r\n")
    assert isinstance(reply, Reply)
    assert len(reply.lines) == MAX_REPLY_LINES


@given(st.lists(st.binary(max_size=40)), st.booleans())
def test_any_bytes_are_some_events(pieces: list[bytes], pending: bool) -> None:
    engine = AtEngine()
    if pending:
        engine.command("AT+CMGS=9", prompt=True)
    for piece in pieces:
        engine.feed(piece)


@pytest.mark.parametrize("log", sorted(LOGS.glob("*.log")), ids=lambda log: log.stem)
def test_recorded_dialogues_are_followed_command_by_command(log: Path) -> None:
    """The engine in the place of gammu: each command of the record gets the reply the record shows."""
    random = Random(1)
    engine = AtEngine()
    commands = replies = prompts = 0
    pending = False
    for words, data in _spoken(log):
        if words == "T->M" and data.startswith(b"AT"):
            text = data.decode()
            engine.command(text, prompt=text.startswith("AT+CMGS"))
            commands, pending = commands + 1, True
        elif words == "T->M" and data.endswith(b"\x1a") and pending:
            engine.payload(data[:-1].decode())
        elif words == "M->T":
            size = random.choice((0, 1, 5))
            for event in fed(engine, data, size) if data else ():
                prompts += isinstance(event, Prompt)
                if isinstance(event, Reply):
                    replies, pending = replies + 1, False
                assert not isinstance(event, Overrun)
    assert commands > 100
    assert prompts > 0
    assert replies == commands


def _spoken(log: Path) -> list[tuple[str, bytes]]:
    """(who, bytes); the record shows echoes, and each command once more when it is understood."""
    spoken: list[tuple[str, bytes]] = []
    for match in re.finditer(r"(T->M|M->T) (b'.*'|b\".*\")$", log.read_text(), re.M):
        data = literal_eval(match[2]).replace(b"<^Z>", b"\x1a")
        spoken.append((match[1], data))
    # An echo stands before the command it echoes: put the command first.
    ordered: list[tuple[str, bytes]] = []
    for who, data in spoken:
        echoes = ordered and ordered[-1][0] == "M->T" and ordered[-1][1].rstrip(b"\r") == data
        ordered.insert(len(ordered) - bool(echoes and who == "T->M" and data), (who, data))
    return ordered
