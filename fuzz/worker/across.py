"""The same case in two releases: what one gives travels to the other, which compares.

Two legs, so that a difference is told where it is made: what the processor makes of the case, and
what the model makes of identical tensors, those of the baseline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch

from fuzz.worker import arrays, calls
from fuzz.worker.calls import Result
from fuzz.worker.capture import positions_reaching_rope
from fuzz.worker.compare import distance, require_close
from fuzz.worker.exact import gradient_tolerance, tolerance
from fuzz.worker.failure import Failed
from fuzz.worker.inputs import Batch, Prompt
from fuzz.worker.placing import Placed
from fuzz.worker.subject import Subject, model_of, stable_name
from strategies.case import Case

PROCESSOR: Final = "processor output"
POSITIONS: Final = "position ids"
LOGITS: Final = "logits"
LOSS: Final = "loss"
GRADIENTS: Final = "gradients"

PROCESSOR_TOLERANCE: Final = 1e-6
"""Processors compute in float32, in another order from release to release: a few units in the last
place. The smallest change of a pixel is ten thousand times as large."""

_WIDEST: Final = 4096
_FOLDED: Final = 1024


def check(subject: Subject, case: Case, against: Mapping[str, Any] | None) -> dict[str, Any]:
    """Run a case and return what it gave, to be compared elsewhere, or compare it here.

    Args:
        subject: the subject.
        case: the case.
        against: what another release gave, None where this is the first one.

    Returns:
        What this release gives, as :mod:`fuzz.worker.arrays` packs it; nothing where it compares.

    Raises:
        Failed: the two differ.
    """
    prompts = calls.prompts_of(subject, case)
    if against is not None:
        theirs = _prompts_from(against["prompts"])
        _compare_prompts(prompts, theirs)
        prompts = theirs
    model = model_of(subject, gain=case.gain)
    calls.run_history(subject, model, case)
    batch = calls.batch_of(subject, case, prompts)
    with positions_reaching_rope(model) as positions:
        result = calls.run(subject, model, case, batch)
    seen = _real_positions(positions, batch)
    if against is None:
        return {
            "prompts": [_prompt_to_plain(p) for p in prompts],
            "positions": [arrays.pack(p) for p in seen],
            **_result_to_plain(result),
        }
    _compare_positions(seen, [arrays.unpack(p) for p in against["positions"]])
    _compare_results(result, against, subject.target.dtype)
    return {}


def _compare_prompts(ours: Sequence[Prompt], theirs: Sequence[Prompt]) -> None:
    for row, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        for number, (a, b) in enumerate(zip(one.images, other.images, strict=True)):
            names = f"row {row}, image {number}"
            if a.ids != b.ids:
                raise Failed(
                    PROCESSOR, f"{names}: {len(a.ids)} tokens, {len(b.ids)} in the baseline"
                )
            for name in sorted({*a.tensors, *b.tensors}):
                if name not in a.tensors or name not in b.tensors:
                    side = "the baseline" if name not in a.tensors else "the candidate"
                    raise Failed(PROCESSOR, f"{names}: only {side} gives {name}")
                value, reference = a.tensors[name].double(), b.tensors[name].double()
                require_close(value, reference, PROCESSOR_TOLERANCE, PROCESSOR, f"{names}, {name}")
        if one.ids != other.ids or one.types != other.types:
            # Of our own making, from the same seed: then the families' token ids differ.
            raise Failed(PROCESSOR, f"row {row}: other token ids")


def _compare_positions(ours: Sequence[torch.Tensor], theirs: Sequence[torch.Tensor]) -> None:
    if len(ours) != len(theirs):
        return  # one of them asks for its rotations in more calls: only results can be compared
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if one.shape[1:] != other.shape[1:]:
            return
        axes = max(len(one), len(other))
        if 1 not in (len(one), len(other)) and len(one) != len(other):
            return
        a, b = one.expand(axes, -1), other.expand(axes, -1)
        if not torch.equal(a, b):
            axis, token = (int(i) for i in (a != b).nonzero()[0])
            raise Failed(
                POSITIONS,
                f"call {number}: {int(a[axis, token])} for real token {token} on axis {axis}, "
                f"{int(b[axis, token])} in the baseline; {int((a != b).any(0).sum())} of "
                f"{a.shape[1]} tokens differ",
            )


def _compare_results(ours: Result, against: Mapping[str, Any], dtype: str) -> None:
    theirs = Result(
        tuple(arrays.unpack(x) for x in against["logits"]),
        tuple(tuple(row) for row in against["tokens"]),
    )
    mine = Result(tuple(_folded(x) for x in ours.logits), ours.tokens)
    for row, (value, reference) in enumerate(calls.comparable(mine, theirs)):
        value, reference = _without_common_nonsense(value, reference)
        require_close(value, reference, tolerance(dtype), LOGITS, f"row {row}, logits")
    if ours.loss is not None:
        value, reference = _without_common_nonsense(
            ours.loss.reshape(1, 1).cpu(), arrays.unpack(against["loss"])
        )
        require_close(value, reference, tolerance(dtype), LOSS, "loss")
    _compare_gradients(ours, against["gradients"], gradient_tolerance(dtype))


def _compare_gradients(ours: Result, against: Mapping[str, Any], allowed: float) -> None:
    mine = {stable_name(name): _bucketed(x) for name, x in ours.gradients.items()}
    theirs = {name: arrays.unpack(x) for name, x in against.items()}
    for name in sorted({*mine, *theirs}):
        reference = theirs[name] if name in theirs else torch.zeros_like(mine[name])
        value = mine[name] if name in mine else torch.zeros_like(reference)
        value, reference = _without_common_nonsense(value, reference)
        gap = distance(value, reference)
        # Written this way round so that NaN fails.
        if not gap <= allowed:
            raise Failed(
                GRADIENTS, f"the gradient of {name} differs by {gap:.2g} (tolerance {allowed:.0e})"
            )


def _without_common_nonsense(
    value: torch.Tensor, reference: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two tensors with zeros where both are the same infinity, or both no number.

    That a number is not finite is a failure of ``no_crash``; here it is asked whether it changed.
    """
    if value.shape != reference.shape:
        return value, reference
    common = torch.isclose(value, reference, rtol=0, atol=0, equal_nan=True)
    common &= ~torch.isfinite(value)
    return value.masked_fill(common, 0), reference.masked_fill(common, 0)


def _result_to_plain(result: Result) -> dict[str, Any]:
    loss = result.loss
    return {
        "logits": [arrays.pack(_folded(x)) for x in result.logits],
        "tokens": [list(row) for row in result.tokens],
        "loss": None if loss is None else arrays.pack(loss.reshape(1, 1)),
        "gradients": {
            stable_name(n): arrays.pack(_bucketed(x)) for n, x in result.gradients.items()
        },
    }


def _folded(logits: torch.Tensor) -> torch.Tensor:
    """Return logits as they travel: those of a real vocabulary folded to 1,024 columns.

    Each column is a sum of every 1,024th one with signs drawn by chance, so that a difference in
    any of them is one in the sum.
    """
    logits = logits.detach().cpu()
    if logits.shape[-1] <= _WIDEST:
        return logits
    columns = torch.arange(logits.shape[-1])
    drawn = torch.randint(0, 2, columns.shape, generator=torch.Generator().manual_seed(0))
    signed = logits * (2 * drawn - 1)
    out = torch.zeros(*logits.shape[:-1], _FOLDED, dtype=logits.dtype)
    return out.index_add(-1, columns % _FOLDED, signed)


def _bucketed(gradient: torch.Tensor) -> torch.Tensor:
    """Return a gradient as it travels, of at most 4,096 numbers: likewise folded."""
    return _folded(gradient.reshape(1, -1))


def _real_positions(calls_seen: Sequence[torch.Tensor], batch: Batch) -> list[torch.Tensor]:
    """Return for each call the positions of tokens that are no padding, (axes, real tokens)."""
    seen = []
    column = 0
    for given in calls_seen:
        ids = (given if given.ndim == 3 else given[None]).detach().cpu()
        width = ids.shape[-1]
        rows = batch.input_ids.shape[0]
        real = torch.ones(rows, width, dtype=torch.bool)
        if batch.attention_mask is not None:
            mask = batch.attention_mask[:, column : column + width].bool().cpu()
            real[:, : mask.shape[1]] = mask
        column += width
        ids = ids.expand(-1, rows, -1) if ids.shape[1] == 1 else ids
        if ids.shape[1] != rows:
            return []  # a call of another kind
        seen.append(ids[:, real])
    return seen


def _prompt_to_plain(prompt: Prompt) -> dict[str, Any]:
    return {
        "ids": list(prompt.ids),
        "types": list(prompt.types),
        "spans": [list(s) for s in prompt.spans],
        "images": [
            {
                "ids": list(i.ids),
                "types": list(i.types),
                "span": list(i.span),
                "tensors": {name: arrays.pack(x) for name, x in i.tensors.items()},
            }
            for i in prompt.images
        ],
    }


def _prompts_from(plain: Sequence[Mapping[str, Any]]) -> tuple[Prompt, ...]:
    return tuple(
        Prompt(
            ids=tuple(p["ids"]),
            types=tuple(p["types"]),
            images=tuple(
                Placed(
                    ids=tuple(i["ids"]),
                    types=tuple(i["types"]),
                    span=(i["span"][0], i["span"][1]),
                    tensors={name: arrays.unpack(x) for name, x in i["tensors"].items()},
                )
                for i in p["images"]
            ),
            spans=tuple((s[0], s[1]) for s in p["spans"]),
        )
        for p in plain
    )
