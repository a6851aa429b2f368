"""pydantic's findings → problems with line, column, what was seen and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gateway.config.fields import Allowed
from gateway.config.source import Location, Source
from gateway.errors import Problem

SECRETS = frozenset({"passphrase", "pin", "token"})
"""Settings whose values are not repeated: a problem goes to the log."""


def problems(error: ValidationError, model: type[BaseModel], source: Source) -> Iterator[Problem]:
    """One problem for each finding of ``error``."""
    for finding in error.errors(include_url=False, include_input=False):
        location = tuple(part for part in finding["loc"] if part != "[key]")
        yield _problem(finding, location, model, source, in_key="[key]" in finding["loc"])


def _problem(
    finding: ErrorDetails, location: Location, model: type[BaseModel], source: Source, *, in_key: bool
) -> Problem:
    kind = finding["type"]
    if kind == "extra_forbidden":
        known = _fields(_annotation(model, location[:-1]))
        return source.problem(location, _unknown(str(location[-1]), list(known)), at_key=True)
    if kind == "missing":
        return source.problem(location, f"missing; allowed: {allowed(_annotation(model, location))}")
    if kind == "value_error":
        return source.problem(location, _saw(source, location) + str(finding["ctx"]["error"]))
    if in_key:
        return source.problem(location, f"allowed: {allowed(_key_of(model, location))}", at_key=True)
    words = f"allowed: {allowed(_annotation(model, location))}"
    if location[-1] in SECRETS:
        return source.problem(location, words)
    return source.problem(location, f"saw {source.seen(location)}; {words}")


def _saw(source: Source, location: Location) -> str:
    """A section is not worth repeating: what is wrong with it stands in the message."""
    seen = source.seen(location)
    return "" if seen in ("a mapping", "nothing") else f"saw {seen}; "


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"unknown setting; did you mean '{close[0]}'?"
    return f"unknown setting; known here: {', '.join(known)}"


def allowed(annotation: Any) -> str:
    """What an annotation takes, in words; bounds come from the annotation itself."""
    types, constraints = _unwrap(annotation)
    for constraint in constraints:
        if isinstance(constraint, Allowed):
            return constraint.words
    words = [_type_words(kind, constraints) for kind in types if kind is not NoneType]
    return " or ".join(words)


def _type_words(kind: Any, constraints: list[Any]) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(str(value) for value in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"a section with {', '.join(kind.model_fields)}"
    if kind is bool:
        return "true or false"
    if kind is str:
        return "text" + _range(constraints, " of {} to {} characters")
    if get_origin(kind) in (dict, Mapping):
        return "a mapping from a name to its settings"
    number = "a whole number" if kind is int else "a number"
    return number + _range(constraints, " from {} to {}")


def _range(constraints: list[Any], words: str) -> str:
    low: Any = None
    high: Any = None
    for constraint in constraints:
        if isinstance(constraint, annotated_types.Ge):
            low = constraint.ge
        elif isinstance(constraint, annotated_types.Le):
            high = constraint.le
        elif isinstance(constraint, annotated_types.MinLen):
            low = constraint.min_length
        elif isinstance(constraint, annotated_types.MaxLen):
            high = constraint.max_length
    return "" if low is None else words.format(low, high)


def _unwrap(annotation: Any) -> tuple[list[Any], list[Any]]:
    """The plain types under ``Annotated`` and ``| None``, and every constraint on the way."""
    if isinstance(annotation, FieldInfo):
        types, constraints = _unwrap(annotation.annotation)
        return types, [*annotation.metadata, *constraints]
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        types, constraints = _unwrap(inner)
        own = [
            part for item in metadata for part in (item.metadata if isinstance(item, FieldInfo) else [item])
        ]
        return types, [*own, *constraints]
    if origin in (Union, UnionType):
        parts = [_unwrap(part) for part in get_args(annotation)]
        return [t for types, _ in parts for t in types], [c for _, found in parts for c in found]
    return [annotation], []


def _fields(annotation: Any) -> Mapping[str, FieldInfo]:
    for kind in _unwrap(annotation)[0]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind.model_fields
    return {}


def _annotation(model: type[BaseModel], location: Location) -> Any:
    """What the models say about the value at ``location``."""
    here: Any = model
    for part in location:
        fields = _fields(here)
        here = fields[str(part)] if part in fields else _item(here)
    return here


def _item(annotation: Any) -> Any:
    """The annotation of a mapping's values, or of a list's."""
    for kind in _unwrap(annotation)[0]:
        if get_origin(kind) in (dict, frozenset):
            return get_args(kind)[-1]
    return Any


def _key_of(model: type[BaseModel], location: Location) -> Any:
    mapping = _unwrap(_annotation(model, location[:-1]))[0][0]
    return get_args(mapping)[0]
