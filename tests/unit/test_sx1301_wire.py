"""Pure parts of the SX1301 driver: airtime, counter, firmware parsing, plans, corrections."""

from __future__ import annotations

import hashlib

import pytest

from drivers.airtime import fsk_airtime_us, lora_airtime_us
from drivers.errors import DriverConfigError
from drivers.lora_sx1301 import boards, receive, send, start
from drivers.lora_sx1301.counter import LinearCounter
from drivers.lora_sx1301.firmware import FirmwareRejected, check_image, identify, parse_image
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.send import Emission, LoraModulation
from drivers.lora_sx1301.steps import Steps


def image(seed: int) -> bytes:
    """Words of 14 bits with their parity in bit 14."""
    words = ((seed * 37 + n) & 0x3FFF for n in range(4096))
    return b"".join((word | (word.bit_count() % 2) << 14).to_bytes(2, "little") for word in words)


DIGESTS = {name: hashlib.sha256(image(n)).hexdigest() for n, name in enumerate(("arb", "agc", "cal"))}


@pytest.mark.parametrize(
    ("size", "sf", "bandwidth_hz", "crc", "airtime_us"),
    [
        (13, 7, 125_000, True, 46_336),
        (51, 12, 125_000, True, 2_465_792),
        (12, 12, 125_000, True, 1_155_072),
        (12, 12, 125_000, False, 991_232),  # without CRC two nibbles of SF12 fewer
        (7, 12, 125_000, False, 827_392),  # with it 991,232: what the reference driver would hold
        (222, 7, 125_000, True, 348_416),
        (20, 10, 500_000, True, 92_672),
    ],
)
def test_lora_airtime_follows_the_datasheet(
    size: int, sf: int, bandwidth_hz: int, crc: bool, airtime_us: int
) -> None:
    assert lora_airtime_us(size, spreading_factor=sf, bandwidth_hz=bandwidth_hz, crc=crc) == airtime_us


def test_fsk_airtime_counts_preamble_sync_length_and_crc() -> None:
    assert fsk_airtime_us(20, bit_rate=50_000) == (5 + 3 + 1 + 20 + 2) * 160


def test_the_counter_is_a_line_over_wraps_and_frames_out_of_order() -> None:
    counter = LinearCounter()
    assert counter.widen(0xFFFF_FF00) == 0xFFFF_FF00
    assert counter.widen(0x10) == 0x1_0000_0010
    assert counter.widen(0xFFFF_FFF0) == 0xFFFF_FFF0  # a frame from before the wrap, read late
    assert counter.newest_us == 0x1_0000_0010
    assert counter.raw(0x1_0000_0010) == 0x10
    for turn in range(2, 5):
        assert counter.widen(0x5555_5555) == (turn - 1 << 32) + 0x5555_5555
        assert counter.widen(0xAAAA_AAAA) == (turn - 1 << 32) + 0xAAAA_AAAA
        assert counter.widen(0) == turn << 32


def test_after_a_chip_reset_the_line_continues_where_the_host_says_and_never_goes_back() -> None:
    counter = LinearCounter()
    counter.widen(5_000_000)
    assert counter.rebase(100, 8_000_100) == 8_000_100
    assert counter.widen(200) == 8_000_200
    assert counter.raw(8_000_300) == 300
    assert counter.rebase(50, 7_000_000) == 8_000_200  # the host's clock lags: the newest stands
    assert counter.widen(60) == 8_000_210


@pytest.mark.parametrize("form", ["raw", "var"])
def test_an_image_is_taken_raw_or_as_a_c_initialiser(form: str) -> None:
    data = image(0)
    if form == "var":
        text = ",\n".join(f"0x{byte:02X}" for byte in data)
        data = b"static uint8_t arb_firmware[8192] = {\n" + text.encode() + b"\n};\n"
    assert parse_image(data) == image(0)
    assert identify(parse_image(data), DIGESTS) == "arb"


def test_a_damaged_word_is_named_by_its_place() -> None:
    damaged = bytearray(image(1))
    damaged[100] ^= 0x01
    with pytest.raises(FirmwareRejected, match="byte 100 fails its parity"):
        check_image("agc", bytes(damaged), DIGESTS)


def test_swapped_images_are_told_by_name() -> None:
    with pytest.raises(FirmwareRejected, match="this is the cal image"):
        check_image("arb", image(2), DIGESTS)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "nor hex"), (b"{1, 2}", "2 bytes"), (b"{0x100}", "not a byte"), (b"{zz}", "not a byte")],
)
def test_what_is_no_image_is_refused_with_what_was_seen(data: bytes, message: str) -> None:
    with pytest.raises(FirmwareRejected, match=message):
        parse_image(data)


def test_a_foreign_image_of_right_shape_is_refused_by_digest() -> None:
    with pytest.raises(FirmwareRejected, match="none of"):
        identify(image(9), DIGESTS)


def test_us915_sub_band_2_programs_the_intermediate_frequencies_of_the_facts() -> None:
    board = boards.rak2245("US915")
    offsets = [start.intermediate_frequency(channel.offset_hz) for channel in board.multi]
    assert offsets == [-819, -409, 0, 409, -614, -204, 204, 614]
    assert board.radio_select == 0xF0
    assert [board.frequency_hz(n) for n in range(9)] == [
        *range(903_900_000, 905_400_000, 200_000),
        904_600_000,
    ]
    assert board.channel(9) is None


def test_eu868_selects_the_radios_of_the_facts() -> None:
    assert boards.rak2245("EU868").radio_select == 0x07


def test_an_unknown_plan_or_table_is_a_matter_for_a_person() -> None:
    with pytest.raises(DriverConfigError, match="EU868, US915"):
        boards.rak2245("MARS")
    with pytest.raises(DriverConfigError, match="rak_2019, rak_current"):
        boards.rak2245("EU868", "mine")


@pytest.mark.parametrize(("asked", "given"), [(-20, -6), (-6, -6), (5.9, 3), (14, 14), (15.5, 14), (40, 27)])
def test_the_gain_never_exceeds_what_was_asked_unless_it_is_the_lowest(asked: float, given: int) -> None:
    gains = boards.rak2245("EU868").gains
    assert gains[send.gain_index(gains, asked)].power_dbm == given


def head(reply: bytes) -> tuple[Steps[list[receive.Packet]], bytes]:
    return receive.receive(Registers()), b"\0" + reply


def test_an_impossible_fifo_count_is_not_believed() -> None:
    steps, reply = head(bytes((17, 0, 0, 5, 4)))
    next(steps)
    with pytest.raises(receive.FifoGarbled, match="17 packets"):
        steps.send(reply)


def test_a_packet_of_a_chain_that_is_not_set_up_is_not_corrected() -> None:
    fsk = receive.parse_packet(5, b"abc" + bytes((9, 0)) + bytes(14))
    assert receive.correct(fsk, boards.rak2245("US915")) is None
    wrong_rate = receive.parse_packet(5, b"abc" + bytes((0, 0x20)) + bytes(14))
    assert receive.correct(wrong_rate, boards.rak2245("US915")) is None


@pytest.mark.parametrize(("bandwidth_hz", "top"), [(125_000, 0x40), (250_000, 0x00), (500_000, 0x80)])
def test_the_transmit_filter_follows_the_bandwidth(bandwidth_hz: int, top: int) -> None:
    rate = LoraModulation(
        spreading_factor=7, bandwidth_hz=bandwidth_hz, coding_rate="4/5", crc=True, invert_iq=False
    )
    frame = Emission(frequency_hz=923_300_000, gain_index=0, modulation=rate, payload=b"x", counter_us=2_000)
    assert send.encode(frame)[0] & 0xC0 == top


@pytest.mark.parametrize("payload", [b"", bytes(256)])
def test_a_payload_that_does_not_fit_is_refused(payload: bytes) -> None:
    rate = LoraModulation(
        spreading_factor=7, bandwidth_hz=125_000, coding_rate="4/5", crc=True, invert_iq=True
    )
    frame = Emission(frequency_hz=868_100_000, gain_index=0, modulation=rate, payload=payload, counter_us=0)
    with pytest.raises(ValueError, match="1 to 255"):
        send.encode(frame)
