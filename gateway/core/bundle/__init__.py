"""A stretch of one log as one signed file, for whatever is not the WebSocket; docs/protocol/bundle.md."""

from __future__ import annotations

from gateway.core.bundle.chunk import Chunk, pack_chunk, unpack_chunk
from gateway.core.bundle.manifest import (
    MAX_BUNDLE_BYTES,
    MAX_HEAD_BYTES,
    PREFIX_BYTES,
    BundleInvalid,
    Manifest,
    Mark,
    head_length,
    read_head,
)
from gateway.core.bundle.walk import Verifier, walk

__all__ = [
    "MAX_BUNDLE_BYTES",
    "MAX_HEAD_BYTES",
    "PREFIX_BYTES",
    "BundleInvalid",
    "Chunk",
    "Manifest",
    "Mark",
    "Verifier",
    "head_length",
    "pack_chunk",
    "read_head",
    "unpack_chunk",
    "walk",
]
