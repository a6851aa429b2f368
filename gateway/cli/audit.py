"""``audit``: what a gateway says of its log, checked from the outside."""

from __future__ import annotations

import http.client
import json
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import click

from drivers.base import Check
from gateway.cli.checks import Screen
from gateway.core import cbor
from gateway.core.auditing import (
    HASH,
    INCLUSION,
    AuditFailed,
    Inclusion,
    Log,
    Opened,
    Signers,
    open_note,
    read_inclusion,
)
from gateway.core.note import NoteInvalid, decode_base64
from gateway.core.pin import CoordinatorKey
from gateway.errors import CommandError

TIMEOUT_S = 30.0
MAX_ANSWER = 1 << 20
MAX_FILE = 1 << 20
MAX_LEAVES = 50_000_000

Verdict = Literal["pass", "warn", "fail"]


@click.command("audit")
@click.argument("targets", nargs=-1, required=True, metavar="URL|FILE…")
@click.option("--key", help="The gateway's public key, base64 or hexadecimal, from somewhere you trust.")
@click.option("--coordinator", help="The coordinator's key (a vkey), as its operator publishes it.")
@click.option("--content", help="The content H (64 hexadecimal digits) that the receipts are for.")
@click.option(
    "--save", type=click.Path(path_type=Path), help="Keep the newest checkpoint, for the next audit."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(
    targets: tuple[str, ...],
    key: str | None,
    coordinator: str | None,
    content: str | None,
    save: Path | None,
    as_json: bool,
) -> None:
    """Check a gateway's log by its address (http://GATEWAY:8080) and by FILES: checkpoints (notes) that were
    kept earlier, receipts as wallets keep them (CBOR or JSON).

    All leaves are read and the tree is computed anew by the definition of RFC 6962: any two checkpoints are
    shown to be consistent or not, and each receipt to be in the log or not. Without an address the files are
    judged by themselves, and two checkpoints of one size against each other. Exits with 1 where anything does
    not hold.
    """
    audit = Audit(_key(key), _coordinator(coordinator), _content(content), Screen(quiet=as_json))
    urls = [target for target in targets if target.startswith(("http://", "https://"))]
    for url in urls:
        audit.gateway(url, save)
    for path in (Path(target) for target in targets if target not in urls):
        audit.file(path)
    if as_json:
        click.echo(
            json.dumps({"holds": not audit.failed, "checks": [_shown(one) for one in audit.checks]}, indent=2)
        )
    if audit.failed:
        raise SystemExit(1)


@dataclass(slots=True)
class Audit:
    """One run: the log that was read, and what was found."""

    key: bytes | None
    coordinator: CoordinatorKey | None
    content: bytes | None
    screen: Screen
    log: Log | None = None
    roots: dict[tuple[str, int], bytes] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether anything does not hold."""
        return any(check.verdict == "fail" for check in self.checks)

    def gateway(self, url: str, save: Path | None) -> None:
        """Read a gateway's log, all of it, and judge its own checkpoints."""
        told = _told(url)
        self._take_key(told["key"])
        leaves = _leaves(url, told["size"])
        self.log = Log(told["origin"], leaves)
        self._say("log", "pass", f"{told['origin']}: {len(leaves)} leaves read")
        for name in ("signed", "cosigned"):
            if (note := told[name]) is not None:
                self._judge(f"{name} checkpoint", partial(self._note, note.encode(), name))
        newest = told["cosigned"] or told["signed"]
        if save is not None and newest is not None:
            save.write_text(newest)

    def file(self, path: Path) -> None:
        """Judge a checkpoint or a receipt."""
        raw = _read(path)
        judge = partial(self._note, raw, "") if _is_note(raw) else partial(self._receipt, raw)
        self._judge(path.name, judge)

    def _note(self, raw: bytes, wanted: str) -> str:
        opened = self._opened(raw)
        if wanted == "cosigned" and self.coordinator is not None and opened.cosigned_by is None:
            raise AuditFailed("the coordinator has not cosigned it")
        return f"{_words(opened)}{'' if self.log is None else ', a state of this log'}"

    def _receipt(self, raw: bytes) -> str:
        receipt = read_inclusion(_as_cbor(raw))
        opened = self._opened(receipt.note)
        if opened.checkpoint.origin != receipt.origin:
            raise AuditFailed("the receipt is of one log and its checkpoint of another")
        receipt.require(opened.checkpoint, self.content)
        if self.log is not None:
            self.log.require_leaf(receipt.index, receipt.entry)
        return self._told_of(receipt, opened)

    def _told_of(self, receipt: Inclusion, opened: Opened) -> str:
        what = "" if self.content is None else "this content is "
        return f"{what}leaf {receipt.index} under {_words(opened)}"

    def _opened(self, raw: bytes) -> Opened:
        """A checkpoint that is signed, a state of the log, and no other than one seen before of its size."""
        if self.key is None:
            raise AuditFailed("the gateway's key is not known: give it with --key, or its address")
        opened = open_note(raw, Signers(self.key, self.coordinator))
        checkpoint = opened.checkpoint
        if self.log is not None:
            self.log.require(checkpoint)
        if self.roots.setdefault((checkpoint.origin, checkpoint.size), checkpoint.root) != checkpoint.root:
            raise AuditFailed(f"the gateway has signed two logs of {checkpoint.size} leaves: keep both files")
        return opened

    def _take_key(self, told: str) -> None:
        said = b64decode(told)
        if self.key is None:
            self.key = said
            fix = "give the key that is registered with the coordinator: --key"
            self._say("key", "warn", "taken from the gateway itself", fix)
        elif self.key == said:
            self._say("key", "pass", "the gateway has the key that was given")
        else:
            self._say("key", "fail", "the gateway has another key than the one that was given")

    def _judge(self, name: str, judge: Callable[[], str]) -> None:
        try:
            self._say(name, "pass", judge())
        except AuditFailed as error:
            self._say(name, "fail", str(error))

    def _say(self, name: str, verdict: Verdict, seen: str, fix: str = "") -> None:
        check = Check(name, verdict, seen, fix)
        self.checks.append(check)
        self.screen.line(check)


def _words(opened: Opened) -> str:
    by = f", cosigned by {opened.cosigned_by}" if opened.cosigned_by else ""
    if opened.unjudged:
        by += ", and signed by others whose keys were not given"
    return f"{opened.checkpoint.size} leaves signed by the gateway{by}"


def _shown(check: Check) -> dict[str, str]:
    return {"name": check.name, "verdict": check.verdict, "seen": check.seen, "fix": check.fix}


def _told(url: str) -> dict[str, Any]:
    try:
        told = json.loads(_get(url, "/v1/log"))
        size, origin = told["size"], told["origin"]
        if type(size) is not int or not 0 <= size <= MAX_LEAVES or not isinstance(origin, str):
            raise ValueError(f"a log of {size!r} leaves")
        return {
            "origin": origin,
            "size": size,
            "key": told["key"],
            "signed": told["signed"],
            "cosigned": told["cosigned"],
        }
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{url}: no gateway's log: {error}") from None


def _leaves(url: str, size: int) -> list[bytes]:
    """As many as it said it has; they may have become more meanwhile."""
    read = bytearray()
    with click.progressbar(length=size, label="leaves", hidden=size < 100_000) as bar:
        while len(read) < size * HASH:
            piece = _get(url, f"/v1/log/leaves/{len(read) // HASH}")
            if not piece or len(piece) % HASH:
                raise CommandError(f"{url}: the log ends at leaf {len(read) // HASH}, {size} were announced")
            read += piece
            bar.update(len(piece) // HASH)
    return [bytes(read[at : at + HASH]) for at in range(0, size * HASH, HASH)]


def _get(url: str, path: str) -> bytes:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.netloc, timeout=TIMEOUT_S)
        connection.request("GET", parts.path.rstrip("/") + path)
        answer = connection.getresponse()
        body = answer.read(MAX_ANSWER)
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(f"{url}: {error!r}; is the gateway's page reachable?") from None
    if answer.status != 200:
        raise CommandError(f"{url}{path}: HTTP {answer.status}")
    return body


def _read(path: Path) -> bytes:
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAX_FILE else None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    if raw is None:
        raise CommandError(f"{path}: more than {MAX_FILE} bytes, which no checkpoint or receipt has")
    return raw


def _is_note(raw: bytes) -> bool:
    return (
        b"\n\n\xe2\x80\x94 " in raw and not raw.startswith(b"{") and raw[:1].isascii() and raw[:1].isalnum()
    )


def _as_cbor(raw: bytes) -> bytes:
    """A receipt in JSON, as the gateway gives it over HTTP, is the same message."""
    if not raw.lstrip().startswith(b"{"):
        return raw
    try:
        told = json.loads(raw)
        paths = [[bytes.fromhex(one) for one in told[name]] for name in ("objectPath", "leafPath")]
        entry, note = b64decode(told["entry"], validate=True), told["checkpoint"].encode()
        return cbor.encode(
            [INCLUSION, told["origin"], told["index"], entry, told["objectIndex"], *paths, note]
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AuditFailed(
            "no receipt that the coordinator has cosigned; ask the gateway for it once it has"
        ) from None


def _key(text: str | None) -> bytes | None:
    if text is None:
        return None
    for decode in (bytes.fromhex, decode_base64):
        try:
            key = decode(text)
        except (ValueError, NoteInvalid):
            continue
        if len(key) == 32:
            return key
    raise CommandError("--key: 32 bytes in base64 or hexadecimal expected")


def _coordinator(text: str | None) -> CoordinatorKey | None:
    try:
        return None if text is None else CoordinatorKey.parse(text)
    except NoteInvalid as error:
        raise CommandError(f"--coordinator: {error}") from None


def _content(text: str | None) -> bytes | None:
    try:
        content = None if text is None else bytes.fromhex(text)
    except ValueError:
        content = b""
    if content is not None and len(content) != HASH:
        raise CommandError("--content: 64 hexadecimal digits expected")
    return content
