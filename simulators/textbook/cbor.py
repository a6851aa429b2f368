"""Deterministic CBOR (RFC 8949 section 4.2.1) without floats, tags and indefinite lengths."""

from __future__ import annotations

from typing import NoReturn

import cbor2

MAX_DEPTH = 16


class Malformed(ValueError):
    """Bytes or values that the protocol does not allow; the message says what was seen."""


def encode(value: object) -> bytes:
    """The one encoding of `value`."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes) -> object:
    """The value that `data` is the one encoding of; raises `Malformed` for anything else."""
    try:
        value = cbor2.loads(
            data,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            semantic_decoders=_REFUSED_TAGS,
            tag_hook=_refuse_tag,
        )
        _check(value)
        same = encode(value) == data
    except (cbor2.CBORError, ValueError, TypeError, ArithmeticError, LookupError, MemoryError) as error:
        # Not only the library's own: an absurd length is an OverflowError, a map as a key a TypeError.
        raise Malformed(f"not CBOR: {error}") from error
    if not same:
        raise Malformed("not the deterministic encoding")
    return value


def array(value: object, length: int | None = None) -> list[object]:
    if type(value) is not list or (length is not None and len(value) != length):
        raise Malformed(f"an array of {'any length' if length is None else length} expected")
    return value


def octets(value: object, length: int | None = None, most: int | None = None) -> bytes:
    if type(value) is not bytes or (length is not None and len(value) != length):
        raise Malformed(f"a byte string of {'any' if length is None else length} bytes expected")
    if most is not None and len(value) > most:
        raise Malformed(f"at most {most} bytes expected, {len(value)} seen")
    return value


def text(value: object, most: int) -> str:
    if type(value) is not str or len(value.encode()) > most:
        raise Malformed(f"a text of at most {most} bytes expected")
    return value


def integer(value: object, below: int = 1 << 53) -> int:
    if type(value) is not int or not 0 <= value < below:
        raise Malformed(f"an integer in [0, {below}) expected")
    return value


def _check(value: object) -> None:
    kind = type(value)
    if kind is list:
        for item in value:  # type: ignore[attr-defined]  # mypy does not narrow by `type() is`
            _check(item)
    elif kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined] # a dict by its kind
            if type(key) not in (str, int):
                raise Malformed("a map's keys are texts or integers")
            _check(item)
    elif kind is int:
        if not -(1 << 64) <= value < 1 << 64:  # type: ignore[operator] # an int by its kind
            raise Malformed("an integer of more than 64 bits")
    elif kind not in (bytes, str, bool, type(None)):
        raise Malformed(f"{kind.__name__} does not occur in the protocol")


def _refuse_tag(*_: object) -> NoReturn:
    raise Malformed("tags do not occur in the protocol")


# The library decodes these by itself, some at a cost that grows with a number in the data (5: 2 ** exponent).
_REFUSED_TAGS = dict.fromkeys(
    (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 43, 100, 256, 258, 260, 261, 1004, 43000, 55799),
    _refuse_tag,
)
