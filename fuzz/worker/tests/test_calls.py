"""How a case is fed into a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from strategies.case import Case, Image, Text

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject

Pieces = tuple[tuple[int, int], ...]


@pytest.mark.parametrize(
    ("case", "pieces"),
    [
        (Case(rows=((Text(6),),)), ((0, 6),)),
        (Case(rows=((Text(6),),), chunks=(2, 3)), ((0, 2), (2, 5), (5, 6))),
        (Case(rows=((Text(6),),), chunks=(9,)), ((0, 6),)),
        (Case(rows=((Text(6),),), decode=2), ((0, 4), (4, 5), (5, 6))),
        (Case(rows=((Text(6),),), chunks=(1,), decode=1), ((0, 1), (1, 5), (5, 6))),
        (Case(rows=((Text(2),),), decode=3), ((0, 1), (1, 2))),
        # 1 text token, start marker, 4 cells, end marker, 3 text tokens.
        (
            Case(rows=((Text(1), Image(56, 56), Text(3)),), chunks=(2,)),
            ((0, 2), (2, 10)),
        ),
        (
            Case(rows=((Text(1), Image(56, 56), Text(3)),), chunks=(2,), entry="forward-implicit"),
            ((0, 7), (7, 10)),
        ),
        # Every row has a token in the first piece when the model counts positions itself.
        (
            Case(rows=((Text(6),), (Text(1),)), chunks=(2,), entry="forward-implicit"),
            ((0, 6),),
        ),
    ],
)
def test_pieces(subject_of: Callable[..., Subject], case: Case, pieces: Pieces) -> None:
    """Chunks and decode steps cut the padded batch; a cut that comes too early is moved."""
    from fuzz.worker.calls import batch_of
    from fuzz.worker.feed import feed_of

    batch = batch_of(subject_of(), case)
    assert feed_of(case, batch).pieces == pieces


def test_without_a_split_there_is_no_cache(subject_of: Callable[..., Subject]) -> None:
    from fuzz.worker.calls import batch_of
    from fuzz.worker.feed import feed_of

    case = Case(rows=((Text(6),),), chunks=(2,), cache="static")
    batch = batch_of(subject_of(), case)
    assert feed_of(case, batch, split=False).cache == ""
    assert feed_of(case, batch).cache == "static"


def test_offset_and_gap_move_the_positions_of_tokens_not_of_columns(
    subject_of: Callable[..., Subject],
) -> None:
    """A padded row has its gap at the same token as the row by itself."""
    from fuzz.worker.calls import batch_of, explicit_positions
    from fuzz.worker.feed import feed_of
    from fuzz.worker.subject import model_of

    subject = subject_of()
    case = Case(rows=((Text(4),), (Text(2),)), offset=100, gap=7, gap_at=1)
    batch = batch_of(subject, case)
    positions = explicit_positions(model_of(subject), batch, feed_of(case, batch))
    assert positions[0, 0].tolist() == [100, 108, 109, 110]
    assert positions[0, 1, 2:].tolist() == [100, 108]


def test_an_image_split_over_chunks_gives_what_one_forward_gives(
    subject_of: Callable[..., Subject],
) -> None:
    from fuzz.worker import serve

    subject_of()
    case = Case(rows=((Image(112, 112), Text(1)),), chunks=(3, 4))
    assert serve.judge("cache_agreement", case).verdict == "pass"


def test_generate_is_compared_up_to_the_first_other_choice() -> None:
    """After two greedy runs have parted they continue different texts."""
    import torch

    from fuzz.worker.calls import Result, comparable

    a = Result((torch.zeros(3, 5),), ((1, 2, 3),))
    b = Result((torch.zeros(3, 5),), ((1, 9, 3),))
    ((left, right),) = comparable(a, b)
    assert len(left) == len(right) == 2


def test_a_model_is_handed_out_without_the_cache_that_generate_kept_on_it(
    subject_of: Callable[..., Subject],
) -> None:
    from fuzz.worker.subject import model_of

    subject = subject_of(family="llama")
    model_of(subject)._cache = object()
    assert not hasattr(model_of(subject), "_cache")
