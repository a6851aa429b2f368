"""What an error means for a message: try again, wait for the network, or never; pure."""

from __future__ import annotations

from enum import Enum

from drivers.gsm_at.engine import Reply


class Verdict(Enum):
    SENT = "sent"
    REFUSED = "refused"  # this message, whatever is done
    NOT_NOW = "not_now"  # nothing wrong with the message: no attempt is counted
    FAILED = "failed"  # perhaps the message, perhaps not: an attempt


# TS 27.005 clause 3.2.5 and the causes of TS 24.011 annex E-2 it includes.
_REFUSED = frozenset(
    {
        1,  # unassigned number
        8,  # operator determined barring
        10,  # call barred
        28,  # unidentified subscriber
        30,  # unknown subscriber
        *(50, 69, 81, 95, 96, 97, 98, 99, 111),  # not subscribed, not implemented, malformed
        *(302, 303, 304, 305),  # not allowed, not supported, invalid PDU, invalid text parameter
    }
)
_NOT_NOW = frozenset(
    {
        *(38, 41, 42, 47),  # network out of order, temporary failure, congestion, resources
        *(310, 311, 312, 313, 314, 315, 316, 317, 318),  # the SIM
        *(330, 331, 332, 340),  # service centre unknown, no network, time-out, no acknowledgement expected
        *(513, 514, 515),  # radio, stack, just started
    }
)


def judge(reply: Reply) -> Verdict:
    if reply.ok:
        return Verdict.SENT
    if reply.result == "CME":
        return Verdict.NOT_NOW
    if reply.result == "CMS" and reply.code in _REFUSED:
        return Verdict.REFUSED
    if reply.result == "CMS" and reply.code in _NOT_NOW:
        return Verdict.NOT_NOW
    return Verdict.FAILED
