"""Judging two legs of a comparison: by a tolerance, or in low precision by an error budget.

What float16 and bfloat16 lose depends on the case far more than on what is compared, so there is no
tolerance that lets noise pass and defects not. Instead both legs are held against float64 on the
same rounded weights: neither may be more than a few times as far off as the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import torch

from fuzz.target import FLASH
from fuzz.worker import calls, flash
from fuzz.worker.calls import Result, comparable
from fuzz.worker.compare import distance, hold, require_close, require_close_gradients
from fuzz.worker.exact import LOW, gradient_tolerance, lane, tolerance
from fuzz.worker.failure import Failed
from fuzz.worker.inputs import Batch
from fuzz.worker.subject import Subject, model_of
from strategies.case import Case

TIMES: Final = 8.0
"""How many times as far off as the other a leg may be.

Measured between correct legs of dense models: 2.5 at most beside the roundings below, 5 where one
of them had all its luck."""

ROUNDINGS: Final = 4.0
"""Units of the dtype, relative to 1 plus the largest logit, that a leg may be off in any case.

The last product alone rounds each logit by half a unit, and a leg whose other roundings cancel
comes out with hardly more; by that luck the other one must not be measured."""


@dataclass(slots=True)
class Truth:
    """The reference leg in float64, on weights rounded to a low dtype; run when first needed.

    Attributes:
        subject: the subject.
        case: what the reference leg runs.
        batch: its batch; pixels are in the low dtype.
        split: see :func:`fuzz.worker.calls.run`.
        dtype: of the legs, one of :data:`fuzz.target.DTYPES`.
    """

    subject: Subject
    case: Case
    batch: Batch
    split: bool = True
    dtype: str = ""
    _results: list[Result] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take the target's dtype where none is given."""
        self.dtype = self.dtype or self.subject.target.dtype

    def result(self) -> Result:
        """Return what the leg gives in float64."""
        if not self._results:
            attn = exact_attention(self.subject)
            with lane("exact"):
                model = model_of(
                    self.subject, attn, self.case.gain, dtype="exact", rounded=self.dtype
                )
                self._results.append(
                    calls.run(self.subject, model, self.case, self.batch, split=self.split)
                )
        return self._results[0]


def exact_attention(subject: Subject) -> str:
    """Return the target's attention implementation, or the family's where it has no float64."""
    attn = subject.target.attn
    return subject.family.attention if attn == FLASH and flash.obstacle("exact") else attn


def require_agreement(
    value: Result,
    reference: Result,
    truth: Truth,
    leg: str,
    *,
    first_row: int = 0,
    slack: float = 0.0,
) -> None:
    """Raise :class:`Failed` unless two results agree as well as their dtype allows.

    Args:
        value: one leg.
        reference: the other, of as many rows.
        truth: what ``reference`` should have been, and the dtype of both.
        leg: the comparison, as it stands in the signature.
        first_row: number of the first row, for the message.
        slack: what may be added to the allowance, relative to 1 plus the largest logit.
    """
    for row, (a, b) in enumerate(comparable(value, reference)):

        def right(row: int = row) -> torch.Tensor:
            # Of a generate, only up to where one of the three chooses otherwise.
            known = truth.result()
            keep = min(len(comparable(r, known)[row][1]) for r in (value, reference))
            return known.logits[row][:keep]

        names = f"logits of row {first_row + row}"
        require_rows_agree(a, b, right, truth.dtype, leg, names, slack)


def require_gradients_agree(value: Result, reference: Result, truth: Truth, leg: str) -> None:
    """Raise :class:`Failed` unless losses and gradients agree, where there are any.

    In low precision a leg is as far off as its worst parameter is, each measured as
    ``max|g - t| / (1 + max|t|)``: what a single parameter loses is chance.

    Args:
        value: one leg.
        reference: the other.
        truth: what ``reference`` should have been, and the dtype of both.
        leg: the comparison, as it stands in the signature.
    """
    if value.loss is None or reference.loss is None:
        return
    loss = f"loss: {leg}"
    gradients = f"gradients: {leg}"
    low = LOW.get(truth.dtype)
    if low is None:
        slack = tolerance(truth.dtype)
        ours, theirs = value.loss.reshape(1, 1), reference.loss.reshape(1, 1)
        require_close(ours, theirs, slack, loss, "loss")
        limit = gradient_tolerance(truth.dtype)
        require_close_gradients(value.gradients, reference.gradients, limit, gradients)
        return
    right = truth.result()
    floor = ROUNDINGS * torch.finfo(low).eps
    off, worst = [], []
    for leg_of in (value, reference):
        sizes = {n: _off(leg_of.gradients.get(n), t) for n, t in right.gradients.items()}
        worst.append(max(sizes, key=lambda n: (math.isnan(sizes[n]), sizes[n])))
        off.append(sizes[worst[-1]])
    for mine, other, side in zip((0, 1), (1, 0), leg.split(" = "), strict=True):
        allowed = TIMES * off[other] + floor
        # Written this way round so that NaN fails.
        if not off[mine] <= allowed < math.inf:
            raise Failed(
                gradients,
                f"the gradient of {worst[mine]} in {side} is off float64 by {off[mine]:.2g}, the "
                f"other's worst by {off[other]:.2g} ({TIMES:g} times that and {floor:.1g} are "
                "allowed)",
            )


def _off(gradient: torch.Tensor | None, truth: torch.Tensor) -> float:
    return distance(torch.zeros_like(truth) if gradient is None else gradient.double(), truth)


def require_rows_agree(
    value: torch.Tensor,
    reference: torch.Tensor,
    truth: Callable[[], torch.Tensor],
    dtype: str,
    leg: str,
    names: str,
    slack: float = 0.0,
) -> None:
    """Raise :class:`Failed` unless one row of two results agrees as well as the dtype allows.

    Args:
        value: (tokens or steps, vocabulary).
        reference: the same shape.
        truth: gives what ``reference`` should have been, its first tokens or steps.
        dtype: of both, one of :data:`fuzz.target.DTYPES`.
        leg: see :func:`require_agreement`.
        names: what is compared, for the message.
        slack: see :func:`require_agreement`.
    """
    low = LOW.get(dtype)
    if low is None or value.shape != reference.shape:
        require_close(value, reference, tolerance(dtype) + slack, leg, names)
    elif not alike(value, reference, low, slack):
        right = truth()
        keep = min(len(value), len(right))
        within_budget(value[:keep], reference[:keep], right[:keep], low, leg, names, slack)


def alike(a: torch.Tensor, b: torch.Tensor, dtype: torch.dtype, slack: float = 0.0) -> bool:
    """Tell whether two legs are so close that both keep the budget, whatever is right.

    For any t: ``|a - t| <= |b - t| + |a - b|``, which the budget allows if ``|a - b|`` is no more
    than what a leg may be off in any case.
    """
    if a.numel() == 0:
        return True
    hold()
    a, b = a.double(), b.double()
    # Written this way round so that NaN is not alike.
    return float((a - b).abs().max()) <= _floor(torch.minimum(a.abs(), b.abs()), dtype, slack)


def within_budget(
    value: torch.Tensor,
    reference: torch.Tensor,
    truth: torch.Tensor,
    dtype: torch.dtype,
    leg: str,
    names: str,
    slack: float = 0.0,
) -> None:
    """Raise :class:`Failed` if one leg is off more than the budget allows.

    A leg a may be off by ``TIMES`` the error of the other leg, plus ``ROUNDINGS`` units of the
    dtype times ``1 + max|truth|``; each is the largest error of a row. Both legs are held to it:
    float64 may follow the rule of either.

    Args:
        value: (tokens or steps, vocabulary).
        reference: the same shape.
        truth: the same shape, float64.
        dtype: of both legs.
        leg: see :func:`require_agreement`.
        names: what is compared, for the message.
        slack: see :func:`require_agreement`.
    """
    if truth.numel() == 0:
        return
    left, right = leg.split(",")[0].split(" = ")
    for x in (value, reference):
        if not bool(torch.isfinite(x).all()):
            token = int((~torch.isfinite(x)).flatten(1).any(1).nonzero()[0])
            side = left if x is value else right
            raise Failed(leg, f"{names}: {side} is not finite from token {token} on")
    floor = _floor(truth, dtype, slack)
    errors = [(x.double() - truth).abs().flatten(1).amax(1) for x in (value, reference)]
    off = [float(e.max()) for e in errors]
    for mine, other, side in ((0, 1, left), (1, 0, right)):
        allowed = TIMES * off[other] + floor
        # Written this way round so that NaN fails.
        if not off[mine] <= allowed < math.inf:
            first = int((~(errors[mine] <= allowed)).nonzero()[0])
            raise Failed(
                leg,
                f"{names}: {side} is off float64 by {off[mine]:.2g}, the other by "
                f"{off[other]:.2g} ({TIMES:g} times that and {floor:.1g} are allowed), first at "
                f"token {first} of {len(truth)}",
            )


def _floor(truth: torch.Tensor, dtype: torch.dtype, slack: float) -> float:
    unit = torch.finfo(dtype).eps
    return (ROUNDINGS * unit + slack) * (1.0 + float(truth.abs().max()))
