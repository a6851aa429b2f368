"""One value, one encoding; anything else is refused with one error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cbor import CborError, as_array, as_bytes, as_text, as_uint, decode, encode

scalars = (
    st.none() | st.booleans() | st.integers(0, (1 << 64) - 1) | st.binary(max_size=40) | st.text(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: depth(value) <= 8)


def depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


@given(values)
def test_what_we_encode_we_decode(value: object) -> None:
    assert decode(encode(value)) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_are_the_encoding_of_their_value(data: bytes) -> None:
    try:
        value = decode(data)
    except CborError:
        return
    assert encode(value) == data


REFUSED = {
    "nothing": "",
    "a byte too many": "0101",
    "a byte too few": "4201",
    "an integer in a longer form": "1801",
    "a length in a longer form": "580100",
    "an array of indefinite length": "9f01ff",
    "text of indefinite length": "7f6161ff",
    "a break alone": "ff",
    "an array longer than memory": "9bffffffffffffffff",
    "bytes longer than memory": "5bffffffffffffffff",
    "bytes of 2 GB": "5a7fffffff",
    "a map longer than memory": "bbffffffffffffffff",
    "a key twice": "a2616102616103",
    "keys out of order": "a2616200616100",
    "an integer as a key": "a10102",
    "a map as a key of a map": "a1a1010202",
    "text that is not UTF-8": "62c328",
    "a surrogate in text": "63eda080",
    "a bignum": "c2490100000000000000000000",
    "a date": "c074323032362d30312d30315430303a30303a30305a",
    "a decimal of ten million digits": "c4821a009896800a",
    "a shared list that holds itself": "d81c81d81d00",
    "a regular expression": "d8236428612b29",
    "a set": "d9010281d90102820102",
    "a self-described item": "d9d9f701",
    "an unknown tag": "d903e701",
    "a reserved head": "1c",
    "a half-written simple value": "f814",
    "a float in a longer form": "fb3ff8000000000000",
    "a NaN with a payload": "f97e01",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_other_encodings_are_refused(data: str) -> None:
    with pytest.raises(CborError):
        decode(bytes.fromhex(data))


@pytest.mark.parametrize("levels", [9, 1_000, 100_000])
def test_deep_nesting_is_refused_before_the_stack_is_spent(levels: int) -> None:
    with pytest.raises(CborError):
        decode(b"\x81" * levels + b"\x00")


@pytest.mark.parametrize(
    "data", ["f5", "f4", "f6", "f7", "f97e00", "f93c00", "e0", "20", "1b0020000000000000", "40", "60", "80"]
)
def test_what_is_no_integer_below_two_to_the_53_does_not_pass_for_one(data: str) -> None:
    with pytest.raises(CborError):
        as_uint(decode(bytes.fromhex(data)))


def test_shapes_are_bounded() -> None:
    assert as_array([1, 2], 2, 3) == [1, 2]
    assert as_bytes(b"ab", 2) == as_bytes(b"ab", limit=2) == b"ab"
    assert as_text("aé", 3) == "aé"
    assert as_uint((1 << 53) - 1) == (1 << 53) - 1
    for refused in (
        lambda: as_array([1], 2, 3),
        lambda: as_array({}),
        lambda: as_bytes(b"ab", 3),
        lambda: as_bytes(b"ab", limit=1),
        lambda: as_bytes("ab"),
        lambda: as_text("aé", 2),
        lambda: as_text(b"a", 2),
        lambda: as_uint(4, 4),
    ):
        with pytest.raises(CborError):
            refused()
