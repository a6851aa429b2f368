"""Parts of concatenated messages, joined whatever the order they come in; pure.

The owner writes each part to disk before it is deleted from the SIM, and hands all of them back after a
restart: :meth:`Reassembly.add` is the same for a new part and for one remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from drivers.gsm_at.userdata import Coding

# Bounds. Above them the group that has waited longest gives way: its sender repeats what was not answered.
MAX_GROUPS = 256
MAX_GROUPS_PER_SENDER = 16
MAX_GENERATIONS = 2  # a reference reused before the message it named was whole
MAX_FINISHED = 512
DEFAULT_EXPIRY_S = 48 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part as it was stored: ``data`` in septets or octets (see :class:`UserData`).

    ``received_unix_s`` is the gateway's wall clock; ``digest`` names the PDU that brought it.
    """

    sender: str
    coding: Coding
    reference: int
    reference_bits: int
    total: int
    sequence: int
    data: bytes
    received_unix_s: float
    digest: str

    @property
    def group(self) -> tuple[str, Coding, int, int, int]:
        return self.sender, self.coding, self.reference, self.reference_bits, self.total


@dataclass(frozen=True, slots=True)
class Joined:
    """A whole message and the parts it came in, in order."""

    parts: tuple[Part, ...]

    @property
    def data(self) -> bytes:
        return b"".join(part.data for part in self.parts)


@dataclass(frozen=True, slots=True)
class Added:
    """What adding a part led to. ``dropped`` parts will never be part of a message: forget them.

    ``duplicate``: the part itself is known, or its message was joined already.
    """

    joined: Joined | None = None
    dropped: tuple[Part, ...] = ()
    duplicate: bool = False


@dataclass(slots=True)
class _Group:
    parts: dict[int, Part] = field(default_factory=dict)

    @property
    def since(self) -> float:
        return min(part.received_unix_s for part in self.parts.values())


class Reassembly:
    """Groups of parts, oldest first."""

    def __init__(self, expiry_s: float = DEFAULT_EXPIRY_S) -> None:
        self._expiry_s = expiry_s
        self._groups: OrderedDict[tuple[object, ...], list[_Group]] = OrderedDict()
        self._finished: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(generations) for generations in self._groups.values())

    def add(self, part: Part) -> Added:
        """Take a part in; see :class:`Added`."""
        generations = self._groups.get(part.group, [])
        known = any(
            held.digest == part.digest or held.data == part.data
            for group in generations
            for held in (group.parts.get(part.sequence),)
            if held is not None
        )
        if known or part.digest in self._finished:
            return Added(duplicate=True)
        # The newest generation that lacks it: of two messages under one reference the later is being sent.
        group = next((one for one in reversed(generations) if part.sequence not in one.parts), None)
        if group is None:
            group = _Group()
            generations.append(group)
            self._groups[part.group] = generations
        group.parts[part.sequence] = part
        if len(group.parts) == part.total:
            return Added(joined=self._finish(part.group, group))
        return Added(dropped=self._evict(part))

    def expire(self, now_unix_s: float) -> tuple[Part, ...]:
        """Parts of groups that waited too long, dropped.

        A clock that stepped forward expires early, one that stepped back late; neither loses what was joined.
        """
        dropped: list[Part] = []
        for key, generations in list(self._groups.items()):
            for group in list(generations):
                if now_unix_s - group.since > self._expiry_s:
                    dropped += self._drop(key, group)
        return tuple(dropped)

    def _finish(self, key: tuple[object, ...], group: _Group) -> Joined:
        self._drop(key, group)
        joined = Joined(tuple(group.parts[number] for number in sorted(group.parts)))
        for part in joined.parts:
            self._finished[part.digest] = None
        while len(self._finished) > MAX_FINISHED:
            self._finished.popitem(last=False)
        return joined

    def _evict(self, part: Part) -> tuple[Part, ...]:
        dropped: list[Part] = []
        generations = self._groups[part.group]
        while len(generations) > MAX_GENERATIONS:
            dropped += self._drop(part.group, generations[0])
        mine = [key for key in self._groups if key[0] == part.sender]
        if len(mine) > MAX_GROUPS_PER_SENDER:
            dropped += self._drop(mine[0], self._groups[mine[0]][0])
        if len(self) > MAX_GROUPS:
            oldest = next(iter(self._groups))
            dropped += self._drop(oldest, self._groups[oldest][0])
        return tuple(dropped)

    def _drop(self, key: tuple[object, ...], group: _Group) -> tuple[Part, ...]:
        generations = self._groups[key]
        generations.remove(group)
        if not generations:
            del self._groups[key]
        return tuple(group.parts.values())
