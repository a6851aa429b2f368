"""Number::toString of ECMA-262 section 6.1.6.1.20, by its steps."""

from __future__ import annotations

import math
from decimal import Decimal

from simulators.textbook.cbor import Malformed


def number_to_string(x: float) -> str:
    """How JavaScript prints a finite number > 0; raises `Malformed` for any other."""
    if not (math.isfinite(x) and x > 0):
        raise Malformed("amounts are finite and above zero")
    # repr gives the shortest digits that read back as x: the s, k and n of step 5.
    _, digits, exponent = Decimal(repr(x)).normalize().as_tuple()
    s, k = "".join(map(str, digits)), len(digits)
    n = k + int(exponent)
    if k <= n <= 21:
        return s + "0" * (n - k)
    if 0 < n <= 21:
        return s[:n] + "." + s[n:]
    if -6 < n <= 0:
        return "0." + "0" * -n + s
    sign = "-" if n - 1 < 0 else "+"
    fraction = "." + s[1:] if k > 1 else ""
    return f"{s[0]}{fraction}e{sign}{abs(n - 1)}"


def is_amount(literal: str) -> bool:
    """Whether `literal` is a finite number > 0 as JavaScript prints it."""
    if len(literal) > 32:
        return False
    try:
        return number_to_string(float(literal)) == literal
    except ValueError:
        return False
