"""Simplifications: smaller, well-formed, and still on the same side of what must run."""

from __future__ import annotations

import pytest

from strategies.case import DEFAULT, Call, Case, Image, Text
from strategies.cases import cases
from strategies.kinds import KINDS
from strategies.simpler import simpler, size_of
from strategies.tests.examples import QWEN2_VL, single_draws
from strategies.validity import problems, refusals


@pytest.fixture(scope="module")
def drawn():
    return [case for kind in KINDS for case in single_draws(cases(QWEN2_VL, kind), 12)]


@pytest.fixture(scope="module")
def steps(drawn):
    return [(case, list(simpler(case))) for case in drawn]


def test_every_simplification_is_strictly_smaller_and_comes_once(steps):
    for case, found in steps:
        assert all(size_of(other) < size_of(case) for other in found)
        assert len(set(found)) == len(found)


def test_a_well_formed_case_gives_only_well_formed_ones(steps):
    for _, found in steps:
        assert [other for other in found if problems(other)] == []


def test_with_the_geometry_what_has_to_run_or_be_refused_stays_so(drawn):
    for case in drawn:
        refused = bool(refusals(case, QWEN2_VL))
        for other in simpler(case, QWEN2_VL):
            assert bool(refusals(other, QWEN2_VL)) == refused


def test_different_cases_have_different_sizes(drawn):
    different = set(drawn)
    assert len({repr(size_of(case)) for case in different}) == len(different)


def test_the_default_case_has_no_simplification():
    assert list(simpler(DEFAULT)) == []


def test_every_other_case_has_one(steps):
    for case, found in steps:
        assert case == DEFAULT or found


def test_the_first_simplification_is_the_default_case():
    """A failure that does not depend on the case at all is minimized in one attempt."""
    case = Case(rows=((Image(150, 29), Text(9)),) * 3, entry="generate", decode=2, seed=3)
    assert next(simpler(case)) == DEFAULT


def test_an_ill_formed_case_can_still_be_simplified():
    case = Case(rows=((Text(5),),), entry="generate", decode=0, gap_at=3)
    assert problems(case)
    assert DEFAULT in set(simpler(case))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            Case(rows=((Text(2),), (Text(5),))),
            {
                Case(rows=((Text(2),),)),
                Case(rows=((Text(2),), (Text(1),))),
                Case(rows=((Text(2),), (Text(4),))),
            },
        ),
        (Case(rows=((Text(9),), (Text(9),))), {Case(rows=((Text(8),), (Text(8),)))}),
        (
            Case(rows=((Image(150, 29), Text(3)),)),
            {
                Case(rows=((Text(3),),)),
                Case(rows=((Image(150, 29),),)),
                Case(rows=((Text(1), Text(3)),)),
                Case(rows=((Image(1, 1), Text(3)),)),
                Case(rows=((Image(1, 29), Text(3)),)),
                Case(rows=((Image(65, 65), Text(3)),)),
                Case(rows=((Image(75, 15), Text(3)),)),
                Case(rows=((Image(149, 29), Text(3)),)),
                Case(rows=((Image(150, 28), Text(3)),)),
            },
        ),
        (
            Case(rows=((Text(9),),), chunks=(2, 3, 1), decode=1),
            {
                Case(rows=((Text(9),),), decode=1),
                Case(rows=((Text(9),),), chunks=(2, 3, 1)),
                Case(rows=((Text(9),),), chunks=(2, 1), decode=1),
                Case(rows=((Text(9),),), chunks=(5, 1), decode=1),
                Case(rows=((Text(9),),), chunks=(2, 2, 1), decode=1),
            },
        ),
        (
            Case(offset=100_000),
            {Case(), Case(offset=50_000), Case(offset=75_000), Case(offset=99_999)},
        ),
        (
            Case(entry="generate", decode=3),
            {Case(entry="forward"), Case(entry="generate", decode=1)},
        ),
        (
            Case(history=(Call((Text(2),), "generate"), Call((Text(1),)))),
            {
                Case(),
                Case(history=(Call((Text(1),)),)),
                Case(history=(Call((Text(2),), "generate"),)),
                Case(history=(Call((Text(1),), "generate"), Call((Text(1),)))),
                Case(history=(Call((Text(2),)), Call((Text(1),)))),
            },
        ),
        (
            Case(rows=((Image(1, 1),),), extra_placeholders=-3),
            {
                Case(rows=((Image(1, 1),),), extra_placeholders=-1),
                Case(rows=((Image(1, 1),),), extra_placeholders=3),
            },
        ),
    ],
    ids=["rows", "equal rows", "image", "feeding", "offset", "entry", "history", "placeholders"],
)
def test_the_steps_worth_trying_are_among_them(case, expected):
    assert expected - set(simpler(case)) == set()


def test_a_case_without_any_segment_can_be_simplified():
    assert DEFAULT in set(simpler(Case(rows=((), ()), extra_padding=1)))


def test_there_are_few_enough_steps_to_try_them_all(steps):
    """Each one costs a run of the model."""
    assert max(len(found) for _, found in steps) < 700


def test_adjacent_texts_become_one():
    """A split between two runs of text says nothing unless it matters."""
    case = Case(rows=((Text(1), Text(2)),))
    assert Case(rows=((Text(3),),)) in list(simpler(case))
