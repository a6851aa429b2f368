"""What an HTTP request is answered with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with its whole body."""

    body: bytes
    content_type: str
    status: int = 200
    fields: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, value: object, status: int = 200, fields: Mapping[str, str] | None = None) -> Response:
        return cls(json.dumps(value).encode(), "application/json", status, fields or {})

    @classmethod
    def of_text(cls, text: str, status: int = 200) -> Response:
        return cls(text.encode(), "text/plain; charset=utf-8", status)


class HttpError(Exception):
    """This request is answered with ``status``."""

    def __init__(self, status: HTTPStatus, detail: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.fields = fields

    @property
    def response(self) -> Response:
        return Response.of_json({"status": "failed", "detail": str(self)}, self.status, self.fields)


class BodyTooLarge(HttpError):
    """A body of more bytes than its reader takes."""

    def __init__(self, largest: int) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than the {largest} bytes allowed")
