"""Secrets out of text: what must go, and what a helper still has to be able to read."""

from __future__ import annotations

import pytest

from gateway.core.scrub import NUMBER, REMOVED, Scrubber, is_secret


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("pin: 1234", f"pin: {REMOVED}"),
        ('  pin: "1234"   # of the SIM', f'  pin: "{REMOVED}"   # of the SIM'),
        ('{"token": "a b\\" c", "n": 1}', f'{{"token": "{REMOVED}", "n": 1}}'),
        ("psk=a,b]c}d", f"psk={REMOVED}"),
        ("{pin: 1234, port: x}", f"{{pin: {REMOVED}, port: x}}"),
        ('{"token": "cut off', f'{{"token": "{REMOVED}"'),
        ("reason is pin: 4711", f"reason is pin: {REMOVED}"),
        ("tokens: [abc, def]", f"tokens: {REMOVED}"),
        ("pin=1234  port=/dev/x", f"pin={REMOVED}  port=/dev/x"),
        ('{"peer": 1, "token": null}', f'{{"peer": 1, "token": {REMOVED}}}'),
        ("psk=hunter2 swordfish", f"psk={REMOVED}"),
        ("wifi-password = two words", f"wifi-password = {REMOVED}"),
        ("the PIN is 4711", f"the PIN is {REMOVED}"),
        ("accessKey: AKIA1, region: eu", f"accessKey: {REMOVED}, region: eu"),
        ("Authorization: Bearer abc.def-1", f"Authorization: {REMOVED}"),
        ("sent Bearer abc.def-1 along", f"sent Bearer {REMOVED} along"),
        ("https://me:pw@c.example/x", f"https://{REMOVED}@c.example/x"),
        ("from +49 170 000-0009 now", f"from {NUMBER} now"),
        ("from 01710000009 now", f"from {NUMBER} now"),
        ("imsi 262011234567890", f"imsi {NUMBER}"),
        ('"peer": "004917000009"', f'"peer": "{NUMBER}"'),
        ('reason="the pin is 4711"', f'reason="the pin is {REMOVED}"'),
        ("-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n", f"{REMOVED}\n"),
        ("-----BEGIN PRIVATE KEY-----\nMC4C", REMOVED),
        ("MC4C\n-----END PRIVATE KEY-----\nand on", f"{REMOVED}\nand on"),
        ("AT+CPIN=4711", f"AT+CPIN={REMOVED}"),
    ],
)
def test_a_secret_goes_by_its_name_or_its_looks(text: str, left: str) -> None:
    assert Scrubber().text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "private_key_path: /etc/offgrid/gateway.key",
        "public key of gw_1: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "coordinator_key: c.example+12ab34cd+BAlz",
        "power_pin: gpio:4",
        "2026-11-20T12:00:00.000Z INFO coordinator connected  size=12 root=ab12",
        "http://127.0.0.1:8080/status",
        "backlog 12345678, 4.25 dB, score 95",
        '"unixMs": 1795176000000',
        "frequency_hz: 868100000",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert Scrubber().text(text) == text


def test_what_is_known_to_be_secret_goes_wherever_it_stands_and_only_as_a_whole() -> None:
    scrubber = Scrubber(["4711", "ab", "hunter2"])
    assert (
        scrubber.text("entered 4711; 47110 bytes; (hunter2)")
        == f"entered {REMOVED}; 47110 bytes; ({REMOVED})"
    )


def test_a_document_loses_what_is_called_a_secret_with_everything_in_it() -> None:
    document = {
        "gsm": {"pin": 4711, "port": "/dev/x"},
        "tokens": ["a", {"b": "c"}],
        "note": "call +491700000009",
    }
    assert Scrubber().value(document) == {
        "gsm": {"pin": REMOVED, "port": "/dev/x"},
        "tokens": [REMOVED, {"b": "c"}],
        "note": f"call {NUMBER}",
    }
    assert is_secret("wifiPassphrase") and not is_secret("spinning")


@pytest.mark.parametrize("piece", ["a=", "a-", "pin=", '"a":', "//", "token: [", "a ", "0", "+1 "])
def test_a_hostile_line_takes_time_by_its_length_only(piece: str) -> None:
    """Nesting, backtracking: a quarter of a mebibyte would not come back within the test's bound."""
    Scrubber(["hunter2"]).text(piece * ((1 << 18) // len(piece)))
