"""From a case to tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from strategies.case import Case, Image, Text

if TYPE_CHECKING:
    import pytest

    from fuzz.worker.subject import Subject


def test_an_image_of_150x29_is_one_row_of_five_cells(subject_of: Callable[..., Subject]) -> None:
    """The real processor decides: patch 14, merge 2, at least 3136 pixels."""
    from fuzz.worker.inputs import make_prompt

    prompt = make_prompt(subject_of(), (Image(150, 29),), 0)
    assert prompt.grids == ((1, 2, 10),)
    assert prompt.types == (0, 1, 1, 1, 1, 1, 0)
    assert prompt.spans == ((1, 6),)


def test_text_never_uses_a_special_token(subject_of: Callable[..., Subject]) -> None:
    from fuzz.worker.inputs import make_prompt
    from fuzz.worker.subject import special_ids

    subject = subject_of()
    prompt = make_prompt(subject, (Text(2_000),), 0)
    assert not set(prompt.ids) & set(special_ids(subject.config))


def test_last_changes_the_last_token_and_nothing_else(subject_of: Callable[..., Subject]) -> None:
    from fuzz.worker.inputs import make_prompt

    row = (Image(56, 56), Text(4))
    a, b = (make_prompt(subject_of(), row, 3, last=last) for last in (0, 1))
    assert [x == y for x, y in zip(a.ids, b.ids, strict=True)] == [True] * (len(a.ids) - 1) + [
        False
    ]
    assert bool((a.pixels[0] == b.pixels[0]).all())


def test_last_changes_the_pixels_of_a_last_image(subject_of: Callable[..., Subject]) -> None:
    from fuzz.worker.inputs import make_prompt

    row = (Image(56, 56), Image(56, 56))
    a, b = (make_prompt(subject_of(), row, 3, last=last) for last in (0, 1))
    assert a.ids == b.ids
    assert bool((a.pixels[0] == b.pixels[0]).all())
    assert not bool((a.pixels[1] == b.pixels[1]).all())


def test_padding_goes_where_the_case_says(subject_of: Callable[..., Subject]) -> None:
    from fuzz.worker.calls import batch_of

    subject = subject_of()
    rows = ((Text(3),), (Text(1),))
    left = batch_of(subject, Case(rows=rows, extra_padding=1))
    assert left.attention_mask is not None
    assert left.attention_mask.tolist() == [[0, 1, 1, 1], [0, 0, 0, 1]]
    assert left.starts == (1, 3)
    right = batch_of(subject, Case(rows=rows, side="right"))
    assert right.attention_mask is not None
    assert right.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_a_row_keeps_its_content_whatever_stands_beside_it(
    subject_of: Callable[..., Subject],
) -> None:
    from fuzz.worker.calls import prompts_of

    subject = subject_of()
    a = prompts_of(subject, Case(rows=((Text(5),), (Text(4),))))
    b = prompts_of(subject, Case(rows=((Image(56, 56),), (Text(4),))))
    assert a[1].ids == b[1].ids


def test_weights_do_not_depend_on_what_else_is_built(subject_of: Callable[..., Subject]) -> None:
    """Every parameter is set from a seed of its own name; its prefix may move in a release."""
    import torch
    from torch import nn

    from fuzz.worker.subject import set_weights

    def weights(*prefix: str) -> torch.Tensor:
        inner: nn.Module = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(4, 3)])})
        for name in prefix:
            inner = nn.ModuleDict({name: inner})
        set_weights(inner, 1.0)
        return next(inner.parameters()).detach()

    assert bool((weights("model") == weights("model", "language_model")).all())
    assert subject_of() is not None


def test_an_image_is_processed_once_in_a_case_and_anew_in_the_next(
    subject_of: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a property builds its rows; and nothing of one case is left for another."""
    from fuzz.worker import placing, serve

    subject = subject_of()
    asked: list[tuple[int, int]] = []
    place = placing.place

    def counted(subject: Subject, image: Any, extra: int = 0) -> Any:
        asked.append(image.size)
        return place(subject, image, extra)

    monkeypatch.setattr(placing, "place", counted)
    monkeypatch.setattr(serve, "_state", {"subject": subject, "not_applicable": {}})
    case = Case(rows=((Image(56, 56), Text(1)), (Image(28, 84), Text(2))))
    for _ in range(2):
        assert serve.judge("batch_invariance", case).verdict == "pass"
        assert sorted(asked) == [(28, 84), (56, 56)]
        asked.clear()
