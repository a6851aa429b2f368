"""The verifier for authors of wallets, in JavaScript, agrees with the golden vectors and with ours."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from nacl.signing import SigningKey
from npm_modules import node_modules

from gateway.core.evidence import EvidenceInvalid, verify_evidence
from simulators.textbook.cbor import encode
from simulators.textbook.merkle import audit_path, leaf_hash, root_of
from simulators.textbook.notes import Checkpoint, NoteKey, cosign, sign_checkpoint
from simulators.textbook.signing import PROMISE, labelled, sign

HERE = Path(__file__).parent
VERIFIER = HERE.parents[1] / "docs" / "wallet-verifier"
ORIGIN, COORDINATOR = "offgrid/hill-7/1", "coordinator.example"
GATEWAY, COSIGNER = SigningKey(b"\x03" * 32), SigningKey(b"\x04" * 32)
CONTENTS = [bytes([n]) * 32 for n in range(3)]

Case = dict[str, Any]


def vectors(name: str) -> Any:
    return json.loads((HERE / name).read_text())


@pytest.fixture(scope="module")
def modules() -> Path:
    return node_modules(VERIFIER)


def judged(modules: Path, cases: Sequence[Case]) -> list[Case]:
    """What the verifier answers to each."""
    # An import from docs/ finds no package by NODE_PATH: the command's own require does.
    ran = subprocess.run(
        ("node", str(HERE / "wallet_verifier.mjs")),
        input="\n".join(json.dumps(case) for case in cases),
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(answers) == len(cases)
    return answers


def flipped(body: bytes, rng: Random) -> bytes:
    changed = bytearray(body)
    at = rng.randrange(8 * len(body))
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def test_evidence_is_judged_as_the_golden_vectors_say(modules: Path) -> None:
    rows = vectors("evidence/evidence.json")["evidence"]
    answers = judged(modules, [{"call": "evidence", "bytes": row["bytes"]} for row in rows])
    for row, answer in zip(rows, answers, strict=True):
        assert answer.get("ok") == row.get("kind"), (row["name"], answer)


def test_evidence_of_which_a_bit_was_changed_is_refused_by_both(modules: Path) -> None:
    rng = Random(7)
    rows = [row for row in vectors("evidence/evidence.json")["evidence"] if row["holds"]]
    bodies = [flipped(bytes.fromhex(row["bytes"]), rng) for row in rows for _ in range(60)]
    answers = judged(modules, [{"call": "evidence", "bytes": body.hex()} for body in bodies])
    for body, answer in zip(bodies, answers, strict=True):
        try:
            ours: str | None = verify_evidence(body).kind.name
        except EvidenceInvalid:
            ours = None
        assert answer.get("ok") == ours, (body.hex(), answer)


def test_proofs_are_judged_as_the_golden_vectors_say(modules: Path) -> None:
    tree = vectors("merkle/rfc6962.json")
    rows = [row for row in tree["inclusion"] + tree["consistency"] if _has_hashes(row)]
    answers = judged(modules, [_tree_case(row) for row in rows])
    assert len(rows) > 200
    for row, answer in zip(rows, answers, strict=True):
        assert ("ok" in answer) == row["valid"], (row["id"], row["desc"], answer)


def _has_hashes(row: Case) -> bool:
    """Whoever calls the tree has seen to the lengths: ``octets`` of cbor.mjs."""
    named = [row[name] for name in ("leaf_hash", "root", "root1", "root2") if name in row]
    return all(len(one) == 64 for one in [*named, *row["proof"]])


def _tree_case(row: Case) -> Case:
    if "leaf_hash" in row:
        place = {"leaf": row["leaf_hash"], "index": row["index"], "size": row["size"]}
        return {"call": "path", **place, "path": row["proof"], "root": row["root"]}
    sizes = {name: row[name] for name in ("size1", "root1", "size2", "root2")}
    return {"call": "consistency", **sizes, "path": row["proof"]}


def test_notes_are_judged_as_the_golden_vectors_say(modules: Path) -> None:
    rows = [row for row in vectors("merkle/checkpoints.json")["cases"] if row["origin"] is not None]
    cases = [
        {"call": "note", "bytes": b64decode(row["note_b64"]).hex(), "vkeys": [vkey], "origin": row["origin"]}
        for row in rows
        for vkey in row["vkeys"]
    ]
    answers = iter(judged(modules, cases))
    for row in rows:
        signed_by = [next(answers) for _ in row["vkeys"]]
        wrong = any("wrong signature" in answer.get("refused", "") for answer in signed_by)
        held = any("ok" in answer for answer in signed_by) and not wrong
        assert held == row["valid"], (row["id"], row["desc"], signed_by)


def test_objects_hash_as_the_golden_vectors_say(modules: Path) -> None:
    rows = vectors("messages/messages.json")["objects"]
    answers = judged(modules, [{"call": "content", "bytes": row["cbor"]} for row in rows])
    assert [answer.get("ok") for answer in answers] == [row["object_hash"] for row in rows]


def test_promises_hold_for_whom_they_are_and_with_no_bit_changed(modules: Path) -> None:
    key, rng = bytes(GATEWAY.verify_key), Random(1)
    leaves = [leaf_hash(encode([ORIGIN, n, 1_795_000_000_000, 3, one])) for n, one in enumerate(CONTENTS)]
    signature = sign(GATEWAY, labelled(PROMISE, root_of(leaves)))
    items = [[n, 1_795_000_000_000, 3, leaf, 1] for n, leaf in enumerate(leaves)]
    batch = encode([16, ORIGIN, signature, items])
    alone = sign(GATEWAY, labelled(PROMISE, root_of(leaves[:1])))
    own = encode([16, ORIGIN, alone, [[0, 1_795_000_000_000, 3, None, 1]]])

    def case(body: bytes, content: bytes, key: bytes = key) -> Case:
        told = {"key": key.hex(), "contents": [content.hex()], "origins": []}
        return {"call": "promise", "bytes": body.hex(), **told}

    right = [case(batch, CONTENTS[1]), case(own, CONTENTS[0]), case(batch, b"x" * 32)]
    assert [answer.get("ok") for answer in judged(modules, right)] == [[1], [0], []]
    wrong = [case(flipped(own, rng), CONTENTS[0]) for _ in range(200)]
    wrong += [case(own, CONTENTS[1]), case(own, CONTENTS[0], bytes(COSIGNER.verify_key))]
    assert [answer for answer in judged(modules, wrong) if "ok" in answer] == []


def test_inclusions_hold_with_both_signatures_and_with_no_bit_changed(modules: Path) -> None:
    key, rng = bytes(GATEWAY.verify_key), Random(2)
    objects = [leaf_hash(content) for content in CONTENTS]
    entry = encode([1, 1, root_of(objects), len(objects), 1_795_000_000_000, 3, "ble"])
    leaves = [leaf_hash(b"another"), leaf_hash(entry), leaf_hash(b"one more")]
    signed = sign_checkpoint(Checkpoint(ORIGIN, 3, root_of(leaves)), GATEWAY)
    note = cosign(signed, COORDINATOR, COSIGNER, 1_795_000_000)
    vkey = NoteKey(COORDINATOR, bytes(COSIGNER.verify_key), 4).vkey()

    def proof(note: bytes) -> bytes:
        path = audit_path(2, objects), audit_path(1, leaves)
        return encode([20, ORIGIN, 1, entry, 2, *path, note])

    def case(body: bytes, content: bytes = CONTENTS[2]) -> Case:
        told = {"key": key.hex(), "coordinator": vkey, "content": content.hex()}
        return {"call": "inclusion", "bytes": body.hex(), **told}

    assert judged(modules, [case(proof(note))]) == [{"ok": 3}]
    wrong = [case(flipped(proof(note), rng)) for _ in range(300)]
    wrong += [case(proof(note), CONTENTS[0]), case(proof(signed))]
    assert [answer for answer in judged(modules, wrong) if "ok" in answer] == []
