"""Whether a certificate's dates are right, when the time itself may not be known."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import Stamp, TimeQuality


@dataclass(frozen=True, slots=True)
class Validity:
    """RFC 5280 §4.1.2.5, both ends inclusive; milliseconds since 1970."""

    not_before_ms: int
    not_after_ms: int


def date_fault(validity: Validity, now: Stamp, past_ms: int) -> str | None:
    """What is wrong with the dates, or None.

    While ``now`` is not trusted only what is certain counts: a certificate that had expired at ``past_ms`` is
    refused, every other is judged again once the time is known. A clock without a battery would else lock a
    gateway out, whichever way it is wrong.
    """
    if now.quality < TimeQuality.AGREED:
        late = past_ms > validity.not_after_ms
        return (
            f"expired {_days(past_ms - validity.not_after_ms)} before our last known time" if late else None
        )
    if now.unix_ms > validity.not_after_ms:
        return f"expired {_days(now.unix_ms - validity.not_after_ms)} ago"
    if now.unix_ms < validity.not_before_ms:
        return f"valid only in {_days(validity.not_before_ms - now.unix_ms)}"
    return None


def _days(ms: int) -> str:
    return f"{ms / 86_400_000:.1f} days"
