"""Signed notes: what is written is read back, and nothing else is."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from gateway.core.note import (
    MAX_NOTE_BYTES,
    Note,
    NoteInvalid,
    Signature,
    SignatureType,
    VerifierKey,
    check_signature,
    parse_note,
    sign_text,
    verify_note,
)

TEXT = "offgrid/gw-1/0\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n"


def key_pair(
    seed: int, name: str, type: SignatureType = SignatureType.ED25519
) -> tuple[VerifierKey, Callable[[bytes], bytes]]:
    private = SigningKey(bytes([seed]) * 32)
    return VerifierKey(name, bytes(private.verify_key), type), lambda message: private.sign(message).signature


LOG, log_sign = key_pair(1, "offgrid/gw-1/0")
WITNESS, witness_sign = key_pair(2, "coordinator.example/w1", SignatureType.COSIGNATURE_V1)
OTHER, other_sign = key_pair(3, "other.example")
COSIGNED_AT = 1_790_000_000
COSIGNATURE = witness_sign(f"cosignature/v1\ntime {COSIGNED_AT}\n{TEXT}".encode())
NOTE = Note(
    TEXT,
    (
        sign_text(TEXT, LOG, log_sign),
        Signature(WITNESS.name, WITNESS.key_id, COSIGNED_AT.to_bytes(8, "big") + COSIGNATURE),
    ),
)
RAW = NOTE.to_bytes()


def test_a_signed_and_cosigned_note_is_read_back_and_verified() -> None:
    assert parse_note(RAW) == NOTE
    assert [(item.key, item.unix_time) for item in verify_note(NOTE, [LOG, WITNESS])] == [
        (LOG, None),
        (WITNESS, 1_790_000_000),
    ]


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_a_note_with_any_byte_changed_does_not_verify_as_both(at: int, mask: int) -> None:
    damaged = bytearray(RAW)
    damaged[at] ^= mask
    try:
        verified = verify_note(parse_note(bytes(damaged)), [LOG, WITNESS])
    except NoteInvalid:
        return
    assert len(verified) == 1  # a changed name or key id makes that line a stranger's, which is ignored


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_a_note_or_refused(raw: bytes) -> None:
    try:
        note = parse_note(raw)
    except NoteInvalid:
        return
    assert note.to_bytes() == raw


@given(st.lists(st.sampled_from([b"a\n", b"\n", b"\xe2\x80\x94 ", b"n ", b"AAAAAAA=", b"AAAAAAE=", b"\r"])))
def test_pieces_of_notes_in_any_order_are_a_note_or_refused(pieces: list[bytes]) -> None:
    try:
        note = parse_note(b"".join(pieces))
    except NoteInvalid:
        return
    assert note.to_bytes() == b"".join(pieces)


def test_the_text_ends_at_the_last_empty_line() -> None:
    text = "first\n\nsecond\n"
    note = Note(text, (sign_text(text, LOG, log_sign),))
    assert parse_note(note.to_bytes()).text == text


def line(name: str, blob: bytes) -> bytes:
    return f"— {name} {b64encode(blob).decode()}\n".encode()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "no text"),
        (b"text\n", "no text"),
        (b"text\n\n", "no text"),
        (RAW[:-1], "ended by a newline"),
        (RAW + b"\n", "no text"),
        (RAW.replace(b"\n\n", b"\n"), "no text"),
        (RAW.replace(b"\n", b"\r\n"), "no text"),
        (b"a\tb\n\n" + line("n", bytes(5)), "control character"),
        (b"a\x00\n\n" + line("n", bytes(5)), "control character"),
        (b"a\xff\n\n" + line("n", bytes(5)), "not UTF-8"),
        (b"a\xed\xa0\x80\n\n" + line("n", bytes(5)), "not UTF-8"),
        (b"a\n\n- n AAAAAAA=\n", "em dash"),
        (b"a\n\n" + line("n", bytes(4)), "signature of 4 bytes"),
        (b"a\n\n" + line("", bytes(5)), "key name"),
        (b"a\n\n" + line("a+b", bytes(5)), "key name"),
        (b"a\n\n" + line("a\u2003b", bytes(5)), "key name"),
        (b"a\n\n" + line("a b", bytes(5)), "base64"),
        (b"a\n\n" + line("n", bytes(5)).replace(b"=", b""), "base64"),
        (b"a\n\n" + line("n", bytes(5)).replace(b"A=", b"B="), "canonical"),
        (b"a\n\n" + line("n", bytes(5)) * 2, "stands twice"),
        (b"a\n\n" + b"".join(line("n", bytes([0, 0, 0, i, 0])) for i in range(17)), "at most 16"),
        (b"a" * MAX_NOTE_BYTES + RAW, "at most 131072"),
    ],
)
def test_a_malformed_note_is_refused_and_told_why(raw: bytes, said: str) -> None:
    with pytest.raises(NoteInvalid, match=said):
        parse_note(raw)


def test_sixteen_large_signatures_of_strangers_do_not_hide_a_known_one() -> None:
    strangers = tuple(Signature(f"post-quantum/{i}", b"abcd", bytes(5000)) for i in range(15))
    note = Note(TEXT, (*strangers, NOTE.signatures[0]))
    assert len(verify_note(parse_note(note.to_bytes()), [LOG])) == 1


def test_a_note_signed_only_by_strangers_is_refused_and_they_are_named() -> None:
    with pytest.raises(NoteInvalid, match=r"unknown keys: 'offgrid/gw-1/0', 'coordinator\.example/w1'"):
        verify_note(NOTE, [OTHER])


def test_one_wrong_signature_by_a_known_key_spoils_the_note() -> None:
    forged = Signature(WITNESS.name, WITNESS.key_id, NOTE.signatures[1].value[:-1] + b"x")
    with pytest.raises(NoteInvalid, match="does not verify"):
        verify_note(Note(TEXT, (NOTE.signatures[0], forged)), [LOG, WITNESS])


@pytest.mark.parametrize("value", [b"", bytes(63), bytes(65), NOTE.signatures[0].value + b"x"])
def test_a_signature_of_another_length_is_refused(value: bytes) -> None:
    with pytest.raises(NoteInvalid, match="an Ed25519 signature of"):
        check_signature(TEXT, Signature(LOG.name, LOG.key_id, value), LOG)


def test_a_signature_that_begins_the_text_does_not_move_into_it() -> None:
    # 64 bytes of signature and the text are one string to libsodium: their border must not shift.
    whole = sign_text("ab\n", LOG, log_sign)
    with pytest.raises(NoteInvalid):
        check_signature("b\n", Signature(LOG.name, LOG.key_id, whole.value + b"a"), LOG)


def test_the_two_signature_types_of_one_key_are_told_apart() -> None:
    as_witness = VerifierKey(LOG.name, LOG.public_key, SignatureType.COSIGNATURE_V1)
    assert as_witness.key_id != LOG.key_id
    replayed = Signature(as_witness.name, as_witness.key_id, bytes(8) + NOTE.signatures[0].value)
    with pytest.raises(NoteInvalid, match="does not verify"):
        check_signature(TEXT, replayed, as_witness)
    with pytest.raises(NoteInvalid, match="a signature by"):
        check_signature(TEXT, NOTE.signatures[0], as_witness)


def test_a_cosigners_key_signs_no_plain_note() -> None:
    with pytest.raises(NoteInvalid, match="type 0x04"):
        sign_text(TEXT, WITNESS, witness_sign)


def test_a_time_outside_of_the_specification_is_refused_though_it_is_signed() -> None:
    value = witness_sign(f"cosignature/v1\ntime {2**63}\n{TEXT}".encode())
    late = Signature(WITNESS.name, WITNESS.key_id, (2**63).to_bytes(8, "big") + value)
    with pytest.raises(NoteInvalid, match="cosigned at"):
        check_signature(TEXT, late, WITNESS)


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "lone \ud800\n"])
def test_a_text_that_could_not_be_read_back_is_never_signed(text: str) -> None:
    with pytest.raises(NoteInvalid, match="text ends in a newline"):
        sign_text(text, LOG, log_sign)


def test_the_same_signature_is_added_once() -> None:
    assert NOTE.with_signature(NOTE.signatures[1]) == NOTE


def test_a_vkey_is_read_back() -> None:
    for key in (LOG, WITNESS):
        assert VerifierKey.from_vkey(key.to_vkey()) == key


ED25519_VKEY = LOG.to_vkey()
STEM = ED25519_VKEY.rsplit("+", 1)[0]


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        STEM,
        STEM + "+",
        ED25519_VKEY + "\n",
        " " + ED25519_VKEY,
        ED25519_VKEY.replace("gw-1", "gw-2"),
        ED25519_VKEY.replace("+" + LOG.key_id.hex(), "+" + LOG.key_id.hex().upper() + "0"),
        STEM + "+" + b64encode(b"\x02" + LOG.public_key).decode(),
        STEM + "+" + b64encode(b"\x01" + LOG.public_key[:-1]).decode(),
        STEM + "+" + b64encode(b"\x01" + LOG.public_key + b"x").decode(),
    ],
)
def test_a_malformed_vkey_is_refused(vkey: str) -> None:
    with pytest.raises(NoteInvalid):
        VerifierKey.from_vkey(vkey)
