"""The pinned coordinator's key: a cosigner's vkey or 32 bytes in base64, nothing else."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.note import NoteInvalid, SignatureType, VerifierKey
from gateway.core.pin import CoordinatorKey

# From tests/vectors/merkle/checkpoints.json, case note-002.
VKEY = "coordinator.example.org/w1+46598b25+BBnpAKfIyy3zPBncurw+Rq+jDEsb6qZqaWwrWvKaxifz"


def test_a_cosigners_vkey_gives_key_and_name_and_is_written_back_the_same() -> None:
    key = CoordinatorKey.parse(VKEY)

    assert key.name == "coordinator.example.org/w1"
    assert key.public_key.hex().startswith("19e900a7c8cb2df3")
    assert str(key) == VKEY
    assert key.verifier("another name").to_vkey() == VKEY


@given(st.binary(min_size=32, max_size=32))
def test_a_bare_key_is_read_whatever_signs_its_base64_holds(public_key: bytes) -> None:
    text = b64encode(public_key).decode()
    key = CoordinatorKey.parse(text)

    assert key == CoordinatorKey(public_key)
    assert str(key) == text
    assert key.verifier("c.example") == VerifierKey("c.example", public_key, SignatureType.COSIGNATURE_V1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither a vkey"),
        ("abc", "neither a vkey"),
        (b64encode(bytes(31)).decode(), "neither a vkey"),
        (VKEY.replace("46598b25", "46598b26"), "states key id"),
        (VKEY[:-4], "is not an Ed25519 key"),
        (VerifierKey("log.example", bytes(32)).to_vkey(), "type 0x01, a cosigner's is 0x04"),
    ],
)
def test_anything_else_is_refused(text: str, words: str) -> None:
    with pytest.raises(NoteInvalid, match=words):
        CoordinatorKey.parse(text)
