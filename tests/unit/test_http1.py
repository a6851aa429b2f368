"""Heads that two readers could read in two ways are refused; what is left means one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http1 import MAX_FIELDS, MAX_HEAD, HttpError, Response, parse_head

HEAD = b"POST /v1/snapshots?x=1 HTTP/1.1\r\nHost: gw.local:8080\r\n%s\r\n"


def test_a_head_is_its_method_its_path_and_its_fields() -> None:
    head = parse_head(HEAD % b"Content-Type:\tapplication/JSON; charset=utf-8 \r\nContent-Length: 12\r\n")
    assert (head.method, head.path) == ("POST", "/v1/snapshots")
    assert (head.content_type, head.content_length, head.keeps_alive) == ("application/json", 12, True)


def test_empty_lines_before_a_request_are_ignored_as_rfc_9112_asks() -> None:
    assert parse_head(b"\r\n" + HEAD % b"").path == "/v1/snapshots"


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [(b"1", b"", True), (b"1", b"Close", False), (b"0", b"", False), (b"0", b"Keep-Alive", True)],
)
def test_a_connection_lasts_as_its_version_and_its_options_say(
    version: bytes, connection: bytes, keeps: bool
) -> None:
    head = parse_head(b"GET / HTTP/1.%s\r\nHost: x\r\nConnection: %s\r\n\r\n" % (version, connection))
    assert head.keeps_alive is keeps


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HEAD % b"Content-Length: 1\r\nContent-Length: 1\r\n", 400),
        (HEAD % b"Content-Length: +1\r\n", 400),
        (HEAD % b"Content-Length: 1, 1\r\n", 400),
        (HEAD % b"Content-Length: -1\r\n", 400),
        (HEAD % b"Content-Length: 0x10\r\n", 400),
        (HEAD % b"Content-Length: \xb2\r\n", 400),
        (HEAD % (b"Content-Length: %s\r\n" % (b"9" * 19)), 400),
        (HEAD % b"Transfer-Encoding: chunked\r\n", 411),
        (HEAD % b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 411),
        (HEAD % b"Host: other\r\n", 400),
        (HEAD % b"Field : value\r\n", 400),
        (HEAD % b" folded\r\n", 400),
        (HEAD % b"Field: a\nContent-Length: 5\r\n", 400),
        (HEAD % b"Field: \x00\r\n", 400),
        (HEAD % b"no colon\r\n", 400),
        (HEAD % (b"a: b\r\n" * MAX_FIELDS), 431),
        (HEAD % (b"a: %s\r\n" % (b"b" * MAX_HEAD)), 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"G\x7fT / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"", 400),
    ],
)
def test_what_could_mean_two_things_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(HttpError) as refused:
        parse_head(head)
    assert refused.value.status == status


@given(st.binary(max_size=400))
def test_no_bytes_at_all_bring_the_parser_down(raw: bytes) -> None:
    for head in (raw, b"GET / HTTP/1.1\r\nHost: x\r\n" + raw + b"\r\n\r\n"):
        try:
            parse_head(head)
        except HttpError:
            pass


def test_an_answer_states_its_length_and_whether_the_connection_goes_on() -> None:
    answer = Response.of_json({"a": 1}, 429, {"Retry-After": "5"}).to_bytes(keeps_alive=False)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b'{"a": 1}'
    assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert {b"Content-Length: 8", b"Connection: close", b"Retry-After: 5"} <= set(head.split(b"\r\n"))
