"""Where a wrong value begins: the first module whose output differs between two runs.

The runs are those that a property compares. They are fed differently (in chunks, padded, in a
batch), so what is compared is what belongs to the same token of the same prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch.nn.modules.module import register_module_forward_hook

from fuzz.worker import calls, capture, release
from fuzz.worker.compare import distance
from fuzz.worker.exact import LOW, tolerance
from fuzz.worker.failure import Failed
from fuzz.worker.guard.place import Place, watched
from fuzz.worker.inputs import Batch
from fuzz.worker.subject import Subject
from strategies.case import Case

FIRST_AND_LAST: Final = (
    "attention_agreement",
    "batch_invariance",
    "state_independence",
    "image_independence",
    "packing_invariance",
    "low_precision",
)
"""Properties that compare every later run with the first; the others compare the last two."""

_LANES: Final = {dtype: name for name, dtype in LOW.items()}

_Check = Callable[[Subject, Case], None]


@dataclass(slots=True)
class Leg:
    """What one of the compared runs computed.

    Attributes:
        batch: what was fed.
        dtype: of the model's weights.
        seen: for each place, in the order in which places were first reached, one tensor per
            call, (batch, tokens, ...) or (patches, ...).
        tokens: what a generate chose, per row.
    """

    batch: Batch
    dtype: torch.dtype
    seen: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    tokens: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first place at which two runs differ.

    Attributes:
        place: the path of a module, and what of it.
        size: ``max|a - b| / (1 + max|b|)`` there.
        before: the largest such difference at the places before it.
    """

    place: str
    size: float
    before: float

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.place}: {self.size:.2g}, before it at most {self.before:.1g}"


def first_divergence(
    subject: Subject, property_id: str, check: _Check, case: Case
) -> Divergence | None:
    """Run a failing check once more and find where its two runs part.

    Args:
        subject: the subject.
        property_id: decides which runs are compared.
        check: the property's check.
        case: the failing case.

    Returns:
        None where the runs cannot be laid side by side, or do not differ before their end.
    """
    with _legs() as legs:
        try:
            check(subject, case)
        except Failed:
            pass
        except Exception:
            return None  # that a run ended early is no difference in value
        else:
            return None
    # In low precision a leg in float64 may have been asked for what is right, after both.
    low = [leg for leg in legs if leg.dtype in _LANES]
    legs = [leg for leg in low or legs if leg.dtype == (low or legs)[-1].dtype]
    if len(legs) < 2:
        return None
    one = legs[0] if property_id in FIRST_AND_LAST else legs[-2]
    return _compare(legs[-1], one, tolerance(_LANES.get(one.dtype, subject.target.dtype)))


def _compare(value: Leg, reference: Leg, limit: float) -> Divergence | None:
    before = 0.0
    for place in reference.seen:
        if place not in value.seen:
            continue
        pairs = list(_pairs(value, reference, place))
        size = max((distance(a, b) for a, b in pairs), default=0.0)
        # Written this way round so that NaN counts as different.
        if not size <= limit:
            return Divergence(place, size, before)
        before = max(before, size)
    return None


def _pairs(value: Leg, reference: Leg, place: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Lay side by side what belongs to the same tokens, or images, of the same prompts."""
    a, b = _joined(value, place), _joined(reference, place)
    for row, prompt in enumerate(value.batch.prompts):
        for other, known in enumerate(reference.batch.prompts):
            keep = _common(prompt, known)
            if prompt is known and value.tokens and reference.tokens:
                keep += calls.fed_alike(value.tokens[row], reference.tokens[other])
            if a is not None and b is not None and keep:
                start, at = value.batch.starts[row], reference.batch.starts[other]
                yield (
                    a[value.batch.line(row), start : start + keep],
                    b[reference.batch.line(other), at : at + keep],
                )
    if a is None and b is None:
        known_images = _patches(reference, place)
        for image, patches in _patches(value, place):
            for other_image, others in known_images:
                if image is other_image and patches.shape == others.shape:
                    yield patches, others


def _patches(leg: Leg, place: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Cut a tensor of packed patches or cells into (pixels of an image, what belongs to it)."""
    if any(not p.grids for p in leg.batch.prompts if p.images):
        return []
    images = [
        (pixels, t * h * w)
        for p in leg.batch.prompts
        for pixels, (t, h, w) in zip(p.pixels, p.grids, strict=True)
    ]
    total = sum(count for _, count in images)
    seen = leg.seen[place]
    whole = seen[0].reshape(-1, seen[0].shape[-1]) if len(seen) == 1 else None
    if whole is None or not len(whole) or total % len(whole):
        return []
    merged = total // len(whole)
    parts = torch.split(whole, [count // merged for _, count in images])
    return [(pixels, part) for (pixels, _), part in zip(images, parts, strict=True)]


def _common(prompt: Any, known: Any) -> int:
    """Return for how many tokens two prompts are one: 0 for prompts of different rows."""
    if prompt is known:
        return len(prompt.ids)
    if len(prompt.ids) != len(known.ids):
        return 0
    same = [x == y for x, y in zip(prompt.ids, known.ids, strict=True)]
    keep = same.index(False) if False in same else len(same)
    # Pixels may differ where ids do not.
    return min(keep, prompt.spans[-1][0]) if prompt.spans and keep == len(same) else keep


def _joined(leg: Leg, place: str) -> torch.Tensor | None:
    """Join the pieces that a batch was fed in: (batch, columns, ...), None for what is none.

    Of a generate's later steps the last column is the new one, whatever they feed again.
    """
    pieces = leg.seen[place]
    rows = len(leg.batch.input_ids)
    if any(t.ndim < 3 or t.shape[0] != rows for t in pieces):
        return None
    width = leg.batch.width
    if leg.tokens:
        pieces = [pieces[0], *(t[:, -1:] for t in pieces[1:])]
        width += len(leg.tokens[0]) - 1
    whole = torch.cat(pieces, dim=1)
    return whole if whole.shape[1] == width else None


@contextmanager
def _legs() -> Iterator[list[Leg]]:
    """Record every run of the body."""
    legs: list[Leg] = []
    original = calls.run

    def run(subject: Subject, model: Any, case: Case, batch: Batch, *, split: bool = True) -> Any:
        leg = Leg(batch, next(model.parameters()).dtype)
        legs.append(leg)
        with _recorded(model, leg):
            result = original(subject, model, case, batch, split=split)
        leg.tokens = result.tokens
        return result

    calls.run = run
    try:
        yield legs
    finally:
        calls.run = original


@contextmanager
def _recorded(model: Any, leg: Leg) -> Iterator[None]:
    rotary = release.text_rotary(model)

    def note(place: str, tensor: object) -> None:
        if isinstance(tensor, torch.Tensor) and tensor.ndim > 1:
            leg.seen.setdefault(place, []).append(tensor.detach().clone())

    def on_positions(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        note("position_ids", _tokens_second(capture.positions_given(args, kwargs)).double())

    with ExitStack() as stack:
        place = stack.enter_context(watched(model))
        hook = rotary.register_forward_pre_hook(on_positions, with_kwargs=True)
        stack.callback(hook.remove)

        def on_turn(_inputs: tuple[Any, ...], outputs: Any) -> None:
            for name, turned in zip("qk", outputs, strict=False):
                note(_here(place, f"{name} after rotary"), turned.transpose(1, 2))

        stack.enter_context(capture.text_rotation(model, on_turn))

        def on_output(module: torch.nn.Module, _args: Any, output: Any) -> None:
            name = place.names.get(id(module))
            if name is None or name == type(model).__name__:
                return
            first = output[0] if isinstance(output, tuple) and output else output
            note(name, _tokens_second(first) if module is rotary else first)

        after = register_module_forward_hook(on_output)
        stack.callback(after.remove)
        yield


def _tokens_second(tensor: torch.Tensor) -> torch.Tensor:
    """Bring (axes, batch, tokens, ...) into the order (batch, tokens, axes, ...)."""
    if tensor.ndim >= 3 and tensor.shape[0] in (3, 4):
        return tensor.movedim(0, 2)
    return tensor[..., None] if tensor.ndim == 2 else tensor


def _here(place: Place, what: str) -> str:
    return f"{place.inside[-1]} ({what})" if place.inside else what
