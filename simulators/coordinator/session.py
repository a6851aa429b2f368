"""One link's protocol, without its socket: messages in, arrays out, docs/protocol/sync.md.

    before HELLO   HELLO → WELCOME, CATCHUP, FORK or REJECT
    after WELCOME  OFFER → WANT, ENTRIES, COMMIT → ACK or NEED_HASHES, HASHES → MISSING or ACK, OBJECTS → ACK
    after CATCHUP  PULL → LOG…
    after either   HEARTBEAT → TIME, FETCH → BODIES, BODIES, EVIDENCE → NOTED, FOLLOW → NOTICE…,
                   BRING → BROUGHT, ANSWER
    closed         anything, unread

What is out of place or out of form ends the session with REJECT `protocol`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future
from hashlib import sha256

from simulators.coordinator import wire
from simulators.coordinator.acks import TrustedLog
from simulators.coordinator.authority import Authority
from simulators.coordinator.depot import Depot
from simulators.coordinator.giving_back import giving_back
from simulators.coordinator.heads import compare
from simulators.coordinator.log import Forked, VerifiedLog
from simulators.coordinator.records import Admission, Gateway, Origin
from simulators.textbook.cbor import Malformed, encode
from simulators.textbook.merkle import EMPTY_ROOT
from simulators.textbook.notes import Checkpoint, NoteKey, verified
from simulators.textbook.objects import object_hash
from simulators.textbook.signing import LINK_GATEWAY, labelled, verifies

Array = list[object]

MAX_AHEAD = 8
"""Notices that are sent and not yet kept by the gateway."""

MAX_EPOCHS = 64
"""Of one gateway; what begins so often has a fault that no further epoch mends."""

MAX_FETCHES = 16
"""FETCHes of ours without BODIES; a further one is refused."""


class Rejected(Exception):
    """The gateway is told why by a code, and the link is closed."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Session:
    """Lives on the coordinator's working thread; `nonce` (32 random bytes) is its challenge."""

    def __init__(
        self,
        authority: Authority,
        nonce: bytes,
        on_expel: Callable[[Array], None],
        on_push: Callable[[list[Array]], None],
    ) -> None:
        self.nonce = nonce
        self.gateway: str | None = None
        self.closed = False
        self._authority = authority
        self._on_expel = on_expel
        self._on_push = on_push
        self._depot = Depot(authority)
        self._kept: int | None = None
        """The newest notice that the gateway has; None until it follows."""
        self._noticed = 0
        """The newest that was sent to it."""
        self._log: VerifiedLog | TrustedLog | None = None
        self._behind: Origin | None = None
        """The log of a gateway whose disk is older than that."""
        self._bound: tuple[object, ...] = ()
        """What binds a signature of ours to this very link, once HELLO has verified."""
        self._fetches: dict[int, tuple[tuple[bytes, ...], Future[list[bytes | None]]]] = {}
        self._next_fetch = 0

    def challenge(self) -> Array:
        key = self._authority.public_key
        return [wire.CHALLENGE, self.nonce, key, self._authority.name, self._authority.now_ms()]

    def receive(self, data: bytes) -> list[Array]:
        """Answers to one message; `closed` afterwards where the last of them ends the link."""
        if self.closed:
            return []
        try:
            return self._take(wire.read(data))
        except Malformed as breach:
            self._authority.breaches += 1
            return self._close(self._reject("protocol", str(breach)))
        except Rejected as rejected:
            return self._close(self._reject(rejected.code, rejected.text))
        except Forked as forked:
            fork = forked.fork
            return self._close([wire.FORK, fork.a, fork.b, fork.size, fork.root])

    def expel(self, code: str, text: str) -> None:
        """Ends the session from outside."""
        self.closed = True
        self._on_expel(self._reject(code, text))

    def push(self) -> None:
        """Notices that the gateway has not been sent, as far as it keeps up."""
        arrays = self._notices()
        if arrays and not self.closed:
            self._on_push(arrays)

    def _notices(self) -> list[Array]:
        if self._kept is None:
            return []
        room = MAX_AHEAD - (self._noticed - self._kept)
        notices = self._authority.court.notices(self._noticed, room)
        self._noticed += len(notices)
        return [[wire.NOTICE, one] for one in notices]

    def _follow(self, number: int) -> list[Array]:
        self._kept = number
        self._noticed = max(self._noticed, number)
        return self._notices()

    def fetch(self, hashes: tuple[bytes, ...]) -> tuple[Array, Future[list[bytes | None]]]:
        """A FETCH to send, and what comes of it; raises `Malformed` where too many are open."""
        if len(self._fetches) >= MAX_FETCHES:
            raise Malformed("too many fetches are open")
        self._next_fetch += 1
        answer: Future[list[bytes | None]] = Future()
        self._fetches[self._next_fetch] = hashes, answer
        return [wire.FETCH, self._next_fetch, list(hashes)], answer

    def _reject(self, code: str, text: str) -> Array:
        said = _short(text)
        signature = self._authority.sign_link(*self._bound, code, said) if self._bound else None
        return [wire.REJECT, code, said, signature]

    def _close(self, last: Array) -> list[Array]:
        self.closed = True
        return [last]

    def _take(self, message: wire.Message) -> list[Array]:
        if self.gateway is None:
            if not isinstance(message, wire.Hello):
                raise Malformed("the first message is HELLO")
            return [self._hello(message)]
        told = self._authority.heard(self.gateway)
        match message:
            case wire.Heartbeat():
                told.facts.update(message.told)
                return [[wire.TIME, self._authority.now_ms()]]
            case wire.Fetch():
                held = self._authority.store.bodies(message.hashes)
                return [[wire.BODIES, message.id, [held.get(one) for one in message.hashes]]]
            case wire.Bodies():
                self._bodies(message)
                return []
            case wire.Evidence():
                return [[wire.NOTED, list(self._authority.court.brought(message.bodies))]]
            case wire.Bring():
                return [self._depot.bring(message)]
            case wire.Answer():
                self._authority.orders.answered(self.gateway, message)
                return []
            case wire.Follow():
                return self._follow(message.number)
            case wire.Hello():
                raise Malformed("a second HELLO")
        if isinstance(message, wire.Pull):
            return self._pull(message.start)
        if self._log is None:
            raise Malformed("nothing but PULL is taken after CATCHUP")
        return self._log.take(message)

    def _hello(self, hello: wire.Hello) -> Array:
        authority = self._authority
        gateway = authority.store.gateway(hello.gateway)
        if gateway is None or gateway.key != hello.key:
            raise Rejected("not_registered", "this key is not registered under this id")
        self._check_signature(hello)
        head = self._head(hello)
        if gateway.quarantined:
            raise Rejected("quarantined", gateway.quarantined)
        if authority.store.admit(gateway.id, hello.instance, authority.now_ms()) is Admission.CLONE:
            why = "an instance that another had replaced came back: two devices use this key"
            authority.quarantine(gateway.id, why)
            raise Rejected("clone", why)
        self.gateway = gateway.id
        authority.enter(gateway.id, self)
        return self._open(hello, gateway, head)

    def _check_signature(self, hello: wire.Hello) -> None:
        checkpoint = sha256(hello.checkpoint or b"").digest()
        fields = [
            self.nonce,
            hello.nonce,
            hello.origin,
            self._authority.public_key,
            hello.instance,
            checkpoint,
        ]
        if not verifies(hello.key, labelled(LINK_GATEWAY, encode(fields)), hello.signature):
            raise Rejected("bad_signature", "HELLO is not signed by the registered key")
        self._bound = (self.nonce, hello.nonce, hello.origin, hello.key, hello.instance)

    def _head(self, hello: wire.Hello) -> Checkpoint:
        if not re.fullmatch(rf"offgrid/{re.escape(hello.gateway)}/[1-9][0-9]{{0,9}}", hello.origin):
            raise Malformed("the origin is not one of this gateway")
        if hello.checkpoint is None:
            return Checkpoint(hello.origin, 0, EMPTY_ROOT)
        try:
            return verified(hello.checkpoint, NoteKey(hello.origin, hello.key))
        except Malformed as error:
            raise Rejected("bad_signature", f"checkpoint: {error}") from error

    def _open(self, hello: wire.Hello, gateway: Gateway, head: Checkpoint) -> Array:
        authority = self._authority
        later = self._later(hello.origin, gateway.id)
        if later is not None:
            return self._close([wire.LATER, later.name, later.cosigned])[0]
        origin = authority.store.origin(hello.origin, gateway.id)
        if origin.fork:
            raise Forked(origin.fork)
        if authority.verify:
            self._compare(origin, gateway.key, head, hello.checkpoint)
        size, time = origin.range.size, authority.now_ms()
        behind = head.size < size
        if authority.faults.take("wrong-size", gateway.id):
            size += 1
        signature = authority.sign_link(*self._bound, size, time, authority.name)
        if behind:
            self._behind = origin
            return [wire.CATCHUP, size, origin.cosigned, time, signature]
        log = VerifiedLog if authority.verify else TrustedLog
        self._log = log(authority, origin, NoteKey(hello.origin, hello.key), self.nonce)
        return [wire.WELCOME, size, origin.cosigned, time, signature]

    def _later(self, name: str, gateway: str) -> Origin | None:
        """The newest epoch of the gateway that holds entries, where it is later than the one named."""
        ours = [one for one in self._authority.store.origins() if one.gateway == gateway]
        known = {one.name for one in ours}
        if name not in known and len(known) >= MAX_EPOCHS:
            raise Rejected(
                "protocol", f"more than {MAX_EPOCHS} epochs of one gateway: something is wrong with it"
            )
        newest = max((one for one in ours if one.range.size), key=lambda one: _epoch(one.name), default=None)
        return newest if newest is not None and _epoch(newest.name) > _epoch(name) else None

    def _compare(self, origin: Origin, key: bytes, head: Checkpoint, note: bytes | None) -> None:
        fork = None if note is None else compare(self._authority, origin, key, head, note)
        if fork is not None:
            self._authority.store.keep_fork(origin, fork, self._authority.now_ms(), bars=True)
            raise Forked(fork)

    def _pull(self, start: int) -> list[Array]:
        if self._behind is None or not 0 <= start < self._behind.range.size:
            raise Malformed(f"a PULL from {start} where nothing is to catch up")
        return giving_back(self._authority.store, self._behind, start)

    def _bodies(self, message: wire.Bodies) -> None:
        hashes, answer = self._fetches.pop(message.id, ((), None))
        if answer is None or len(hashes) != len(message.bodies):
            raise Malformed("BODIES that nobody asked for")
        for wanted, body in zip(hashes, message.bodies, strict=True):
            if body is not None and object_hash(body) != wanted:
                raise Malformed("a body of another hash")
        answer.set_result(list(message.bodies))


def _epoch(origin: str) -> int:
    return int(origin.rpartition("/")[2])


def _short(text: str) -> str:
    return text.encode()[:200].decode(errors="ignore")
