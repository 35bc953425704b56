"""Comparing results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from strategies.case import Case

if TYPE_CHECKING:
    from fuzz.verdict import Outcome


def test_nan_fails() -> None:
    import torch

    from fuzz.worker.compare import require_close
    from fuzz.worker.failure import Failed

    with pytest.raises(Failed, match="not finite from token 1 on"):
        require_close(
            torch.tensor([[1.0], [float("nan")]]), torch.ones(2, 1), 1e-9, "leg", "logits"
        )


def test_another_shape_fails() -> None:
    import torch

    from fuzz.worker.compare import require_close
    from fuzz.worker.failure import Failed

    with pytest.raises(Failed, match="shape"):
        require_close(torch.ones(2, 1), torch.ones(3, 1), 1e-9, "leg", "logits")


def test_the_first_wrong_token_is_named() -> None:
    import torch

    from fuzz.worker.compare import require_close
    from fuzz.worker.failure import Failed

    value = torch.zeros(4, 2, dtype=torch.float64)
    value[2, 1] = 1e-6
    with pytest.raises(Failed, match="first at token 2 of 4, 1 of 4 tokens"):
        require_close(value, torch.zeros(4, 2), 1e-9, "leg", "logits")


def test_the_distance_is_relative_to_the_largest_reference() -> None:
    import torch

    from fuzz.worker.compare import distance

    assert distance(torch.tensor([11.0]), torch.tensor([9.0])) == pytest.approx(0.2)
    assert distance(torch.ones(0), torch.ones(0)) == 0.0


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"a": 1.0, "b": 2.5}, "gradient of b differs by 0.17 .*, that of 1 of 2 parameters"),
        ({"a": 1.0, "b": float("nan")}, "gradient of b differs by nan"),
        ({"a": 3.0, "b": float("nan")}, "gradient of b differs by nan .*, that of 2 of 2"),
        ({"b": 2.0}, "gradient of a differs by 0.5"),
        ({"a": 1.0, "b": 2.0, "c": 1.0}, "gradient of c differs by 1 .*, that of 1 of 3"),
    ],
)
def test_the_parameter_whose_gradient_is_furthest_off_is_named(
    value: dict[str, float], named: str
) -> None:
    """One without a gradient is at 0, and not a number is as far off as can be."""
    import torch

    from fuzz.worker.compare import require_close_gradients
    from fuzz.worker.failure import Failed

    reference = {"a": torch.tensor([1.0]), "b": torch.tensor([2.0])}
    require_close_gradients(reference, reference, 1e-9, "leg")
    found = {name: torch.tensor([x]) for name, x in value.items()}
    with pytest.raises(Failed, match=named):
        require_close_gradients(found, reference, 1e-9, "leg")


def test_a_pass_with_nothing_to_compare_says_so(judge: Callable[..., Outcome]) -> None:
    """``generation_agreement`` has nothing to hold of a case that is not generated from."""
    assert judge("generation_agreement", Case()).idle
    assert not judge("generation_agreement", Case(entry="generate", decode=1)).idle
