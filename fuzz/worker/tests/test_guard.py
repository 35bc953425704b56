"""The index guard names the index, the table, the operation, the module and the source line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Deed = Callable[[Any], Any]

# Each takes torch, so that collecting needs none.
DEEDS: dict[str, tuple[Deed, str]] = {
    "index": (
        lambda t: t.zeros(3, 4)[t.tensor([0, 3])],
        "index 3 passed a table of 3 rows (dimension 0): index on 3x4 float32 by 2 int64 with "
        "indices from 0 to 3",
    ),
    "index, second dimension": (
        lambda t: t.zeros(3, 4)[:, t.tensor([7])],
        "index 7 passed a table of 4 rows (dimension 1)",
    ),
    "index after a mask": (
        lambda t: t.zeros(3, 4)[t.tensor([True, False, True]), t.tensor([0, 9])],
        "index 9 passed a table of 4 rows (dimension 1)",
    ),
    "index from the end": (
        lambda t: t.zeros(3)[t.tensor([-4])],
        "index -4 passed a table of 3 rows",
    ),
    "index_put": (
        lambda t: t.zeros(3).index_put_((t.tensor([5]),), t.ones(1)),
        "index 5 passed a table of 3 rows (dimension 0): index_put",
    ),
    "index_select": (
        lambda t: t.zeros(3, 2).index_select(1, t.tensor([2])),
        "index 2 passed a table of 2 rows (dimension 1): index_select",
    ),
    "index_copy": (
        lambda t: t.zeros(3).index_copy_(0, t.tensor([3]), t.ones(1)),
        "index 3 passed a table of 3 rows (dimension 0): index_copy",
    ),
    "gather": (
        lambda t: t.zeros(2, 3).gather(1, t.tensor([[3]])),
        "index 3 passed a table of 3 rows (dimension 1): gather",
    ),
    "gather, negative": (
        lambda t: t.zeros(2, 3).gather(1, t.tensor([[-1]])),
        "index -1 passed a table of 3 rows (dimension 1): gather",
    ),
    "scatter": (
        lambda t: t.zeros(3).scatter_(0, t.tensor([4]), 1.0),
        "index 4 passed a table of 3 rows (dimension 0): scatter",
    ),
    "embedding": (
        lambda t: t.nn.functional.embedding(t.tensor([8]), t.zeros(8, 2)),
        "index 8 passed a table of 8 rows (dimension 0): embedding",
    ),
    "take": (
        lambda t: t.take(t.zeros(2, 2), t.tensor([4])),
        "index 4 passed a table of 4 rows (dimension 0): take",
    ),
    "take_along_dim": (
        lambda t: t.take_along_dim(t.zeros(2, 3), t.tensor([[3], [0]]), dim=1),
        "index 3 passed a table of 3 rows (dimension 1): take_along_dim",
    ),
    "masked_scatter, too few": (
        lambda t: t.zeros(3).masked_scatter(t.tensor([True, True, True]), t.ones(2)),
        "a mask of 3 elements takes from a source of 2 (too few: it reads past them)",
    ),
    "masked_scatter, too many": (
        lambda t: t.zeros(3).masked_scatter(t.tensor([True, False, False]), t.ones(2)),
        "a mask of 1 elements takes from a source of 2 (the rest is dropped)",
    ),
}


@pytest.mark.parametrize("name", DEEDS)
def test_a_bad_index_is_a_sentence(name: str) -> None:
    import torch

    from fuzz.worker.guard.index import OutOfBounds, guarded

    deed, sentence = DEEDS[name]
    with guarded(), pytest.raises(OutOfBounds) as caught:
        deed(torch)
    assert str(caught.value).startswith(sentence)


def test_good_indices_pass_and_results_are_the_same() -> None:
    import torch

    from fuzz.worker.guard.index import guarded

    table = torch.arange(12.0).view(3, 4)

    def work() -> list[Any]:
        return [
            table[torch.tensor([2, -3])],
            table[table > 3],
            table[:, torch.tensor([[0, 3]])],
            table.gather(1, torch.tensor([[3], [0]])),
            torch.take_along_dim(table, torch.tensor([[2], [1], [3]]), dim=1),
            torch.nn.functional.embedding(torch.tensor([2]), table),
            torch.zeros(3).masked_scatter(torch.tensor([True, False, True]), torch.ones(2)),
            table[torch.zeros(0, dtype=torch.long)],
        ]

    plain = work()
    with guarded():
        watched = work()
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))


def test_the_module_is_named_by_its_path() -> None:
    import torch

    from fuzz.worker.guard.index import OutOfBounds, guarded

    model = torch.nn.ModuleDict({"outer": torch.nn.Sequential(torch.nn.Embedding(4, 2))})
    with guarded(model), pytest.raises(OutOfBounds, match=r", in outer\.0$"):
        model["outer"](torch.tensor([4]))
    # Outside of any module there is none to name, and nothing is left over.
    with guarded(model), pytest.raises(OutOfBounds, match=r"indices from 9 to 9$"):
        torch.zeros(3)[torch.tensor([9])]
