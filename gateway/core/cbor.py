"""Deterministic CBOR (RFC 8949 section 4.2.1) and the shapes our arrays are made of.

Neither floats nor tags nor indefinite lengths occur in the protocol. `decode` refuses tags and indefinite
lengths; a float or a simple value can pass it, and fails at the shape its reader expects: there is no
`as_float`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

import cbor2

MAX_DEPTH = 8
"""Deepest nesting: a receipt in a transaction in the list of an upload stands at 4."""

MAX_UINT = 1 << 53
"""Integers stay below 2⁵³, so that JavaScript wallets can hold every one of them."""


class CborError(ValueError):
    """The bytes are not deterministic CBOR of the expected shape; the message says what was seen."""


def encode(value: object) -> bytes:
    """The one encoding of lists, maps, integers, bytes, text, booleans and None."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes) -> object:
    """The value whose encoding `data` is, to the last byte; raises `CborError` for anything else.

    The caller bounds the length of `data`: time and memory are linear in it.
    """
    return decode_with(data, encode)


def decode_with(data: bytes, encode: Callable[[object], bytes]) -> object:
    """`decode`, for a caller that needs encodings of parts of it anyway and puts the whole together."""
    try:
        value = cbor2.loads(
            data,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,  # keys are text or bytes: integers can be made to collide
            semantic_decoders=_NO_TAGS,
        )
        if encode(value) == data:
            return value
    except (cbor2.CBORError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        # Beside its own errors the library lets some of the conversions' errors through: an unhashable map
        # key is a TypeError, a length beyond the platform's an OverflowError.
        raise CborError(f"not CBOR: {type(error).__name__}") from error
    raise CborError("not the deterministic encoding")


def encode_uint(value: int) -> bytes:
    """`encode` for the integers that messages are full of."""
    if 0 <= value < 24:
        return bytes((value,))
    return b"\x1b" + value.to_bytes(8, "big") if 1 << 32 <= value < MAX_UINT else encode(value)


def array_head(length: int) -> bytes:
    """What stands before the elements of an array."""
    encoded = encode(length)
    return bytes((encoded[0] | 0x80,)) + encoded[1:]


def as_array(value: object, *lengths: int) -> list[object]:
    """`value` as an array, of one of these lengths where any are given."""
    if type(value) is not list:
        raise CborError(f"array expected, {_kind(value)} seen")
    if lengths and len(value) not in lengths:
        raise CborError(f"array of {'/'.join(map(str, lengths))} expected, {len(value)} seen")
    return value


def as_bytes(value: object, length: int | None = None, *, limit: int | None = None) -> bytes:
    """`value` as a byte string of exactly `length` or at most `limit` bytes."""
    if type(value) is not bytes:
        raise CborError(f"byte string expected, {_kind(value)} seen")
    if (length is not None and len(value) != length) or (limit is not None and len(value) > limit):
        raise CborError(f"{length or limit} bytes expected, {len(value)} seen")
    return value


def as_text(value: object, limit: int) -> str:
    """`value` as text of at most `limit` UTF-8 bytes."""
    if type(value) is not str:
        raise CborError(f"text expected, {_kind(value)} seen")
    if len(value) > limit or (not value.isascii() and len(value.encode()) > limit):
        raise CborError(f"text of at most {limit} bytes expected")
    return value


def as_uint(value: object, limit: int = MAX_UINT) -> int:
    """`value` as an integer in [0, `limit`)."""
    if type(value) is not int:
        raise CborError(f"integer expected, {_kind(value)} seen")
    if not 0 <= value < limit:
        raise CborError("integer out of range")
    return value


def _kind(value: object) -> str:
    return type(value).__name__


def _refuse_tag(*_: object) -> NoReturn:
    raise CborError("tags do not occur in the protocol")


class _NoTags(Mapping[int, Callable[..., object]]):
    """Claims every tag, so that no decoder of the library (patterns, decimals, references) ever runs."""

    def __getitem__(self, tag: int) -> Callable[..., object]:
        return _refuse_tag

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


_NO_TAGS = _NoTags()
