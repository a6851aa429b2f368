"""Numbers as the wallets' JavaScript prints them; no arithmetic on money."""

from __future__ import annotations

import math
import re

MAX_LITERAL = 25
"""Longest positive finite Number→String: ``0.0000012345678901234567`` has 24, the exponent forms 23."""

MAX_SAFE = 1 << 53
"""Nonces and timestamps stay below 2⁵³, where every integer is its own Number."""


# Most amounts. With at most 15 significant digits no two decimals share a Number, so the shortest digits of
# one are its own; and from 10⁻⁶ to 10²¹ it prints without an exponent.
_PLAIN = re.compile(r"[1-9][0-9]*|(?:[1-9][0-9]*|0(?!\.0{6}))\.[0-9]*[1-9]")


def number_to_string(value: float) -> str:
    """Number::toString(value, 10), ECMA-262 6.1.6.1.20.

    Python's ``repr`` yields the same shortest digits that round-trip, nearest to the value where several
    do; only the layout differs.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"  # also for -0: step 2
    if value < 0:
        return "-" + number_to_string(-value)
    return _layout(*_shortest_digits(value))


def is_canonical_literal(text: str) -> bool:
    """Whether `text` is a finite Number > 0 printed exactly as ECMAScript prints it."""
    if len(text) > MAX_LITERAL:
        return False
    if len(text) < 16 and _PLAIN.fullmatch(text):
        return True
    try:
        value = float(text)
    except ValueError:
        return False
    return 0 < value < math.inf and number_to_string(value) == text


def is_canonical_integer(text: str) -> bool:
    """Whether `text` is an integer in [0, 2⁵³) without sign, leading zero or exponent."""
    if not (1 <= len(text) <= 16 and text.isascii() and text.isdigit()):
        return False
    return (text[0] != "0" or text == "0") and int(text) < MAX_SAFE


def _shortest_digits(value: float) -> tuple[str, int]:
    """(digits, n) such that value = 0.digits × 10ⁿ, without leading or trailing zeros in the digits."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    return digits.rstrip("0"), len(whole) - leading + int(exponent or 0)


def _layout(digits: str, n: int) -> str:
    """Steps 6 to 12: k digits, decimal point after the n-th."""
    k = len(digits)
    if k <= n <= 21:
        return digits + "0" * (n - k)
    if 0 < n <= 21:
        return f"{digits[:n]}.{digits[n:]}"
    if -6 < n <= 0:
        return "0." + "0" * -n + digits
    sign = "+" if n > 0 else "-"
    point = "." + digits[1:] if k > 1 else ""
    return f"{digits[0]}{point}e{sign}{abs(n - 1)}"
