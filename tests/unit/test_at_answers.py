"""Answers of the three modem families, and broken ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gsm_at import answers
from drivers.gsm_at.answers import Slot, Storage


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('1,20,"a,b",(0-2)', ["1", "20", "a,b", "(0-2)"]),
        ('2,,"x"', ["2", "", "x"]),
        ("", []),
        ("7", ["7"]),
        (' "SM", 3', ["SM", "3"]),
    ],
)
def test_fields_are_split_at_commas_outside_quotes_and_brackets(text: str, expected: list[str]) -> None:
    assert answers.fields(text) == expected


def test_ranges_and_lists_of_numbers() -> None:
    assert answers.numbers("(0-3,5)") == {0, 1, 2, 3, 5}
    assert answers.numbers("(0)") == {0}
    assert answers.numbers("(0-99999999)") == frozenset()
    assert answers.numbers("()") == frozenset()


def test_indications_of_three_families() -> None:
    sim800 = answers.indications_offered(["+CNMI: (0-3),(0-3),(0-3),(0,1),(0,1)"])
    assert [sorted(group) for group in sim800] == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3], [0, 1], [0, 1]]
    assert answers.indications_offered(["+CNMI: (0,1,2),(0,1,2,3),(0,2),(0,1,2),(0,1)"])[3] == {0, 1, 2}
    assert answers.indications_offered([]) == []


def test_storages_and_their_fill() -> None:
    offered = answers.storages_offered(['+CPMS: ("SM","ME","MT"),("SM","ME"),("SM")'])
    assert offered == [["SM", "ME", "MT"], ["SM", "ME"], ["SM"]]
    assert answers.storage_fill(["+CPMS: 3,20,0,100,3,20"]) == Storage(3, 20)
    assert answers.storage_fill(['+CPMS: "SM",3,20']) is None
    assert answers.storage_fill([]) is None


def test_an_unsolicited_registration_among_the_answers_is_passed_over() -> None:
    assert answers.registration(["+CREG: 5", '+CREG: 2,1,"1A2B","00C3D4"'], "+CREG") == 1
    assert answers.registration(["ERROR"], "+CREG") is None
    assert answers.registration_urc('+CEREG: 5,"1A2B"') == 5
    assert answers.registration_urc("+CREG:") is None


@pytest.mark.parametrize(("line", "dbm"), [("+CSQ: 20,0", -73), ("+CSQ: 0,0", -113), ("+CSQ: 99,99", None)])
def test_signal(line: str, dbm: float | None) -> None:
    assert answers.signal_dbm([line]) == dbm


def test_a_corrupt_slot_does_not_hide_its_neighbours() -> None:
    lines = [
        "+CMGL: 1,0,,20",
        "0011",
        "+CMGL: 2,1,,9",
        "+CMGL: x,1,,9",
        "22",
        "+CMGL: 4",
        "+CMGL: 5,3,,1",
        "AA",
    ]
    assert list(answers.listed(lines)) == [Slot(1, 0, "0011"), Slot(2, 1, ""), Slot(5, 3, "AA")]


def test_single_messages_references_and_arrivals() -> None:
    assert answers.read_message(["+CMGR: 1,,32", "0791"], 4) == Slot(4, 1, "0791")
    assert answers.read_message([], 4) is None
    assert answers.message_reference(["+CMGS: 255"]) == 255
    assert answers.message_reference(["+CMGS: 256"]) is None
    assert answers.arrival('+CMTI: "ME",12') == ("ME", 12)
    assert answers.arrival("+CMTI: ME") is None


def test_names_and_states() -> None:
    assert answers.bare(["+CMTI: 1", "EC25"]) == "EC25"
    assert answers.operator(['+COPS: 0,0,"TestNet",7']) == "TestNet"
    assert answers.operator(["+COPS: 0"]) == ""
    assert answers.pin_state(["+CPIN: SIM PIN"]) == "SIM PIN"


@given(
    st.lists(
        st.text(max_size=40) | st.from_regex(r"\+(CMGL|CREG|CPMS|CSQ|CNMI|COPS|CMGS):.*", fullmatch=True)
    )
)
def test_any_lines_are_parsed_to_something(lines: list[str]) -> None:
    for name in ("+CREG", "+CEREG"):
        answers.registration(lines, name)
    for parse in (answers.signal_dbm, answers.operator, answers.pin_state, answers.storages_offered):
        parse(lines)
    for more in (answers.storage_fill, answers.indications_offered, answers.message_reference, answers.bare):
        more(lines)
    list(answers.listed(lines))
    answers.read_message(lines, 1)
    for line in lines:
        answers.arrival(line)
        answers.registration_urc(line)
