"""Minimization ends at the smallest case, however many axes the failure depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fuzz.minimize import Minimized, minimize
from strategies.case import DEFAULT, Call, Case, Image, Text, has_images, images_of
from strategies.geometry import estimated_grid
from strategies.simpler import size_of
from strategies.tests.examples import QWEN2_VL
from strategies.validity import problems, refusals

BIG = Case(
    rows=((Text(7), Image(200, 90), Text(40)), (Text(12),), (Image(56, 56), Text(3))),
    side="right",
    extra_padding=4,
    cache="static",
    cache_room=3,
    chunks=(5, 9),
    decode=3,
    offset=100_000,
    gap=17,
    gap_at=4,
    history=(Call((Text(5), Image(70, 70))), Call((Text(2),))),
    gain=3.0,
    seed=3,
)


def always(_: int) -> bool:
    return True


@pytest.mark.parametrize(
    ("fails", "smallest"),
    [
        (lambda _: True, DEFAULT),
        (has_images, Case(rows=((Image(1, 1),),))),
        (lambda c: c.cache == "static" and c.side == "right", Case(cache="static", side="right")),
        (lambda c: c.offset >= 4097, Case(offset=4097)),
        (lambda c: c.seed == 3 and c.gain == 3.0, Case(seed=3, gain=3.0)),
        (lambda c: len(c.rows) >= 2, Case(rows=((Text(1),), (Text(1),)))),
        (
            lambda c: has_images(c) and c.cache == "static",
            Case(rows=((Image(1, 1),),), cache="static"),
        ),
        (
            lambda c: bool(c.history) and c.cache == "static",
            Case(history=(Call((Text(1),)),), cache="static"),
        ),
        (
            lambda c: any(images_of(call.row) for call in c.history),
            Case(history=(Call((Image(1, 1),)),)),
        ),
        (
            lambda c: sum(s.tokens for r in c.rows for s in r if isinstance(s, Text)) >= 17,
            Case(rows=((Text(17),),)),
        ),
    ],
)
def test_it_ends_at_the_smallest_case_that_fails(fails: Callable[[Case], bool], smallest: Case):
    assert fails(BIG)
    result = minimize(BIG, QWEN2_VL, fails, always)
    assert result.case == smallest
    assert result.complete


def test_nothing_simpler_than_the_result_fails():
    from strategies.simpler import simpler

    def fails(case: Case) -> bool:
        return bool(case.chunks) and case.extra_padding >= 2 and has_images(case)

    result = minimize(BIG, QWEN2_VL, fails, always)
    assert fails(result.case)
    assert [c for c in simpler(result.case, QWEN2_VL) if fails(c)] == []


def test_a_valid_case_stays_valid():
    seen: list[Case] = []

    def fails(case: Case) -> bool:
        seen.append(case)
        return has_images(case)

    assert not refusals(BIG, QWEN2_VL)
    minimize(BIG, QWEN2_VL, fails, always)
    assert len(seen) > 10
    assert [c for c in seen if problems(c) or refusals(c, QWEN2_VL)] == []


def test_an_invalid_case_stays_invalid():
    invalid = Case(rows=((Text(9), Image(0, 300), Image(56, 56)), (Text(4),)), seed=2)
    seen: list[Case] = []

    def fails(case: Case) -> bool:
        seen.append(case)
        return True

    assert refusals(invalid, QWEN2_VL)
    result = minimize(invalid, QWEN2_VL, fails, always)
    assert all(refusals(c, QWEN2_VL) for c in seen)
    assert size_of(result.case) < size_of(invalid)
    assert result.case.rows == ((Image(0, 0),),)


def test_it_asks_before_every_attempt_whether_it_may_go_on():
    asked: list[int] = []
    tried: list[Case] = []

    def fails(case: Case) -> bool:
        tried.append(case)
        return False

    def may_go_on(attempts: int) -> bool:
        asked.append(attempts)
        return attempts < 7

    result = minimize(BIG, QWEN2_VL, fails, may_go_on)
    assert result == Minimized(BIG, 7, complete=False)
    assert asked == list(range(8))
    assert len(tried) == 7


def test_without_a_single_attempt_the_case_stays_as_it_is():
    result = minimize(BIG, QWEN2_VL, lambda _: True, lambda _: False)
    assert result == Minimized(BIG, 0, complete=False)


def test_stopped_in_the_middle_it_keeps_the_smallest_case_so_far():
    accepted: list[Case] = []

    def may_go_on(_: int) -> bool:
        return len(accepted) < 2

    def fails(case: Case) -> bool:
        return case.offset >= 4097

    result = minimize(BIG, QWEN2_VL, fails, may_go_on, accepted.append)
    assert result.case == accepted[-1]
    assert not result.complete
    assert fails(result.case)


def test_every_smaller_failing_case_is_reported_in_order():
    accepted: list[Case] = []
    minimize(BIG, QWEN2_VL, has_images, always, accepted.append)
    sizes = [size_of(c) for c in (BIG, *accepted)]
    assert len(sizes) > 2
    assert sizes == sorted(sizes, reverse=True)
    assert all(has_images(c) for c in accepted)


def test_an_exception_while_trying_comes_through():
    class Ended(Exception):
        pass

    def fails(_: Case) -> bool:
        raise Ended

    with pytest.raises(Ended):
        minimize(BIG, QWEN2_VL, fails, always)


def test_what_is_not_allowed_is_never_tried():
    tried: list[Case] = []

    def fails(case: Case) -> bool:
        tried.append(case)
        return True

    result = minimize(BIG, QWEN2_VL, fails, always, allowed=has_images)
    assert result.case == Case(rows=((Image(1, 1),),))
    assert all(map(has_images, tried))
    assert result.attempts == len(tried)


@pytest.mark.parametrize("chunks", [(5, 9), (1,), ()])
@pytest.mark.parametrize("offset", [0, 100_000])
def test_what_a_one_row_image_is_enough_for_ends_there_whatever_else_brings_it_about(
    chunks: tuple[int, ...], offset: int
):
    def fails(case: Case) -> bool:
        thin = any(
            min(estimated_grid(QWEN2_VL, image)) == 1
            for row in case.rows
            for image in images_of(row)
        )
        return thin or bool(case.chunks) or case.offset > 0

    case = replace(BIG, chunks=chunks, offset=offset, rows=((Text(7), Image(200, 20)),))
    result = minimize(case, QWEN2_VL, fails, always, allowed=has_images)
    assert result.case == Case(rows=((Image(4, 1),),))
    smaller = [Image(w, h) for w in range(1, 4) for h in range(1, 4) if w * h < 4]
    assert [i for i in smaller if min(estimated_grid(QWEN2_VL, i)) == 1] == []
