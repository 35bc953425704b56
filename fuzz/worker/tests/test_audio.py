"""Recordings: what the real processor makes of them, and defects that only they can show."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from fuzz.verdict import Outcome
from strategies.case import Audio, Case, Text
from strategies.geometry import estimated_tokens

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject

PAIR = Case(rows=((Audio(3000), Text(2)), (Audio(2500),)))


@pytest.mark.parametrize(
    ("samples", "tokens", "windows"),
    [(1, 0, 1), (960, 0, 1), (961, 1, 1), (32_000, 25, 1), (32_961, 26, 2), (99_999, 75, 3)],
)
def test_a_recording_becomes_windows_and_a_token_for_80_ms(
    subject_of: Callable[..., Subject], samples: int, tokens: int, windows: int
) -> None:
    """Whisper's frames of 10 ms, two made one, four merged; what is past six seconds is cut off."""
    from fuzz.worker.geometry import geometry_of
    from fuzz.worker.inputs import make_prompt
    from fuzz.worker.placing import AUDIO

    subject = subject_of(family="glmasr")
    prompt = make_prompt(subject, (Audio(samples),), 1)
    assert prompt.types.count(AUDIO) == tokens
    assert len(prompt.images[0].tensors["input_features"]) == windows
    estimate = estimated_tokens(geometry_of(subject), (Audio(samples),))
    assert len(prompt.ids) <= estimate <= len(prompt.ids) + 2


def test_windows_that_see_each_other_are_seen(judge: Callable[..., Outcome]) -> None:
    assert judge("image_independence", PAIR, family="glmasr").verdict == "pass"
    outcome = judge("image_independence", PAIR, "vision-leak", family="glmasr")
    assert outcome.message.startswith("beside others = alone: features of audio 0 of 2")


def test_placeholders_that_do_not_fit_the_features_are_refused(
    judge: Callable[..., Outcome],
) -> None:
    for extra in (1, -1):
        case = Case(rows=PAIR.rows, extra_placeholders=extra)
        assert judge("clean_rejection", case, family="glmasr").verdict == "pass"


def test_what_audio_becomes_is_said_of_a_failure(subject_of: Callable[..., Subject]) -> None:
    from fuzz.worker.explain import images_in_words

    said = images_in_words(subject_of(family="glmasr"), PAIR)
    assert said == [("images", "audio of 3000 samples: 2 tokens; audio of 2500 samples: 2 tokens")]
