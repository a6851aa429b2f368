"""What a backup object's name says, and which objects together cover a log.

    <gateway id>/<epoch>-<generation>/<begin>-<end>.<SHA-256 of the object, hex>.age

It holds the leaves ``begin`` to ``end`` (exclusive) of an epoch. No manifest says what there is: a name does,
and is never written twice. A **generation** is one disk's life in an epoch. A disk that was restored and
cannot go on where the newest object ends begins the next one: from its first leaf on, that is the log.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

_NAME = re.compile(
    r"(?P<gateway>[^/]{1,64})/(?P<epoch>[0-9]{4})-(?P<generation>[0-9]{4})/"
    r"(?P<begin>[0-9]{12})-(?P<end>[0-9]{12})\.(?P<digest>[0-9a-f]{64})\.age",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """Orders by epoch, generation and place."""

    gateway_id: str
    epoch: int
    generation: int
    begin: int
    end: int
    digest: str
    """SHA-256 of the object's bytes as they are stored, hex."""

    def __str__(self) -> str:
        place = f"{self.epoch:04d}-{self.generation:04d}/{self.begin:012d}-{self.end:012d}"
        return f"{self.gateway_id}/{place}.{self.digest}.age"


def read_name(text: str) -> Name | None:
    """None for what is no backup object's name."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    numbers = [int(found[group]) for group in ("epoch", "generation", "begin", "end")]
    epoch, generation, begin, end = numbers
    return Name(found["gateway"], epoch, generation, begin, end, found["digest"]) if begin < end else None


def chain(names: Collection[Name], size: int) -> Iterator[tuple[Name, int]]:
    """Objects of one epoch that may lead on from ``size``, the best first, each with how far it counts.

    A newer generation counts before an older one and bounds it: what an older disk logged behind the place
    where a newer one went its own way is not the log's. Of one generation the longest is best.
    """
    begins: dict[int, int] = {}
    for name in names:
        begins[name.generation] = min(name.begin, begins.get(name.generation, name.begin))
    for name in sorted(names, key=lambda name: (-name.generation, -name.end, name.begin)):
        newer = [begin for generation, begin in begins.items() if generation > name.generation]
        bound = min([name.end, *newer])
        if name.begin <= size < bound:
            yield name, bound


def gap(names: Collection[Name], size: int) -> tuple[int, int, int] | None:
    """The first leaves below ``size`` that no object holds, as begin and end, and the generation of what
    comes behind them (0: nothing does). None where all are held.
    """
    at = 0
    while at < size:
        best = max((bound for _, bound in chain(names, at)), default=at)
        if best == at:
            behind = [name for name in names if name.begin > at]
            after = min(behind, key=lambda name: (name.begin, -name.generation), default=None)
            return (at, size, 0) if after is None else (at, min(size, after.begin), after.generation)
        at = best
    return None


MERGE = 16
"""So many objects that lie side by side become one, where they are of a size: each byte is then uploaded
again once for each sixteenfold of its neighbours, and a year is some dozens of objects."""

MAX_MERGED = 16 << 20
"""Bytes of objects that become one."""

_SMALLEST = 64 << 10


def mergeable(sizes: Mapping[Name, int]) -> list[Name]:
    """Objects of one generation that lie side by side, and are to become one; empty where there are none.

    ``sizes`` in bytes, of those that nothing supersedes.
    """
    order = sorted(sizes)
    limit = _SMALLEST
    while limit < MAX_MERGED:
        run: list[Name] = []
        for name in order:
            if run and (run[-1].end != name.begin or run[-1].generation != name.generation):
                run = []
            run = [*run, name] if sizes[name] < limit else []
            if len(run) == MERGE or sum(sizes[one] for one in run) > MAX_MERGED:
                return run if len(run) > 1 else []
        limit *= MERGE
    return []


def superseded(names: Iterable[Name]) -> list[Name]:
    """Objects whose leaves one longer object of the same generation holds as well."""
    kept: list[Name] = []
    gone: list[Name] = []
    for name in sorted(names, key=lambda name: (name.epoch, name.generation, name.begin, -name.end)):
        covered = any(
            (other.epoch, other.generation) == (name.epoch, name.generation)
            and other.begin <= name.begin
            and name.end <= other.end
            and (other.end - other.begin > name.end - name.begin)
            for other in kept[-1:]
        )
        (gone if covered else kept).append(name)
    return gone
