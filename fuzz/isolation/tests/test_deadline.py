"""The deadline that follows the cases."""

from __future__ import annotations

import pytest

from fuzz.isolation.deadline import Deadline


def _after(*seconds: float, **options: float) -> float:
    deadline = Deadline(warm_up=3, window=4, **options)
    for one in seconds:
        deadline.note(one)
    return deadline.seconds()


def test_it_is_generous_until_enough_cases_were_seen() -> None:
    assert _after(0.1, 0.1) == 15.0
    assert _after(0.1, 0.1, ceiling=10.0) == 10.0


def test_it_is_a_multiple_of_the_longest_time() -> None:
    assert _after(0.1, 0.5, 0.2) == 10.0


def test_it_does_not_go_below_the_floor() -> None:
    assert _after(0.001, 0.001, 0.001) == 3.0


def test_it_does_not_go_above_the_ceiling() -> None:
    assert _after(0.1, 30.0, 0.1) == 60.0


def test_a_slow_case_is_forgotten_after_enough_others() -> None:
    assert _after(2.0, 0.2, 0.2, 0.2) == 40.0
    assert _after(2.0, 0.2, 0.2, 0.2, 0.2) == 4.0


@pytest.mark.parametrize("options", [{"floor": 0}, {"floor": 9, "ceiling": 8}])
def test_bounds_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected 0 < floor <= ceiling"):
        _after(**options)


def test_a_window_smaller_than_the_warm_up_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 1 <= warm_up <= window"):
        Deadline(warm_up=5, window=4)


def test_a_verdict_gets_more_patience_but_never_more_than_the_ceiling() -> None:
    deadline = Deadline(floor=1.0, ceiling=60.0, factor=20.0, warm_up=1)
    assert deadline.patient() == 22.5
    deadline.note(0.01)
    assert deadline.patient() == 2.0
    deadline.note(0.5)
    assert deadline.patient() == 15.0
    deadline.note(3.0)
    assert deadline.patient() == 60.0


def test_a_hang_that_is_no_news_gets_half_the_time() -> None:
    deadline = Deadline(floor=3.0, ceiling=60.0, factor=20.0, warm_up=1, start=15.0)
    assert deadline.brisk() == 15.0
    deadline.note(0.01)
    assert deadline.brisk() == 1.5
    deadline.note(1.0)
    assert deadline.brisk() == 10.0
    deadline.note(100.0)
    assert deadline.brisk() == 60.0


def test_the_first_cases_of_a_slow_target_are_given_more_time() -> None:
    fast, slow = Deadline(floor=3.0, ceiling=60.0), Deadline(floor=3.0, ceiling=60.0)
    fast.expect(0.01)
    assert fast.seconds() == 3.0
    slow.expect(1.5)
    assert slow.seconds() == 45.0


def test_it_tells_whether_anything_was_answered_yet() -> None:
    deadline = Deadline()
    assert not deadline.learned
    deadline.note(0.1)
    assert deadline.learned
