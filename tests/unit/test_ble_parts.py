"""The Bluetooth driver's parts without a radio: settings, limits a peer, turns between links, addresses."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from bumble.transport.common import TransportInitError, TransportSpecError

from drivers.ble import BleDriver
from drivers.ble.advertising import scan_response
from drivers.ble.link import MAX_STRIKES, Answer, Link
from drivers.ble.outgoing import LINK_SHARE, FairQueue
from drivers.ble.peers import MAX_PEERS, Bucket, Peers
from drivers.ble.settings import BleSettings
from drivers.ble.transfer import TransferLimits, Uploads
from drivers.errors import DriverConfigError, DriverLost
from drivers.transport import hci as hci_transport
from drivers.transport.hci import (
    Adapter,
    check_address,
    choose_adapter,
    explain,
    guarded_read,
    open_hci,
    running_holders,
    usb_port_of,
)
from gateway.systemclock import SystemClock

UART = "serial:/dev/ttyACM0,1000000,rtscts"


def test_only_the_controller_must_be_named() -> None:
    settings = BleSettings.from_mapping({"controller": UART})
    assert settings.name == "OFFGRID_gateway"
    assert settings.max_links >= 7


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({}, "no Bluetooth controller"),
        ({"controller": 3}, "no Bluetooth controller"),
        ({"controller": "COM3"}, "not known"),
        ({"controller": "serial:/dev/ttyACM0,1000000"}, "no flow control"),
        ({"controller": UART, "colour": 1}, "unknown setting 'colour'"),
        ({"controller": UART, "id": "x" * 21}, "id is"),
        ({"controller": UART, "id": ""}, "id is"),
        ({"controller": UART, "id": "Zürich"}, "id is"),
        ({"controller": UART, "max_links": 0}, "max_links is 0"),
        ({"controller": UART, "max_links": True}, "max_links is True"),
        ({"controller": UART, "queue": 1.5}, "queue is 1.5"),
        ({"controller": UART, "ban_s": -1}, "ban_s is -1"),
    ],
)
def test_a_wrong_setting_is_named(wrong: Mapping[str, Any], word: str) -> None:
    with pytest.raises(DriverConfigError, match=word):
        BleDriver("ble", wrong, clock=SystemClock())


def test_the_longest_name_fits_one_packet() -> None:
    assert len(scan_response("OFFGRID_" + "x" * 20)) == 30


def test_a_bucket_gives_a_minutes_worth_and_refills_evenly() -> None:
    bucket = Bucket(60.0, 60.0, 0.0)
    assert bucket.take(60, 0.0)
    assert not bucket.take(1, 0.5)
    assert bucket.take(1, 1.0)
    assert bucket.seconds_until(30) in (30, 31)
    assert bucket.seconds_until(10_000) in (60, 61)


def test_peers_are_bounded_and_the_least_lately_seen_is_forgotten() -> None:
    peers = Peers(10, 1000)
    peers.get("first", 0.0).banned_until = 9.0
    for number in range(MAX_PEERS - 1):
        peers.get(str(number), 0.0)
    assert peers.get("first", 1.0).banned_until == 9.0
    peers.get("one more", 1.0)
    assert len(peers) == MAX_PEERS
    assert peers.get("first", 1.0).banned_until == 9.0


class Controller:
    """What a controller does with data packets, counted."""

    def __init__(self, buffers: int) -> None:
        self.sent: list[int] = []
        self.room: list[int] = []
        self.queue = FairQueue(251, buffers, lambda packet: self.sent.append(packet), self.room.append)  # type: ignore[arg-type]

    def enqueue(self, *handles: int) -> None:
        for handle in handles:
            self.queue.enqueue(handle, handle)  # type: ignore[arg-type]


def test_a_link_that_never_completes_holds_two_buffers_and_no_more() -> None:
    controller = Controller(buffers=8)
    controller.enqueue(*[1] * 30, 2, 3)
    assert controller.sent == [1] * LINK_SHARE + [2, 3]
    assert controller.queue.lane(1).completed == 0


def test_links_take_turns_when_buffers_are_short() -> None:
    controller = Controller(buffers=1)
    controller.enqueue(1, 1, 1, 2, 2, 3)
    for _ in range(5):
        controller.queue.on_packets_completed(1, controller.sent[-1])
    assert controller.sent == [1, 1, 2, 3, 1, 2]
    assert controller.room == [1, 1, 2, 3, 1]


def test_what_a_lost_link_held_is_free_again() -> None:
    controller = Controller(buffers=2)
    controller.enqueue(1, 1, 1, 2)
    assert controller.sent == [1, 1]
    controller.queue.flush(1)
    assert controller.sent == [1, 1, 2]
    controller.queue.flush(1)
    controller.queue.on_packets_completed(1, 1)
    controller.queue.on_packets_completed(5, 2)  # a controller that counts wrong frees nobody else's
    controller.enqueue(3, 3, 3)
    assert controller.sent == [1, 1, 2, 3, 3]
    assert controller.queue.pending == 3


def link() -> Link:
    return Link(1, 64, "AA", Peers(1, 1).get("AA", 0.0), Uploads(TransferLimits()).open(), 0.0)


def test_only_faults_that_nothing_honest_explains_are_strikes() -> None:
    one = link()
    assert not any(one.struck("gap") for _ in range(100))
    assert [one.struck("malformed") for _ in range(MAX_STRIKES)].index(True) == MAX_STRIKES - 1


def test_words_go_before_answers_and_an_answer_given_up_is_skipped() -> None:
    loop = asyncio.new_event_loop()
    one = link()
    given_up, wanted = (Answer(bytes(30), xid, loop.create_future()) for xid in (1, 2))
    given_up.sent.cancel()
    one.answers.extend((given_up, wanted))
    one.words.append(b"word")
    assert one.next_value(23) == (b"word", None)
    values = [one.next_value(23) for _ in range(4)]
    assert [value[1] for value in values if value] == [None, None, wanted]
    assert values[3] is None
    loop.close()


def test_a_link_is_idle_by_what_is_useful() -> None:
    one = link()
    one.inbox.receive(b"\x15\x01message", 0.0)
    assert one.idle_since(10.0) == 0.0
    one.inbox.receive(b"\xff noise", 15.0)
    assert one.idle_since(25.0) == 15.0


@pytest.mark.parametrize(
    "address",
    [UART, "serial:/dev/pts/7", "usb:0a12:0001", "usb:1-1.2", "hci-socket:0", "tcp-client:host:1", "unix:/x"],
)  # fmt: skip
def test_every_form_of_address_is_taken(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("00:1A:7D:DA:71:13", "write hci-socket:00:1A:7D:DA:71:13"),
        ("hci0", "write hci-socket:ADDRESS, or hci-socket:0"),
        ("/dev/ttyACM0", "write serial:/dev/ttyACM0,1000000,rtscts"),
        ("bluetooth", "use serial:PATH"),
    ],
)
def test_an_address_as_other_programs_write_it_is_told_as_it_is_to_be_written(
    address: str, words: str
) -> None:
    with pytest.raises(DriverConfigError, match=words):
        check_address(address)


def test_an_adapter_is_chosen_by_its_address_or_its_usb_port() -> None:
    known = [Adapter(0, "00:1A:7D:DA:71:13", "1-1.2"), Adapter(3, "B8:27:EB:00:00:01", "")]
    assert choose_adapter("b8:27:eb:00:00:01", known) == 3
    assert choose_adapter("1-1.2", known) == 0
    with pytest.raises(DriverLost, match=r"seen: hci0 00:1A:7D:DA:71:13 1-1\.2, hci3"):
        choose_adapter("1-1.3", known)
    with pytest.raises(DriverLost, match="seen: none; plug it in"):
        choose_adapter("1-1.3", [])


def test_the_usb_port_is_read_from_the_device_path(tmp_path: Path) -> None:
    device = tmp_path / "devices/usb1/1-1/1-1.2/1-1.2:1.0/bluetooth/hci0"
    device.mkdir(parents=True)
    (tmp_path / "hci0").symlink_to(device)
    assert usb_port_of(tmp_path / "hci0") == "1-1.2"
    assert usb_port_of(tmp_path / "serial0") == ""


def test_who_holds_an_adapter_is_found_among_the_processes(tmp_path: Path) -> None:
    for number, comm in enumerate(("bash", "ModemManager", "bluetoothd")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "comm").write_text(comm + "\n")
    (tmp_path / "77").mkdir()
    assert running_holders(tmp_path) == ["bluetoothd", "ModemManager"]


class USBErrorBusy(Exception):
    """As libusb's binding names it."""


@pytest.mark.parametrize(
    ("address", "error", "kind", "words"),
    [
        ("hci-socket:0", OSError(errno.EBUSY, "busy"), DriverConfigError, "by bluetoothd.*btmgmt --index 0"),
        ("usb:0", USBErrorBusy(), DriverConfigError, "EBUSY"),
        (UART, OSError(errno.EBUSY, "busy"), DriverConfigError, "ID_MM_DEVICE_IGNORE"),
        (UART, PermissionError(errno.EACCES, "no"), DriverConfigError, "dialout"),
        ("hci-socket:0", PermissionError(errno.EPERM, "no"), DriverConfigError, "CAP_NET_ADMIN"),
        ("usb:0", PermissionError(errno.EACCES, "no"), DriverConfigError, "udev"),
        (UART, FileNotFoundError(errno.ENOENT, "gone"), DriverLost, "by-id"),
        ("usb:0", ImportError("usb1"), DriverConfigError, r"offgrid-gateway\[ble\]"),
        ("usb:x", TransportSpecError("odd"), DriverConfigError, "cannot be read"),
        ("usb:0", TransportInitError("none"), DriverLost, "none"),
        ("usb:0", RuntimeError("odd"), DriverLost, "RuntimeError: odd"),
    ],
)  # fmt: skip
def test_why_a_controller_does_not_open_is_said_with_what_to_do(
    address: str, error: Exception, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        raise explain(address, error, ["bluetoothd"])


async def test_opening_what_is_not_there_is_lost_or_a_persons_work() -> None:
    with pytest.raises(DriverLost, match="by-id"):
        await open_hci("serial:/dev/no-such-dongle,1000000,rtscts")
    with pytest.raises(DriverLost, match="cannot be opened"):
        await open_hci("tcp-client:127.0.0.1:1")
    with pytest.raises((DriverConfigError, DriverLost), match=r"no Bluetooth adapter|Bluetooth sockets"):
        await open_hci("hci-socket:00:00:00:00:00:99")


async def test_an_opening_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(address: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(hci_transport, "OPEN_TIMEOUT_S", 0.01)
    monkeypatch.setattr(hci_transport, "open_transport", never)
    with pytest.raises(DriverLost, match="did not open"):
        await open_hci("tcp-client:127.0.0.1:1")


def test_an_unplugged_adapter_ends_its_reader_instead_of_spinning() -> None:
    class Source:
        lost = False

        def recv_until_would_block(self) -> None:
            raise OSError(errno.ENODEV, "unplugged")

        def on_transport_lost(self) -> None:
            self.lost = True

    source, stopped = Source(), []
    guarded_read(source, lambda: stopped.append(True))()
    assert source.lost
    assert stopped == [True]
