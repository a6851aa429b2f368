"""Thirty gateways in random topologies: what of their bundles arrives, by how many hops and bytes.

    python -m benchmarks mesh        40 worlds of 30 gateways, three of them with a backhaul

The relay logic is the real one; links, bundles and time are made up. Links come and go; each gateway without
a backhaul makes four bundles. A bundle is delivered when a gateway with a backhaul has all of it, and done
when its ack has come back to whose it is.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from dataclasses import dataclass, field
from hashlib import sha256

from benchmarks.figure import Figure
from gateway.core.mesh import (
    AckLine,
    AckMessage,
    Event,
    Keep,
    Line,
    Piece,
    Relay,
    RelayLimits,
    Send,
    SendAck,
    Serve,
    TakeAck,
    ack_id,
)

PIECE = 16 << 10
BUNDLE_BYTES = 24_000
STEP_S = 5.0


@dataclass(slots=True)
class Bundle:
    """A made-up one; ``size`` numbers the bundles of one gateway from 1."""

    content_id: bytes
    owner: str
    size: int
    length: int = BUNDLE_BYTES


@dataclass(slots=True)
class Station:
    """One gateway: what it holds, what has come of others, which acks it knows."""

    name: str
    online: bool
    relay: Relay
    held: dict[bytes, tuple[Bundle, int]] = field(default_factory=dict)
    parts: dict[bytes, int] = field(default_factory=dict)
    acks: dict[str, int] = field(default_factory=dict)
    taken: int = 0


class World:
    """Stations, their links and the messages on them; ``now`` in seconds."""

    def __init__(self, seed: int, stations: int, online: int, *, hops: int = 8) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        limits = RelayLimits(hops=hops)
        names = [f"g{number}" for number in range(stations)]
        self.stations = {
            name: Station(name, number < online, Relay(limits)) for number, name in enumerate(names)
        }
        self.bundles: dict[bytes, Bundle] = {}
        self.links: set[tuple[str, str]] = set()
        self.delivered: dict[bytes, int] = {}
        """Content id → gateways it went through."""
        self.twice = 0
        self.wire: dict[str, int] = defaultdict(int)
        self._events: deque[tuple[str, list[Event]]] = deque()

    def scatter(self, reach: float = 0.25) -> None:
        """Places on a unit square; who is within reach of whom is linked."""
        places = {name: (self.rng.random(), self.rng.random()) for name in self.stations}
        for one, (x, y) in places.items():
            for other, (u, v) in places.items():
                if one < other and (x - u) ** 2 + (y - v) ** 2 <= reach**2:
                    self.link(one, other)

    def link(self, one: str, other: str) -> None:
        self.links.add((one, other))
        self._do(one, self.stations[one].relay.linked(other, self.now))
        self._do(other, self.stations[other].relay.linked(one, self.now))
        self._run()

    def cut(self, one: str, other: str) -> None:
        self.links.discard((one, other))
        self._do(one, self.stations[one].relay.unlinked(other, self.now))
        self._do(other, self.stations[other].relay.unlinked(one, self.now))
        self._run()

    def make(self, owner: str, count: int = 1) -> None:
        """Bundles of this gateway's own log."""
        station = self.stations[owner]
        first = sum(one.owner == owner for one in self.bundles.values()) + 1
        for size in range(first, first + count):
            content_id = sha256(f"{owner} {size}".encode()).digest()
            self.bundles[content_id] = station_bundle = Bundle(content_id, owner, size)
            station.held[content_id] = station_bundle, 0
        self._holds(station)
        self._run()

    def step(self) -> None:
        self.now += STEP_S
        for station in self.stations.values():
            self._do(station.name, station.relay.tick(self.now))
        self._run()

    def reachable(self) -> set[str]:
        """Gateways from which links lead to a backhaul just now."""
        found = {name for name, station in self.stations.items() if station.online}
        frontier = set(found)
        while frontier:
            near = {b if a in frontier else a for a, b in self.links if (a in frontier) != (b in frontier)}
            frontier = near - found
            found |= frontier
        return found

    def acked(self, owner: str) -> int:
        return self.stations[owner].acks.get(owner, 0)

    # Inside.

    def _run(self) -> None:
        while self._events:
            name, events = self._events.popleft()
            for event in events:
                self._perform(self.stations[name], event)

    def _do(self, name: str, events: list[Event]) -> None:
        self._events.append((name, events))

    def _perform(self, station: Station, event: Event) -> None:
        match event:
            case Send(neighbour, data):
                self._carry(station.name, neighbour, data, "words")
            case Serve(neighbour, id_, offset):
                for bundle, _ in station.held.values():
                    if bundle.content_id.startswith(id_):
                        data = bytes(min(PIECE, bundle.length - offset))
                        piece = Piece(bundle.content_id, offset, data)
                        self._carry(station.name, neighbour, piece.to_bytes(), "pieces")
            case Keep():
                self._keep(station, event)
            case SendAck(neighbour, id_):
                for owner, size in station.acks.items():
                    if ack_id(b"", owner) == id_:
                        note = f"{owner} {size}".encode().ljust(400)
                        message = AckMessage(sha256(owner.encode()).digest(), note)
                        self._carry(station.name, neighbour, message.to_bytes(), "acks")
            case TakeAck(_, note):
                owner, told = note.decode().split()
                self._ack(station, owner, int(told))

    def _carry(self, one: str, other: str, data: bytes, what: str) -> None:
        if (one, other) in self.links or (other, one) in self.links:
            self.wire[what] += len(data)
            self._do(other, self.stations[other].relay.heard(one, data, self.now))

    def _keep(self, station: Station, keep: Keep) -> None:
        bundle = self.bundles[keep.content_id]
        if station.acks.get(bundle.owner, 0) >= bundle.size:
            return self._do(station.name, station.relay.kept(keep.neighbour, keep.content_id, None, self.now))
        have = station.parts.get(keep.content_id, 0)
        if keep.offset == have:
            have += len(keep.data)
        station.parts[keep.content_id] = have
        if have >= bundle.length:
            del station.parts[keep.content_id]
            self._take(station, bundle, keep.hops)
        self._do(station.name, station.relay.kept(keep.neighbour, keep.content_id, have, self.now))

    def _take(self, station: Station, bundle: Bundle, hops: int) -> None:
        self.twice += bundle.content_id in station.held
        station.held[bundle.content_id] = bundle, hops
        station.taken += 1
        if station.online:
            self.delivered.setdefault(bundle.content_id, hops)
            have = {one.size for one in self.bundles.values() if one.content_id in self.delivered
                    and one.owner == bundle.owner}  # fmt: skip
            done = next(size for size in range(1, len(have) + 2) if size not in have) - 1
            self._ack(station, bundle.owner, done)
        self._holds(station)

    def _ack(self, station: Station, owner: str, size: int) -> None:
        """The coordinator takes a log's bundles in order."""
        if size <= station.acks.get(owner, 0):
            return
        station.acks[owner] = size
        station.held = {
            id_: (bundle, hops)
            for id_, (bundle, hops) in station.held.items()
            if bundle.owner != owner or bundle.size > size
        }
        self._holds(station)

    def _holds(self, station: Station) -> None:
        lines = [Line(one.content_id[:8], one.length, hops) for one, hops in station.held.values()]
        acks = [AckLine(ack_id(b"", owner), size) for owner, size in station.acks.items()]
        self._do(station.name, station.relay.holds(lines, acks, online=station.online, now=self.now))


@dataclass(frozen=True, slots=True)
class Outcome:
    bundles: int
    delivered: int
    acked: int
    connected: int
    """Bundles whose gateway a path led from, at the end of the world, when all links were up."""
    hops: float
    overhead: float
    """Bytes on all links over those of the bundles delivered times their hops."""
    twice: int


def play(seed: int, stations: int = 30, online: int = 3, each: int = 4, steps: int = 60) -> Outcome:
    """One world: links flap for as many steps as there are, then all are up for as many again."""
    world = World(seed, stations, online)
    world.scatter()
    links = sorted(world.links)
    makers = [station.name for station in world.stations.values() if not station.online]
    for step in range(2 * steps):
        if step < each:
            for name in makers:
                world.make(name)
        flaps = step < steps
        for link in links:
            is_up = link in world.links
            if flaps and is_up and world.rng.random() < 0.1:
                world.cut(*link)
            elif not is_up and (not flaps or world.rng.random() < 0.3):
                world.link(*link)
        world.step()
    reachable = world.reachable()
    useful = sum(BUNDLE_BYTES * hops for hops in world.delivered.values())
    return Outcome(
        len(world.bundles),
        len(world.delivered),
        sum(min(each, world.acked(name)) for name in makers),
        sum(each for name in makers if name in reachable),
        sum(world.delivered.values()) / max(1, len(world.delivered)),
        sum(world.wire.values()) / max(1, useful),
        world.twice,
    )


def figures(quick: bool) -> list[Figure]:
    """What the suite measures."""
    outcomes = [play(seed) for seed in range(3 if quick else 40)]
    made, connected = (sum(getattr(one, name) for one in outcomes) for name in ("bundles", "connected"))
    delivered, acked = (sum(getattr(one, name) for one in outcomes) for name in ("delivered", "acked"))
    return [
        Figure("with a path to a backhaul, of all bundles", "", connected / made),
        Figure("delivered, of all bundles", "", delivered / made),
        Figure("delivered, of those with a path at last", "", delivered / connected, 1.0, "more"),
        Figure("acked back to whose they are, of those", "", acked / connected, 1.0, "more"),
        Figure("hops of a delivered bundle", "", sum(one.hops for one in outcomes) / len(outcomes)),
        Figure(
            "bytes on links, by bytes of bundles x hops",
            "",
            sum(one.overhead for one in outcomes) / len(outcomes),
        ),
        Figure("bundles that came twice", "", sum(one.twice for one in outcomes), 0),
    ]
