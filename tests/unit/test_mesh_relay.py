"""The relay of the mesh: who fetches what from whom, within which bounds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.mesh import BUNDLE_BYTES, World, play
from gateway.core.cbor import CborError
from gateway.core.mesh import (
    NOWHERE,
    AckLine,
    AckMessage,
    Have,
    Keep,
    Line,
    Piece,
    Relay,
    RelayLimits,
    Send,
    SendAck,
    Serve,
    Want,
)
from gateway.core.mesh.messages import parse

ID = bytes(range(32))


def have(way: int = NOWHERE, *lines: Line, acks: tuple[AckLine, ...] = ()) -> bytes:
    return Have(way, lines, acks).to_bytes()


def line(hops: int = 0, length: int = 40_000, content_id: bytes = ID) -> Line:
    return Line(content_id[:8], length, hops)


def wants(events: Sequence[object]) -> list[Want]:
    return [
        message
        for event in events
        if isinstance(event, Send) and isinstance(message := parse(event.data), Want)
    ]


@pytest.mark.parametrize(
    "message",
    [
        Have(3, (Line(b"12345678", 9, 1),), (AckLine(b"abcdefgh", 7),)),
        Want(b"12345678", 70_000),
        Piece(ID, 16_384, b"bytes"),
        AckMessage(ID, b"note"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_messages_are_read_as_they_are_written(message: Have | Want | Piece | AckMessage) -> None:
    assert parse(message.to_bytes()) == message


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x81\x05", b"\x84\x01\x11\x80\x80", b"x" * 20_000])
def test_what_is_no_message_is_refused_and_counted(data: bytes) -> None:
    with pytest.raises(CborError):
        parse(data)
    relay = Relay(RelayLimits())
    relay.linked("b", 0.0)
    assert relay.heard("b", data, 0.0) == [] and relay.malformed == 1


def test_three_in_a_line_carry_to_the_one_with_a_backhaul_and_the_ack_back() -> None:
    world = World(1, 3, 1)  # g0 is online
    world.link("g0", "g1")
    world.link("g1", "g2")
    world.make("g2", 3)
    for _ in range(9):
        world.step()
    assert set(world.delivered.values()) == {2} and len(world.delivered) == 3
    assert world.acked("g2") == 3 and world.twice == 0
    assert not any(station.held for station in world.stations.values())


def test_a_cut_in_the_middle_costs_only_what_was_under_way() -> None:
    world = World(1, 3, 1)
    world.link("g1", "g2")
    world.make("g2", 3)
    for _ in range(4):
        world.step()
    world.cut("g1", "g2")  # g1 has them all by now, though nobody knew of a backhaul
    world.link("g0", "g1")
    for _ in range(4):
        world.step()
    assert len(world.delivered) == 3 and world.acked("g2") == 0
    world.link("g1", "g2")
    for _ in range(3):
        world.step()
    assert world.acked("g2") == 3
    assert world.wire["pieces"] < 2 * 3 * BUNDLE_BYTES * 1.02


def test_nobody_fetches_from_one_that_is_nearer_to_a_backhaul() -> None:
    relay = Relay(RelayLimits())
    relay.linked("b", 0.0)
    assert wants(relay.heard("b", have(1, line()), 1.0)) == []
    relay.linked("c", 1.0)
    relay.heard("c", have(0), 2.0)
    assert relay.way == 1
    assert wants(relay.heard("b", have(2, line()), 3.0)) == [Want(ID[:8], 0)]


def test_two_that_lost_their_backhaul_do_not_believe_each_other() -> None:
    relay = Relay(RelayLimits())
    relay.linked("b", 0.0)
    events = relay.heard("b", have(0), 5.0)
    (told,) = [parse(event.data) for event in events if isinstance(event, Send)] or [Have(NOWHERE, (), ())]
    assert isinstance(told, Have) and told.way == NOWHERE
    assert relay.way == 1


def test_a_bundle_at_its_hop_limit_is_neither_told_nor_fetched() -> None:
    relay = Relay(RelayLimits(hops=2))
    relay.linked("b", 0.0)
    assert wants(relay.heard("b", have(NOWHERE, line(hops=2)), 1.0)) == []
    (told,) = relay.holds([line(hops=2)], [], online=False, now=9.0) or [Send("b", have())]
    assert isinstance(told, Send)
    message = parse(told.data)
    assert isinstance(message, Have) and message.bundles == ()


def test_one_bundle_is_fetched_from_one_neighbour_and_pieces_nobody_asked_for_are_dropped() -> None:
    relay = Relay(RelayLimits())
    relay.linked("b", 0.0)
    relay.linked("c", 0.0)
    assert len(wants(relay.heard("b", have(NOWHERE, line()), 1.0))) == 1
    assert wants(relay.heard("c", have(NOWHERE, line()), 1.0)) == []
    assert relay.heard("c", Piece(ID, 0, b"x").to_bytes(), 1.0) == []
    assert relay.duplicates == 1
    (keep,) = relay.heard("b", Piece(ID, 0, b"x").to_bytes(), 1.0)
    assert keep == Keep("b", ID, 0, b"x", 1)


def test_a_fetch_goes_on_elsewhere_where_it_stopped() -> None:
    relay = Relay(RelayLimits())
    relay.linked("b", 0.0)
    relay.linked("c", 0.0)
    relay.heard("b", have(NOWHERE, line()), 1.0)
    relay.heard("c", have(NOWHERE, line()), 1.0)
    assert wants(relay.kept("b", ID, 16_384, 2.0)) == [Want(ID[:8], 16_384)]
    assert wants(relay.unlinked("b", 3.0)) == [Want(ID[:8], 16_384)]
    assert wants(relay.tick(60.0)) == [Want(ID[:8], 16_384)]  # no answer for long


def test_what_is_not_taken_is_not_fetched_again_until_an_ack_makes_room() -> None:
    relay = Relay(RelayLimits())
    relay.linked("b", 0.0)
    relay.heard("b", have(NOWHERE, line()), 1.0)
    assert relay.kept("b", ID, None, 2.0) == []
    assert wants(relay.tick(100.0)) == []
    assert wants(relay.holds([], [AckLine(b"12345678", 3)], online=False, now=200.0)) == [Want(ID[:8], 0)]


def test_a_neighbour_brings_and_is_served_no_more_than_its_budget_of_a_minute() -> None:
    relay = Relay(RelayLimits(bytes_per_minute=20_000))
    relay.linked("b", 0.0)
    relay.holds([line()], [], online=False, now=0.0)
    ask = Want(ID[:8], 0).to_bytes()
    assert relay.heard("b", ask, 1.0) == relay.heard("b", ask, 1.0) == [Serve("b", ID[:8], 0)]
    assert relay.heard("b", ask, 1.0) == []
    assert relay.heard("b", ask, 61.0) == [Serve("b", ID[:8], 0)]

    other = bytes(32)
    relay.heard("b", have(NOWHERE, line(content_id=other)), 62.0)
    relay.heard("b", Piece(other, 0, bytes(16_000)).to_bytes(), 62.0)
    relay.heard("b", Piece(other, 16_000, bytes(16_000)).to_bytes(), 62.0)
    relay.kept("b", other, 40_000, 62.0)
    third = line(content_id=b"\x07" * 32)
    assert wants(relay.heard("b", have(NOWHERE, third), 63.0)) == []
    assert wants(relay.tick(130.0)) == [Want(third.id, 0)]


def test_an_ack_goes_once_to_each_that_lacks_it() -> None:
    relay = Relay(RelayLimits())
    relay.linked("b", 0.0)
    relay.holds([], [AckLine(b"12345678", 3)], online=False, now=1.0)
    events = relay.heard("b", have(), 5.0)
    assert events.count(SendAck("b", b"12345678")) == 1
    assert SendAck("b", b"12345678") not in relay.heard("b", have(acks=(AckLine(b"12345678", 3),)), 6.0)
    relay.linked("c", 6.0)
    assert SendAck("c", b"12345678") not in relay.heard("c", have(acks=(AckLine(b"12345678", 9),)), 7.0)


def test_in_a_random_world_all_that_has_a_path_arrives_and_is_acked() -> None:
    outcome = play(seed=3, stations=12, online=1, each=2, steps=15)
    assert outcome.delivered >= outcome.connected > 0
    assert outcome.acked >= outcome.connected
    assert outcome.twice == 0
