"""The SMS codec's edges: alphabet, capacities, parts, addresses, times, coding groups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gsm_at.alphabet import BASIC, EXTENSION, decode_text, encode_text, pack, unpack
from drivers.gsm_at.octets import ALPHANUMERIC, Address, Octets, PduError, Timestamp
from drivers.gsm_at.pdu import Deliver, Submit, decode_incoming, decode_submit, to_hex
from drivers.gsm_at.segments import DCS, capacity, split, text_data
from drivers.gsm_at.userdata import Coding, Concatenation, UserData, class_of, coding_of, text_of

LETTERS = "".join(sorted({*BASIC[:0x1B], *BASIC[0x1C:], *EXTENSION.values()}))
NOON = Timestamp.of(datetime(2026, 11, 20, 12, tzinfo=UTC))


def deliver(data: UserData) -> Deliver:
    return Deliver(
        sender=Address.parse("+491700000002"), timestamp=NOON, user_data=data, dcs=DCS[data.coding]
    )


def test_the_alphabet_has_128_places_and_an_escape_at_27() -> None:
    assert len(BASIC) == 128
    assert BASIC[0x1B] == " "
    assert BASIC[0x20:0x24] == ' !"#'


@given(st.text(LETTERS, max_size=160))
def test_what_the_alphabet_holds_comes_back(text: str) -> None:
    assert decode_text(encode_text(text)) == text


@given(st.binary(max_size=160), st.integers(0, 6))
def test_septets_survive_packing_after_any_fill(octets: bytes, fill: int) -> None:
    septets = bytes(octet & 0x7F for octet in octets)
    assert unpack(pack(septets, fill), len(septets), fill) == septets


@given(st.lists(st.integers(0, 127), max_size=160))
def test_any_septets_are_some_text(septets: list[int]) -> None:
    assert isinstance(decode_text(bytes(septets)), str)


def test_an_unknown_extension_shows_its_basic_character_and_a_lone_escape_a_space() -> None:
    assert decode_text(bytes((0x1B, 0x41, 0x1B))) == "A "


def test_a_character_the_alphabet_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="'中'"):
        encode_text("a中")


@pytest.mark.parametrize(
    ("coding", "single", "part8", "part16"),
    [(Coding.GSM7, 160, 153, 152), (Coding.OCTETS, 140, 134, 133), (Coding.UCS2, 140, 134, 132)],
)
def test_capacities_are_those_of_the_specification(
    coding: Coding, single: int, part8: int, part16: int
) -> None:
    assert (capacity(coding), capacity(coding, 8), capacity(coding, 16)) == (single, part8, part16)
    for size, bits, parts in ((single, 8, 1), (single + 2, 8, 2), (2 * part8, 8, 2), (2 * part8 + 2, 8, 3)):
        split_up = split(UserData(coding, bytes(size)), 7, bits)
        assert len(split_up) == parts
        for part in split_up:
            assert len(part.to_octets()) <= 141


@given(st.text(LETTERS + "中😀𝄞", min_size=1, max_size=900), st.sampled_from((8, 16)), st.integers(0, 255))
def test_parts_join_to_the_text_and_none_cuts_a_character(text: str, bits: int, reference: int) -> None:
    whole = text_data(text)
    parts = split(whole, reference, bits)
    decoded = [decode_incoming(to_hex(deliver(part))).user_data for part in parts]
    assert text_of(whole.coding, b"".join(part.data for part in decoded if part)) == text
    assert "".join(part.text for part in decoded if part) == text
    if len(parts) > 1:
        wanted = [Concatenation(reference, len(parts), number, bits) for number in range(1, len(parts) + 1)]
        assert [part.concatenation for part in decoded if part] == wanted


def test_more_than_255_parts_are_refused() -> None:
    assert len(split(UserData(Coding.OCTETS, bytes(255 * 134)), 1)) == 255
    with pytest.raises(ValueError, match="256 parts"):
        split(UserData(Coding.OCTETS, bytes(255 * 134 + 1)), 1)


def test_user_data_above_140_octets_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="141 octets"):
        UserData(Coding.OCTETS, bytes(141)).to_octets()


def test_a_coding_that_contradicts_its_octet_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="is not 8bit"):
        Submit(destination=Address.parse("1"), user_data=UserData(Coding.OCTETS, b"x"), dcs=0).tpdu()


@pytest.mark.parametrize(
    ("dcs", "coding", "message_class"),
    [
        (0x00, Coding.GSM7, None),
        (0x0C, Coding.GSM7, None),  # a reserved alphabet is the default one
        (0x11, Coding.GSM7, 1),
        (0x16, Coding.OCTETS, 2),
        (0x19, Coding.UCS2, 1),
        (0x44, Coding.OCTETS, None),
        (0x80, Coding.GSM7, None),
        (0xC8, Coding.GSM7, None),
        (0xD1, Coding.GSM7, None),
        (0xE0, Coding.UCS2, None),
        (0xF2, Coding.GSM7, 2),
        (0xF6, Coding.OCTETS, 2),
    ],
)
def test_coding_groups(dcs: int, coding: Coding, message_class: int | None) -> None:
    assert (coding_of(dcs), class_of(dcs)) == (coding, message_class)


@pytest.mark.parametrize(
    "element", [(0x00, b"\x05\x00\x00"), (0x00, b"\x05\x02\x00"), (0x00, b"\x05\x02\x03")]
)
def test_an_impossible_concatenation_is_ignored(element: tuple[int, bytes]) -> None:
    assert UserData(Coding.OCTETS, b"x", (element,)).concatenation is None


def test_reference_zero_is_a_reference_and_the_last_element_counts() -> None:
    first, last = Concatenation(9, 2, 1).element(), Concatenation(0, 3, 2).element()
    assert UserData(Coding.OCTETS, b"", (first, last)).concatenation == Concatenation(0, 3, 2)


def test_ports_of_both_widths_are_read() -> None:
    assert UserData(Coding.OCTETS, b"", ((0x04, b"\x10\x11"),)).ports == (0x10, 0x11)
    assert UserData(Coding.OCTETS, b"", ((0x05, b"\x1f\x90\x00\x01"),)).ports == (8080, 1)


@pytest.mark.parametrize("number", ["", "+", "+49 170", "٣", "1" * 21])
def test_what_is_no_number_is_no_destination(number: str) -> None:
    with pytest.raises(ValueError, match="not a telephone number"):
        Address.parse(number)


def test_addresses_of_every_length_come_back() -> None:
    for length in range(1, 21):
        address = Address.parse("+" + "12345678901234567890"[:length])
        assert Address.read(Octets(address.to_octets())) == address
    for length in range(1, 12):
        name = Address("M-PESA Bank"[:length], ALPHANUMERIC)
        assert Address.read(Octets(name.to_octets())) == name


def test_a_filler_inside_a_number_is_refused_and_a_counted_one_is_dropped() -> None:
    with pytest.raises(PduError) as refusal:
        Address.read(Octets(bytes.fromhex("0491F12100")))
    assert refusal.value.kind == "address"
    assert str(Address.read(Octets(bytes.fromhex("049121F3")))) == "+123"


def test_an_impossible_time_is_none_and_the_message_is_kept() -> None:
    message = deliver(text_data("x"))
    odd = Timestamp(b"\xff" * 7)
    assert odd.moment is None
    kept = decode_incoming(to_hex(Deliver(sender=message.sender, timestamp=odd, user_data=message.user_data)))
    assert kept.timestamp == odd


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2069, 12, 31)),  # noqa: DTZ001 - zones come apart
    st.integers(-47, 47),
)
def test_times_of_every_zone_come_back(moment: datetime, quarters: int) -> None:
    aware = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=15 * quarters)))
    assert Timestamp.of(aware).moment == aware


@given(st.binary(max_size=60), st.sampled_from((decode_incoming, decode_submit)))
def test_any_octets_are_decoded_or_refused_by_kind(octets: bytes, decode: object) -> None:
    kinds = {"smsc", "type", "address", "truncated", "header", "user_data", "encoding"}
    try:
        assert callable(decode)
        decode(octets.hex())
    except PduError as refusal:
        assert refusal.kind in kinds


@pytest.mark.parametrize("text", ["", "0", "00 01", "0x", "AG", "\u0660\u0660"])
def test_what_is_no_hex_or_nothing_at_all_is_refused(text: str) -> None:
    with pytest.raises(PduError):
        decode_incoming(text)
