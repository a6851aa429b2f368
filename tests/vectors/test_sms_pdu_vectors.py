"""PDUs gathered from other projects' tests, from live captures and from spikes, read where they lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivers.gsm_at.octets import PduError, Timestamp
from drivers.gsm_at.pdu import Deliver, StatusReport, Submit, decode_incoming, decode_submit, to_hex
from drivers.gsm_at.userdata import Coding, UserData, class_of, text_of

FILE = Path(__file__).parents[3] / "shared" / "vectors" / "sms" / "pdu.json"
# Their senders left a fill bit behind the header set, which nobody reads.
FILL_BIT_SET = {"gm-concat-airtime", "mm-multi-1", "mm-multi-2"}
# By which decoder each malformed one is judged, and as what.
MALFORMED = {
    "pm-odd-truncated": (decode_incoming, "not_hex"),  # an odd number of digits
    "gm-sub-ucs2-badudl": (decode_submit, "user_data"),
    "gm-bad-type": (decode_incoming, "type"),
    "gm-bad-hex": (decode_incoming, "not_hex"),
    "mm-bad-insufficient-data": (decode_incoming, "user_data"),
    "mm-bad-no-address": (decode_incoming, "address"),
    "mm-bad-wrong-address-size": (decode_incoming, "address"),
    "mm-bad-wrong-user-data-elements-size": (decode_submit, "header"),
    "mm-bad-wrong-udh": (decode_submit, "header"),
    "wg-sub-underflow": (decode_submit, "user_data"),
    "wg-addr-underflow": (decode_incoming, "smsc"),
    "ga-fail-01": (decode_submit, "address"),
    "ga-fail-13": (decode_incoming, "not_hex"),
    "ga-fail-17": (decode_incoming, "not_hex"),
    "ga-fail-18": (decode_incoming, "smsc"),
    "ga-fail-25": (decode_incoming, "smsc"),
    "ga-fail-33": (decode_incoming, "type"),
    "ga-fail-35": (decode_incoming, "encoding"),  # says that it is compressed
    "ga-fail-38": (decode_incoming, "smsc"),
    "ga-fail-39": (decode_incoming, "smsc"),
    "ga-fail-40": (decode_incoming, "smsc"),
}


def rows() -> list[Any]:
    if not FILE.exists():
        return [
            pytest.param(
                None, marks=pytest.mark.skip(reason=f"{FILE} is not beside the checkout"), id="absent"
            )
        ]
    return [pytest.param(row, id=row["id"]) for row in json.loads(FILE.read_text("utf-8"))]


def well_formed() -> list[Any]:
    return [row for row in rows() if row.values[0] is None or row.values[0]["direction"] != "malformed"]


def decode(row: dict[str, Any]) -> Submit | Deliver | StatusReport:
    return decode_submit(row["hex"]) if row["direction"] == "submit" else decode_incoming(row["hex"])


@pytest.mark.parametrize("row", well_formed())
def test_every_field_is_decoded_as_expected(row: dict[str, Any]) -> None:
    message = decode(row)
    expected = {name: value for name, value in row["expected"].items() if name != "joined_text"}
    assert {name: field(message, name) for name in expected} == expected


@pytest.mark.parametrize("row", well_formed())
def test_everything_encodes_back(row: dict[str, Any]) -> None:
    message = decode(row)
    encoded = to_hex(message)
    if row["id"] in FILL_BIT_SET:
        assert sum(one != other for one, other in zip(encoded, row["hex"], strict=True)) == 1
    else:
        assert encoded == row["hex"]
    assert decode({**row, "hex": encoded}) == message


@pytest.mark.parametrize("row", [row for row in rows() if row not in well_formed()])
def test_every_malformed_pdu_is_refused_by_kind(row: dict[str, Any]) -> None:
    decoder, kind = MALFORMED[row["id"]]
    with pytest.raises(PduError) as refusal:
        decoder(row["hex"])
    assert refusal.value.kind == kind
    for other in (decode_incoming, decode_submit):
        with pytest.raises(PduError):
            other(row["hex"])


@pytest.mark.skipif(not FILE.exists(), reason=f"{FILE} is not beside the checkout")
def test_a_surrogate_pair_split_between_parts_is_joined() -> None:
    parts = [
        row for row in json.loads(FILE.read_text("utf-8")) if row["id"].startswith("own-surrogate-split")
    ]
    data = b"".join(body(decode(row)).data for row in parts)
    assert text_of(Coding.UCS2, data) == parts[1]["expected"]["joined_text"]


def body(message: Submit | Deliver | StatusReport) -> UserData:
    assert message.user_data is not None
    return message.user_data


def field(message: Any, name: str) -> Any:
    """A field of ours by the name the vectors have for it."""
    who = message.sender if isinstance(message, Deliver) else None
    who = who or (message.destination if isinstance(message, Submit) else message.recipient)
    match name:
        case "smsc":
            return None if message.smsc is None else str(message.smsc)
        case "number":
            return str(who)
        case "number_type":
            return "alphanumeric" if who.alphanumeric else "unknown"
        case "text":
            return body(message).text
        case "data_hex":
            return body(message).data.hex()
        case "coding":
            return body(message).coding.value
        case "concat":
            part = body(message).concatenation
            assert part is not None
            names = {"ref": part.reference, "total": part.total, "seq": part.sequence, "bits": part.bits}
            return names
        case "concat_valid":
            return body(message).concatenation is not None
        case "ports":
            return list(body(message).ports or ())
        case "class":
            return class_of(message.dcs)
        case "scts":
            return _iso(message.timestamp)
        case "discharge":
            return _iso(message.discharge)
        case "vp_absolute":
            return _iso(message.validity)
        case "vp" | "vp_relative":
            return message.validity
        case "mr":
            return message.reference
        case "srr":
            return message.report_requested
        case "tpdu_len":
            return len(message.tpdu())
    return getattr(message, name)


def _iso(timestamp: Timestamp) -> str | None:
    return None if timestamp.moment is None else timestamp.moment.isoformat()
