"""A rule is simple, in the units that come first, and never contradicts a point in silence."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.map.rule import TOLERATED, find_rule

PLANE = [{"a": a, "b": b} for a in range(12) for b in range(12)]


def rule(fails: object) -> str:
    assert callable(fails)
    return find_rule(PLANE, [fails(p["a"], p["b"]) for p in PLANE]).sentence


def test_one_condition():
    assert rule(lambda a, _: a <= 3) == "fails exactly where a <= 3"
    assert rule(lambda _, b: b >= 7) == "fails exactly where b >= 7"
    assert rule(lambda a, _: a == 5) == "fails exactly where a = 5"


def test_of_rules_that_fit_alike_the_feature_that_comes_first_wins():
    points = [{"rows": n, "pixels": 28 * n} for n in range(9)]
    assert find_rule(points, [n <= 2 for n in range(9)]).text == "rows <= 2"


def test_two_conditions():
    assert rule(lambda a, b: a <= 3 and b >= 2) == "fails exactly where a <= 3 and b >= 2"
    assert rule(lambda a, b: a <= 3 or b <= 1) == "fails exactly where a <= 3 or b <= 1"
    assert rule(lambda a, _: 3 <= a <= 6) == "fails exactly where a <= 6 and a >= 3"


def test_all_and_nothing():
    assert rule(lambda *_: True) == "fails everywhere in the map"
    assert rule(lambda *_: False) == "fails nowhere in the map"


def test_a_few_exceptions_are_counted():
    assert rule(lambda a, b: a <= 5 and (a, b) not in ((2, 3), (4, 9))) == (
        "fails where a <= 5, with 2 exceptions of 144 points"
    )


def test_no_simple_rule_is_said():
    assert rule(lambda a, b: (a * b) % 3 == 1) == "no simple rule fits"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), min_size=144, max_size=144), st.integers(0, 11), st.booleans())
def test_whatever_the_points_a_rule_counts_every_point_that_contradicts_it(
    noise: list[bool], edge: int, noisy: bool
):
    fails = [
        n if noisy and p["b"] == 0 else p["a"] <= edge for p, n in zip(PLANE, noise, strict=True)
    ]
    found = find_rule(PLANE, fails)
    if not found.text or found.text.endswith("in the map"):
        return
    names = {"=": "==", "<=": "<=", ">=": ">="}
    code = " ".join(names.get(word, word) for word in found.text.split())
    said = [bool(eval(code, {}, dict(p))) for p in PLANE]  # noqa: S307 - a rule of our own
    wrong = sum(a != b for a, b in zip(said, fails, strict=True))
    assert wrong == found.exceptions <= TOLERATED * len(PLANE)
