"""ECMAScript number literals."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.wallet.numbers import is_canonical_integer, is_canonical_literal, number_to_string

# Printed by Node 20 (V8) from the same 64-bit patterns, big-endian.
PRINTED_BY_V8 = [
    ("4014000000000000", "5"),
    ("3fd3333333333334", "0.30000000000000004"),
    ("3e7ad7f29abcaf48", "1e-7"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("4415af1d78b58c40", "100000000000000000000"),
    ("441ac53a7e04bcda", "123456789012345680000"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("3eb4b3fd5942cd96", "0.000001234"),
    ("0000000000000001", "5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("0010000000000000", "2.2250738585072014e-308"),
    ("3eb4b66dc01ec6fb", "0.0000012345678901234567"),
    ("3e8091f1667f0595", "1.2345678901234566e-7"),
    ("4011666666666666", "4.35"),
    ("4059000000000000", "100"),
    ("40f86a0000000000", "100000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("4480f0cf064dd592", "1e+22"),
    ("4340000000000000", "9007199254740992"),
    ("433fffffffffffff", "9007199254740991"),
    ("4330000000000002", "4503599627370498"),
    ("3eb0000000000000", "9.5367431640625e-7"),
    ("3fd5555555555555", "0.3333333333333333"),
    ("3ea0c6f7a0b5ed8d", "5e-7"),
    ("0000000000000003", "1.5e-323"),
    ("7e41eb2d66005835", "1.5e+300"),
    ("4340000000000000", "9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("36dc8b8218854567", "2e-44"),
    ("4340000000000000", "9007199254740992"),
    ("1c0d57f10c894254", "1.4830122828920016e-173"),
    ("43f04a6ece53d613", "18781959765316678000"),
    ("62b8410510668fa6", "3.575532127436644e+167"),
    ("55f2e30a9e501b7d", "1.0829258728928171e+106"),
    ("535c8ea8a4e05948", "3.7230187291668613e+93"),
    ("0f7b1bac9609eaf7", "4.262874002980358e-234"),
    ("4b3af636587957ba", "2.5824242072052563e+54"),
    ("6438f14dfe833301", "6.169062368256605e+174"),
    ("50af9825c659f77c", "4.682717518917287e+80"),
    ("302bd02b522a861b", "1.2009957333271821e-76"),
    ("7d70522e931f790e", "1.6677967842578716e+296"),
    ("7ba9a1630e23bac5", "4.878446657335358e+287"),
    ("29616ccb5e0010f0", "2.318589285015657e-109"),
    ("537bf421a1818b7f", "1.4577297053362402e+94"),
    ("7a5b1baa844c07a2", "2.4603368763737895e+281"),
    ("552e421879d836c9", "2.1178316544328792e+102"),
    ("292e8eaf3493d9a4", "2.5412503051231247e-110"),
    ("5fe48bdeead11f23", "8.60880578948587e+153"),
    ("618d3e487ffb5776", "8.222691106237041e+161"),
    ("5cd158ba16a76b0d", "1.29107691235244e+139"),
    ("07727df42b81c598", "8.54570675525937e-273"),
    ("16e635e91fb5a507", "2.3213088696070116e-198"),
    ("38c4ac26c846fc8a", "3.1104470921459883e-35"),
    ("0ade8c37577c5b91", "2.5430944865444634e-256"),
]


@pytest.mark.parametrize(("pattern", "text"), PRINTED_BY_V8)
def test_a_double_is_printed_as_v8_prints_it(pattern: str, text: str) -> None:
    assert number_to_string(struct.unpack(">d", bytes.fromhex(pattern))[0]) == text


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=0, exclude_min=True))
def test_every_positive_number_has_exactly_its_own_literal(value: float) -> None:
    text = number_to_string(value)
    assert float(text) == value
    assert is_canonical_literal(text)
    assert not is_canonical_literal(repr(value)) or repr(value) == text


@given(st.text(alphabet="0123456789.e+-_ naif", max_size=26))
def test_any_text_taken_as_a_literal_prints_itself(text: str) -> None:
    assert not is_canonical_literal(text) or number_to_string(float(text)) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, -1.5e-9])
def test_what_is_not_a_positive_number_is_printed_and_never_canonical(value: float) -> None:
    expected = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity", "-0.0": "0", "-1.5e-09": "-1.5e-9"}
    assert number_to_string(value) == expected[repr(value)]
    assert not is_canonical_literal(number_to_string(value))


NOT_CANONICAL = """
    0 -1 +1 5.0 05 5. .5 1E3 1e3 1e21 1e-6 0.0000001 1_000 ٣ 1e400 1e-400
    NaN Infinity nan inf 0x10 123456789012345678901
""".split()


@pytest.mark.parametrize("text", [*NOT_CANONICAL, "", " 1", "1\n", "9" * 400])
def test_a_literal_in_another_form_is_refused(text: str) -> None:
    assert not is_canonical_literal(text)


@pytest.mark.parametrize("text", ["0", "1", "10", "9007199254740991"])
def test_an_integer_below_two_to_the_53_is_canonical(text: str) -> None:
    assert is_canonical_integer(text)


@pytest.mark.parametrize(
    "text", ["", "-1", "01", "1.0", "1e3", "9007199254740992", "1" * 17, "٣", "²", " 1", "1_0"]
)
def test_any_other_integer_is_refused(text: str) -> None:
    assert not is_canonical_integer(text)
