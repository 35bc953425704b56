"""Every token that the rule makes visible changes what follows it, and no other one does.

Looked at in two places. Logits are where it counts, but a token leaves its trace there by any path:
text that no longer sees an image still sees the marker after it, which does. So the attention of
the first layer is looked at as well, before which no token knows of another.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from fuzz.worker import calls, release, video
from fuzz.worker.compare import distance, distances
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
EVERYTHING: Final = sys.maxsize
"""Tokens that full attention sees: all, also beyond what the config calls the most positions."""
TRACE: Final = 1e-13
"""Least change of a prompt that runs alone, relative to one plus the largest logit, that counts."""


def check(subject: Subject, case: Case) -> None:
    """Change elements of the first row one at a time and look which logits move.

    All changed prompts are first run as the rows of one batch, which costs little more than one of
    them. Each runs alone where that leaves anything open: what others beside it do to it is not
    looked for here.

    Raises:
        Failed: a logit that the changed token is hidden from moved, or one that sees it did not.
    """
    prompt = make_prompt(subject, case.rows[0], case.seed)
    (plain,) = _look(subject, [prompt])
    changed = _changed(subject, prompt, case)
    if changed and _clear(subject, prompt, plain, changed):
        return
    for one in changed:
        (seen,) = _look(subject, [one.prompt])
        _hold(subject, plain, seen, one, TRACE)


@dataclass(frozen=True, slots=True)
class _Changed:
    """A prompt with one element changed.

    Attributes:
        prompt: the prompt.
        span: the half-open range of tokens that changed; of an image's the first may be a marker.
        what: what changed, for the message.
    """

    prompt: Prompt
    span: tuple[int, int]
    what: str


def _changed(subject: Subject, prompt: Prompt, case: Case) -> list[_Changed]:
    row = case.rows[0]
    found = [
        _Changed(changed, (place, place + 1), f"text token {place}")
        for place, changed in _text_changes(subject, prompt)
    ]
    for number, span in enumerate(prompt.spans):
        if span[0] == span[1]:
            continue  # a recording too short for a token
        at = [i for i, s in enumerate(row) if not isinstance(s, Text)][number]
        # Only the last element of a row is drawn anew; of that row its image is taken.
        other = make_prompt(subject, row[: at + 1], case.seed, last=1).images[number]
        for new, where, what in _changes(subject, prompt, number, row[at], other):
            images = (*prompt.images[:number], new, *prompt.images[number + 1 :])
            found.append(_Changed(replace(prompt, images=images), where or span, what))
    return found


def _clear(subject: Subject, prompt: Prompt, plain: _Seen, changed: list[_Changed]) -> bool:
    """Tell whether the changed prompts in one batch all show what they should, beyond doubt."""
    first, *others = _look(subject, [prompt, *(one.prompt for one in changed)])
    limit = tolerance(subject.target.dtype)
    for alone, beside in ((plain.logits, first.logits), (plain.first, first.first)):
        if alone is not None and beside is not None and not distance(beside, alone) <= limit:
            return False
    try:
        for seen, one in zip(others, changed, strict=True):
            # Rows of a batch differ by rounding, which alone they do not.
            _hold(subject, first, seen, one, max(TRACE, 10 * limit))
    except Failed:
        return False
    return True


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


def _look(subject: Subject, prompts: Sequence[Prompt]) -> list[_Seen]:
    """Run prompts of one length, as the rows of a batch without padding."""
    model = model_of(subject, gain=COOL)
    batch = collate(subject, prompts)
    feed = Feed(explicit=False)
    met: list[torch.Tensor] = []

    def note(_module: object, _args: object, output: Any) -> None:
        met.append((output[0] if isinstance(output, tuple) else output).detach())

    attention = getattr(release.text_model(model).layers[0], "self_attn", None)
    hook = attention.register_forward_hook(note) if attention is not None else None
    try:
        logits = calls.forward(model, batch, feed).logits
    finally:
        if hook is not None:
            hook.remove()
    # There is one call, and nothing is padded.
    first = met[0].reshape(len(prompts), batch.width, -1) if met else [None] * len(prompts)
    return [_Seen(row, of_first) for row, of_first in zip(logits, first, strict=True)]


def _hold(subject: Subject, before: _Seen, after: _Seen, change: _Changed, trace: float) -> None:
    """Look at every token: hidden from the change, sure to see it, or neither.

    Args:
        subject: the subject.
        before: what the prompt gave.
        after: what it gave with the change.
        change: the change.
        trace: least change of a token, relative to one plus its largest logit, that counts as one.
    """
    reach, once = _reaches(subject)
    limits = tolerance(subject.target.dtype), trace
    _hold_one(before.logits, after.logits, change, reach, limits, "logits", "")
    # Images that are seen by cross attention are no tokens of the first layer.
    told = not (change.what.startswith("image") and subject.family.placing == "crossing")
    if told and before.first is not None and after.first is not None:
        where = ", first layer"
        _hold_one(before.first, after.first, change, once, limits, "attention", where)


def _hold_one(
    before: torch.Tensor,
    after: torch.Tensor,
    change: _Changed,
    reach: int,
    limits: tuple[float, float],
    name: str,
    where: str,
) -> None:
    (start, end), (hidden_limit, trace) = change.span, limits
    for token, moved in enumerate(distances(after, before)):
        hidden = token < start or token >= end + reach
        if hidden and not moved <= hidden_limit:
            leg = "earlier tokens" if token < start else "tokens beyond the sliding window"
            raise Failed(
                f"hidden from {leg}{where}",
                f"{change.what} changed, and the {name} of token {token} moved by {moved:.2g}",
            )
        if end - 1 <= token <= start + reach and not moved > trace:
            raise Failed(
                f"seen by later tokens{where}",
                f"{change.what} changed, and the {name} of token {token} did not move",
            )


def _reaches(subject: Subject) -> tuple[int, int]:
    """Return how far on a token is seen, by any path and in the first layer, in tokens.

    Each sliding layer hands it on by a window less one.
    """
    text = release.text_config(subject.config)
    window = release.sliding_window(text)
    kinds = getattr(text, "layer_types", None) or ()
    if not window:
        return EVERYTHING, EVERYTHING
    once = EVERYTHING if kinds and kinds[0] != "sliding_attention" else window - 1
    if any(kind != "sliding_attention" for kind in kinds):
        return EVERYTHING, once
    return int(text.num_hidden_layers) * (window - 1), once
