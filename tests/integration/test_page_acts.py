"""Acts over HTTP: only with a token that is for them, within bounds, each told to the audit log."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from gateway.audit import AuditLog
from gateway.core.audit import read
from gateway.core.tokens import Scope, Token, digest_of, secret_of
from gateway.errors import CommandError
from gateway.model import Stamp, TimeQuality
from gateway.services.acts import Acts
from gateway.services.http.server import Site, serve
from gateway.services.http.site import TRIES_PER_MINUTE, site

SECRET = secret_of(b"s" * 32)
OFFICE = Token(
    name="office", digest=digest_of(SECRET), scopes=frozenset({Scope.RESTART}), made_ms=0, expires_ms=1000
)


class Page:
    """The site over a socket."""

    def __init__(self, folder: Path) -> None:
        self.log = AuditLog(folder / "audit.jsonl")
        self.now_ms, self.seconds = 0, 0.0
        self.port = 0
        self.restarted: list[str] = []

    async def restart(self, arguments: Mapping[str, Any]) -> object:
        if arguments.get("service") != "lora":
            raise CommandError("no such service; there are: lora")
        self.restarted.append("lora")
        return {"restarted": "lora"}

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        stamp = Stamp(self.now_ms, TimeQuality.GPS)
        acts = Acts(self.log, {"restart": self.restart}, lambda: stamp, lambda: self.seconds)
        ready = asyncio.Event()

        async def document() -> Mapping[str, object]:
            return {"status": {}}

        def opened(host: str, port: int) -> None:
            self.port = port
            ready.set()

        routes = site(document, acts, lambda: (OFFICE,), lambda: self.now_ms, lambda: self.seconds)
        task = asyncio.create_task(
            serve(Site(name="http", host="127.0.0.1", port=0, routes=routes, opened=opened))
        )
        await ready.wait()
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def ask(
        self, method: str, path: str, body: bytes = b"", **fields: str
    ) -> tuple[int, dict[str, str], bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        usual = {"Host": "x", "Connection": "close", "Content-Length": str(len(body))}
        lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in {**usual, **fields}.items()]
        writer.write(f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body)
        raw = await reader.read()
        writer.close()
        first, *answered = raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        found = dict(line.lower().split(": ", 1) for line in answered)
        return int(first.split()[1]), found, raw.partition(b"\r\n\r\n")[2]

    async def act(
        self, name: str = "restart", secret: str = SECRET, body: bytes = b'{"service": "lora"}'
    ) -> int:
        return (await self.ask("POST", f"/v1/acts/{name}", body, Authorization=f"Bearer {secret}"))[0]

    def written(self) -> list[tuple[str, str, str]]:
        return [(line.act.actor, line.act.act, line.act.state) for line in read(self.log.lines()) if line.act]


async def test_a_token_that_is_for_it_acts_and_is_named_in_the_audit_log(tmp_path: Path) -> None:
    page = Page(tmp_path)
    async with page.served():
        assert await page.act() == 200
    assert page.restarted == ["lora"]
    assert page.written() == [("token office", "restart", "begun"), ("token office", "restart", "done")]


async def test_who_may_not_is_told_why_and_nothing_happens(tmp_path: Path) -> None:
    page = Page(tmp_path)
    async with page.served():
        status, fields, _ = await page.ask("POST", "/v1/acts/restart", b"{}")
        assert (status, fields["www-authenticate"]) == (401, "bearer")
        assert await page.act(secret=secret_of(b"x" * 32)) == 403
        assert await page.act("sync") == 403, "the token is for restarts"
        assert await page.act("reload") == 404, "not an act of the page"
        page.now_ms = 1000
        assert await page.act() == 403, "expired"
    assert page.restarted == []
    assert page.written() == [("http 127.0.0.1", "restart", "refused")], "the first of a stranger's refusals"


async def test_whoever_guesses_waits_and_so_does_everybody_for_a_minute(tmp_path: Path) -> None:
    page = Page(tmp_path)
    async with page.served():
        tried = [await page.act(secret=secret_of(bytes([n]) * 32)) for n in range(TRIES_PER_MINUTE)]
        assert set(tried) == {403}
        assert await page.act() == 429
        page.seconds = 60.0
        assert await page.act() == 200


async def test_what_an_act_refuses_or_cannot_read_is_answered_in_words(tmp_path: Path) -> None:
    page = Page(tmp_path)
    async with page.served():
        status, _, body = await page.ask(
            "POST", "/v1/acts/restart", b'{"service": "x"}', Authorization=f"Bearer {SECRET}"
        )
        assert (status, json.loads(body)["detail"]) == (409, "no such service; there are: lora")
        for wrong in (b"[]", b"{", b"[" * 4000):
            assert await page.act(body=wrong) == 400
        assert await page.act(body=b" " * 5000) == 413


async def test_the_files_are_from_here_framed_by_nobody_and_not_sent_twice(tmp_path: Path) -> None:
    page = Page(tmp_path)
    async with page.served():
        status, fields, body = await page.ask("GET", "/")
        assert status == 200
        assert "default-src 'none'" in fields["content-security-policy"]
        assert b"<title>" in body
        status, _, body = await page.ask("GET", "/", If_None_Match=fields["etag"])
        assert (status, body) == (304, b"")
        _, _, body = await page.ask("GET", "/languages.json")
        assert json.loads(body) == ["en", "fr"]
        for path in ("/../site.py", "/texts/", "/index.html"):
            assert (await page.ask("GET", path))[0] == 404


def test_every_language_has_every_word_and_no_other() -> None:
    folder = Path(__file__).parents[2] / "gateway" / "services" / "http" / "files" / "texts"
    tables = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert set(tables) == {"en", "fr"}
    for language, table in tables.items():
        assert table.keys() == tables["en"].keys(), language
        for key, text in table.items():
            assert text.count("{") == tables["en"][key].count("{"), (language, key)
