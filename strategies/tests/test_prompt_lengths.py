"""Text lengths: within the cap, often at powers of two and at the limits of the model."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import find

from strategies.prompt_lengths import prompt_lengths
from strategies.tests.examples import QWEN2_VL, UNCAPPED, draws, explicit, share


@pytest.mark.parametrize(("minimum", "cap"), [(0, 72), (1, 72), (1, 1), (0, 3), (5, 300)])
def test_lengths_stay_within_their_bounds_and_reach_both(minimum, cap):
    drawn = draws(prompt_lengths(QWEN2_VL, minimum=minimum, cap=cap), 1000)
    assert min(drawn) == minimum
    assert 0.8 * cap <= max(drawn) <= cap


def test_powers_of_two_and_their_neighbours_are_drawn_often():
    drawn = draws(prompt_lengths(QWEN2_VL))
    for n in (15, 16, 17, 31, 32, 33, 63, 64, 65):
        assert share(drawn, drawn.count(n)) > 0.005


def test_the_shortest_lengths_are_drawn_often():
    drawn = draws(prompt_lengths(QWEN2_VL, minimum=0))
    assert share(drawn, sum(n <= 1 for n in drawn)) > 0.15


def test_the_sliding_window_and_the_last_position_are_drawn_often():
    geometry = replace(QWEN2_VL, sliding_window=40, max_positions=52)
    drawn = draws(prompt_lengths(geometry))
    for n in (39, 40, 41, 51, 52, 53):
        assert share(drawn, drawn.count(n)) > 0.01


def test_limits_above_the_cap_are_not_drawn():
    assert max(draws(prompt_lengths(UNCAPPED, cap=20))) == 20


@pytest.mark.parametrize("minimum", [0, 1, 2])
def test_lengths_shrink_to_the_minimum(minimum):
    found = find(
        prompt_lengths(QWEN2_VL, minimum=minimum),
        lambda _: True,
        settings=explicit(50, shrink=True),
        random=random.Random(0),
    )
    assert found == minimum


def test_a_minimum_above_the_cap_is_refused():
    with pytest.raises(ValueError, match="expected low <= high"):
        prompt_lengths(QWEN2_VL, minimum=9, cap=8)
