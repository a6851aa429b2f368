"""The file on a flashed card's boot partition, ``offgrid.yml``, that lets a gateway set itself up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from gateway.config import explain
from gateway.config.fields import Allowed, GatewayId, Section
from gateway.config.source import MAX_BYTES, parse
from gateway.errors import ConfigError, Problem

Region = Annotated[
    Literal["EU868", "US915", "868", "915", "none"],
    Allowed("EU868, US915; '868' or '915', in quotes, to listen and never send; none"),
]
CardText = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Token = Annotated[
    str,
    StringConstraints(pattern=r"\A[!-~]{1,4096}\z"),
    Allowed("the enrolment token, one word, in quotes"),
]


class AccessPoint(Section):
    """A Wi-Fi of the gateway's own. ``country``: whose radio rules it keeps (ISO 3166, two capitals)."""

    ssid: Annotated[
        str,
        StringConstraints(pattern=r"\A[A-Za-z0-9 ._-]{1,32}\z"),  # IEEE 802.11, 9.4.2.2: 32 bytes at most
        Allowed("1 to 32 letters, digits, blanks, '.', '_' and '-'"),
    ]
    passphrase: Annotated[
        str,
        StringConstraints(pattern=r"\A[ -~]{8,63}\z"),  # IEEE 802.11, annex J.4: 8 to 63 of ASCII
        Allowed("8 to 63 letters, digits and signs of ASCII, in quotes"),
    ]
    country: Annotated[str, StringConstraints(pattern=r"\A[A-Z]{2}\z"), Allowed("two capitals, such as DE")]


class Place(Section):
    """Degrees WGS84 and a name for people."""

    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Annotated[float, Field(ge=-180, le=180)]
    name: Annotated[str, Field(min_length=1, max_length=80)]


class Card(Section):
    """What ``init`` would ask. ``coordinator``: one address, or two, for HTTP and for the WebSocket.

    Without ``token`` somebody registers the gateway by hand; ``radios`` as ``init --radios`` takes them.
    """

    id: GatewayId
    region: Region
    place: Place
    coordinator: Annotated[CardText, Allowed("https://HOST, or two addresses: https://HOST wss://HOST")]
    token: Token | None = None
    radios: Annotated[CardText, Allowed("all, none, or some of lora,ble,gsm,gps")] = "all"
    allow_insecure: bool = False
    access_point: AccessPoint | None = None


def read_card(path: Path) -> Card:
    """Judge the file. Raises :class:`ConfigError` with every problem in it."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ConfigError([Problem(file=str(path), line=0, column=0, path="", message=message)]) from error
    source = parse(content, str(path))
    found = list(source.problems)
    try:
        card = Card.model_validate(dict(source.values))
    except ValidationError as error:
        found += explain.problems(error, Card, source)
        raise ConfigError(sorted(found, key=lambda problem: (problem.line, problem.column))) from None
    if found:
        raise ConfigError(found)
    return card
