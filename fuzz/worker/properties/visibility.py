"""Every token that the rule makes visible changes what follows it, and no other one does."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch

from fuzz.worker import calls, release
from fuzz.worker.compare import distance
from fuzz.worker.exact import tolerance
from fuzz.worker.failure import Failed
from fuzz.worker.inputs import Prompt, collate, make_prompt
from fuzz.worker.subject import Subject, model_of, special_ids
from strategies.case import Case, Image

COOL: Final = 0.3
"""Gain of the weights: hot ones sharpen attention until a visible key leaves no trace."""
MOST: Final = 8
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
    plain = _logits(subject, prompt)
    for place, changed in _text_changes(subject, prompt):
        _hold(subject, plain, _logits(subject, changed), (place, place + 1), f"text token {place}")
    for number, span in enumerate(prompt.spans):
        upto = [i for i, s in enumerate(row) if isinstance(s, Image)][number] + 1
        # Only the last element of a row is drawn anew, so the row ends with the image here.
        before, after = (make_prompt(subject, row[:upto], case.seed, last=n) for n in (0, 1))
        first, second = (_logits(subject, p) for p in (before, after))
        _hold(subject, first, second, span, f"image {number}")


def _text_changes(subject: Subject, prompt: Prompt) -> list[tuple[int, Prompt]]:
    limit = min(special_ids(subject.config), default=release.text_config(subject.config).vocab_size)
    inside = {i for start, end in prompt.spans for i in range(start - 1, end + 1)}
    places = [i for i, token in enumerate(prompt.ids) if i not in inside and token < limit]
    step = max(1, -(-len(places) // MOST))
    return [(i, _with_token(prompt, i, (prompt.ids[i] + 1) % limit)) for i in places[::step]]


def _with_token(prompt: Prompt, place: int, token: int) -> Prompt:
    return replace(prompt, ids=(*prompt.ids[:place], token, *prompt.ids[place + 1 :]))


def _logits(subject: Subject, prompt: Prompt) -> torch.Tensor:
    """Run a prompt alone: what others beside it do to it is not looked for here."""
    batch = collate(subject, [prompt])
    feed = calls.Feed(explicit=False)
    (logits,) = calls.forward(model_of(subject, gain=COOL), batch, feed).logits
    return logits


def _hold(
    subject: Subject, before: torch.Tensor, after: torch.Tensor, span: tuple[int, int], what: str
) -> None:
    """Look at every token: hidden from the change, sure to see it, or neither.

    Args:
        subject: the subject.
        before: logits, (tokens, vocabulary).
        after: those with the change.
        span: the half-open range of tokens that changed; of an image's the first may be a marker.
        what: what changed, for the message.
    """
    start, end = span
    reach = _reach(subject)
    dtype = subject.target.dtype
    for token in range(len(before)):
        moved = distance(after[token], before[token])
        hidden = token < start or token >= end + reach
        if hidden and not moved <= tolerance(dtype):
            leg = "earlier tokens" if token < start else "tokens beyond the sliding window"
            raise Failed(
                f"hidden from {leg}",
                f"{what} changed, and the logits of token {token} moved by {moved:.2g}",
            )
        if end - 1 <= token <= start + reach and not moved > TRACE:
            raise Failed(
                "seen by later tokens",
                f"{what} changed, and the logits of token {token} did not move",
            )


def _reach(subject: Subject) -> int:
    """Return how far on a token is seen: each sliding layer hands it on by a window less one."""
    text = release.text_config(subject.config)
    window = release.sliding_window(text)
    kinds = getattr(text, "layer_types", None) or ()
    if not window or any(kind != "sliding_attention" for kind in kinds):
        return int(text.max_position_embeddings)
    return int(text.num_hidden_layers) * (window - 1)
