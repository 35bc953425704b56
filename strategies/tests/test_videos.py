"""Videos: a minority, small, on the limits of temporal patches, and never where they cannot be."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import find

from strategies.case import TICK, Case, Image, Text, Video, has_videos, has_visuals, videos_of
from strategies.cases import cases
from strategies.geometry import estimated_cells, estimated_tokens
from strategies.rows import MAX_TOKENS
from strategies.simpler import simpler, size_of
from strategies.tests.examples import (
    FILMS,
    QWEN2_VL,
    STEPS,
    draws,
    explicit,
    share,
    single_draws,
)
from strategies.validity import mixed, problems, refusals
from strategies.videos import MAX_CELLS, MAX_FRAMES, as_stills, frame_counts
from strategies.words import describe


@pytest.fixture(scope="module")
def drawn():
    return {
        "films": single_draws(cases(FILMS), 400),
        "steps": single_draws(cases(STEPS), 100),
    }


def _videos(drawn):
    return [v for case in drawn for row in case.rows for v in videos_of(row)]


def test_about_one_in_six_cases_with_pixels_has_a_video(drawn):
    with_pixels = [case for case in drawn["films"] if has_visuals(case)]
    count = sum(any(map(videos_of, case.rows)) for case in with_pixels)
    assert 0.1 <= share(with_pixels, count) <= 0.25


def test_frames_lie_around_what_fills_temporal_patches(drawn):
    counts = Counter(draws(frame_counts(FILMS), 400))
    assert set(counts) <= set(range(1, MAX_FRAMES + 1))
    assert all(counts[n] >= 20 for n in (1, 2, 3, 4, 5))
    assert {v.frames for v in _videos(drawn["films"])} <= set(counts)


def test_times_come_in_ticks_below_at_and_above_a_second(drawn):
    seconds = {v.seconds for v in _videos(drawn["films"])}
    assert not any(s % TICK for s in seconds)
    assert min(seconds) < 1.0 < max(seconds)
    assert 1.0 in seconds


@pytest.mark.parametrize(("name", "geometry"), [("films", FILMS), ("steps", STEPS)])
def test_videos_are_small(drawn, name, geometry):
    for case in drawn[name]:
        assert all(estimated_tokens(geometry, row) <= MAX_TOKENS for row in case.rows)
    assert all(estimated_cells(geometry, v) <= MAX_CELLS for v in _videos(drawn[name]))


def test_images_and_videos_come_together_only_where_a_call_takes_both(drawn):
    assert any(mixed(case.rows) for case in drawn["films"])
    assert not any(mixed(case.rows) for case in drawn["steps"])
    assert any(map(has_videos, drawn["steps"]))


def test_without_videos_none_is_drawn():
    assert not any(has_videos(case) for case in single_draws(cases(QWEN2_VL), 100))


def test_a_geometry_says_why_videos_have_to_be_refused():
    video = Case(rows=((Video(2, 28, 28), Text(1)),))
    both = Case(rows=((Video(2, 28, 28), Image(28, 28)),))
    assert refusals(video, QWEN2_VL) == ("the target takes no videos",)
    assert refusals(video, FILMS) == refusals(both, FILMS) == ()
    assert refusals(both, STEPS) == ("the target does not take images and videos in one call",)


@pytest.mark.parametrize("video", [Video(0, 28, 28), Video(1, 28, 28, 0.0), Video(1, 8, 8, 0.3)])
def test_a_video_needs_frames_and_a_time_in_ticks(video):
    assert len(problems(Case(rows=((video,),)))) == 1


def test_a_video_of_one_frame_shrinks_to_an_image_unless_it_has_to_be_one():
    def minimal(condition):
        return find(
            cases(FILMS),
            condition,
            settings=explicit(3000, shrink=True),
            random=random.Random(3),
        )

    assert minimal(has_visuals) == Case(rows=((Image(1, 1),),))
    found = _simplified(minimal(has_videos), has_videos)
    assert found == Case(rows=((Video(1, 1, 1),),))


@pytest.mark.parametrize(
    ("condition", "least"),
    [
        (lambda v: v.frames >= 3, Video(3, 1, 1)),
        (lambda v: v.seconds >= 5, Video(1, 1, 1, 5.0)),
        (lambda v: v.seconds < 1, Video(1, 1, 1, TICK)),
        (lambda v: v.width >= 57 and v.frames >= 2, Video(2, 57, 1)),
    ],
)
def test_simplification_ends_at_the_axis_of_a_video_alone(condition, least):
    def fails(case):
        return any(condition(v) for row in case.rows for v in videos_of(row))

    start = Case(
        rows=((Text(3), Video(7, 90, 60, 0.25), Image(20, 20)), (Video(6, 90, 60, 50.0), Text(9))),
        decode=2,
    )
    assert fails(start)
    assert _simplified(start, fails) == Case(rows=((least,),))


def test_a_video_is_larger_than_an_image_of_its_size():
    video, image = (Case(rows=((s,),)) for s in (Video(1, 1, 1), Image(200, 200)))
    assert size_of(video) > size_of(image)


def test_stills_keep_sizes():
    assert as_stills((Text(1), Video(4, 30, 20), Image(1, 2))) == (
        Text(1),
        Image(30, 20),
        Image(1, 2),
    )


def test_words_say_frames_size_and_an_unusual_pace():
    assert describe(Case(rows=((Video(4, 56, 28), Text(1)),))) == (
        "video of 4 frames 56x28, one text token"
    )
    assert describe(Case(rows=((Video(1, 56, 28, 0.5),),))) == (
        "video of one frame 56x28 (0.5 s a temporal patch)"
    )


def _simplified(case, condition):
    smaller = True
    while smaller:
        smaller = False
        for other in simpler(case, FILMS):
            if condition(other):
                case, smaller = other, True
                break
    return case
