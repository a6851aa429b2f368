"""Whatever devices, forwarders and radios do: what the link sends is lawful and is heard."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.lora.downlinks import Send
from gateway.core.lora.frames import Data, Poll, split, xid_of
from gateway.core.lora.link import LoraLink, Message
from gateway.core.lora.regions import REGIONS, Region
from gateway.core.lora.windows import Heard, Window

CONTENTS = [Random(n).randbytes(40 + 130 * n) for n in range(8)]
FRAMES = [
    frame
    for content in CONTENTS
    for chunks in [split(content, 200)]
    for frame in [
        *(Data(xid_of(content), i, len(chunks), c, i == len(chunks) - 1) for i, c in enumerate(chunks)),
        Poll(xid_of(content), 0),
        Poll(xid_of(content), 1),
        Data(xid_of(content), 0, len(chunks), b"forged" * 9, listening=True),
    ]
]

Step = tuple[Data | Poll, float, str, float, bytes, str | None]
STEP: st.SearchStrategy[Step] = st.tuples(
    st.sampled_from(FRAMES),
    st.floats(0, 9),  # seconds until then
    st.sampled_from(["near", "far"]),  # who hears it
    st.sampled_from([0.0, 0.4, 1.2, 5.0, 30.0]),  # how long the recorder takes
    st.sampled_from([b"\x84\x10" + bytes(93), b"\x84\x11\x01", bytes(800)]),
    st.sampled_from([None, None, None, "too_late", "collision", "frequency"]),  # what the radio says
)


class World:
    """Runs a link in virtual time and keeps what it sent."""

    def __init__(self, region: Region) -> None:
        self.link = LoraLink(region, join=lambda answers: (b"".join(answers[:9]), range(len(answers[:9]))))
        self.region = region
        self.now = 0.0
        self.sent: list[Send] = []
        self.answers: list[tuple[float, Message, bytes]] = []

    def step(
        self, frame: Data | Poll, after: float, where: str, takes: float, answer: bytes, word: str | None
    ) -> None:
        self.pass_time(self.now + after)
        heard = Heard(
            concentrator=where,
            peer=where,
            counter_us=round(self.now * 1e6) + (7_000_000 if where == "far" else 0),
            frequency_hz=self.region.uplink_hz[len(self.sent) % 8],
            spreading_factor=7,
            bandwidth_hz=125_000,
            snr_db=1.0,
            at=self.now,
        )
        for event in self.link.receive(frame.to_bytes(), heard, self.now):
            if isinstance(event, Message):
                self.answers.append((self.now + takes, event, answer))
            else:
                self.transmit(event, word)

    def pass_time(self, until: float) -> None:
        while True:
            due = self.link.next_due()
            at = min(
                [at for at, _, _ in self.answers] + ([due] if due is not None else []), default=float("inf")
            )
            if at > until:
                break
            self.now = max(self.now, at)
            for entry in [entry for entry in self.answers if entry[0] <= self.now]:
                self.answers.remove(entry)
                for event in self.link.answer(entry[1].context, entry[2], self.now):
                    self.transmit(event, None)
            for event in self.link.due(self.now):
                self.transmit(event, None)
        self.now = until

    def transmit(self, event: object, word: str | None) -> None:
        assert isinstance(event, Send)
        assert event.booking.start >= self.now + 0.14
        if word is None:
            self.link.sent(event)
            self.sent.append(event)
            return
        for other in self.link.refused(event, word, self.now):
            self.transmit(other, None)


@pytest.mark.parametrize("name", ["EU868", "US915"])
@settings(max_examples=60)
@given(steps=st.lists(STEP, min_size=1, max_size=60))
def test_nothing_overlaps_nothing_exceeds_and_everything_starts_in_a_window(
    name: str, steps: list[Step]
) -> None:
    world = World(REGIONS[name])
    for step in steps:
        world.step(*step)
    world.pass_time(world.now + 60.0)
    assert world.link.next_due() is None
    by_concentrator = defaultdict(list)
    for send in world.sent:
        assert send.heard is not None
        by_concentrator[send.heard.concentrator].append(send)
        check(send, world.region)
    for sends in by_concentrator.values():
        ordered = sorted(sends, key=lambda send: send.booking.start)
        assert all(a.booking.end < b.booking.start for a, b in pairwise(ordered))


def check(send: Send, region: Region) -> None:
    """One frame against the region's rules and its device's windows."""
    assert send.heard is not None
    assert send.heard.counter_us is not None
    booking, after = send.booking, send.booking.start - send.heard.at
    band = region.sub_band(booking.channel.frequency_hz)
    assert band is not None
    assert send.power_dbm <= band.max_eirp_dbm
    assert booking.airtime_us <= region.max_airtime_us
    assert len(send.payload) <= booking.channel.rate.max_bytes
    assert send.counter_us == send.heard.counter_us + round(after * 1e6)
    if send.window is Window.COMMON:
        assert 4.0 <= after
        assert booking.end - send.heard.at <= 20.0
        assert booking.channel == region.rx2
    else:
        assert after == pytest.approx(1.0 if send.window is Window.RX1 else 2.0)
