"""Who fetches which bundle from whom, and who is told which ack; knows no radio, no clock and no disk.

A bundle is fetched, never pushed: by whoever is nearer to a backhaul than the gateway that holds it, or,
while nobody knows of one, by anybody. So what comes in is bounded by whoever takes it, and nothing comes
twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.core.cbor import CborError
from gateway.core.mesh.messages import MAX_LINES, NOWHERE, AckLine, AckMessage, Have, Line, Piece, Want, parse

ANSWER_S = 30.0
"""A WANT without its PIECE is given up: the link may have gone, or the other's budget."""
MAX_REMEMBERED = 1024
"""Bundles that were not kept, so that they are not fetched again and again, and those that were begun; the
oldest are forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLimits:
    """``hops``: gateways a bundle may go through. ``settle_s``: between two tellings of what is held.

    ``bytes_per_minute``: what one neighbour may bring, and what it is served.
    """

    hops: int = 8
    settle_s: float = 1.0
    bytes_per_minute: int = 16 << 20


@dataclass(frozen=True, slots=True)
class Send:
    neighbour: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Serve:
    """Read bytes of this bundle and send them as PIECE; ``id`` is the beginning of its content id."""

    neighbour: str
    id: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Keep:
    """→ relay.kept: how much of it is here now, None where it is not taken. ``hops`` includes ourselves."""

    neighbour: str
    content_id: bytes
    offset: int
    data: bytes
    hops: int


@dataclass(frozen=True, slots=True)
class TakeAck:
    """Verify it; where it is news, `holds` follows."""

    key: bytes
    note: bytes


@dataclass(frozen=True, slots=True)
class SendAck:
    """Send the ack that stands for this id."""

    neighbour: str
    id: bytes


Event = Send | Serve | Keep | TakeAck | SendAck


@dataclass(slots=True)
class _Budget:
    """Bytes of the minute that is running."""

    since: float = 0.0
    spent: int = 0

    def left(self, now: float, per_minute: int) -> int:
        if now - self.since >= 60.0:
            self.since, self.spent = now, 0
        return per_minute - self.spent


@dataclass(slots=True)
class _Neighbour:
    """``told`` is what we last said; ``wanted`` the line under way from there, and since when."""

    way: int = NOWHERE
    has_spoken: bool = False
    bundles: dict[bytes, Line] = field(default_factory=dict)
    acks: dict[bytes, int] = field(default_factory=dict)
    told: bytes = b""
    told_at: float = float("-inf")
    wanted: Line | None = None
    since: float = 0.0
    brings: _Budget = field(default_factory=_Budget)
    served: _Budget = field(default_factory=_Budget)


class Relay:
    """Give it what happens; do what it answers, in order. No method raises for what a neighbour says."""

    def __init__(self, limits: RelayLimits) -> None:
        self._limits = limits
        self._neighbours: dict[str, _Neighbour] = {}
        self._held: dict[bytes, Line] = {}
        self._acks: dict[bytes, int] = {}
        self._online = False
        self._refused: OrderedDict[bytes, None] = OrderedDict()
        self._begun: OrderedDict[bytes, int] = OrderedDict()  # how far those came that are not whole
        self.duplicates = 0
        """Pieces that came and were not waited for."""
        self.malformed = 0

    @property
    def way(self) -> int:
        """How many gateways away the nearest backhaul is that is known of."""
        return 0 if self._online else self._way_without(None)

    # What happens.

    def linked(self, neighbour: str, now: float) -> list[Event]:
        self._neighbours[neighbour] = _Neighbour()
        return self._tell(now)

    def unlinked(self, neighbour: str, now: float) -> list[Event]:
        self._neighbours.pop(neighbour, None)
        return self._tell(now)

    def holds(
        self, bundles: Iterable[Line], acks: Iterable[AckLine], *, online: bool, now: float
    ) -> list[Event]:
        """What is here now; ``online``: the coordinator is reached by ourselves."""
        self._held = {line.id: line for line in bundles}
        known = {line.id: line.size for line in acks}
        if known != self._acks:
            self._refused.clear()  # an ack makes room
        self._acks, self._online = known, online
        return self._tell(now)

    def heard(self, neighbour: str, data: bytes, now: float) -> list[Event]:
        """A whole message."""
        known = self._neighbours.get(neighbour)
        if known is None:
            return []
        try:
            message = parse(data)
        except CborError:
            self.malformed += 1
            return []
        match message:
            case Have():
                return self._have(neighbour, known, message, now)
            case Want():
                return self._want(neighbour, known, message, now)
            case Piece():
                return self._piece(neighbour, known, message)
            case AckMessage():
                return [TakeAck(message.key, message.note)]

    def kept(self, neighbour: str, content_id: bytes, have: int | None, now: float) -> list[Event]:
        """Answers Keep."""
        known = self._neighbours.get(neighbour)
        self._remember(content_id[:8], have)
        if known is None or known.wanted is None or known.wanted.id != content_id[:8]:
            return []
        if have is None or have >= known.wanted.length:
            known.wanted = None
            return self._fetch(now)
        known.since = now
        return [Send(neighbour, Want(known.wanted.id, have).to_bytes())]

    def tick(self, now: float) -> list[Event]:
        """Every few seconds."""
        for known in self._neighbours.values():
            if known.wanted is not None and now - known.since >= ANSWER_S:
                known.wanted = None
        return self._tell(now)

    # What follows from it.

    def _have(self, name: str, known: _Neighbour, have: Have, now: float) -> list[Event]:
        known.way, known.has_spoken = have.way, True
        known.bundles = {line.id: line for line in have.bundles}
        known.acks = {line.id: line.size for line in have.acks}
        if known.wanted is not None and known.wanted.id not in known.bundles:
            known.wanted = None
        return [*self._tell(now), *self._spread(name, known)]

    def _want(self, name: str, known: _Neighbour, want: Want, now: float) -> list[Event]:
        line = self._held.get(want.id)
        left = known.served.left(now, self._limits.bytes_per_minute)
        if line is None or want.offset >= line.length or left <= 0:
            return []
        known.served.spent += min(line.length - want.offset, 16 << 10)
        return [Serve(name, want.id, want.offset)]

    def _piece(self, name: str, known: _Neighbour, piece: Piece) -> list[Event]:
        known.brings.spent += len(piece.data)
        if known.wanted is None or piece.content_id[:8] != known.wanted.id or not piece.data:
            self.duplicates += 1
            return []
        return [Keep(name, piece.content_id, piece.offset, piece.data, known.wanted.hops + 1)]

    def _tell(self, now: float) -> list[Event]:
        """HAVE to all to whom it is news, the acks that they lack, and what may be fetched now."""
        events: list[Event] = []
        for name, known in self._neighbours.items():
            told = self._have_for(name).to_bytes()
            if told != known.told and now - known.told_at >= self._limits.settle_s:
                known.told, known.told_at = told, now
                events += [Send(name, told), *self._spread(name, known)]
        return events + self._fetch(now)

    def _have_for(self, name: str) -> Have:
        """To the one by whom we know of a backhaul, we know of none: no two point at each other."""
        way = 0 if self._online else self._way_without(name)
        lines = [line for line in self._held.values() if line.hops < self._limits.hops][:MAX_LINES]
        acks = [AckLine(id_, size) for id_, size in list(self._acks.items())[-MAX_LINES:]]
        return Have(way, tuple(lines), tuple(acks))

    def _way_without(self, name: str | None) -> int:
        ways = [known.way for other, known in self._neighbours.items() if other != name]
        return min([NOWHERE, *(way + 1 for way in ways)])

    def _spread(self, name: str, known: _Neighbour) -> list[Event]:
        """Acks that are newer than theirs, each once."""
        events: list[Event] = []
        if not known.has_spoken:  # it may have them all
            return events
        for id_, size in self._acks.items():
            if known.acks.get(id_, -1) < size:
                known.acks[id_] = size
                events.append(SendAck(name, id_))
        return events

    def _fetch(self, now: float) -> list[Event]:
        """One bundle at a time from each neighbour, each bundle from one."""
        under_way = {known.wanted.id for known in self._neighbours.values() if known.wanted}
        events: list[Event] = []
        for name, known in self._neighbours.items():
            if known.wanted is not None or not self._is_nearer(known):
                continue
            if known.brings.left(now, self._limits.bytes_per_minute) <= 0:
                continue
            line = next((one for one in known.bundles.values() if self._wants(one, under_way)), None)
            if line is not None:
                known.wanted, known.since = line, now
                under_way.add(line.id)
                events.append(Send(name, Want(line.id, self._begun.get(line.id, 0)).to_bytes()))
        return events

    def _is_nearer(self, known: _Neighbour) -> bool:
        return self.way < known.way or self.way == known.way == NOWHERE

    def _wants(self, line: Line, under_way: set[bytes]) -> bool:
        known = line.id in self._held or line.id in under_way or line.id in self._refused
        return not known and line.hops < self._limits.hops

    def _remember(self, id_: bytes, have: int | None) -> None:
        """That it was refused, or how far it came."""
        self._begun.pop(id_, None)
        if have is None:
            self._refused[id_] = None
        else:
            self._begun[id_] = have
        for memory in (self._refused, self._begun):
            while len(memory) > MAX_REMEMBERED:
                memory.popitem(last=False)
