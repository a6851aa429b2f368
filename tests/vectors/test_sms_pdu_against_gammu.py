"""Random messages: what we encode, libgammu decodes to the same, and so do we."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest

from drivers.gsm_at.alphabet import BASIC, EXTENSION
from drivers.gsm_at.octets import ALPHANUMERIC, Address, Timestamp
from drivers.gsm_at.pdu import Deliver, StatusReport, Submit, decode_incoming, decode_submit, to_hex
from drivers.gsm_at.segments import DCS, split, text_data
from drivers.gsm_at.userdata import Coding, UserData

gammu = pytest.importorskip("gammu", reason="python-gammu, the second opinion, is not installed")

MESSAGES = 10_000
CODINGS = {
    Coding.GSM7: "Default_No_Compression",
    Coding.OCTETS: "8bit",
    Coding.UCS2: "Unicode_No_Compression",
}
# libgammu has another Ç and no form feed.
LETTERS = "".join(set(BASIC[:0x1B] + BASIC[0x1C:] + "".join(EXTENSION.values())) - set("\fÇ"))
WIDE = "中兴通讯тестΔ😀𝄞é€{}"
NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 -."


@pytest.mark.parametrize("seed", range(4))
def test_ten_thousand_random_messages_agree_with_gammu(seed: int) -> None:
    random = Random(seed)
    for _ in range(MESSAGES // 4):
        message = random.choice((_submit, _deliver, _report))(random)
        pdu = to_hex(message)
        assert (decode_submit if isinstance(message, Submit) else decode_incoming)(pdu) == message
        _agrees(message, gammu.DecodePDU(bytes.fromhex(pdu), True))


def _agrees(message: Submit | Deliver | StatusReport, theirs: Mapping[str, Any]) -> None:
    assert theirs["SMSC"]["Number"] == ("" if message.smsc is None else str(message.smsc))
    match message:
        case StatusReport():
            assert theirs["Type"] == "Status_Report"
            assert theirs["Number"] == str(message.recipient)
            assert theirs["MessageReference"] == message.reference
            assert theirs["SMSCDateTime"] == message.discharge.moment
        case Deliver():
            assert theirs["Type"] == "Deliver"
            assert theirs["Number"] == str(message.sender)
            assert theirs["DateTime"] == message.timestamp.moment
        case Submit():
            assert theirs["Type"] == "Submit"
            assert theirs["Number"] == str(message.destination)
            assert theirs["MessageReference"] == message.reference
    if message.user_data is not None:
        _same_data(message.user_data, theirs)


def _same_data(data: UserData, theirs: Mapping[str, Any]) -> None:
    assert theirs["Coding"] == CODINGS[data.coding]
    if data.coding is Coding.OCTETS:
        assert theirs["Text"] == data.data
    else:
        # libgammu leaves its buffer's old end behind extension characters.
        assert theirs["Text"].partition("\0")[0] == data.text
    part = data.concatenation
    if part is not None:
        header = theirs["UDH"]
        assert (header["PartNumber"], header["AllParts"]) == (part.sequence, part.total)
        assert header["ID8bit" if part.bits == 8 else "ID16bit"] == part.reference


def _submit(random: Random) -> Submit:
    data = _data(random)
    return Submit(
        destination=_number(random),
        user_data=data,
        dcs=DCS[data.coding],
        smsc=random.choice((None, _international(random))),
        reference=random.randrange(256),
        validity=random.choice((None, random.randrange(256))),
        report_requested=random.random() < 0.5,
    )


def _deliver(random: Random) -> Deliver:
    data = _data(random)
    name = Address("".join(random.choices(NAMES, k=random.randint(1, 11))).strip() or "X", ALPHANUMERIC)
    return Deliver(
        sender=random.choice((_number(random), name)),
        timestamp=_timestamp(random),
        user_data=data,
        dcs=DCS[data.coding],
        smsc=random.choice((None, _international(random))),
    )


def _report(random: Random) -> StatusReport:
    return StatusReport(
        recipient=_number(random),
        reference=random.randrange(256),
        timestamp=_timestamp(random),
        discharge=_timestamp(random),
        status=random.choice((0, 1, 2, 0x30, 0x41, 0x46)),
        smsc=_international(random),
    )


def _data(random: Random) -> UserData:
    kind = random.choice(tuple(Coding))
    length = random.choice((random.randint(1, 20), random.randint(1, 160), random.randint(150, 700)))
    if kind is Coding.OCTETS:
        whole = UserData(kind, random.randbytes(length))
    else:
        whole = text_data("".join(random.choices(LETTERS if kind is Coding.GSM7 else WIDE, k=length)))
    bits = random.choice((8, 16))
    return random.choice(split(whole, random.randrange(1 << bits), bits))


def _number(random: Random) -> Address:
    if random.random() < 0.5:
        return _international(random)
    return Address.parse("".join(random.choices("0123456789", k=random.randint(3, 15))))


def _international(random: Random) -> Address:
    return Address.parse("+" + "".join(random.choices("123456789", k=random.randint(7, 15))))


def _timestamp(random: Random) -> Timestamp:
    zone = timezone(timedelta(minutes=15 * random.randint(-47, 47)))
    return Timestamp.of(
        datetime.fromtimestamp(random.randint(946_684_800, 2_000_000_000), UTC).astimezone(zone)
    )
