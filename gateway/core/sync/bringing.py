"""Bundles of other gateways over this gateway's link: BRING out, a piece at a time, BROUGHT back."""

from __future__ import annotations

from gateway.core.sync import messages as wire
from gateway.core.sync.breach import Breach
from gateway.core.sync.events import Delivered, Event, Fault, Parcel, ReadParcel, Send, Undelivered


class Bringing:
    """Owned by one session. Asks for one bundle after another until it is told that there is none.

    What was refused is not asked for again on this link, but for `early`: it waits until another was taken.
    """

    def __init__(self) -> None:
        self._id: bytes | None = None
        self._offset = 0
        self._refused: set[bytes] = set()
        self._early: set[bytes] = set()
        self._reading = False

    @property
    def answer_due(self) -> bool:
        return self._id is not None and not self._reading

    def opened(self) -> list[Event]:
        """There may be something to bring."""
        return [] if self._id is not None or self._reading else self._next()

    def parcel(self, parcel: Parcel | None) -> list[Event]:
        """Answers ReadParcel; None: nothing is left to bring, or this one is gone meanwhile."""
        self._reading = False
        if parcel is None:
            gone, self._id = self._id, None
            return [] if gone is None else self._next()
        self._id, self._offset = parcel.content_id, parcel.offset
        return [Send(wire.Bring(parcel.content_id, parcel.offset, parcel.data).to_bytes())]

    def brought(self, message: wire.Brought) -> list[Event]:
        """Raises Breach for an answer to nothing, or more bytes than the bundle was given."""
        if message.content_id != self._id or self._reading:
            raise Breach(Fault.OUT_OF_TURN, "BROUGHT that answers no BRING")
        if message.ack is not None:
            self._id = None
            self._refused.add(message.content_id)  # it is done, whatever is thought of the ack
            self._early.clear()
            return [Delivered(message.content_id, message.ack), *self._next()]
        if message.refusal is not None:
            self._id = None
            (self._early if message.refusal == "early" else self._refused).add(message.content_id)
            return [Undelivered(message.content_id, message.refusal), *self._next()]
        self._reading = True
        return [ReadParcel(message.content_id, message.have, frozenset())]

    def _next(self) -> list[Event]:
        self._reading = True
        return [ReadParcel(None, 0, frozenset(self._refused | self._early))]
