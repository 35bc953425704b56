"""Every token that the rule makes visible changes what follows it, and no other one does.

Looked at in two places. Logits are where it counts, but a token leaves its trace there by any path:
text that no longer sees an image still sees the marker after it, which does. So the attention of
the first layer is looked at as well, before which no token knows of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from fuzz.worker import calls, release, video
from fuzz.worker.compare import distances
from fuzz.worker.exact import tolerance
from fuzz.worker.failure import Failed
from fuzz.worker.feed import Feed
from fuzz.worker.inputs import Prompt, collate, make_prompt
from fuzz.worker.placing import Placed
from fuzz.worker.subject import Subject, model_of, text_ids
from strategies.case import Case, Segment, Text, Video

COOL: Final = 0.3
"""Gain of the weights: hot ones sharpen attention until a visible key leaves no trace."""
MOST: Final = 4
"""Text tokens of a row that are changed, spread evenly: each costs a forward."""
TRACE: Final = 1e-13
"""Least change, relative to one plus the largest logit, that counts as one."""


def check(subject: Subject, case: Case) -> None:
    """Change elements of the first row one at a time and look which logits move.

    Raises:
        Failed: a logit that the changed token is hidden from moved, or one that sees it did not.
    """
    row = case.rows[0]
    prompt = make_prompt(subject, row, case.seed)
    plain = _look(subject, prompt)
    for place, changed in _text_changes(subject, prompt):
        _hold(subject, plain, _look(subject, changed), (place, place + 1), f"text token {place}")
    for number, span in enumerate(prompt.spans):
        if span[0] == span[1]:
            continue  # a recording too short for a token
        at = [i for i, s in enumerate(row) if not isinstance(s, Text)][number]
        # Only the last element of a row is drawn anew; of that row its image is taken.
        other = make_prompt(subject, row[: at + 1], case.seed, last=1).images[number]
        for new, where, what in _changes(subject, prompt, number, row[at], other):
            images = (*prompt.images[:number], new, *prompt.images[number + 1 :])
            seen = _look(subject, replace(prompt, images=images))
            _hold(subject, plain, seen, where or span, what)


def _changes(
    subject: Subject, prompt: Prompt, number: int, segment: Segment, other: Placed
) -> Iterator[tuple[Placed, tuple[int, int] | None, str]]:
    """Yield an image or audio of other content, or a video with one other frame, and its tokens."""
    if not isinstance(segment, Video):
        yield other, None, f"{other.noun} {number}"
        return
    placed = prompt.images[number]
    deep = int(release.vision_config(subject.config).temporal_patch_size)
    begins = prompt.spans[number][0] - placed.span[0]
    for frame in range(0, segment.frames, -(-segment.frames // MOST)):
        start, end = placed.steps[frame // deep]
        changed = video.with_frame(placed, other, frame, segment.frames, deep)
        yield changed, (begins + start, begins + end), f"frame {frame} of image {number}"


def _text_changes(subject: Subject, prompt: Prompt) -> list[tuple[int, Prompt]]:
    text = text_ids(subject.config)
    inside = {i for start, end in prompt.spans for i in range(start - 1, end + 1)}
    places = [i for i, token in enumerate(prompt.ids) if i not in inside and token in text]
    step = max(1, -(-len(places) // MOST))
    return [
        (i, _with_token(prompt, i, text[(text.index(prompt.ids[i]) + 1) % len(text)]))
        for i in places[::step]
    ]


def _with_token(prompt: Prompt, place: int, token: int) -> Prompt:
    return replace(prompt, ids=(*prompt.ids[:place], token, *prompt.ids[place + 1 :]))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one prompt gave.

    Attributes:
        logits: (tokens, vocabulary).
        first: what attention of the first layer gave, (tokens, width); None where that layer has
            none, but is one of linear attention.
    """

    logits: torch.Tensor
    first: torch.Tensor | None


def _look(subject: Subject, prompt: Prompt) -> _Seen:
    """Run a prompt alone: what others beside it do to it is not looked for here."""
    model = model_of(subject, gain=COOL)
    batch = collate(subject, [prompt])
    feed = Feed(explicit=False)
    met: list[torch.Tensor] = []

    def note(_module: object, _args: object, output: Any) -> None:
        met.append((output[0] if isinstance(output, tuple) else output).detach())

    attention = getattr(release.text_model(model).layers[0], "self_attn", None)
    hook = attention.register_forward_hook(note) if attention is not None else None
    try:
        (logits,) = calls.forward(model, batch, feed).logits
    finally:
        if hook is not None:
            hook.remove()
    # Padding aside, which a prompt alone has none of, there is one call and one row.
    return _Seen(logits, met[0].reshape(len(logits), -1) if met else None)


def _hold(subject: Subject, before: _Seen, after: _Seen, span: tuple[int, int], what: str) -> None:
    """Look at every token: hidden from the change, sure to see it, or neither.

    Args:
        subject: the subject.
        before: what the prompt gave.
        after: what it gave with the change.
        span: the half-open range of tokens that changed; of an image's the first may be a marker.
        what: what changed, for the message.
    """
    reach, once = _reaches(subject)
    _hold_one(subject, before.logits, after.logits, span, reach, what, "logits", "")
    if before.first is not None and after.first is not None:
        where = ", first layer"
        _hold_one(subject, before.first, after.first, span, once, what, "attention", where)


def _hold_one(
    subject: Subject,
    before: torch.Tensor,
    after: torch.Tensor,
    span: tuple[int, int],
    reach: int,
    what: str,
    name: str,
    where: str,
) -> None:
    start, end = span
    dtype = subject.target.dtype
    for token, moved in enumerate(distances(after, before)):
        hidden = token < start or token >= end + reach
        if hidden and not moved <= tolerance(dtype):
            leg = "earlier tokens" if token < start else "tokens beyond the sliding window"
            raise Failed(
                f"hidden from {leg}{where}",
                f"{what} changed, and the {name} of token {token} moved by {moved:.2g}",
            )
        if end - 1 <= token <= start + reach and not moved > TRACE:
            raise Failed(
                f"seen by later tokens{where}",
                f"{what} changed, and the {name} of token {token} did not move",
            )


def _reaches(subject: Subject) -> tuple[int, int]:
    """Return how far on a token is seen, by any path and in the first layer, in tokens.

    Each sliding layer hands it on by a window less one.
    """
    text = release.text_config(subject.config)
    window = release.sliding_window(text)
    kinds = getattr(text, "layer_types", None) or ()
    everything = int(text.max_position_embeddings)
    if not window:
        return everything, everything
    once = everything if kinds and kinds[0] != "sliding_attention" else window - 1
    if any(kind != "sliding_attention" for kind in kinds):
        return everything, once
    return int(text.num_hidden_layers) * (window - 1), once
