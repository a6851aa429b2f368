"""Datagrams of the Semtech UDP protocol: golden ones, round trips, and everything that is none."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import DriverConfigError
from drivers.lora_gwmp.driver import REASONS
from drivers.lora_gwmp.packets import GwmpError, RxPacket, Stat, TxPacket
from drivers.lora_gwmp.settings import GwmpSettings
from drivers.lora_gwmp.wire import (
    MAX_DATAGRAM,
    MAX_PACKETS,
    PullAck,
    PullData,
    PullResp,
    PushAck,
    PushData,
    TxAck,
    decode,
)

EUI = bytes.fromhex("b827ebfffe010203")
UP = bytes.fromhex("02abcd00") + EUI

# Written after PROTOCOL.TXT 4 (its example has base64 that is not of 32 bytes, so the payloads are our own).
RXPK = {
    "time": "2013-03-31T16:21:17.528002Z",
    "tmst": 3512348611,
    "chan": 2,
    "rfch": 0,
    "freq": 866.349812,
    "stat": 1,
    "modu": "LORA",
    "datr": "SF7BW125",
    "codr": "4/6",
    "rssi": -35,
    "lsnr": 5.1,
    "size": 4,
    "data": "4AEKCw==",
}
FSK = {
    "tmst": 3512348514,
    "chan": 9,
    "freq": 869.1,
    "modu": "FSK",
    "datr": 50000,
    "rssi": -75,
    "size": 2,
    "data": "VEU=",
}


def push(body: object) -> bytes:
    return UP + json.dumps(body).encode()


def packets(*elements: object) -> PushData:
    message = decode(push({"rxpk": list(elements)}))
    assert isinstance(message, PushData)
    return message


def test_a_heard_packet_is_read_with_units_in_its_names() -> None:
    message = packets(RXPK)
    assert (message.token, message.eui) == (0xABCD, EUI)
    assert message.packets == [
        RxPacket(
            counter_us=3512348611,
            frequency_hz=866_349_812,
            channel=2,
            crc=1,
            spreading_factor=7,
            bandwidth_hz=125_000,
            coding_rate="4/6",
            rssi_dbm=-35.0,
            snr_db=5.1,
            payload=bytes.fromhex("e0010a0b"),
        )
    ]


def test_an_fsk_packet_has_no_spreading_factor() -> None:
    (packet,) = packets(FSK).packets
    assert (packet.spreading_factor, packet.bandwidth_hz, packet.coding_rate) == (0, 0, "")


def test_unpadded_base64_is_read_as_forwarders_write_it() -> None:
    (packet,) = packets(RXPK | {"data": "4AEKCw"}).packets
    assert packet.payload == bytes.fromhex("e0010a0b")


def test_one_bad_element_does_not_cost_the_others() -> None:
    message = packets(RXPK, RXPK | {"freq": "868"}, 7, None, RXPK)
    assert len(message.packets) == 2
    assert message.malformed == 3


def test_elements_above_the_bound_are_counted_and_left_out() -> None:
    tiny = {"tmst": 1, "freq": 868.1, "datr": "SF7BW125", "rssi": -1, "data": "AA=="}
    message = packets(*[tiny] * (MAX_PACKETS + 5))
    assert (len(message.packets), message.excess) == (MAX_PACKETS, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tmst": -1},
        {"tmst": 2**32},
        {"tmst": 1.5},
        {"tmst": True},
        {"tmst": None},
        {"tmst": 10**400},
        {"freq": 0},
        {"freq": 1e300},
        {"freq": "868.1"},
        {"chan": -1},
        {"stat": 2},
        {"datr": "SF13BW125"},
        {"datr": "SF7BW124"},
        {"datr": 7},
        {"datr": "SF7BW125\n"},
        {"codr": "OFF"},
        {"codr": ["4/5"]},
        {"rssi": []},
        {"lsnr": "high"},
        {"size": 5},
        {"size": 256},
        {"data": "4AEKC"},
        {"data": "!!!!"},
        {"data": ""},
        {"data": 4},
        {"data": base64.b64encode(bytes(256)).decode(), "size": 256},
        {"data": "A" * 10_000},
    ],
)
def test_a_packet_with_a_wrong_field_is_malformed(wrong: dict[str, object]) -> None:
    message = packets(RXPK | wrong)
    assert (list(message.packets), message.malformed) == ([], 1)


def test_a_forwarders_figures_are_read_and_bad_ones_counted() -> None:
    stat = {
        "time": "2014-01-12 08:59:28 GMT",
        "rxnb": 2,
        "rxok": 2,
        "rxfw": 1,
        "ackr": 99.5,
        "dwnb": 2,
        "txnb": 1,
    }
    message = decode(push({"stat": stat}))
    assert isinstance(message, PushData)
    assert message.stat == Stat(
        received=2, received_ok=2, forwarded=1, acknowledged_percent=99.5, downlinks=2, emitted=1
    )
    spoiled = decode(push({"stat": {"rxnb": "many"}, "rxpk": [RXPK]}))
    assert isinstance(spoiled, PushData)
    assert (spoiled.stat, spoiled.malformed, len(spoiled.packets)) == (None, 1, 1)


@pytest.mark.parametrize("datagram", ["02abcd01", "02abcd04", "02abcd02b827ebfffe010203"])
def test_short_datagrams_survive_the_way_there_and_back(datagram: str) -> None:
    assert decode(bytes.fromhex(datagram)).to_bytes().hex() == datagram


def test_a_downlink_is_written_as_the_protocol_has_it() -> None:
    packet = TxPacket(
        counter_us=4_294_967_295,
        frequency_hz=869_525_000,
        power_dbm=14,
        spreading_factor=9,
        bandwidth_hz=125_000,
        coding_rate="4/5",
        invert_iq=True,
        payload=b"\xe0\x12",
    )
    datagram = PullResp(token=0x1234, packet=packet).to_bytes()
    assert datagram[:4] == bytes.fromhex("02123403")
    assert json.loads(datagram[4:]) == {
        "txpk": {
            "imme": False,
            "tmst": 4294967295,
            "freq": 869.525,
            "rfch": 0,
            "powe": 14,
            "modu": "LORA",
            "datr": "SF9BW125",
            "codr": "4/5",
            "ipol": True,
            "prea": 8,
            "ncrc": True,
            "size": 2,
            "data": "4BI=",
        }
    }
    assert decode(datagram) == PullResp(token=0x1234, packet=packet)


def test_an_immediate_downlink_carries_no_timestamp() -> None:
    body = TxPacket(
        counter_us=None,
        frequency_hz=868_100_000,
        power_dbm=14,
        spreading_factor=7,
        bandwidth_hz=125_000,
        coding_rate="4/5",
        invert_iq=True,
        payload=b"x",
    ).to_json()
    assert body["imme"] is True
    assert "tmst" not in body


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "NONE"),
        (b"\0", "NONE"),
        (b'{"txpk_ack":{"error":"NONE"}}', "NONE"),
        (b'{"txpk_ack":{}}', "NONE"),
        (b'{"txpk_ack":{"warn":"TX_POWER","value":20}}', "NONE"),
        *((b'{"txpk_ack":{"error":"%s"}}' % word.encode(), word) for word in REASONS),
        (b'{"txpk_ack":{"error":"SOMETHING_NEW"}}', "SOMETHING_NEW"),
    ],
)
def test_a_tx_ack_says_what_became_of_a_downlink(body: bytes, error: str) -> None:
    message = decode(bytes.fromhex("02123405") + EUI + body)
    assert message == TxAck(token=0x1234, eui=EUI, error=error)


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", "size"),
        (b"\x02\x00\x00", "size"),
        (UP[:11], "size"),
        (bytes(MAX_DATAGRAM + 1), "size"),
        (b"\x01" + UP[1:] + b"{}", "version"),
        (b"\x03" + UP[1:] + b"{}", "version"),
        (b"\x02\x00\x00\x06" + EUI, "identifier"),
        (UP, "json"),
        (UP + b"[]", "json"),
        (UP + b'{"rxpk":{}}', "json"),
        (UP + b'{"rxpk":[', "json"),
        (UP + b'{"rxpk":NaN}', "json"),
        (UP + b'{"rxpk":\xff}', "json"),
        (UP + b'{"rxpk":[' + b"9" * 5000 + b"]}", "json"),
        (UP + b"[" * 20_000, "json"),
        (UP + b'{"a":' * 5000, "json"),
        (b"\x02\x00\x00\x03{}", "txpk"),
        (b"\x02\x00\x00\x05" + EUI + b'{"txpk_ack":7}', "json"),
        (b"\x02\x00\x00\x05" + EUI + b'{"txpk_ack":{"error":["A"]}}', "json"),
    ],
)
def test_what_is_no_datagram_is_refused_by_a_word(datagram: bytes, reason: str) -> None:
    with pytest.raises(GwmpError) as refusal:
        decode(datagram)
    assert refusal.value.reason == reason


@given(st.binary(max_size=200))
def test_any_bytes_are_a_datagram_or_a_gwmp_error(datagram: bytes) -> None:
    try:
        decode(datagram)
    except GwmpError:
        pass


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(RXPK)), inner, max_size=6)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_in_the_place_of_packets_is_read_or_refused(value: object) -> None:
    for body in ({"rxpk": [value]}, {"rxpk": value}, {"stat": value}, value):
        try:
            decode(push(body))
        except GwmpError:
            pass


def test_every_upward_datagram_survives_the_way_there_and_back() -> None:
    for message in (
        PushAck(token=1),
        PullAck(token=2),
        PullData(token=3, eui=EUI),
        TxAck(token=4, eui=EUI, error="TOO_LATE"),
        packets(RXPK, FSK),
    ):
        assert decode(message.to_bytes()) == message


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "localhost"},
        {"host": 7},
        {"port": 70000},
        {"port": "1700"},
        {"port": True},
        {"forwarders": "b827ebfffe010203"},
        {"forwarders": ["b827"]},
        {"forwarders": ["zz27ebfffe010203"]},
        {"max_forwarders": 0},
        {"queue": 0},
        {"tx_ack_timeout_s": 0},
        {"tx_ack_timeout_s": float("nan")},
        {"prot": 1700},
    ],
)
def test_settings_that_cannot_be_used_are_refused_with_the_way_to_mend_them(
    settings: dict[str, object],
) -> None:
    with pytest.raises(DriverConfigError) as refusal:
        GwmpSettings.from_mapping(settings)
    assert refusal.value.fix


def test_settings_have_defaults_and_take_euis_as_people_write_them() -> None:
    assert GwmpSettings.from_mapping({}).port == 1700
    euis = ["B8:27:EB:FF:FE:01:02:03", "b827ebfffe010203"]
    assert GwmpSettings.from_mapping({"forwarders": euis}).forwarders == {EUI}
    assert GwmpSettings.from_mapping({"host": "0.0.0.0"}).host == "0.0.0.0"
