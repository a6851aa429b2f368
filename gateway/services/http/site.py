"""The page for people: its files, what it shows, and the acts that a token allows."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from gateway.core.tokens import Scope, Token, TokenRefused, judge
from gateway.errors import CommandError
from gateway.services.http.connection import Request
from gateway.services.http.message import HttpError, Response
from gateway.services.http.server import Respond

FILES = Path(__file__).with_name("files")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from outside, no inline script, nothing framed: Content Security Policy Level 3."""

SCOPES: Mapping[str, Scope] = {
    "sync": Scope.SYNC,
    "restart": Scope.RESTART,
    "test": Scope.TEST,
    "export": Scope.CARRY,
}
"""The acts that the page has, and what a token must be for."""

MAX_ARGUMENTS = 4096
MAX_FREIGHT = 16 << 20
"""Of a file that is brought or fetched through the page, which is in memory meanwhile; one at a time. Larger
ones go by the command line."""
TRIES_PER_MINUTE = 20
"""Of tokens that are refused, by everybody together; then everybody waits for the next minute. A token has
256 bits, so this is against the noise rather than the guessing."""


class Acts(Protocol):
    """What performs them and writes them down."""

    async def perform(self, actor: str, name: str, arguments: Mapping[str, Any]) -> object: ...
    async def refused(self, actor: str, name: str, why: str) -> None: ...


class Goods(Protocol):
    """Bundles and acks as files."""

    async def outgoing(self, name: str, largest: int) -> bytes:
        """What an export made. Raises CommandError."""
        ...

    def incoming(self, data: bytes) -> tuple[str, Mapping[str, object]]:
        """The act that takes this file, and its arguments. Raises CommandError."""
        ...


def site(
    document: Callable[[], Awaitable[Mapping[str, object]]],
    acts: Acts,
    tokens: Callable[[], tuple[Token, ...]],
    now_ms: Callable[[], int],
    monotonic: Callable[[], float],
    goods: Goods | None = None,
) -> Mapping[tuple[str, str], Respond]:
    """Routes of the page, of its figures and of its acts; with ``goods`` of bundles, in and out."""
    desk = _Desk(acts, tokens, now_ms, monotonic)
    ramp = {} if goods is None else _Ramp(desk, goods).routes()

    async def figures(request: Request) -> Response:
        return Response.of_json(await document(), fields={"Cache-Control": "no-store"})

    return {**_files(FILES), ("GET", "/v1/panel"): figures, ("POST", "/v1/acts/*"): desk.act, **ramp}


def _files(folder: Path) -> Mapping[tuple[str, str], Respond]:
    """Read once: they are some 40 kB. ``/`` is index.html; ``/languages.json`` says which texts there are."""
    routes = {
        f"/{path.relative_to(folder)}": _file(path) for path in folder.rglob("*") if path.suffix in TYPES
    }
    languages = sorted(path.stem for path in (folder / "texts").glob("*.json"))
    routes["/languages.json"] = _static(json.dumps(languages).encode(), TYPES[".json"])
    routes["/"] = routes.pop("/index.html")
    return {("GET", path): respond for path, respond in routes.items()}


def _file(path: Path) -> Respond:
    return _static(path.read_bytes(), TYPES[path.suffix])


def _static(content: bytes, content_type: str) -> Respond:
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    fields = {
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
    }

    async def respond(request: Request) -> Response:
        if request.fields.get("if-none-match") == tag:
            return Response(b"", content_type, HTTPStatus.NOT_MODIFIED, fields)
        return Response(content, content_type, fields=fields)

    return respond


class _Desk:
    """Lets in who has a token, and no more tries than TRIES_PER_MINUTE."""

    def __init__(
        self,
        acts: Acts,
        tokens: Callable[[], tuple[Token, ...]],
        now_ms: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._acts, self._tokens, self._now_ms, self._monotonic = acts, tokens, now_ms, monotonic
        self._minute, self._refused = 0, 0

    async def act(self, request: Request) -> Response:
        """Perform the act of the path's last segment. 401 and 403: no token, or not one for this."""
        name = request.last_segment
        if name not in SCOPES:
            raise HttpError(HTTPStatus.NOT_FOUND, f"no such act; there are: {', '.join(SCOPES)}")
        token = await self.admitted(request, name, SCOPES[name])
        return await self.perform(token, name, _arguments(await request.body(MAX_ARGUMENTS)))

    async def perform(self, token: Token, name: str, arguments: Mapping[str, Any]) -> Response:
        """In the name of whoever the token is for."""
        try:
            result = await self._acts.perform(f"token {token.name}", name, arguments)
        except CommandError as error:
            raise HttpError(HTTPStatus.CONFLICT, str(error)) from error
        return Response.of_json({"status": "done", "result": result})

    async def admitted(self, request: Request, name: str, scope: Scope) -> Token:
        """Raises HttpError, and writes it down, where no token that is for this came along."""
        secret = _bearer(request.fields.get("authorization", ""))
        if secret is None:
            fields = {"WWW-Authenticate": "Bearer"}
            raise HttpError(HTTPStatus.UNAUTHORIZED, "a token is needed: offgrid-gateway token add", fields)
        self._count_on()
        try:
            return judge(self._tokens(), secret, scope, self._now_ms())
        except (TokenRefused, CommandError) as error:
            self._refused += 1
            await self._acts.refused(f"http {request.peer}", name, str(error))
            raise HttpError(HTTPStatus.FORBIDDEN, str(error)) from error

    def _count_on(self) -> None:
        minute = int(self._monotonic() // 60)
        if minute != self._minute:
            self._minute, self._refused = minute, 0
        if self._refused >= TRIES_PER_MINUTE:
            fields = {"Retry-After": "60"}
            raise HttpError(
                HTTPStatus.TOO_MANY_REQUESTS, "too many tokens were refused; wait a minute", fields
            )


class _Ramp:
    """Files in and out, one at a time."""

    def __init__(self, desk: _Desk, goods: Goods) -> None:
        self._desk, self._goods = desk, goods
        self._free = asyncio.Lock()

    def routes(self) -> Mapping[tuple[str, str], Respond]:
        return {("GET", "/v1/carry/*"): self.outgoing, ("POST", "/v1/carry"): self.incoming}

    async def outgoing(self, request: Request) -> Response:
        await self._desk.admitted(request, "export", Scope.CARRY)
        async with self._free:
            try:
                data = await self._goods.outgoing(request.last_segment, MAX_FREIGHT)
            except CommandError as error:
                raise HttpError(HTTPStatus.NOT_FOUND, str(error)) from error
            return Response(data, "application/octet-stream", fields={"Cache-Control": "no-store"})

    async def incoming(self, request: Request) -> Response:
        token = await self._desk.admitted(request, "import", Scope.CARRY)
        async with self._free:
            try:
                name, arguments = self._goods.incoming(await request.body(MAX_FREIGHT))
            except CommandError as error:
                raise HttpError(HTTPStatus.CONFLICT, str(error)) from error
            return await self._desk.perform(token, name, arguments)


def _bearer(field: str) -> str | None:
    """RFC 6750 section 2.1."""
    found = re.fullmatch(r"[Bb]earer +([A-Za-z0-9._~+/=-]{1,200})", field)
    return None if found is None else found[1]


def _arguments(body: bytes) -> Mapping[str, Any]:
    try:
        arguments = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise HttpError(HTTPStatus.BAD_REQUEST, "a JSON object expected")
    return arguments
