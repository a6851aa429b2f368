"""YAML → values and positions: hostile and broken text is refused with its place, and nothing unfolds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.source import MAX_BYTES, MAX_VALUES, parse
from gateway.errors import ConfigError, Problem

PLAIN = "allowed: text, numbers, true and false"


def refused(content: bytes) -> Problem:
    with pytest.raises(ConfigError) as caught:
        parse(content, "c.yml")
    [problem] = caught.value.problems
    return problem


def test_values_are_plain_and_each_knows_its_line_and_column() -> None:
    source = parse(b"lora:\n  frequency: 915 # MHz\n  options: {list: [1, 2]}\n", "c.yml")

    assert source.values == {"lora": {"frequency": 915, "options": {"list": [1, 2]}}}
    assert source.problems == ()
    assert str(source.problem(("lora", "frequency"), "x")) == "c.yml:2:14: lora.frequency: x"
    assert str(source.problem(("lora", "frequency"), "x", at_key=True)) == "c.yml:2:3: lora.frequency: x"
    assert str(source.problem(("lora", "options", "list", 1), "x")) == "c.yml:3:23: lora.options.list.1: x"


def test_a_problem_with_what_is_not_there_points_at_the_section_around_it() -> None:
    source = parse(b"\nlora:\n  frequency: 915\n", "c.yml")

    assert str(source.problem(("lora", "region"), "x")) == "c.yml:2:1: lora.region: x"
    assert str(source.problem(("gateway",), "x")) == "c.yml:1:1: gateway: x"


def test_an_empty_file_has_no_settings() -> None:
    assert parse(b"", "c.yml").values == {}
    assert parse(b"# nothing\n", "c.yml").values == {}


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse(b"\xef\xbb\xbfa: 1\n", "c.yml").values == {"a": 1}


def test_dates_stay_text() -> None:
    assert parse(b"a: 2024-01-15\nb: 2024-99-99\n", "c.yml").values == {"a": "2024-01-15", "b": "2024-99-99"}


def test_a_key_given_twice_is_refused_and_the_first_is_kept() -> None:
    source = parse(b"a:\n  b: 1\n  c: 2\n  b: 3\n", "c.yml")

    assert source.values == {"a": {"b": 1, "c": 2}}
    assert [str(p) for p in source.problems] == ["c.yml:4:3: a.b: given twice; the first is in line 2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: !!python/object:x [x]\n", f"c.yml:1:4: a: saw a value of type !python/object:x; {PLAIN}"),
        (b"a: !!set {x}\n", f"c.yml:1:4: a: saw a value of type !set; {PLAIN}"),
        (
            b"a: !secret x\n",
            f"c.yml:1:4: a: saw a value of type !!secret; {PLAIN}",
        ),
        (
            b"a: !!binary aGk=\n",
            f"c.yml:1:4: a: saw a value of type !binary; {PLAIN}",
        ),
        (b"on: 1\n", "c.yml:1:1: saw on as a name; allowed: text (quote it)"),
        (b"? [x]\n: 1\n", "c.yml:1:3: saw a list as a name; allowed: text (quote it)"),
        (b"a: {<<: {b: 1}}\n", "c.yml:1:5: a: '<<' is not allowed; write the settings out"),
        (b"a: !!bool maybe\n", "c.yml:1:4: a: saw maybe; allowed: a value of the type it claims"),
        (b"a: !!int many\n", "c.yml:1:4: a: saw many; allowed: a value of the type it claims"),
    ],
)
def test_what_is_not_a_plain_setting_is_named_with_its_place(text: bytes, message: str) -> None:
    assert [str(problem) for problem in parse(text, "c.yml").problems] == [message]


def test_a_number_of_ten_thousand_digits_is_a_problem_not_a_crash() -> None:
    [problem] = parse(b"a: " + b"9" * 10_000, "c.yml").problems

    assert problem.message.startswith("saw 999") and len(problem.message) < 150


@pytest.mark.parametrize(
    ("content", "where", "words"),
    [
        (b"a: [1\n", (2, 1), "not valid YAML"),
        (b"a: 1\n\tb: 2\n", (2, 1), "not valid YAML"),
        (b"a: *nowhere\n", (1, 4), "not valid YAML"),
        (b"a: 1\n---\nb: 2\n", (2, 1), "not valid YAML"),
        (b"a: 1\nb: \xff\n", (2, 4), "byte 0xff is not UTF-8"),
        (b"a: 1\nb: \x07\n", (2, 4), "is not allowed"),
        (b"- a\n", (1, 1), "allowed: a mapping of sections"),
        (b"just text\n", (1, 1), "allowed: a mapping of sections"),
        (b"a: " + b"[" * 5000, (1, 4 + 15), "nested deeper"),
        (b"#" * (MAX_BYTES + 1), (1, 1), "larger than 128 KiB"),
    ],
)
def test_text_that_is_no_configuration_is_refused_with_its_place(
    content: bytes, where: tuple[int, int], words: str
) -> None:
    problem = refused(content)

    assert words in problem.message
    assert (problem.line, problem.column) == where


def test_aliases_are_followed() -> None:
    assert parse(b"a: &x {k: 1}\nb: *x\n", "c.yml").values == {"a": {"k": 1}, "b": {"k": 1}}


def test_aliases_that_would_unfold_into_billions_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    assert f"more than {MAX_VALUES} values" in refused("\n".join(lines).encode()).message


def test_an_alias_inside_its_own_anchor_is_refused() -> None:
    assert "levels" in refused(b"a: &a [*a]\n").message


def test_a_value_is_shown_as_written_but_never_a_password() -> None:
    source = parse(b"a: https://me:secret@host/\nb: yes\nc: " + b"x" * 500 + b"\nd:\n", "c.yml")

    assert source.seen(("a",)) == "'https://…@host/'"
    assert source.seen(("b",)) == "yes"
    assert len(source.seen(("c",))) == 62
    assert source.seen(("d",)) == source.seen(("e",)) == "nothing"


@given(
    st.one_of(
        st.binary(max_size=300),
        st.text("ab:-[]{}&*!|>'\"%#?, \n\t<1.0x~@`", max_size=200).map(str.encode),
    )
)
def test_no_text_makes_anything_but_values_or_a_configuration_error(content: bytes) -> None:
    try:
        source = parse(content, "c.yml")
    except ConfigError as error:
        assert error.problems
    else:
        assert isinstance(source.values, dict)
