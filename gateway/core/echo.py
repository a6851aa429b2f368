"""A promise that a wallet shows again: is it ours, and what did we promise where?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gateway.core.message.downlink import Promise, PromisedEntry
from gateway.core.receipt import origin_hint, promise_leaf, promise_text
from gateway.core.submission import HeldPlace


@dataclass(frozen=True, slots=True)
class Promised:
    """This content was promised at ``index`` of ``origin``."""

    origin: str
    index: int
    content: bytes


def opened(
    promise: Promise,
    contents: Sequence[bytes],
    origins: Iterable[str],
    verifies: Callable[[bytes, bytes], bool],
) -> list[Promised] | None:
    """What was promised of these contents; None unless ``verifies(signature, text)`` says that it is ours.

    ``origins`` are those of this gateway, for a promise that names only four bytes of one's hash.
    """
    named = [one for one in origins if promise.origin in (one, origin_hint(one))]
    for origin in named or ([promise.origin] if isinstance(promise.origin, str) else []):
        leaves, found = _leaves(origin, promise.entries, contents)
        if leaves and verifies(promise.signature, promise_text(leaves)):
            return found
    return None


def _leaves(
    origin: str, entries: Sequence[PromisedEntry], contents: Sequence[bytes]
) -> tuple[list[bytes], list[Promised]]:
    leaves: list[bytes] = []
    found: list[Promised] = []
    waiting = list(contents)
    for entry in entries:
        place = HeldPlace(entry.index, entry.received_at_ms, entry.quality)
        if entry.leaf is None:
            taken, waiting = waiting[: entry.leaves], waiting[entry.leaves :]
            leaves += [promise_leaf(origin, place, content) for content in taken]
            found += [Promised(origin, entry.index, content) for content in taken]
        else:
            leaves.append(entry.leaf)
            ours = [one for one in contents if promise_leaf(origin, place, one) == entry.leaf]
            found += [Promised(origin, entry.index, one) for one in ours]
    return leaves, found
