"""Secrets out of text that leaves the gateway: by what they are called, by what they look like, and by value.

=====================  ========================================================================
called                 ``pin: 1234``, ``"token": "…"``, ``psk=…``, ``the password is …``
looks like             PEM private keys, ``Bearer …``, ``//user:password@``, telephone numbers,
                       and the numbers of SIMs and modems (14 to 20 digits)
by value               whatever the caller knows to be secret, wherever it stands
=====================  ========================================================================

Too much is removed rather than too little: a reader can ask for what is missing, a secret cannot be called
back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

REMOVED = "[removed]"
NUMBER = "[number]"
MIN_LITERAL = 4

SECRET_WORDS = frozenset(
    {
        "authorization",
        "cookie",
        "cpin",
        "credential",
        "credentials",
        "key",
        "passphrase",
        "password",
        "passwd",
    }
    | {"pass", "pin", "private", "psk", "puk", "secret", "seed", "token", "tokens", "wpa"}
)
PUBLIC_WORDS = frozenset({"coordinator", "file", "folder", "id", "path", "power", "public", "pinned"})
"""With one of these beside it, a name such as ``public_key`` or ``private_key_path`` says no secret."""
SUBSCRIBER_WORDS = frozenset({"iccid", "imei", "imsi", "msisdn", "number", "peer", "phone", "sender"})

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# Bounded, for a stranger may have written the line: a name of 64 characters, a few blanks around its sign.
_NAME = re.compile(r"""["']?\b(?P<name>[A-Za-z][\w.-]{0,63})["']?[ \t]{0,8}(?:[:=]|\bis\b)[ \t]{0,8}""")
# A bare value ends before two blanks, before the next name, or where quotes or brackets around it close.
_END = r"""\s\s|,\s{0,8}["']?[\w.-]{1,64}["']?\s{0,8}[:=]|["'}\]]+\s{0,8}(?:[,}\])]|$)"""
_VALUE = re.compile(
    r""""(?:[^"\\\n]|\\.)*(?:"|$)|'[^'\n]*(?:'|$)|\[[^\]\n]*(?:\]|$)|\{[^}\n]*(?:\}|$)"""
    rf"""|[^\s"'\[{{](?:(?!{_END})[^\n])*""",
    re.MULTILINE,
)
_PEM = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\A[A-Za-z0-9+/=\s]*-----END [A-Z ]*PRIVATE KEY-----",
    re.DOTALL,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{4,}", re.IGNORECASE)
_USER_INFO = re.compile(r"//[^/\s@]+@")
_NUMBERS = re.compile(
    r"\+\d(?:[ ()./-]?\d){6,14}(?!\d)|(?<![\w.])00?[1-9]\d{7,13}(?![\w.])|(?<!\w)\d{14,20}(?!\w)"
)


class Scrubber:
    """Knows the secrets of one gateway; ``literals`` shorter than four characters are left to their names."""

    def __init__(self, literals: Iterable[str] = ()) -> None:
        known = sorted({one for one in literals if len(one) >= MIN_LITERAL}, key=len, reverse=True)
        words = "|".join(rf"(?<!\w){re.escape(one)}(?!\w)" for one in known)
        self._known = re.compile(words) if known else None

    def text(self, text: str) -> str:
        """``text`` without secrets."""
        text = _without_named(_PEM.sub(REMOVED, text))
        if self._known is not None:
            text = self._known.sub(REMOVED, text)
        text = _BEARER.sub(lambda found: f"{found[1]} {REMOVED}", text)
        text = _USER_INFO.sub(f"//{REMOVED}@", text)
        return _NUMBERS.sub(NUMBER, text)

    def value(self, value: object, name: str = "") -> object:
        """A document without secrets: what is called like one goes as a whole."""
        if isinstance(value, Mapping):
            return {str(key): self.value(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, name) for item in value]
        if is_secret(name) and value is not None and not isinstance(value, bool):
            return REMOVED
        return self.text(value) if isinstance(value, str) else value


def is_secret(name: str) -> bool:
    """Whether a setting or field of this name holds a secret."""
    words = {word.lower() for word in _WORD.findall(name)}
    return bool(words & SECRET_WORDS) and not words & PUBLIC_WORDS


def _without_named(text: str) -> str:
    """Values go by their names; what is within a value that may stay is looked at too."""
    kept, at, start = [], 0, 0
    while (named := _NAME.search(text, start)) is not None:
        start = named.end()
        instead = _instead(named["name"])
        value = _VALUE.match(text, start) if instead else None
        if instead is None or value is None or (instead == NUMBER and not re.search(r"\d{6}", value[0])):
            continue
        kept += [text[at:start], _quoted(value[0], instead)]
        at = start = value.end()
    return "".join([*kept, text[at:]])


def _instead(name: str) -> str | None:
    if is_secret(name):
        return REMOVED
    words = {word.lower() for word in _WORD.findall(name)}
    return NUMBER if words & SUBSCRIBER_WORDS else None


def _quoted(value: str, instead: str) -> str:
    return f"{value[0]}{instead}{value[0]}" if value[:1] in ("'", '"') else instead
