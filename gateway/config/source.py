"""YAML text → plain values, each with its line and column; everything structurally wrong is named.

Rules of this file: the file, the nesting and the number of values are bounded before anything is built
(a few aliases could otherwise unfold into gigabytes); a key given twice is refused, for YAML would keep the
last one in silence; and dates stay text, since no setting is a date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import yaml

from gateway.errors import ConfigError, Problem

MAX_BYTES = 128 * 1024
MAX_DEPTH = 16
MAX_VALUES = 4096  # counted after aliases are unfolded

Location = tuple[str | int, ...]  # the keys from the top down to a value


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value stands (counted from 1) and how it was written."""

    line: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file: its values, and where each key and value stood."""

    file: str
    values: Mapping[str, object]
    problems: tuple[Problem, ...]
    _keys: Mapping[Location, Mark]
    _values: Mapping[Location, Mark]
    over: Source | None = None
    """What was laid over it, and is blamed for what it says."""

    def problem(self, location: Location, message: str, *, at_key: bool = False) -> Problem:
        """A problem with the value (or its key) there, or with the nearest thing around it that exists."""
        if self.over is not None and location in self.over._values:
            said = self.over.problem(location, message, at_key=at_key)
            return replace(said, line=0, column=0)
        mark = self._nearest(location, at_key=at_key)
        path = ".".join(map(str, location))
        return Problem(file=self.file, line=mark.line, column=mark.column, path=path, message=message)

    def seen(self, location: Location) -> str:
        """The value there as it was written, shortened, without the password of an address."""
        if self.over is not None and location in self.over._values:
            return self.over.seen(location)
        mark = self._values.get(location)
        return "nothing" if mark is None else mark.text

    def _nearest(self, location: Location, *, at_key: bool) -> Mark:
        for length in range(len(location), 0, -1):
            part = location[:length]
            inside = length == len(location) and not at_key
            mark = self._values.get(part) if inside else self._keys.get(part, self._values.get(part))
            if mark is not None:
                return mark
        return Mark(1, 1, "")


def parse(content: bytes, file: str) -> Source:
    """Read one YAML document. Raises :class:`ConfigError` where the text is no YAML at all;
    what can be read beside a problem is kept, and the problem is in ``Source.problems``."""
    if len(content) > MAX_BYTES:
        raise _refuse(file, 1, 1, f"the file is larger than {MAX_BYTES // 1024} KiB")
    root = _compose(_decode(content, file), file)
    builder = _Builder(file)
    values: object = {} if root is None else builder.build(root, ())
    if not isinstance(values, dict):
        raise _refuse(file, *_position(root), "saw no settings; allowed: a mapping of sections")
    return Source(file, values, tuple(builder.problems), builder.keys, builder.values)


def _decode(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        raise _refuse(file, *_count(before), f"byte 0x{content[error.start]:02x} is not UTF-8") from None


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        return _BoundedLoader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        words = ", ".join(part for part in (error.context, error.problem) if part)
        raise _refuse(file, line, column, f"not valid YAML: {words}") from None
    except yaml.reader.ReaderError as error:
        line, column = _count(text[: error.position])
        raise _refuse(file, line, column, f"character {error.character!r} is not allowed") from None


class _BoundedLoader(yaml.SafeLoader):
    """A safe loader that gives up before nesting becomes deep enough to exhaust the stack."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call] # untyped upstream
            raise yaml.composer.ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", mark)
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[arg-type] # None: the root
        self._depth -= 1
        return node


class _Builder:
    """One walk over the nodes of a document; lives for one :func:`parse`."""

    def __init__(self, file: str) -> None:
        self.keys: dict[Location, Mark] = {}
        self.values: dict[Location, Mark] = {}
        self.problems: list[Problem] = []
        self._file = file

    def build(self, node: yaml.Node, location: Location) -> object:
        # An alias inside its own anchor never ends: the depth stops it, as the number stops all others.
        if len(location) > MAX_DEPTH or len(self.values) >= MAX_VALUES:
            limits = f"{MAX_VALUES} values or {MAX_DEPTH} levels"
            raise _refuse(self._file, *_position(node), f"aliases unfold to more than {limits}")
        self.values[location] = Mark(*_position(node), _written(node))
        if node.tag not in _PLAIN_TAGS:
            tag = node.tag.removeprefix(_STANDARD)
            self._note(node, location, f"saw a value of type !{tag}; allowed: text, numbers, true and false")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*location, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, location)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, location)
            if key is None:
                continue
            if key in result:
                first = self.keys[(*location, key)].line
                self._note(key_node, (*location, key), f"given twice; the first is in line {first}")
                continue
            self.keys[(*location, key)] = Mark(*_position(key_node), key)
            result[key] = self.build(value_node, (*location, key))
        return result

    def _key(self, node: yaml.Node, location: Location) -> str | None:
        if node.tag == _STANDARD + "str":
            return str(node.value)
        if node.tag == _STANDARD + "merge":
            self._note(node, location, "'<<' is not allowed; write the settings out")
        else:
            self._note(node, location, f"saw {_written(node)} as a name; allowed: text (quote it)")
        return None

    def _scalar(self, node: yaml.Node, location: Location) -> object:
        try:
            return _SCALARS.get(node.tag, str)(node.value)
        except (ValueError, KeyError):  # a number of 5,000 digits, "!!bool maybe"
            self._note(node, location, f"saw {_written(node)}; allowed: a value of the type it claims")
            return None

    def _note(self, node: yaml.Node, location: Location, message: str) -> None:
        line, column = _position(node)
        path = ".".join(map(str, location))
        self.problems.append(Problem(file=self._file, line=line, column=column, path=path, message=message))


_STANDARD = "tag:yaml.org,2002:"
_TRUE_FALSE: Mapping[str, bool] = yaml.constructor.SafeConstructor.bool_values


def _number(kind: str) -> Callable[[str], object]:
    """PyYAML's own reading of YAML 1.1 numbers (``0x1F``, ``1_000``)."""
    constructor = yaml.constructor.SafeConstructor()
    construct = getattr(constructor, f"construct_yaml_{kind}")
    return lambda text: construct(yaml.ScalarNode(_STANDARD + kind, text))


_SCALARS: Mapping[str, Callable[[str], object]] = {
    _STANDARD + "str": str,
    _STANDARD + "timestamp": str,
    _STANDARD + "null": lambda _: None,
    _STANDARD + "bool": lambda text: _TRUE_FALSE[text.lower()],
    _STANDARD + "int": _number("int"),
    _STANDARD + "float": _number("float"),
}
_PLAIN_TAGS = {*_SCALARS, _STANDARD + "map", _STANDARD + "seq"}


def _written(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    text = re.sub(r"//[^/@]*@", "//…@", str(node.value))
    text = text if len(text) <= 60 else text[:59] + "…"
    if node.tag == _STANDARD + "null":
        return "nothing"
    return repr(text) if node.tag == _STANDARD + "str" else text


def _position(node: yaml.Node | None) -> tuple[int, int]:
    if node is None or node.start_mark is None:
        return 1, 1
    return node.start_mark.line + 1, node.start_mark.column + 1


def _count(before: str) -> tuple[int, int]:
    """Line and column of whatever follows ``before``."""
    lines: Iterable[str] = before.split("\n")
    *earlier, last = lines
    return len(earlier) + 1, len(last) + 1


def _refuse(file: str, line: int, column: int, message: str) -> ConfigError:
    return ConfigError([Problem(file=file, line=line, column=column, path="", message=message)])
