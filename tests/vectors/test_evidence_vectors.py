"""Evidence and notices against their golden bytes, by the gateway's code and by the coordinator's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cbor import CborError
from gateway.core.evidence import EvidenceInvalid, EvidenceKind, encode_evidence, verify_evidence
from gateway.core.notice import Notice, NoticeKind, read_decision, read_devices
from simulators.textbook import evidence as textbook
from simulators.textbook.cbor import Malformed

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "evidence/evidence.json").read_text())
HOLDS = [row for row in VECTORS["evidence"] if row["holds"]]
FAILS = [row for row in VECTORS["evidence"] if not row["holds"]]
COORDINATOR = bytes.fromhex(VECTORS["coordinator"])


@pytest.mark.parametrize("row", HOLDS, ids=lambda row: row["name"])
def test_what_holds_is_verified_by_both_and_written_to_the_byte(row: dict[str, Any]) -> None:
    body = bytes.fromhex(row["bytes"])
    found = verify_evidence(body)
    assert found.kind.name == row["kind"]
    assert encode_evidence(found) == body
    assert textbook.verify(body).kind == found.kind


@pytest.mark.parametrize("row", FAILS, ids=lambda row: row["name"])
def test_what_proves_nothing_is_refused_by_both(row: dict[str, Any]) -> None:
    body = bytes.fromhex(row["bytes"])
    with pytest.raises(EvidenceInvalid):
        verify_evidence(body)
    with pytest.raises(Malformed):
        textbook.verify(body)


@given(st.sampled_from([row for row in HOLDS if row["kind"] != "EPOCH"]), st.data())
def test_no_bit_of_evidence_can_be_changed(row: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray.fromhex(row["bytes"])
    at = data.draw(st.integers(0, 8 * len(body) - 1))
    body[at // 8] ^= 1 << at % 8
    with pytest.raises(EvidenceInvalid):
        verify_evidence(bytes(body))
    with pytest.raises(Malformed):
        textbook.verify(bytes(body))


def test_a_double_spend_takes_about_250_bytes() -> None:
    sizes = [len(row["bytes"]) // 2 for row in HOLDS if row["kind"] == EvidenceKind.DOUBLE_SPEND.name]
    assert sizes and max(sizes) <= 270


@given(st.binary(max_size=300))
def test_no_bytes_break_the_readers(body: bytes) -> None:
    with pytest.raises(EvidenceInvalid):
        verify_evidence(body)
    with pytest.raises(Malformed):
        textbook.verify(body)


@pytest.mark.parametrize("row", VECTORS["notices"], ids=lambda row: f"notice {row['number']}")
def test_a_notice_is_read_verified_and_written_to_the_byte(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["bytes"])
    notice = Notice.read(data)
    assert (notice.number, notice.kind, notice.unix_ms) == (row["number"], row["kind"], row["time"])
    assert notice.body.hex() == row["body"]
    assert notice.to_bytes() == data
    assert notice.is_signed_by(COORDINATOR)
    assert not Notice(notice.number + 1, *_rest(notice)).is_signed_by(COORDINATOR)
    match notice.kind:
        case NoticeKind.EVIDENCE:
            verify_evidence(notice.body)
        case NoticeKind.DECISION:
            decision = read_decision(notice.body)
            assert decision.winner is None or decision.winner in decision.texts
        case NoticeKind.DEVICES:
            assert [device.blocked for device in read_devices(notice.body)] == [False, True]


def _rest(notice: Notice) -> tuple[int, int, bytes, bytes]:
    return notice.kind, notice.unix_ms, notice.body, notice.signature


@given(st.binary(max_size=100))
def test_no_bytes_break_what_reads_notices(data: bytes) -> None:
    for read in (Notice.read, read_decision, read_devices):
        try:
            read(data)
        except CborError:
            continue
