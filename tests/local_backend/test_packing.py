"""Packs hold every example once and never more than the budget; the same sizes, the same packs."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftctl.local_backend.packing import packs, runs

SPDX = Path(__file__).parents[2] / "examples" / "spdx" / "train.jsonl"
BUDGET = 100
Sort = Callable[[list[int], int, int | None], list[list[int]]]
sizes_to_pack = st.lists(st.integers(1, BUDGET + 20), max_size=60)
most_to_pack = st.none() | st.integers(1, 5)


def room_left(found: list[list[int]], sizes: list[int], budget: int) -> int:
    return len(found) * budget - sum(sizes)


def first_fit(sizes: list[int], budget: int) -> list[list[int]]:
    found: list[list[int]] = []
    for place, size in enumerate(sizes):
        for pack in found:
            if sum(sizes[other] for other in pack) + size <= budget:
                pack.append(place)
                break
        else:
            found.append([place])
    return found


@pytest.mark.parametrize("sort", [packs, runs])
@given(sizes=sizes_to_pack, most=most_to_pack)
def test_every_example_once_and_nothing_over_the_budget(
    sort: Sort, sizes: list[int], most: int | None
) -> None:
    found = sort(sizes, BUDGET, most)
    assert sorted(place for pack in found for place in pack) == list(range(len(sizes)))
    for pack in found:
        held = [sizes[place] for place in pack]
        taken = sum(held) if sort is packs else len(held) * max(held)
        assert taken <= BUDGET or len(pack) == 1
        assert most is None or len(pack) <= most
    assert sort(list(sizes), BUDGET, most) == found


@given(sizes_to_pack)
def test_no_two_packs_fit_into_one_and_the_heaviest_is_first(sizes: list[int]) -> None:
    loads = [sum(sizes[place] for place in pack) for pack in packs(sizes, BUDGET)]
    assert loads == sorted(loads, reverse=True)
    assert len(loads) < 2 or loads[-2] + loads[-1] > BUDGET


@given(sizes_to_pack)
def test_each_goes_where_it_leaves_least_room(sizes: list[int]) -> None:
    """The same packs as the textbook's slow way gives, but for their order."""
    slow: list[list[int]] = []
    for size in sorted(sizes, reverse=True):
        fitting = [pack for pack in slow if sum(pack) + size <= BUDGET]
        if fitting:
            max(fitting, key=sum).append(size)
        else:
            slow.append([size])
    quick = [[sizes[place] for place in pack] for pack in packs(sizes, BUDGET)]
    assert sorted(map(sum, quick)) == sorted(map(sum, slow))


@pytest.mark.parametrize("budget", [128, 256, 512, 1024])
def test_no_more_is_wasted_than_by_first_fit(budget: int) -> None:
    lengths = [len(line) // 4 for line in SPDX.read_text(encoding="utf-8").splitlines()]
    sizes = [min(length, budget) for length in lengths]
    for seed in range(3):
        random.Random(seed).shuffle(sizes)  # noqa: S311 - reproducible, not secret
        best = room_left(packs(sizes, budget), sizes, budget)
        assert best <= room_left(first_fit(sizes, budget), sizes, budget)
