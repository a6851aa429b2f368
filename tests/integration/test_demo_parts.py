"""The demo's own parts: where its sockets stand, who is in the market, what it says of the link."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from random import Random

from simulators.demo.carriers import TRIES, PhoneCarrier, Tally, session
from simulators.demo.house import LONGEST_SOCKET, site
from simulators.demo.market import Market
from simulators.demo.sockets import room_for
from simulators.demo.watch import LinkNews
from simulators.textbook.notes import NoteKey
from simulators.wallets import Season, Wallet


class Counted:
    """A carrier that hands over at once; `handed` are the ledger's lengths."""

    def __init__(self, wallet: Wallet) -> None:
        self.wallet = wallet
        self.handed: list[int] = []

    async def hand_over(self) -> None:
        self.handed.append(len(self.wallet.ledger))

    async def prove(self, content: bytes, coordinator: NoteKey) -> bool | None:
        return None

    def tally(self) -> Tally:
        return Tally()


def test_sockets_stand_in_the_folder_itself_where_its_path_is_short_enough(tmp_path: Path) -> None:
    name = "s" * (107 - len(bytes(tmp_path)) - 1)
    with room_for(name, tmp_path) as folder, socket.socket(socket.AF_UNIX) as bound:
        assert folder == tmp_path
        bound.bind(str(folder / name))


def test_sockets_beneath_a_long_folder_stand_in_a_short_one_that_goes_again(tmp_path: Path) -> None:
    name = "s" * (107 - len(bytes(tmp_path)))
    with room_for(name, tmp_path) as folder:
        assert folder != tmp_path and folder.is_dir()
        (folder / "run").mkdir()
    assert not folder.exists()


async def test_a_gateway_beneath_a_long_folder_has_a_control_socket_that_can_be_bound(tmp_path: Path) -> None:
    long = tmp_path / ("long" * 25)
    long.mkdir()
    async with site(long, Random(1)) as prepared:
        [line] = [one for one in prepared.config.read_text().splitlines() if one.startswith("runtime_dir")]
        run = Path(line.partition(": ")[2])
        assert len(bytes(run.parent / LONGEST_SOCKET)) <= 107 and run.parent.is_dir()
    assert not run.parent.exists()


async def test_who_has_left_the_market_hands_over_the_rest_and_is_in_no_payment_any_more() -> None:
    season = Season(6)
    slow, quick = ([Counted(wallet) for wallet in some] for some in (season.wallets[:3], season.wallets[3:]))
    market = Market(season, {"lora": slow, "http": quick})
    serving = [asyncio.create_task(market.serve(one)) for one in (*slow, *quick)]
    for _ in range(10):
        await market.pay()
    for one in slow:
        await market.leave(one.wallet)
    await asyncio.gather(*serving[:3])
    ledgers = [len(one.wallet.ledger) for one in slow]
    for _ in range(20):
        await market.pay()
    assert [len(one.wallet.ledger) for one in slow] == ledgers == [one.handed[-1] for one in slow]
    await market.close()
    await asyncio.gather(*serving)
    assert [one.handed[-1] for one in quick] == [len(one.wallet.ledger) for one in quick]
    assert len(market.paid) == 30


async def test_a_telephone_that_hears_nothing_tries_again_and_then_leaves_it_for_the_next_time() -> None:
    season = Season(2)
    season.pay()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        async with session() as http:
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
            phone = PhoneCarrier(season.wallets[0], bytes(32), http, url, lambda: season.now_ms)
            await phone.hand_over()
    assert (phone.tally().sent, phone.tally().unanswered, phone.tally().promises) == (TRIES, TRIES, [])


def test_while_the_backhaul_is_cut_a_link_that_is_down_needs_no_reason() -> None:
    link = LinkNews()
    assert link.words("connected", "", 0, False) == "the link to the coordinator is up"
    assert link.words("connected", "", 0, False) == ""
    assert link.words("down", "lost: no close frame", 1, True) == "the link is down"
    assert link.words("down", "unreachable", 3, True) == ""
    assert link.words("down", "unreachable", 3, False) == ""
    assert link.words("connected", "", 3, False) == "the link to the coordinator is up"


def test_a_link_that_is_down_for_a_reason_of_its_own_says_it_each_time() -> None:
    link = LinkNews()
    link.words("connected", "", 0, False)
    assert link.words("down", "lost: no answer to a ping", 1, False) == (
        "the link is down: lost: no answer to a ping"
    )
    assert link.words("down", "refused: HTTP 503", 2, False) == "the link is down: refused: HTTP 503"
    assert link.words("halted", "the log has forked", 3, True) == "the link is halted: the log has forked"
