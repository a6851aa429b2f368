"""Which backup objects cover a log, told by their names alone."""

from __future__ import annotations

import pytest

from gateway.core.backup import Name, chain, gap, mergeable, read_name, superseded


def name(begin: int, end: int, generation: int = 1, epoch: int = 1) -> Name:
    return Name("hill", epoch, generation, begin, end, f"{begin:032x}{end:032x}")


def test_a_name_is_read_back_as_it_was_written() -> None:
    assert read_name(str(name(3, 70, 2, 5))) == name(3, 70, 2, 5)


@pytest.mark.parametrize(
    "text", ["", "hill/x", "hill/0001-0001/000000000007-000000000007." + "0" * 64 + ".age"]
)
def test_what_is_no_objects_name_is_passed_over(text: str) -> None:
    assert read_name(text) is None


def test_the_longest_object_leads_on_first() -> None:
    names = [name(0, 10), name(0, 40), name(10, 20)]
    assert [found for found, _ in chain(names, 0)] == [name(0, 40), name(0, 10)]


def test_where_a_newer_disk_went_its_own_way_the_older_ones_leaves_end() -> None:
    names = [name(0, 50), name(30, 35, generation=2)]
    assert list(chain(names, 0)) == [(name(0, 50), 30)]
    assert list(chain(names, 30)) == [(name(30, 35, generation=2), 35)]


def test_leaves_that_no_object_holds_are_found() -> None:
    assert gap([name(0, 10), name(20, 30)], 40) == (10, 20, 1)
    assert gap([name(0, 10), name(10, 30)], 40) == (30, 40, 0)
    assert gap([name(0, 40)], 40) is None
    assert gap([], 0) is None


def test_sixteen_small_neighbours_become_one() -> None:
    small = [name(n, n + 1) for n in range(16)]
    assert mergeable(dict.fromkeys(small, 1000)) == small
    assert mergeable(dict.fromkeys(small[:15], 1000)) == []
    assert mergeable({one: 1000 for one in small if one.begin != 7}) == []


def test_objects_of_unlike_size_are_left_alone() -> None:
    sizes = {name(0, 1000): 10 << 20} | {name(1000 + n, 1001 + n): 900 for n in range(15)}
    assert mergeable(sizes) == []


def test_what_a_longer_object_of_its_generation_holds_is_superseded() -> None:
    names = [name(0, 16), *[name(n, n + 1) for n in range(17)], name(3, 4, generation=2)]
    assert superseded(names) == [name(n, n + 1) for n in range(16)]
