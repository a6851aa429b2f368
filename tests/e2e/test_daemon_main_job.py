"""The main job by the whole daemon: uploads in over HTTP, promises and proofs out, the log cosigned."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

from daemon_rig import GATEWAY, Answer, Daemon, House, Row, ask, house, origin_of, upload_of, wallet_rows
from nacl.signing import VerifyKey

from gateway.core import cbor
from gateway.core.checkpoint import open_checkpoint
from gateway.core.message.downlink import Down
from gateway.core.note import VerifierKey, parse_note
from gateway.core.pin import CoordinatorKey
from simulators.textbook.merkle import leaf_hash, root_of

ORIGIN = f"offgrid/{GATEWAY}/1"


def promised_leaf(promise: dict[str, Any], content: str) -> bytes:
    """docs/protocol/messages.md, "Receipts"."""
    place = [promise["origin"], promise["index"], promise["receivedAt"], promise["quality"]]
    return leaf_hash(cbor.encode([*place, bytes.fromhex(content)]))


def verify_promise(house: House, answer: dict[str, Any]) -> None:
    root = root_of([promised_leaf(answer["promise"], answer["content"])])
    text = b"\x00offgrid/promise\x01" + root
    VerifyKey(house.public_key).verify(text, b64decode(answer["promise"]["signature"]))


async def everything_acked(house: House, entries: int) -> dict[str, Any]:
    return origin_of(await house.coordinator.until(lambda counts: origin_of(counts)["size"] == entries))


async def test_an_upload_is_promised_cosigned_and_proven_to_its_wallet(tmp_path: Path) -> None:
    async with house(tmp_path) as here, here.daemon() as daemon:
        upload = upload_of(wallet_rows()[3])
        answer = await daemon.post(upload)
        assert answer.status == 200
        verify_promise(here, answer.json)
        again = await daemon.post(upload)
        assert again.json == {**answer.json, "duplicate": True}

        held = await everything_acked(here, 1)
        await daemon.said("acked", size=1)
        receipt = (await daemon.get(f"/v1/receipts/{answer.json['content']}")).json
        assert (receipt["status"], receipt["index"], receipt["objectIndex"]) == ("included", 0, 0)
        keys = [
            VerifierKey(ORIGIN, here.public_key),
            CoordinatorKey.parse(here.coordinator.vkey).verifier("unused"),
        ]
        checkpoint, signed = open_checkpoint(parse_note(receipt["checkpoint"].encode()), keys, ORIGIN)
        assert len(signed) == 2
        assert (checkpoint.size, checkpoint.root.hex()) == (1, held["root"])
        assert checkpoint.root == leaf_hash(b64decode(receipt["entry"]))  # a log of one leaf


async def test_every_upload_of_the_wallet_s_own_libraries_is_taken_or_refused_as_it_says(
    tmp_path: Path,
) -> None:
    async with (
        house(tmp_path) as here,
        here.daemon(limits={"device": {"messages_per_minute": 1000}}) as daemon,
    ):
        for row in wallet_rows():
            answer, expect = await daemon.post(upload_of(row)), row["expect"]
            if expect["accept"]:
                assert answer.status == 200, (row["name"], answer.body)
                verify_promise(here, answer.json)
            else:
                assert answer.json["code"] in expect["reasons"], (row["name"], answer.body)
                assert answer.status in (400, 422)
        conflicts = [row["expect"] for row in wallet_rows() if "conflict" in row["expect"]]
        accepted = sum(row["expect"]["accept"] for row in wallet_rows())
        figures = await daemon.figures(gateway_log_size=accepted + len(conflicts))  # each a leaf of its own
        assert figures["conflicts_total"] == figures["conflicts_pending"] == len(conflicts)
        held = await everything_acked(here, int(figures["gateway_log_size"]))
        status = await daemon.status()
        assert status["store"]["root"] == held["root"]
        assert (await here.command("log", "verify"))[0] == 0


async def test_transactions_total_and_pending_are_the_truth_before_and_after_the_ack(tmp_path: Path) -> None:
    rows = wallet_rows()[1:9]
    async with house(tmp_path) as here:
        nobody = "ws://127.0.0.1:9"
        async with here.daemon(network={"ws_url": nobody}) as daemon:
            answers = [await daemon.post(upload_of(row)) for row in rows]
            before = await daemon.figures(gateway_log_size=len(rows))
            await daemon.end()
        verified = before["transactions_total"]
        assert verified == sum(answer.json["transactions"]["verified"] for answer in answers) > 0
        assert before["transactions_pending"] == verified
        assert before["gateway_backlog_entries"] == len(rows)
        assert before["gateway_backlog_oldest_seconds"] > 0
        async with here.daemon(network={"ws_url": here.coordinator.ws_url}) as daemon:
            await everything_acked(here, len(rows))
            await daemon.said("acked", size=len(rows))
            after = await daemon.figures(gateway_backlog_entries=0)
        counts = await here.coordinator.counts()
        assert after["transactions_total"] == verified == counts["transactions"]["verified"]
        assert after["transactions_pending"] == 0
        assert after["merkle_sync_duration_count"] == after["merkle_sync_duration_seconds_count"] == 1


async def cbor_answer(daemon: Daemon, message: list[object]) -> tuple[int, list[Any]]:
    body = cbor.encode(message)
    answer = await ask(await daemon.address("http"), "POST", "/v1/snapshots", body, "application/cbor")
    assert answer.fields["Content-Type"] == "application/cbor"
    decoded = cbor.decode(answer.body)
    assert isinstance(decoded, list)
    return answer.status, decoded


async def test_device_messages_in_cbor_are_answered_in_cbor(tmp_path: Path) -> None:
    async with house(tmp_path) as here, here.daemon() as daemon:
        status, beacon = await cbor_answer(daemon, [1, bytes(32)])
        assert (status, beacon[0], beacon[1], beacon[3]) == (200, Down.BEACON, GATEWAY, here.public_key)
        payload = cbor.encode(beacon[1:7])
        VerifyKey(here.public_key).verify(b"\x00offgrid/beacon\x01" + payload, beacon[7])
        assert (await cbor_answer(daemon, [4, bytes(32)])) == (
            404,
            [Down.NACK, 11, 0, "this gateway does not hold this content"],
        )
        assert (await cbor_answer(daemon, [99]))[1][:2] == [Down.NACK, 12]


async def test_bad_input_is_refused_by_its_code_and_leaves_nothing_behind(tmp_path: Path) -> None:
    limits = {"peer": {"messages_per_minute": 8}, "max_upload_bytes": 4096}
    async with house(tmp_path) as here, here.daemon(limits=limits) as daemon:
        address = await daemon.address("http")

        async def sent(body: bytes, content_type: str = "application/json") -> tuple[int, str]:
            answer = await ask(address, "POST", "/v1/snapshots", body, content_type)
            return answer.status, answer.json["code"]

        assert await sent(b"{") == (400, "malformed")
        assert await sent(b"[" * 4000) == (400, "malformed")
        assert await sent(b'{"publicKey": NaN}') == (400, "malformed")
        assert await sent(b"\xff\xfe") == (400, "malformed")
        assert await sent(b" " * 4097) == (413, "too_large")
        assert await sent(b"{}", "text/plain") == (415, "unsupported")
        receipt = await ask(address, "GET", "/v1/receipts/nothing")
        assert (receipt.status, receipt.json["code"]) == (400, "malformed")
        chunked = await ask(address, "POST", "/v1/snapshots\r\nTransfer-Encoding: chunked\r\nX: ")
        assert chunked.status in (400, 411)
        answers = [await ask(address, "GET", "/v1/beacon") for _ in range(8)]
        assert answers[-1].status == 429
        assert 1 <= int(answers[-1].fields["Retry-After"]) <= 8
        figures = await daemon.metrics()
        assert figures["gateway_log_size"] == 0
        assert figures['http_requests_total{status="413"}'] == 1
        assert figures['gateway_uploads_total{outcome="malformed",radio="http"}'] == 5
        refused = await daemon.said("refused", answer="malformed")
        assert refused["correlation"] and refused["detail"]


async def test_a_correlation_id_follows_an_upload_to_the_ack(tmp_path: Path) -> None:
    async with house(tmp_path) as here, here.daemon() as daemon:
        answer = await daemon.post(upload_of(wallet_rows()[2]))
        followed = answer.fields["X-Correlation-Id"]
        assert (await daemon.said("recorded", correlation=followed))["answer"] == "promise"
        assert (await daemon.said("answered", correlation=followed))["answer"] == "accepted"
        await daemon.said("acked", size=answer.json["promise"]["index"] + 1)


async def test_many_phones_at_once_are_all_promised_and_all_cosigned(tmp_path: Path) -> None:
    rows = [row for row in wallet_rows() if row["expect"]["accept"]]
    limits = {"device": {"messages_per_minute": 1000}}
    room = asyncio.Semaphore(16)
    async with house(tmp_path) as here, here.daemon(limits=limits) as daemon:

        async def sent(row: Row) -> Answer:
            async with room:
                return await daemon.post(upload_of(row))

        answers = await asyncio.gather(*map(sent, rows))
        assert {answer.status for answer in answers} == {200}
        contents = {answer.json["content"] for answer in answers}
        conflicts = sum("conflict" in row["expect"] for row in rows)
        await everything_acked(here, len(rows) + conflicts)  # each a leaf of its own
        accepted = await here.coordinator.accepted()
        assert contents == set(accepted["snapshots"])
        assert json.dumps(await here.coordinator.forks()) == "[]"
