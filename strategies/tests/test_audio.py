"""Audio: on the limits of frames, tokens and windows, in every kind of case, and made simpler."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import find

from strategies.audio import recordings
from strategies.case import Audio, Case, Text, from_json, has_audio, media_of, to_json
from strategies.cases import cases
from strategies.geometry import estimated_tokens, without_images
from strategies.kinds import kinds_for
from strategies.rows import MAX_TOKENS
from strategies.simpler import simpler, size_of
from strategies.tests.examples import draws, single_draws
from strategies.validity import problems, refusals
from strategies.words import describe

WORDS = without_images(2048)
GLM_ASR = replace(
    WORDS,
    audio=True,
    audio_hop=160,
    audio_step=1280,
    audio_window=32_000,
    most_windows=3,
    audio_tokens=2,
)


@pytest.fixture(scope="module")
def drawn() -> list[Case]:
    return single_draws(cases(GLM_ASR), 300)


def test_half_of_the_cases_have_audio_and_no_row_is_too_long(drawn):
    assert 0.3 <= sum(map(has_audio, drawn)) / len(drawn) <= 0.8
    rows = [row for case in drawn for row in case.rows]
    assert max(len(media_of(row)) for row in rows) == 1
    assert all(estimated_tokens(GLM_ASR, row) <= MAX_TOKENS for row in rows)


def test_lengths_lie_around_frames_tokens_windows_and_what_is_cut_off():
    lengths = {audio.samples for audio in draws(recordings(GLM_ASR), 600)}
    for limit in (160, 1280, 32_000, 96_000):
        assert {limit - 1, limit, limit + 1} & lengths
    assert min(lengths) >= 1
    assert max(lengths) <= 96_000 + 1280


@pytest.mark.parametrize("kind", kinds_for(GLM_ASR))
def test_every_kind_of_case_is_one_of_the_targets(kind):
    for case in single_draws(cases(GLM_ASR, kind), 60):
        assert not problems(case)
        assert bool(refusals(case, GLM_ASR)) == (kind == "clean_rejection"), case
    if kind == "image_independence":
        made = single_draws(cases(GLM_ASR, kind), 30)
        assert all(sum(len(media_of(row)) for row in case.rows) >= 2 for case in made)


def test_a_target_without_audio_gets_none_and_says_why_it_refuses_it():
    assert not any(has_audio(case) for case in single_draws(cases(WORDS), 60))
    case = Case(rows=((Audio(1600), Text(2)),))
    assert refusals(case, WORDS) == ("the target takes no audio",)
    assert not refusals(case, GLM_ASR)
    two = Case(rows=((Audio(1600), Audio(1600)),))
    assert refusals(two, GLM_ASR) == ("the target takes one recording a prompt",)


def test_audio_travels_and_reads_as_seconds_where_that_is_exact():
    case = Case(rows=((Audio(19_200), Text(1), Audio(19_201)),))
    assert from_json(to_json(case)) == case
    words = describe(case)
    assert words.startswith("audio of 1.2 s, one text token, audio of 19201 samples")
    assert "no image" not in words


def test_shrinking_ends_at_the_shortest_audio_that_fails():
    long = find(cases(GLM_ASR), lambda c: any(isinstance(s, Audio) for s in c.rows[0]))
    assert Audio(1) in long.rows[0]
    case = Case(rows=((Text(5), Audio(40_000)), (Audio(3), Text(2))))

    def fails(case: Case) -> bool:
        lengths = (s.samples for row in case.rows for s in row if isinstance(s, Audio))
        return max(lengths, default=0) > 32_000

    while better := next((c for c in simpler(case, GLM_ASR) if fails(c)), None):
        assert size_of(better) < size_of(case)
        case = better
    assert case == Case(rows=((Audio(32_001),),))
