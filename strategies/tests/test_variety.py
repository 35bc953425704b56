"""The cases that come first bring together what has not met yet."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from strategies.case import Case, Image, Text
from strategies.cases import cases
from strategies.tests.examples import QWEN2_VL, single_draws
from strategies.variety import most_varied, traits

PLAIN = Case()
STATIC = replace(PLAIN, cache="static")
PADDED = replace(PLAIN, extra_padding=2)
BOTH = replace(PADDED, cache="static")


def test_what_brings_two_things_together_comes_before_what_has_one_of_them():
    assert most_varied([PLAIN, STATIC, PADDED, BOTH], 2) == [PLAIN, BOTH]


def test_what_differs_in_a_number_alone_comes_after_what_brings_anything_new():
    more = replace(BOTH, extra_padding=3)
    assert most_varied([BOTH, more, STATIC, PADDED, PLAIN], 5)[-1] == more


def test_of_equals_the_one_with_most_segments_comes_first_and_then_the_first():
    one, two = (Case(rows=((Image(28, 28), *texts),)) for texts in ([Text(2)], [Text(1), Text(1)]))
    assert traits(one) == traits(two)
    assert most_varied([one, two], 1) == [two]
    assert most_varied([PLAIN, replace(PLAIN, rows=((Text(1),),))], 1) == [PLAIN]


def test_none_is_chosen_twice_and_no_more_than_there_are():
    assert most_varied([PLAIN, BOTH], 12) in ([PLAIN, BOTH], [BOTH, PLAIN])
    assert most_varied([], 12) == []


def test_the_chosen_have_more_pairs_between_them_than_the_first_that_were_drawn():
    drawn = single_draws(cases(QWEN2_VL), 120)

    def pairs(some: list[Case]) -> int:
        return len({p for c in some for p in combinations(sorted(traits(c), key=repr), 2)})

    chosen = pairs(most_varied(drawn, 12))
    assert chosen > pairs(drawn[:12])
    assert chosen > 0.8 * pairs(drawn)
