"""Weighted numbers: within bounds, favourites often, every number reachable by shrinking."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import find

from strategies.tests.examples import draws, explicit, share
from strategies.weighted import around, powers_of_two, weighted


@pytest.mark.parametrize("bounds", [(0, 0), (3, 4), (1, 128), (1, 129), (5, 4000), (0, 10**6)])
def test_draws_stay_within_the_bounds(bounds):
    low, high = bounds
    drawn = draws(weighted(low, high, (low - 1, high + 1, low, high)), 500)
    assert min(drawn) == low
    assert max(drawn) == high


def test_groups_and_the_whole_range_have_like_shares():
    drawn = draws(weighted(0, 9, (3,), (7, 8), (99,)))
    counts = Counter(drawn)
    # Less than a third each, since Hypothesis itself adds more of the smallest number.
    assert share(drawn, counts[3]) > 0.25
    assert share(drawn, counts[7] + counts[8]) > 0.25
    assert set(counts) == set(range(10))


def test_large_favourites_in_a_wide_range_are_drawn_often():
    drawn = draws(weighted(0, 262_144, (100_000,), (262_143,)))
    assert share(drawn, drawn.count(100_000)) > 0.03
    assert share(drawn, drawn.count(262_143)) > 0.03


def test_draws_from_a_wide_range_are_not_only_favourites():
    drawn = draws(weighted(1, 4000, (28,)))
    assert len(set(drawn)) > 50
    assert sum(n > 1000 for n in drawn) > 10


@pytest.mark.parametrize("least", [0, 1, 29, 100, 111, 112, 2999])
@pytest.mark.parametrize("start", range(3))
def test_any_number_is_reached_by_shrinking_whether_favoured_or_not(least, start):
    found = find(
        weighted(0, 4000, around((28, 56, 112, 3000)), (4000,)),
        lambda n: n >= least,
        settings=explicit(500, shrink=True),
        random=random.Random(start),
    )
    assert found == least


def test_bounds_the_wrong_way_round_are_refused():
    with pytest.raises(ValueError, match="expected low <= high, got 2 and 1"):
        weighted(2, 1)


def test_around_and_powers():
    assert around((4, 5)) == (3, 4, 5, 6)
    assert powers_of_two(9) == (1, 2, 4, 8)
    assert powers_of_two(0) == ()
