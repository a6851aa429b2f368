"""Orders and answers against their golden bytes, by the gateway's code and by the coordinator's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.applied import ALLOWED, Applied, Trial, not_allowed, overlaid
from gateway.core.cbor import CborError
from gateway.core.remote import MAX_ANSWER_BYTES, Kind, Recipient, judge, pieces, read_arguments
from gateway.core.sync.messages import Answer, Ordered, parse
from simulators.coordinator import wire

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "remote/orders.json").read_text())
TO = Recipient(
    bytes.fromhex(VECTORS["gateway"]),
    bytes.fromhex(VECTORS["coordinator"]),
    VECTORS["last"],
    VECTORS["now_ms"],
)


@pytest.mark.parametrize("row", VECTORS["orders"], ids=lambda row: row["name"])
def test_every_order_is_read_written_and_judged(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["bytes"])
    message = Ordered.from_bytes(data)
    assert message.to_bytes() == data
    why = judge(message.order, TO, VECTORS["names"])
    assert (why and why.partition(":")[0]) == row["verdict"]


@pytest.mark.parametrize("row", VECTORS["answers"], ids=lambda row: str(row["kind"]))
def test_every_answer_is_written_as_the_coordinator_reads_it(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["bytes"])
    assert Answer.from_bytes(data).to_bytes() == data
    read = wire.read(data)
    assert isinstance(read, wire.Answer)
    assert read.kind == row["kind"]


@pytest.mark.parametrize("row", VECTORS["malformed"], ids=lambda row: row["name"])
def test_what_is_out_of_bounds_is_no_message(row: dict[str, Any]) -> None:
    with pytest.raises(CborError):
        parse(bytes.fromhex(row["bytes"]))


def test_an_answer_goes_in_parts_that_join_to_what_it_was_and_is_bounded() -> None:
    data = bytes(range(256)) * 300
    parts = list(pieces(7, Kind.FILE, data))
    assert b"".join(part.data for part in parts) == data
    assert {(part.number, part.parts) for part in parts} == {(7, len(parts))}
    with pytest.raises(ValueError, match="at most"):
        list(pieces(7, Kind.FILE, bytes(MAX_ANSWER_BYTES + 1)))


@pytest.mark.parametrize(
    "data", [b"[]", b"{", b"\xff", b"[" * 16000], ids=["list", "torn", "no text", "deep"]
)
def test_arguments_that_are_no_json_object_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_arguments(data)


def test_no_key_no_path_and_no_door_is_among_what_the_coordinator_may_set() -> None:
    words = ("key", "path", "host", "port", "pin", "driver", "options", "insecure", "id", "address")
    assert [one for one in ALLOWED if set(one.rpartition(".")[2].split("_")) & set(words)] == []
    asked = {"storage": {"path": "/x", "retention_days": 3}, "security": {}, "limits": {"peer": {"x": 1}}}
    assert not_allowed(asked) == ["security", "storage.path"]


def test_a_trial_ends_confirmed_or_as_if_it_had_never_been() -> None:
    before = Applied(version=1, settings={"sync": {"batch_entries": 5}}, tried=1)
    trial = before.begun(Trial(version=2, settings={"logging": {"level": "info"}}, score=100, started=False))
    assert trial.in_force == {"logging": {"level": "info"}}
    assert trial.started().trial is not None
    assert trial.confirmed().in_force == trial.in_force
    back = trial.rolled_back("no link")
    assert (back.in_force, back.version, back.tried) == (before.settings, 1, 2)


def test_settings_are_joined_and_the_applied_ones_win() -> None:
    own = {"a": {"b": 1, "c": 2}, "d": [1]}
    assert overlaid(own, {"a": {"b": 3}, "d": [2]}) == {"a": {"b": 3, "c": 2}, "d": [2]}
    assert own == {"a": {"b": 1, "c": 2}, "d": [1]}
