"""Checkpoints that come from the coordinator: are they ours, and did it cosign them?"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.checkpoint import Checkpoint, open_checkpoint
from gateway.core.note import (
    Note,
    NoteInvalid,
    Signature,
    SignatureType,
    VerifierKey,
    check_signature,
    parse_note,
)
from gateway.core.pin import CoordinatorKey

COSIGNATURE_BYTES = 8 + 64  # the time in seconds, then Ed25519


class Stranger(ValueError):
    """A note that our key has not signed, or that the coordinator should have cosigned and has not."""


@dataclass(frozen=True, slots=True)
class Own:
    """Whose checkpoints these are: the gateway's key under the name of its origin, and who cosigns."""

    key: VerifierKey
    coordinator: CoordinatorKey


def open_own(own: Own, raw: bytes, *, cosigned: bool = False) -> Checkpoint:
    """What a note states, once our own signature on it, and on request the cosignature, has verified.

    Raises :class:`Stranger`. No coordinator can make our signature, so a note that opens here and states what
    our log does not repeat is evidence against whoever else holds our key or our disk.
    """
    try:
        note = parse_note(raw)
        cosigners = {own.coordinator.verifier(line.name) for line in note.signatures}
        checkpoint, verified = open_checkpoint(note, {own.key, *cosigners}, own.key.name)
    except NoteInvalid as error:
        raise Stranger(str(error)) from None
    types = {signed.key.type for signed in verified}
    if SignatureType.ED25519 not in types:
        raise Stranger("a checkpoint without our own signature")
    if cosigned and SignatureType.COSIGNATURE_V1 not in types:
        raise Stranger("a checkpoint without the pinned coordinator's cosignature")
    if checkpoint.extensions:
        raise Stranger("a checkpoint with extension lines, which this log never signs")
    return checkpoint


def with_cosignature(note: Note, cosigner: VerifierKey, unix_s: int, value: bytes) -> Note:
    """The note that the coordinator cosigned, rebuilt from what an ACK says. Raises :class:`Stranger`."""
    signature = Signature(cosigner.name, cosigner.key_id, unix_s.to_bytes(8, "big") + value)
    try:
        check_signature(note.text, signature, cosigner)
    except NoteInvalid as error:
        raise Stranger(str(error)) from None
    return note.with_signature(signature)


def cosigned_at_ms(raw: bytes) -> int:
    """When a checkpoint was cosigned, in milliseconds since 1970; 0 if it was not.

    For notes that were verified before they were stored: the coordinator's time, as a bound of what is past.
    """
    times = [
        int.from_bytes(line.value[:8], "big") * 1000
        for line in parse_note(raw).signatures
        if len(line.value) == COSIGNATURE_BYTES
    ]
    return max(times, default=0)
