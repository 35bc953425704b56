"""Judging in low precision: an error budget against float64 on the same rounded weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from fuzz.verdict import Outcome
from strategies.case import Case, Image, Text

if TYPE_CHECKING:
    import torch

    from fuzz.worker.subject import Subject

EPS = 2.0**-10
FLOOR = 4 * EPS * 2.0  # the largest logit of TRUTH is 1


def judged(value_error: float, reference_error: float, dtype: str = "float16") -> None:
    """Judge two legs of two tokens whose second token is off by so much."""
    import torch

    from fuzz.worker.budget import require_rows_agree

    truth = torch.tensor([[1.0, 0.0], [0.5, 0.25]], dtype=torch.float64)

    def leg(error: float) -> torch.Tensor:
        off = truth.clone()
        off[1, 1] += error
        return off

    legs = leg(value_error), leg(reference_error)
    require_rows_agree(*legs, lambda: truth, dtype, "eager = sdpa", "row 0")


@pytest.mark.parametrize(
    "errors", [(0.1, 0.1), (0.8, 0.1), (0.1, -0.8), (FLOOR, 0.0), (0.8 + FLOOR * 0.9, 0.1)]
)
def test_a_leg_may_be_eight_times_as_far_off_as_the_other_and_a_few_units_more(
    errors: tuple[float, float],
) -> None:
    judged(*errors)


@pytest.mark.parametrize("errors", [(0.8 + 1.1 * FLOOR, 0.1), (0.1, 0.9), (1.1 * FLOOR, 0.0)])
def test_whichever_leg_is_further_off_fails(errors: tuple[float, float]) -> None:
    """float64 may follow the rule of either leg: a right one is not to be taken for luck."""
    from fuzz.worker.failure import Failed

    worse = "eager" if abs(errors[0]) > abs(errors[1]) else "sdpa"
    with pytest.raises(Failed, match=f"row 0: {worse} is off float64 by .* at token 1 of 2"):
        judged(*errors)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("both", [True, False])
def test_what_is_not_finite_fails_even_if_both_legs_agree_in_it(bad: float, both: bool) -> None:
    from fuzz.worker.failure import Failed

    with pytest.raises(Failed, match="eager is not finite from token 1 on"):
        judged(bad, bad if both else 0.0)


def test_the_budget_is_none_of_the_exact_lane() -> None:
    from fuzz.worker.failure import Failed

    with pytest.raises(Failed, match="tolerance 1e-09"):
        judged(1e-6, 1e-6 + 1e-8, "exact")


def test_a_loss_that_differs_fails_and_says_so() -> None:
    """And is no fault of ours, for want of an axis of tokens."""
    import torch

    from fuzz.worker.budget import require_gradients_agree
    from fuzz.worker.calls import Result
    from fuzz.worker.failure import Failed

    class Exact:
        dtype = "exact"

    one, other = (Result((), loss=torch.tensor(x, dtype=torch.float64)) for x in (1.0, 1.1))
    truth: Any = Exact()
    require_gradients_agree(one, one, truth, "a = b")
    with pytest.raises(Failed, match=r"loss: differ by 0\.1 "):
        require_gradients_agree(other, one, truth, "a = b")


def test_float64_is_not_run_where_the_legs_are_alike() -> None:
    """Legs a few units apart keep the budget whatever is right."""
    import torch

    from fuzz.worker.budget import require_rows_agree

    def never() -> torch.Tensor:
        raise AssertionError

    a, b = torch.ones(3, 5), torch.ones(3, 5) + 4 * EPS
    require_rows_agree(a, b, never, "float16", "eager = sdpa", "row 0")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_model_is_built_in_its_dtype_and_its_truth_has_the_same_weights(
    subject_of: Callable[..., Subject], dtype: str
) -> None:
    """Rotary frequencies stay in float32, as where a checkpoint is loaded in that dtype."""
    import torch

    from fuzz.worker.exact import LOW
    from fuzz.worker.subject import model_of

    subject = subject_of(dtype=dtype)
    model, exact = model_of(subject), model_of(subject, dtype="exact", rounded=dtype)
    assert {p.dtype for p in model.parameters()} == {LOW[dtype]}
    assert {b.dtype for n, b in model.named_buffers() if "inv_freq" in n} == {torch.float32}
    assert {t.dtype for t in (*exact.parameters(), *exact.buffers())} == {torch.float64}
    for a, b in zip(model.parameters(), exact.parameters(), strict=True):
        assert torch.equal(a.double(), b)


def test_a_native_lane_within_the_exact_one_is_native() -> None:
    import torch

    from fuzz.worker.exact import lane

    with lane("exact"), lane("float16"):
        assert torch.ones(1).float().dtype == torch.float32
        with lane("exact"):
            assert torch.ones(1).float().dtype == torch.float64
        assert torch.ones(1, dtype=torch.float16).float().dtype == torch.float32


FAR = Case(rows=((Text(2),),), gap=16_384, gap_at=1)


@pytest.mark.parametrize("dtype", ["exact", "bfloat16"])
def test_a_cast_that_rounds_rotary_frequencies_is_named_so(
    judge: Callable[..., Outcome], dtype: str
) -> None:
    """Upstream's: known where it stands in the ledger. Lent its frequencies back, a cast agrees."""
    outcome = judge("low_precision", FAR, dtype=dtype)
    kind = "float16" if dtype == "exact" else dtype
    assert outcome.signature is not None
    assert outcome.signature.what == f"cast to {kind} = built in {kind}, rotary frequencies"


def test_another_mistake_of_a_cast_is_not_covered_by_that(
    subject_of: Callable[..., Subject],
    judge: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What float32 frequencies do not mend has a name of its own, which the ledger lacks."""

    from fuzz.worker import subject

    plain = subject._build

    def build(there: Subject, how: subject.Build) -> Any:
        model: Any = plain(there, how)
        if how.cast:
            model.get_output_embeddings().weight.data[7] += 1.0
        return model

    monkeypatch.setattr(subject, "_build", build)
    monkeypatch.setattr(subject_of(), "models", {})
    for case in (FAR, Case(rows=((Text(2),),))):
        outcome = judge("low_precision", case)
        assert outcome.signature is not None
        leg = "cast to float16 = built in float16"
        assert outcome.signature.what == f"{leg}, rotary frequencies left alone"


PADDED = Case(rows=((Text(3), Image(56, 56)), (Text(2),)), gain=3.0, decode=1)


@pytest.mark.parametrize(
    ("property_id", "plant", "case"),
    [
        ("padding_invariance", "padding-leak", Case(extra_padding=1)),
        ("batch_invariance", "batch-crosstalk", Case(rows=((Text(2),), (Text(1),)))),
        ("causality", "causal-off-by-one", Case(rows=((Text(2),),))),
        ("cache_agreement", "positions-restart", Case(rows=((Text(3),),), chunks=(1,))),
        ("rotary_reference", "mrope-axes-swapped", Case(rows=((Image(112, 28),),))),
    ],
)
def test_properties_keep_their_power_in_float16(
    judge: Callable[..., Outcome], property_id: str, plant: str, case: Case
) -> None:
    """A hot, padded batch with an image passes; a defect fails."""
    assert judge(property_id, PADDED, dtype="float16").verdict == "pass"
    outcome = judge(property_id, case, plant, dtype="float16")
    assert outcome.signature is not None
    assert outcome.signature.property == property_id
