"""The ways a model is called: one forward, fed through a cache, generate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from fuzz.worker import crossing, placing, release, training
from fuzz.worker.caches import as_cache, new_cache, taken_back, takes_static_cache
from fuzz.worker.capture import at_the_door
from fuzz.worker.feed import Feed, feed_of
from fuzz.worker.inputs import Batch, Prompt, collate, make_prompt
from fuzz.worker.subject import Subject, special_ids, text_ids
from strategies.case import Call, Case


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave for the real tokens.

    Attributes:
        logits: per row, (real tokens, vocabulary) of a forward, or (new tokens, vocabulary)
            of a generate, unprocessed.
        tokens: per row the ids that generate chose; empty for a forward.
        loss: what was trained on, shape (), or None.
        gradients: of the loss, by the name of the parameter; a parameter that has none is left
            out.
    """

    logits: tuple[torch.Tensor, ...]
    tokens: tuple[tuple[int, ...], ...] = ()
    loss: torch.Tensor | None = None
    gradients: Mapping[str, torch.Tensor] = field(default_factory=dict)


def prompts_of(subject: Subject, case: Case) -> tuple[Prompt, ...]:
    """Build the case's rows; a row's content depends on its number, not on its neighbours."""
    return tuple(
        make_prompt(subject, row, case.seed * 101 + number, case.extra_placeholders)
        for number, row in enumerate(case.rows)
    )


def batch_of(subject: Subject, case: Case, prompts: Sequence[Prompt] | None = None) -> Batch:
    """Pad the case's rows as it says."""
    rows = prompts_of(subject, case) if prompts is None else prompts
    width = max(len(p.ids) for p in rows) + case.extra_padding
    return collate(subject, rows, case.side, width, case.attention_mask)


def explicit_positions(model: Any, batch: Batch, feed: Feed) -> torch.Tensor:
    """Return the positions a caller passes: the model's own, moved as the feed says.

    Shape (3, batch, width), int64; of a packed batch (4, 1, width): first comes the number of each
    token in its sequence, which is how transformers is told where a sequence begins. A text model
    gets (1, batch, width). Calling the model's helper leaves no state behind.
    """
    if batch.packed:
        return _packed_positions(model, batch)
    positions = release.rope_index(
        model, batch.input_ids, batch.token_types, batch.tensors, batch.attention_mask
    ).clone()
    release.forget_deltas(model)
    positions += feed.offset
    for row, start in enumerate(batch.starts):
        positions[:, row, start + feed.gap_at :] += feed.gap
    return positions


def _packed_positions(model: Any, batch: Batch) -> torch.Tensor:
    parts = []
    for start, prompt in zip(batch.starts, batch.prompts, strict=True):
        tokens = slice(start, start + len(prompt.ids))
        own = placing.grids(prompt.images, batch.input_ids.device)
        ids, types = batch.input_ids[:, tokens], batch.token_types[:, tokens]
        turning = release.rope_index(model, ids, types, own, None)
        number = torch.arange(len(prompt.ids), device=ids.device).expand(1, 1, -1)
        parts.append(torch.cat([number, turning]) if len(turning) > 1 else turning)
        release.forget_deltas(model)
    return torch.cat(parts, dim=-1)


def forward(
    model: Any,
    batch: Batch,
    feed: Feed,
    labels: torch.Tensor | None = None,
    between: Callable[[], None] = lambda: None,
) -> Result:
    """Run the batch through ``model.forward``, piece by piece.

    An image whose tokens lie in two pieces cannot be handed over as pixels; then the merged
    input embeddings are computed first and all pieces are fed as ``inputs_embeds``.

    Args:
        model: the model.
        batch: the padded rows.
        feed: how they go in; one piece where there are labels.
        labels: (batch, width) int64, -100 where there is nothing to predict.
        between: called before the last piece, where there is one before it.
    """
    pieces = feed.pieces or ((0, batch.width),)
    positions = explicit_positions(model, batch, feed) if feed.explicit else None
    embeds = None
    beside = batch.columns.get(crossing.MASK)
    if beside is None and batch.images_end > pieces[0][1]:
        embeds = merged_embeddings(model, batch)
    cache = None
    if feed.cache:
        cache = new_cache(feed.cache, model, len(batch.prompts), batch.width + feed.room)

    def run(start: int, end: int, given: dict[str, Any]) -> Any:
        """Feed columns; what goes in for them and their positions are given."""
        nonlocal cache
        arguments: dict[str, Any] = {"use_cache": bool(feed.cache), **given}
        if cache is not None:
            arguments["past_key_values"] = cache
            # Up to 5.3 whoever feeds a cache by hand says where; later it follows by itself.
            if release.accepts(model.forward, "cache_position"):
                arguments["cache_position"] = torch.arange(
                    start, end, device=batch.input_ids.device
                )
        out = model(**arguments)
        if feed.cache:
            cache = as_cache(out.past_key_values)
        return out

    parts = []
    for start, end in pieces:
        if start and end == pieces[-1][1]:
            between()
            if feed.crop:
                with taken_back(cache, feed.crop):
                    _guess(model, batch, positions, start, feed.crop, run)
        arguments: dict[str, Any] = {}
        if labels is not None:
            arguments["labels"] = labels
        if embeds is not None:
            arguments["inputs_embeds"] = embeds[:, start:end]
        else:
            arguments["input_ids"] = batch.input_ids[:, start:end]
            if start == 0:
                arguments.update(_vision(model, batch, end))
        if beside is not None:
            arguments[crossing.MASK] = beside[:, :end]
        if batch.attention_mask is not None:
            arguments["attention_mask"] = batch.attention_mask[:, :end]
        if positions is not None:
            arguments["position_ids"] = _as_given(positions[..., start:end])
        out = run(start, end, arguments)
        parts.append(out.logits)
    logits = torch.cat(parts, dim=1)
    rows = [
        logits[batch.line(i), start : start + len(prompt.ids)]
        for i, (start, prompt) in enumerate(zip(batch.starts, batch.prompts, strict=True))
    ]
    return Result(tuple(rows), loss=None if labels is None else out.loss)


def _as_given(positions: torch.Tensor) -> torch.Tensor:
    """Return positions as callers pass them: (axes, batch, tokens), of one axis (batch, tokens)."""
    return positions if len(positions) > 1 else positions[0]


def _guess(
    model: Any,
    batch: Batch,
    positions: torch.Tensor | None,
    start: int,
    tokens: int,
    run: Callable[[int, int, dict[str, Any]], Any],
) -> None:
    """Feed text that is cropped away again, as a guess that turns out wrong is."""
    text = text_ids(model.config)
    guess = torch.arange(3, 3 + tokens, device=batch.input_ids.device) % len(text) + text.start
    arguments: dict[str, Any] = {"input_ids": guess.expand(len(batch.input_ids), -1)}
    if batch.attention_mask is not None:
        mask = batch.attention_mask[:, :start]
        arguments["attention_mask"] = torch.cat([mask, mask.new_ones(len(mask), tokens)], dim=1)
    if positions is not None:
        last = positions[..., :start].amax(dim=(0, 2))[None, :, None]
        steps = torch.arange(1, 1 + tokens, device=positions.device)
        arguments["position_ids"] = _as_given((last + steps).expand(len(positions), -1, -1))
    run(start, start + tokens, arguments)


def train(model: Any, batch: Batch, feed: Feed) -> Result:
    """Run the batch through ``model.forward`` with its tokens as labels, and backward again.

    The model is left as it was: in eval mode, without gradients.
    """
    with training.mode(model):
        result = forward(model, batch, feed, training.labels_of(batch))
        training.backward(result.loss)
        return Result(
            logits=tuple(row.detach() for row in result.logits),
            loss=result.loss.detach() if result.loss is not None else None,
            gradients=training.gradients_of(model),
        )


def merged_embeddings(model: Any, batch: Batch) -> torch.Tensor:
    """Return the input embeddings with the image features in place, (batch, width, hidden).

    Taken from the model itself at the door of its decoder, which then is not run.
    """

    def call() -> None:
        model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            **_vision(model, batch, batch.width),
        )

    try:
        _, given = at_the_door(release.text_model(model), call)
    finally:
        release.forget_deltas(model)
    embeds: torch.Tensor = given["inputs_embeds"]
    return embeds


def _vision(model: Any, batch: Batch, end: int) -> dict[str, Any]:
    function = model.forward
    # Most models cast what they are given, but not all, in all releases: callers do.
    batch = batch.to(next(model.parameters()).dtype)
    columns = {name: x[:, :end] for name, x in batch.columns.items()}
    arguments: dict[str, Any] = placing.arguments({**batch.tensors, **columns}, function)
    if not batch.tensors:
        return arguments
    # Required with images since 5.3, unknown before, refused by 5.0's generate().
    if release.accepts(function, "mm_token_type_ids"):
        arguments["mm_token_type_ids"] = batch.token_types[:, :end]
    return arguments


def prompt_arguments(model: Any, batch: Batch) -> dict[str, Any]:
    """Return a batch as ``generate`` is given it, its images included."""
    return {"input_ids": batch.input_ids, **_vision(model, batch, batch.width)}


def generation_arguments(subject: Subject, steps: int) -> dict[str, Any]:
    """Return how ``generate`` is asked for new tokens, greedily, and for their logits."""
    return {
        "max_new_tokens": steps,
        "do_sample": False,
        # A random model would emit image placeholders.
        "suppress_tokens": special_ids(subject.config),
        "return_dict_in_generate": True,
        "output_logits": True,
    }


def generated(out: Any) -> Result:
    """Return what ``generate`` gave, row by row."""
    logits = torch.stack([step.to(out.logits[0].device) for step in out.logits], dim=1)
    chosen = out.sequences[:, -logits.shape[1] :].tolist()
    return Result(tuple(logits[i] for i in range(len(logits))), tuple(tuple(row) for row in chosen))


def generate(
    subject: Subject,
    model: Any,
    batch: Batch,
    steps: int,
    *,
    embeds: bool = False,
    cache: str = "dynamic",
) -> Result:
    """Generate greedily.

    Args:
        subject: gives the token ids that are never chosen.
        model: the model.
        batch: left-padded prompts.
        steps: new tokens.
        embeds: pass ``inputs_embeds`` instead of ``input_ids`` (text only).
        cache: ``dynamic``, ``static`` (``dynamic`` in the releases that refuse a static one
            here), or "" to recompute everything at each step.
    """
    arguments = {**generation_arguments(subject, steps), "use_cache": bool(cache)}
    if cache == "static" and takes_static_cache(model):
        arguments["cache_implementation"] = "static"
        # On CUDA a static cache makes generate() compile by itself.
        if hasattr(model.generation_config, "disable_compile"):
            arguments["disable_compile"] = True
    if batch.attention_mask is not None:
        arguments["attention_mask"] = batch.attention_mask
    if embeds:
        arguments["inputs_embeds"] = model.get_input_embeddings()(batch.input_ids)
    else:
        arguments.update(prompt_arguments(model, batch))
    return generated(model.generate(**arguments))


def run(subject: Subject, model: Any, case: Case, batch: Batch, *, split: bool = True) -> Result:
    """Run a batch through the case's entry point.

    Args:
        subject: the subject.
        model: one of its models.
        case: says the entry, the feeding and the cache.
        batch: the padded rows.
        split: False for one forward without a cache, or a generate without one.
    """
    if case.mode == "train":
        return train(model, batch, feed_of(case, batch, split=False))
    if case.entry in ("forward", "forward-implicit"):
        whole = not release.takes_merged_embeddings(model)
        between = partial(run_calls, subject, model, case.between if split else (), case)
        return forward(model, batch, feed_of(case, batch, split, whole), between=between)
    return generate(
        subject,
        model,
        batch,
        max(1, case.decode),
        embeds=case.entry == "generate-embeds",
        cache=case.cache if split else "",
    )


def run_history(subject: Subject, model: Any, case: Case) -> None:
    """Make the case's earlier calls on the model object, and leave the state they leave."""
    run_calls(subject, model, case.history, case)


def run_calls(subject: Subject, model: Any, made: Sequence[Call], case: Case) -> None:
    """Make calls on the model object; what they hold depends on the case's seed."""
    for number, call in enumerate(made):
        other = _call_as_case(call, case, number)
        run(subject, model, other, batch_of(subject, other))


def _call_as_case(call: Call, case: Case, number: int) -> Case:
    plain = Case(rows=(call.row,), entry=call.entry, seed=case.seed + 17 + number)
    return replace(plain, decode=1) if call.entry.startswith("generate") else plain


def comparable(a: Result, b: Result) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pair up the logits of two results, row by row.

    Of a generate, the steps after the first differing choice say nothing more: from there on
    the two continue different texts. (If their logits agreed up to there, it was a tie.)
    """
    pairs = []
    for row, (left, right) in enumerate(zip(a.logits, b.logits, strict=True)):
        keep = len(left)
        if a.tokens and b.tokens:
            keep = fed_alike(a.tokens[row], b.tokens[row]) + 1
        pairs.append((left[:keep], right[:keep]))
    return pairs


def fed_alike(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Return how many new tokens two generates were fed alike; what is chosen last is not fed."""
    same = [x == y for x, y in zip(one, other, strict=False)]
    return same.index(False) if False in same else len(same) - 1
