"""Checkpoints, and cosignatures made by the textbook; the recorded cases are in tests/vectors."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from gateway.core.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from gateway.core.merkle import EMPTY_ROOT, MAX_TREE_SIZE
from gateway.core.note import (
    Note,
    NoteInvalid,
    Signature,
    SignatureType,
    VerifierKey,
    check_signature,
    parse_note,
    sign_text,
)
from simulators.textbook import notes

ORIGIN = "offgrid/gw-1/0"
ROOT = bytes(range(32))
ROOT_LINE = b64encode(ROOT).decode()

GATEWAY, COORDINATOR = SigningKey(bytes([1]) * 32), SigningKey(bytes([2]) * 32)
LOG_KEY = VerifierKey(ORIGIN, bytes(GATEWAY.verify_key))
WITNESS_KEY = VerifierKey(
    "coordinator.example/w1", bytes(COORDINATOR.verify_key), SignatureType.COSIGNATURE_V1
)


def gateway_sign(message: bytes) -> bytes:
    return GATEWAY.sign(message).signature


SIGNED = sign_checkpoint(Checkpoint(ORIGIN, 8, ROOT), LOG_KEY, gateway_sign)


COSIGNED = parse_note(notes.cosign(SIGNED.to_bytes(), WITNESS_KEY.name, COORDINATOR, 1_790_000_000))


def test_a_checkpoint_signed_and_cosigned_opens_with_both_keys() -> None:
    checkpoint, verified = open_checkpoint(COSIGNED, [LOG_KEY, WITNESS_KEY], ORIGIN)
    assert checkpoint == Checkpoint(ORIGIN, 8, ROOT)
    assert [(item.key, item.unix_time) for item in verified] == [
        (LOG_KEY, None),
        (WITNESS_KEY, 1_790_000_000),
    ]


def test_a_checkpoint_of_another_log_is_refused_though_its_signature_is_right() -> None:
    text = Checkpoint("offgrid/gw-2/0", 8, ROOT).to_text()
    note = Note(text, (sign_text(text, LOG_KEY, gateway_sign),))
    with pytest.raises(NoteInvalid, match="a checkpoint of 'offgrid/gw-2/0'"):
        open_checkpoint(note, [LOG_KEY], ORIGIN)


@pytest.mark.parametrize("at", [0, 7, 8, 71])
def test_a_changed_cosignature_is_refused(at: int) -> None:
    value = bytearray(COSIGNED.signatures[1].value)
    value[at] ^= 1
    forged = SIGNED.with_signature(Signature(WITNESS_KEY.name, WITNESS_KEY.key_id, bytes(value)))
    with pytest.raises(NoteInvalid, match="does not verify"):
        open_checkpoint(forged, [LOG_KEY, WITNESS_KEY], ORIGIN)


def test_a_cosignature_cut_short_is_refused() -> None:
    short = Signature(WITNESS_KEY.name, WITNESS_KEY.key_id, b"\x00")
    with pytest.raises(NoteInvalid, match="an Ed25519 signature of 0 bytes"):
        check_signature(SIGNED.text, short, WITNESS_KEY)


def test_extension_lines_are_carried() -> None:
    checkpoint = Checkpoint(ORIGIN, 8, ROOT, ("extension one", "two"))
    assert parse_checkpoint(checkpoint.to_text()) == checkpoint


@given(st.text(max_size=80) | st.builds("{}\n{}\n{}\n".format, st.text(), st.text(), st.just(ROOT_LINE)))
def test_any_text_is_one_checkpoint_or_refused(text: str) -> None:
    try:
        checkpoint = parse_checkpoint(text)
    except NoteInvalid:
        return
    assert checkpoint.to_text() == text


@pytest.mark.parametrize(
    "size",
    ["", "08", " 8", "8 ", "+8", "-1", "0x8", "8.0", "1_0", "\u0668", "\uff18", str(2**63), "9" * 5000],
)
def test_a_size_that_is_not_plain_decimal_below_2_to_the_63_is_refused(size: str) -> None:
    with pytest.raises(NoteInvalid, match="tree size"):
        parse_checkpoint(f"{ORIGIN}\n{size}\n{ROOT_LINE}\n")


def test_the_largest_size_is_read() -> None:
    assert parse_checkpoint(f"{ORIGIN}\n{MAX_TREE_SIZE}\n{ROOT_LINE}\n").size == MAX_TREE_SIZE


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n8\n",
        f"{ORIGIN}\n8\n{ROOT_LINE}",
        f"\n8\n{ROOT_LINE}\n",
        f"{ORIGIN}\n8\n\n",
        f"{ORIGIN}\n8\n{ROOT_LINE}\n\n",
        f"{ORIGIN}\n8\n{ROOT_LINE[:-1]}\n",
        f"{ORIGIN}\n8\n{b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n8\n{b64encode(bytes(33)).decode()}\n",
        f"{ORIGIN}\n0\n{ROOT_LINE}\n",
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 8, ROOT),
        ("two\nlines", 8, ROOT),
        (ORIGIN, -1, ROOT),
        (ORIGIN, 2**63, ROOT),
        (ORIGIN, 8, ROOT[:31]),
    ],
)
def test_a_checkpoint_that_could_not_be_read_back_is_never_made(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(NoteInvalid):
        Checkpoint(origin, size, root)


def test_an_empty_log_has_the_root_of_nothing() -> None:
    assert (
        Checkpoint(ORIGIN, 0, EMPTY_ROOT)
        .to_text()
        .endswith("0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
    )
