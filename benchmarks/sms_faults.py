"""Faults of modems in the middle of receiving and sending, through the daemon, every timeout as shipped.

    python -m benchmarks sms_faults         three families of modems, every fault both ways, and 40 kills

All modems of a family hang on one daemon, one for each fault and way, and fail at once, in real time: of
receiving, while the modem is asked for a message; of sending, as it is handed the payload. From the fault's
end it counts until the message that was hit, and one texted while nothing worked, are both answered. A fault
that ends with the modem's own restart (CFUN, power pin) counts from that; a full SIM from the start.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.figure import Figure
from simulators.demo.carriers import PhoneCarrier, session
from simulators.demo.house import House, inhabited, site
from simulators.demo.watch import Watch
from simulators.modem.faults import Faults
from simulators.modem.modem import READ, Modem, Sim
from simulators.modem.network import Network
from simulators.modem.phone import Phone
from simulators.modem.power import PowerPin
from simulators.modem.profiles import PROFILES, Profile
from simulators.modem.sms import with_smsc, write_deliver
from simulators.modem.tty import ModemPorts
from simulators.textbook.cbor import Malformed
from simulators.textbook.objects import Transaction, object_hash
from simulators.wallets import Wallet
from simulators.wallets.receipts import Promised, verify_promise
from simulators.wallets.sms import as_data, opened, payment_body, promise_of

SHIPPED: Mapping[str, object] = {}
BOOT_S = 5.0
WITHIN_S = 60.0
PATIENCE_S = 240.0
RECEIVING, SENDING = "+CMGR", "^Z"
HERE, THERE = "+491700000001", "+491700000002"
NOW_MS = 1_790_000_000_000


@dataclass(slots=True)
class Trap(Faults):
    """Does something at the next command with a word in it, before the modem acts on that command."""

    word: str = ""
    action: Callable[[], None] | None = None

    def resets(self, command: str) -> bool:
        if self.action is not None and self.word in command.upper():
            action, self.action = self.action, None
            action()
        return Faults.resets(self, command)


class Post:
    """A modem in the daemon's hands, a phone, a wallet behind it; nothing of it is known to other posts."""

    def __init__(self, name: str, profile: Profile, folder: Path, boot_s: float = BOOT_S) -> None:
        self.name = name
        self.network = Network()
        self.sim = Sim(HERE)
        self.modem = Modem(profile, self.network, self.sim, boot_s=boot_s)
        self.trap = Trap()
        self.modem.faults = self.trap
        self.folder = folder / name
        self.ports = ModemPorts(self.modem, self.folder / "dev")
        self.phone = Phone(self.network, THERE)
        self.wallet = Wallet(name.encode().ljust(32, b"."))
        self.promised: dict[bytes, Promised] = {}
        self.texted: list[Transaction] = []

    def options(self, **settings: object) -> dict[str, object]:
        """Where it is; all else is as shipped."""
        return {"port": str(self.folder / "dev" / "*"), "spool": str(self.folder / "spool"), **settings}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Post]:
        async with self.ports, PowerPin(self.modem, self.folder / "power.sock"):
            yield self
        self.network.close()

    def text(self) -> None:
        """One more payment."""
        made = self.wallet.signed("0011223344556677", 1.5, 1 + len(self.texted), NOW_MS)
        self.texted.append(made)
        self.phone.send(HERE, as_data("P1", payment_body(made)))

    async def answered(self, key: bytes) -> None:
        """Returns when all that was texted is promised; answers that come twice are no harm."""
        while len(self.promised) < len(self.texted):
            answer = (await self.phone.inbox.get()).text
            mark, body = opened(answer)
            for content in map(_content, self.texted) if mark == "Q1" else ():
                with suppress(Malformed):
                    [self.promised[content]] = verify_promise(promise_of(body).message, key, [content])


def _content(transaction: Transaction) -> bytes:
    return object_hash(transaction.encode())


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault, how long it lasts, and what ends it; ``settings`` beyond those shipped."""

    begin: Callable[[Post], None]
    end: Callable[[Post], None] | None = None
    lasts_s: float = 40.0
    settings: Callable[[Post], dict[str, object]] = lambda post: {}


def _hang(cure: Any) -> Callable[[Post], None]:
    def begin(post: Post) -> None:
        post.trap.hang = cure

    return begin


def _fill(post: Post) -> None:
    """Every slot that is free holds chatter of a stranger."""
    for name in ("SM", "ME"):
        memory = post.modem.memory(name)
        for index in range(1, post.modem.size(name) + 1):
            post.network.text("+491700000003", "+1", f"{name} {index}")
            _, message = post.network.submitted[-1]
            tpdu = write_deliver("+491700000003", message, post.network.now())
            memory.setdefault(index, (READ, with_smsc(tpdu, post.network.smsc)))


def _may_reset(post: Post) -> dict[str, object]:
    return {"may_reset_bearer": True, "power_pin": f"unix:{post.folder / 'power.sock'}"}


TROUBLES = {
    "port lost, back under another name": Trouble(
        lambda post: post.ports.vanish(), lambda post: post.ports.appear(post.ports.name + "_2")
    ),
    "modem reset": Trouble(lambda post: post.modem.restart(), lasts_s=5.0),
    "brown-out": Trouble(
        lambda post: post.modem.restart(warning="UNDER-VOLTAGE POWER DOWN", off_s=PATIENCE_S),
        lambda post: post.modem.restart(),
    ),
    "registration lost": Trouble(lambda post: post.modem.register(2), lambda post: post.modem.register(1)),
    "SIM taken out": Trouble(
        lambda post: post.modem.remove_sim(), lambda post: post.modem.insert_sim(post.sim)
    ),
    "SIM full": Trouble(_fill, lasts_s=0.0),
    "silent for 5 s": Trouble(_hang("never"), _hang(None), lasts_s=5.0),
    "silent for 40 s": Trouble(_hang("never"), _hang(None)),
    "silent until CFUN": Trouble(_hang("cfun"), settings=_may_reset),
    "silent until the power pin": Trouble(_hang("power"), settings=_may_reset),
}


async def strike(post: Post, trouble: Trouble, word: str, key: bytes) -> float:
    """Seconds from the fault's end until all is answered; the message in hand is hit at ``word``."""
    struck = asyncio.Event()

    def begin() -> None:
        trouble.begin(post)
        struck.set()

    post.trap.word, post.trap.action = word, begin
    post.text()
    await struck.wait()
    restarts = post.modem.restarts
    post.text()  # to nobody
    if trouble.end is None and trouble.settings is _may_reset:
        while post.modem.restarts == restarts or not post.modem.running:  # noqa: ASYNC110 - a model calls nobody
            await asyncio.sleep(0.05)
    else:
        await asyncio.sleep(trouble.lasts_s)
    if trouble.end is not None:
        trouble.end(post)
    ended = time.monotonic()
    await post.answered(key)
    return time.monotonic() - ended


@dataclass(frozen=True, slots=True)
class Outcome:
    """Recovery by fault and way, in seconds; counts of what may not be, over all modems of a family."""

    seconds: dict[tuple[str, str], float]
    lost: int
    doubled: int
    left_on_sims: int
    others_restarted: int


async def family(
    folder: Path,
    profile: Profile,
    troubles: Mapping[str, Trouble],
    settings: Mapping[str, object] = SHIPPED,
    boot_s: float = BOOT_S,
) -> Outcome:
    """Every fault, both ways, on one daemon, at once."""
    cases = [(name, word) for name in troubles for word in (RECEIVING, SENDING)]
    posts = [Post(f"m{number}", profile, folder, boot_s) for number in range(len(cases))]
    radios = {
        post.name: {"driver": "gsm_at", "options": post.options(**settings, **troubles[name].settings(post))}
        for post, (name, _) in zip(posts, cases, strict=True)
    }
    async with AsyncExitStack() as stack:
        for post in posts:
            await stack.enter_async_context(post.open())
        here = await stack.enter_async_context(site(folder, Random(1), radios=radios))
        home = await stack.enter_async_context(inhabited(here))
        http = await stack.enter_async_context(session())
        await introduced(home, posts, http)
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as striking:
            tasks = {
                case: striking.create_task(strike(post, troubles[case[0]], case[1], home.gateway_key))
                for post, case in zip(posts, cases, strict=True)
            }
        return await _audit(home, http, posts, {case: task.result() for case, task in tasks.items()})


async def introduced(home: House, posts: Sequence[Post], http: Any) -> None:
    """Each wallet's key, proven over HTTP, so that its payments verify."""
    for post in posts:
        post.wallet.pay("0011223344556677", 1.0, NOW_MS)
        await PhoneCarrier(post.wallet, home.gateway_key, http, home.http, lambda: NOW_MS).hand_over()


async def _audit(
    home: House, http: Any, posts: Sequence[Post], seconds: dict[tuple[str, str], float]
) -> Outcome:
    watch = Watch(home, http)
    await watch.until(lambda: watch.held == (watch.gateway_size, watch.gateway_root))
    held = (await watch.accepted())["transactions"]
    async with asyncio.timeout(PATIENCE_S):  # what is settled leaves the SIM
        while any(post.modem.memory("MT") for post in posts):  # noqa: ASYNC110 - a model calls nobody
            await asyncio.sleep(0.1)
    lost = doubled = 0
    for post in posts:
        for made in post.texted:
            promised, heard = (
                post.promised[_content(made)],
                held.get(made.identity.hex(), {}).get("heard", []),
            )
            lost += (promised.origin, promised.index) not in [(one["origin"], one["index"]) for one in heard]
            doubled += len(heard) > 1
    services = watch.status["services"]
    others = {name: one for name, one in services.items() if name not in {post.name for post in posts}}
    return Outcome(
        seconds,
        lost,
        doubled,
        sum(len(post.modem.memory("MT")) for post in posts),
        sum(one["restarts"] for one in others.values()),
    )


KILLED_AT = ("+CMGL", "+CMGR", "+CMGD", "+CMGS", "^Z")


@dataclass(frozen=True, slots=True)
class Kills:
    """Counts: kills made, and what may not be."""

    kills: int
    lost: int
    doubled: int
    left: int


async def kills(folder: Path, most: int) -> Kills:
    """SIGKILL at the nth command that reads, deletes or sends, before the modem acts on it or just after, for
    n = 1, 2, 3 … until none is left; each time a payment and a ledger in two parts are on the SIM."""
    post = Post("gsm", PROFILES["EC25"], folder)
    made = 0
    gsm = {**post.options(), "per_minute": 60, "answers_per_hour": 1000}
    del gsm["spool"]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(post.open())
        here = await stack.enter_async_context(site(folder, Random(1), gsm=gsm))
        http = await stack.enter_async_context(session())
        async with inhabited(here) as home:
            await introduced(home, [post], http)
        for n in range(most):
            made += await _killed(post, here, n // 2, after=bool(n % 2))
            async with inhabited(here) as home, asyncio.timeout(PATIENCE_S):
                await post.answered(home.gateway_key)
        async with inhabited(here) as home:
            outcome = await _audit(home, http, [post], {})
    return Kills(made, outcome.lost, outcome.doubled, outcome.left_on_sims)


async def _killed(post: Post, here: Any, nth: int, *, after: bool) -> bool:
    """Whether there was an nth command to be killed at."""
    post.text()
    post.text()
    async with inhabited(here) as home:
        reached = asyncio.Event()
        seen = 0

        class Counting(Trap):
            def resets(self, command: str) -> bool:
                nonlocal seen
                if any(word in command.upper() for word in KILLED_AT):
                    seen += 1
                    if seen == nth + 1:
                        if not after:
                            self.hang = "never"  # whatever it says now nobody hears
                        reached.set()
                return False

        post.modem.faults = Counting()
        done = asyncio.create_task(post.answered(home.gateway_key))
        there = asyncio.create_task(reached.wait())
        await asyncio.wait((done, there), return_when=asyncio.FIRST_COMPLETED)
        await home.daemon.kill()
        for task in (done, there):
            task.cancel()
        await asyncio.gather(done, there, return_exceptions=True)
        post.modem.faults = Trap()
        return reached.is_set()


def figures(quick: bool) -> list[Figure]:
    """Each fault's slowest recovery, and what must be nothing."""
    profiles = [PROFILES["EC25"]] if quick else list(PROFILES.values())
    found: list[Figure] = []
    outcomes = []
    for profile in profiles:
        with tempfile.TemporaryDirectory(prefix="offgrid-sms-") as folder:
            outcomes.append(asyncio.run(family(Path(folder), profile, TROUBLES)))
    for name in TROUBLES:
        for word, way in ((RECEIVING, "receiving"), (SENDING, "sending")):
            slowest = max(outcome.seconds[name, word] for outcome in outcomes)
            found.append(Figure(f"{name}, {way}", "s", slowest, WITHIN_S))
    with tempfile.TemporaryDirectory(prefix="offgrid-sms-") as folder:
        killed = asyncio.run(kills(Path(folder), 4 if quick else 40))
    return [
        *found,
        Figure("kills between read, commit and delete", "", killed.kills),
        Figure("promised and lost", "", killed.lost + sum(one.lost for one in outcomes), 0),
        Figure("logged twice", "", killed.doubled + sum(one.doubled for one in outcomes), 0),
        Figure("left on a SIM", "", killed.left + sum(one.left_on_sims for one in outcomes), 0),
        Figure("restarts of anything else", "", sum(one.others_restarted for one in outcomes), 0),
    ]
