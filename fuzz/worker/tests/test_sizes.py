"""What an image size becomes is what the processor makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject

SIZES = [(1, 1), (4, 1), (150, 29), (41, 41), (42, 42), (97, 24), (98, 24), (200, 200), (1, 300)]


@pytest.mark.parametrize("family", ["qwen2_vl", "glm4v"])
def test_the_quick_way_gives_what_the_processor_gives(
    subject_of: Callable[..., Subject], family: str
) -> None:
    from fuzz.worker.sizes import _arithmetic, _by_processor, has_grids, sizes_of

    subject = subject_of(family=family)
    assert has_grids(subject)
    quick = _arithmetic(subject)
    assert quick is not None
    assert sizes_of(subject, SIZES) == [_by_processor(subject, size) for size in SIZES]
    assert None in sizes_of(subject, SIZES) or family == "glm4v"


def test_a_processor_whose_arithmetic_is_another_is_asked_for_every_size(
    subject_of: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fuzz.worker import sizes

    subject = subject_of()
    true = sizes.sizes_of(subject, SIZES)
    monkeypatch.setattr(sizes, "_arithmetic", lambda _: lambda _: [9, 9])
    assert sizes.sizes_of(subject, SIZES) == true


def test_text_models_have_no_grids(subject_of: Callable[..., Subject]) -> None:
    from fuzz.worker.sizes import has_grids

    assert not has_grids(subject_of(family="llama"))
