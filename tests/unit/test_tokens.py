"""Tokens: only the right one, for what it allows, until it expires; kept as hashes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gateway.core.tokens import (
    MAX_TOKENS,
    Scope,
    Token,
    TokenRefused,
    TokensInvalid,
    decode,
    digest_of,
    encode,
    judge,
    secret_of,
)
from gateway.errors import CommandError
from gateway.keys.tokens import TokenFile

SECRET = secret_of(bytes(32))


def token(name: str = "office", *scopes: Scope, secret: str = SECRET) -> Token:
    allowed = frozenset(scopes or (Scope.SYNC,))
    return Token(name=name, digest=digest_of(secret), scopes=allowed, made_ms=0, expires_ms=1000)


def test_a_token_allows_its_scopes_until_it_expires() -> None:
    assert judge([token()], SECRET, Scope.SYNC, 999).name == "office"
    with pytest.raises(TokenRefused, match="office has expired"):
        judge([token()], SECRET, Scope.SYNC, 1000)
    with pytest.raises(TokenRefused, match="office does not allow it: it is for sync"):
        judge([token()], SECRET, Scope.RESTART, 0)
    with pytest.raises(TokenRefused, match="not known here"):
        judge([token()], secret_of(b"1" * 32), Scope.SYNC, 0)


def test_the_secret_is_not_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    TokenFile(path).add(token())
    assert SECRET.encode() not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_the_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    daemon, desk = TokenFile(tmp_path / "tokens.json"), TokenFile(tmp_path / "tokens.json")
    assert daemon.tokens() == ()
    desk.add(token("office"))
    desk.add(token("hill", Scope.TEST, Scope.RESTART))
    assert [one.name for one in daemon.tokens()] == ["office", "hill"]
    desk.revoke("office")
    assert daemon.tokens() == (token("hill", Scope.TEST, Scope.RESTART),)


def test_names_are_unique_and_there_is_a_bound(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "tokens.json")
    file.add(token("office"))
    with pytest.raises(CommandError, match="there is a token"):
        file.add(token("office"))
    with pytest.raises(CommandError, match="there is no token"):
        file.revoke("hill")
    for number in range(1, MAX_TOKENS):
        file.add(token(f"{number}"))
    with pytest.raises(CommandError, match="as many as are kept"):
        file.add(token("one more"))


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"tokens": [{}]}', b'{"tokens": 7}', encode([token()]).replace(b"sync", b"root")],
)
def test_a_damaged_file_lets_nobody_act_and_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens.json"
    path.write_bytes(content)
    with pytest.raises(TokensInvalid):
        decode(content)
    with pytest.raises(CommandError, match="make new tokens"):
        TokenFile(path).tokens()
