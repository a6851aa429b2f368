"""What a wallet verifies offline: promises and inclusions, docs/protocol/messages.md."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from simulators.textbook.cbor import Malformed, array, decode, encode, integer, octets, text
from simulators.textbook.evidence import verify as verify_evidence
from simulators.textbook.merkle import leaf_hash, root_from_path, root_of
from simulators.textbook.notes import NoteKey, verified
from simulators.textbook.signing import PROMISE, labelled, verifies

PROMISE_TYPE, INCLUSION_TYPE, CONFLICT_TYPE = 16, 20, 21


@dataclass(frozen=True, slots=True)
class Promised:
    """The gateway has signed that this content stands in its log."""

    origin: str
    index: int
    received_at: int
    quality: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Included:
    """Gateway and coordinator have signed a tree that holds this content; `told`: the gateway alone has, and
    says that it told the coordinator by text message."""

    origin: str
    index: int
    size: int
    content: bytes
    told: bool = False


def receipt_in(message: bytes) -> bytes:
    """The receipt itself, of a message that may tell of conflicts besides; raises `Malformed` unless every
    evidence beside it holds."""
    told = array(decode(message))
    if told[0] != CONFLICT_TYPE:
        return message
    _, receipt, evidence, _ = array(told, 4)
    for one in array(evidence):
        verify_evidence(octets(one))
    return encode(receipt)


def verify_promise(
    message: bytes, key: bytes, contents: Sequence[bytes], origins: Iterable[str] = ()
) -> list[Promised]:
    """What PROMISE says of our `contents` (H, as they were sent); raises `Malformed` unless it verifies.

    `origins` are the known ones, for frames that carry only the first 4 bytes of an origin's hash.
    """
    kind, origin, signature, items = array(decode(message), 4)
    if kind != PROMISE_TYPE:
        raise Malformed("no PROMISE")
    name = _origin(origin, origins)
    leaves: list[bytes] = []
    ours: list[Promised] = []
    waiting = list(contents)
    for item in array(items):
        index, received_at, quality, leaf, n = array(item, 5)
        place = (name, integer(index), integer(received_at), integer(quality, 4))
        if leaf is None:
            taken, waiting = waiting[: integer(n)], waiting[integer(n) :]
            if len(taken) != n:
                raise Malformed("more is promised than was sent")
            leaves += [_leaf(*place, content) for content in taken]
            ours += [Promised(*place, content) for content in taken]
            continue
        leaves.append(octets(leaf, 32))
        ours += [Promised(*place, content) for content in contents if _leaf(*place, content) == leaf]
    if not leaves or not verifies(key, labelled(PROMISE, root_of(leaves)), octets(signature, 64)):
        raise Malformed("the promise is not signed by this gateway")
    return ours


def verify_promise_json(
    promise: Mapping[str, object], key: bytes, contents: Sequence[bytes]
) -> list[Promised]:
    """The same for the `promise` in an answer over HTTP, which is about our own contents only."""
    n = integer(promise["leaves"])
    item = [promise["index"], promise["receivedAt"], promise["quality"], None, n]
    signature = b64decode(text(promise["signature"], 88), validate=True)
    return verify_promise(encode([PROMISE_TYPE, promise["origin"], signature, [item]]), key, contents)


def notice_in_cbor(text: bytes) -> bytes:
    """A receipt in JSON as the same message in CBOR. Raises `ValueError` or `KeyError` for anything else."""
    told = json.loads(text)
    if told["status"] in ("included", "told"):
        paths = [[bytes.fromhex(node) for node in told[name]] for name in ("objectPath", "leafPath")]
        entry, note = b64decode(told["entry"], validate=True), str(told["checkpoint"]).encode()
        place = integer(told["index"]), entry, integer(told["objectIndex"])
        return encode([INCLUSION_TYPE, told["origin"], *place, *paths, note])
    promise = told["promise"]
    signature = b64decode(promise["signature"], validate=True)
    item = [promise["index"], promise["receivedAt"], promise["quality"], None, promise["leaves"]]
    return encode([PROMISE_TYPE, promise["origin"], signature, [item]])


def verify_inclusion(message: bytes, key: bytes, coordinator: NoteKey | None, content: bytes) -> Included:
    """Raises `Malformed` where INCLUSION does not prove that `content` is in a cosigned tree; without a
    `coordinator`, in one that the gateway has signed."""
    kind, origin, index, entry, place, object_path, leaf_path, note = array(decode(message), 8)
    if kind != INCLUSION_TYPE:
        raise Malformed("no INCLUSION")
    name = text(origin, 128)
    version, _, objects_root, count, *rest = array(decode(octets(entry)), 7)
    path = [octets(node, 32) for node in array(object_path)]
    root = root_from_path(leaf_hash(content), integer(place), integer(count), path)
    if version != 1 or root is None or root != objects_root:
        raise Malformed(f"the content is not in this entry of {rest}")
    signers = [NoteKey(name, key), *([] if coordinator is None else [coordinator])]
    checkpoint = verified(octets(note), *signers)
    path = [octets(node, 32) for node in array(leaf_path)]
    root = root_from_path(leaf_hash(octets(entry)), integer(index), checkpoint.size, path)
    if checkpoint.origin != name or root != checkpoint.root:
        raise Malformed("the entry is not in this tree")
    return Included(name, integer(index), checkpoint.size, content, told=coordinator is None)


def _leaf(origin: str, index: int, received_at: int, quality: int, content: bytes) -> bytes:
    return leaf_hash(encode([origin, index, received_at, quality, content]))


def _origin(told: object, known: Iterable[str]) -> str:
    if isinstance(told, str):
        return told
    hint = octets(told, 4)
    for origin in known:
        if sha256(origin.encode()).digest()[:4] == hint:
            return origin
    raise Malformed("a hint of an origin that is not known")
