"""Every case of merkle/rfc6962.json, and the same proofs rebuilt from tiles."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway.core import merkle

VECTORS = json.loads((Path(__file__).parent / "merkle" / "rfc6962.json").read_text())


@cache
def leaf_hashes(kind: str, count: int) -> tuple[bytes, ...]:
    if kind == "std8":
        return tuple(merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["std8"][:count])
    return tuple(merkle.leaf_hash((kind % i).encode()) for i in range(count))


@cache
def tiles(kind: str, count: int) -> merkle.TileReader:
    return merkle.tiles_in_memory(leaf_hashes(kind, count))


def unhex(proof: list[str]) -> list[bytes]:
    return [bytes.fromhex(node) for node in proof]


@pytest.mark.parametrize("case", VECTORS["roots"], ids=lambda case: f"{case['leaves']}-{case['n']}")
def test_the_root_is_the_recorded_one(case: dict[str, Any]) -> None:
    assert merkle.root_of(leaf_hashes(case["leaves"], case["n"])).hex() == case["root"]


def verify_inclusion(case: dict[str, Any]) -> None:
    merkle.verify_inclusion(
        bytes.fromhex(case["leaf_hash"]),
        case["index"],
        case["size"],
        unhex(case["proof"]),
        bytes.fromhex(case["root"]),
    )


def verify_consistency(case: dict[str, Any]) -> None:
    merkle.verify_consistency(
        case["size1"],
        case["size2"],
        unhex(case["proof"]),
        bytes.fromhex(case["root1"]),
        bytes.fromhex(case["root2"]),
    )


def ident(case: dict[str, Any]) -> str:
    return f"{case['id']} {case['desc']}"


@pytest.mark.parametrize("case", VECTORS["inclusion"], ids=ident)
def test_an_inclusion_proof_is_judged_as_recorded(case: dict[str, Any]) -> None:
    if case["valid"]:
        verify_inclusion(case)
    else:
        with pytest.raises(merkle.ProofInvalid):
            verify_inclusion(case)


@pytest.mark.parametrize("case", VECTORS["consistency"], ids=ident)
def test_a_consistency_proof_is_judged_as_recorded(case: dict[str, Any]) -> None:
    if case["valid"]:
        verify_consistency(case)
    else:
        with pytest.raises(merkle.ProofInvalid):
            verify_consistency(case)


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["inclusion"] if case["desc"] == "happy path"], ids=ident
)
def test_the_recorded_inclusion_proof_is_rebuilt_from_tiles(case: dict[str, Any]) -> None:
    read = tiles(case["base"], case["size"])
    assert list(merkle.inclusion_proof(case["index"], case["size"], read)) == unhex(case["proof"])


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["consistency"] if case["desc"] == "happy path"], ids=ident
)
def test_the_recorded_consistency_proof_is_rebuilt_from_tiles(case: dict[str, Any]) -> None:
    read = tiles(case["base"], case["size2"])
    assert list(merkle.consistency_proof(case["size1"], case["size2"], read)) == unhex(case["proof"])
