"""What the tests share: geometries of real families, and drawing outside of a test."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy, lists

from strategies.geometry import Geometry
from strategies.independent import INDEPENDENT

T = TypeVar("T")

QWEN2_VL: Final = Geometry(
    images=True,
    patch=14,
    merge=2,
    temporal_patch=2,
    window=0,
    min_pixels=3136,
    max_pixels=12544,
    max_aspect=200,
    max_positions=512,
    sliding_window=0,
    frame_tokens=2,
)
TEXT_ONLY: Final = replace(QWEN2_VL, images=False)
# Limits as a user's checkpoint has them: nothing is capped for the fuzzer's sake.
UNCAPPED: Final = replace(
    QWEN2_VL, patch=16, window=128, min_pixels=65_536, max_pixels=16_777_216, max_positions=262_144
)
NARROW: Final = replace(QWEN2_VL, max_aspect=3, merge=4, frame_tokens=0, sliding_window=48)
# Videos in one block beside images, as Qwen2-VL has them, or a temporal patch at a time, as GLM.
FILMS: Final = replace(QWEN2_VL, videos=True, video_tokens=2)
STEPS: Final = replace(
    QWEN2_VL, videos=True, video_tokens=2, step_tokens=4, videos_beside_images=False
)
# Up to 4.49 the processor refused sides below one merged cell.
OLD: Final = replace(FILMS, min_side=28)
GEOMETRIES: Final = {
    "qwen2_vl": QWEN2_VL,
    "text_only": TEXT_ONLY,
    "uncapped": UNCAPPED,
    "narrow": NARROW,
    "films": FILMS,
    "steps": STEPS,
    "old": OLD,
}


def explicit(examples: int, *, shrink: bool = False) -> settings:
    """Return settings that no Hypothesis profile changes (it loads another one under CI)."""
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


def draws(strategy: SearchStrategy[T], count: int = 2000, start: int = 0) -> list[T]:
    """Return what Hypothesis draws from a strategy under a seed.

    Ten at a time: on its own, a small strategy would be enumerated without repeats, which says
    nothing about how often its values come up within a case.
    """
    drawn: list[T] = []

    @seed(start)
    @explicit(count // 10)
    @given(lists(strategy, min_size=10, max_size=10))
    def collect(values: list[T]) -> None:
        drawn.extend(values)

    collect()
    return drawn


def single_draws(strategy: SearchStrategy[T], count: int = 1000, start: int = 0) -> list[T]:
    """Return what a campaign draws from a strategy under a seed."""
    drawn: list[T] = []

    @seed(start)
    @settings(explicit(count), backend=INDEPENDENT)
    @given(strategy)
    def collect(value: T) -> None:
        drawn.append(value)

    collect()
    return drawn


def share(values: list[T], count: int) -> float:
    """Return a count as a share of the values drawn."""
    return count / len(values)
