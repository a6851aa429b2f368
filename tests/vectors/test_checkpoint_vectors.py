"""Every case of merkle/checkpoints.json."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from gateway.core.checkpoint import open_checkpoint
from gateway.core.note import NoteInvalid, VerifierKey, parse_note, verify_note

CASES = json.loads((Path(__file__).parent / "merkle" / "checkpoints.json").read_text())["cases"]


def judge(case: dict[str, Any]) -> None:
    raw = b64decode(case["note_b64"])
    keys = [VerifierKey.from_vkey(vkey) for vkey in case["vkeys"]]
    if case["origin"] is None:
        verify_note(parse_note(raw), keys)
    else:
        open_checkpoint(parse_note(raw), keys, case["origin"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']} {case['desc']}")
def test_a_note_is_judged_as_recorded(case: dict[str, Any]) -> None:
    if case["valid"]:
        judge(case)
    else:
        with pytest.raises(NoteInvalid):
            judge(case)


@pytest.mark.parametrize("case", [case for case in CASES if case["valid"]], ids=lambda case: case["id"])
def test_a_valid_note_is_written_back_byte_for_byte(case: dict[str, Any]) -> None:
    raw = b64decode(case["note_b64"])
    assert parse_note(raw).to_bytes() == raw


@pytest.mark.parametrize("vkey", sorted({vkey for case in CASES for vkey in case["vkeys"]}))
def test_a_vkey_is_written_back_as_it_was_read(vkey: str) -> None:
    assert VerifierKey.from_vkey(vkey).to_vkey() == vkey
