"""A rule is simple, in the units that come first, and never contradicts a point in silence."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.map.rule import TOLERATED, find_rule

PLANE = [{"a": a, "b": b} for a in range(12) for b in range(12)]


def rule(fails: object) -> str:
    assert callable(fails)
    return find_rule(PLANE, [fails(p["a"], p["b"]) for p in PLANE], [("a", "b")]).sentence


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


def test_a_staircase_compares_the_axes():
    assert rule(lambda a, b: a >= b + 2) == "fails exactly where a >= b + 2"
    assert rule(lambda a, b: a <= b) == "fails exactly where a <= b"
    assert rule(lambda a, b: a == b - 3) == "fails exactly where a = b - 3"
    assert rule(lambda a, b: b >= 1 and a >= b + 2) == ("fails exactly where a >= b + 2 and b >= 1")
    assert rule(lambda a, b: a >= b + 2 and (a, b) != (9, 1)) == (
        "fails where a >= b + 2, with 1 exception of 144 points"
    )


def test_features_of_different_units_are_not_compared():
    assert find_rule(PLANE, [p["a"] >= p["b"] + 2 for p in PLANE]).text == ""


def test_a_count_that_is_at_most_0_is_0():
    assert rule(lambda a, b: a == 0 or b == 1) == "fails exactly where a = 0 or b = 1"
    assert rule(lambda a, _: a == 0) == "fails exactly where a = 0"
    below = [{"a": a} for a in range(-3, 9)]
    assert find_rule(below, [p["a"] <= 0 for p in below]).text == "a <= 0"


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
@given(
    st.lists(st.booleans(), min_size=144, max_size=144),
    st.integers(0, 11),
    st.booleans(),
    st.booleans(),
)
def test_whatever_the_points_a_rule_counts_every_point_that_contradicts_it(
    noise: list[bool], edge: int, noisy: bool, stairs: bool
):
    fails = [
        n if noisy and p["b"] == 0 else p["a"] <= edge + stairs * p["b"]
        for p, n in zip(PLANE, noise, strict=True)
    ]
    found = find_rule(PLANE, fails, [("a", "b")])
    if not found.text or found.text.endswith("in the map"):
        return
    names = {"=": "==", "<=": "<=", ">=": ">="}
    code = " ".join(names.get(word, word) for word in found.text.split())
    said = [bool(eval(code, {}, dict(p))) for p in PLANE]  # noqa: S307 - a rule of our own
    wrong = sum(a != b for a, b in zip(said, fails, strict=True))
    assert wrong == found.exceptions <= TOLERATED * len(PLANE)
