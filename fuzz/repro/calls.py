"""From how a case calls its model to the source of that call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import Final

from fuzz.errors import UsageProblem
from fuzz.repro.facts import Facts
from fuzz.repro.layout import literal
from fuzz.repro.prompts import TILES, Batch, Picture
from strategies.case import Case
from strategies.validity import is_generate

SHORT: Final = 45
"""Letters that a tensor may take where it can be computed, too."""

REPEATED: Final = 4
"""Equal ids in a row that are written out."""


@dataclass(frozen=True, slots=True)
class Feed:
    """How a batch goes through ``forward``.

    Attributes:
        cuts: columns at which a new piece begins.
        cache: ``dynamic``, ``static`` or "" for none.
        split: whether an image's tokens lie in two pieces, so that embeddings are fed.
    """

    cuts: tuple[int, ...]
    cache: str
    split: bool = False


def feed_of(facts: Facts, case: Case, batch: Batch, split: bool) -> Feed:
    """Return how a case feeds a batch, as the worker does."""
    prefix = facts.family.told_of_tokens == "prefix"
    if not split:
        return Feed((), "")
    cuts = () if prefix else _cuts(facts, case, batch)
    cache = case.cache if cuts or prefix or case.cache == "static" else ""
    return Feed(cuts, cache, split=bool(cuts) and cuts[0] < batch.images_end)


def _cuts(facts: Facts, case: Case, batch: Batch) -> tuple[int, ...]:
    width = batch.width
    decode = min(case.decode, width - 1)
    first = batch.images_end if facts.whole_images else 0
    if case.entry == "forward-implicit":
        first = max(batch.images_end, max(batch.starts) + 1)
    cuts = set(range(width - decode, width))
    cuts |= {at for at in accumulate(case.chunks) if at < width - decode}
    return tuple(sorted({max(c, first, 1) for c in cuts if max(c, first, 1) < width}))


def call_of(
    facts: Facts, case: Case, batch: Batch, name: str, built: str, *, split: bool = True
) -> str:
    """Return the source of the call that a case makes with a batch; it gives logits.

    Args:
        facts: of the family.
        case: says the entry, the feeding and the cache.
        batch: the batch.
        name: its variable in the script.
        built: the source of a fresh model.
        split: False for one forward without a cache, or a generate without one.
    """
    if is_generate(case.entry):
        more = [f"max_new_tokens={max(1, case.decode)}"]
        if not split:
            more.append("use_cache=False")
        elif case.cache == "static":
            more.append('cache_implementation="static"')
        return f"generate(model, {name}, {', '.join(more)})"
    feed = feed_of(facts, case, batch, split)
    if not feed.cache:
        return f"model(**{name}, use_cache=False).logits"
    if feed.cache == "static" and facts.linear:
        raise UsageProblem("static caches of linear attention are not supported in scripts")
    cuts = f", {literal(list(feed.cuts))}" if feed.cuts else ""
    cuts += f", embed({built}, {name})" if feed.split else ""
    return f"feed(model, {name}{cuts})"


def places_of(facts: Facts, case: Case, batch: Batch, name: str, built: str) -> list[str]:
    """Return the lines that put explicit positions into a batch's inputs.

    A fresh model computes them, so that no state is left on the one that is looked at.
    """
    if batch.seen and facts.axes > 1:
        shift = f" + {case.offset}" if case.offset else ""
        lines = [
            f'owner = next(m for m in {built}.modules() if hasattr(m, "get_rope_index"))',
            f'{name}["position_ids"] = owner.get_rope_index('
            f"**known(owner.get_rope_index, **{name}))[0]{shift}",
        ]
        if case.gap:
            for row, start in enumerate(batch.starts):
                at = start + case.gap_at
                lines.append(f'{name}["position_ids"][:, {row}, {at}:] += {case.gap}')
        return lines
    rows = []
    for prompt, start in zip(batch.prompts, batch.starts, strict=True):
        last = max(len(prompt.ids) - 1, 0)
        tokens = [column - start for column in range(batch.width)]
        rows.append(
            [
                min(max(t, 0), last) + case.offset + (case.gap if t >= case.gap_at else 0)
                for t in tokens
            ]
        )
    axes = f".expand({facts.axes}, -1, -1)" if facts.axes > 1 else ""
    return [f'{name}["position_ids"] = torch.tensor({literal(rows)}){axes}']


def inputs_of(
    facts: Facts, batch: Batch, name: str, pixels: str, frames: str = "", lack: str = ""
) -> list[str]:
    """Return the lines that make a batch's inputs, without positions.

    Args:
        facts: of the family.
        batch: the batch.
        name: the variable that they go into.
        pixels: the source of its images' pixels.
        frames: the source of its videos' pixels.
        lack: the source of a number of columns of padding before all rows, "" for none.
    """

    def tensor(rows: Iterable[Sequence[int]], filler: int = 0) -> str:
        before = f"[{filler}] * {lack} + " if lack else ""
        return f"torch.tensor([{', '.join(before + _listed(row) for row in rows)}])"

    parts = [f'"input_ids": {tensor(batch.ids, facts.padding)}']
    if batch.masked:
        parts.append(f'"attention_mask": {tensor(batch.mask)}')
    crossing = facts.family.placing == "crossing" and bool(batch.pictures)
    if crossing:
        parts += _seen_beside(batch, pixels)
    elif batch.pictures:
        parts.append(f'"pixel_values": {pixels}')
        if batch.pictures[0].grid:
            grids = [list(p.grid) for p in batch.pictures]
            parts.append(f'"image_grid_thw": torch.tensor({grids})')
    if batch.films:
        grids = [list(p.grid) for p in batch.films]
        parts.append(f'"pixel_values_videos": {frames}')
        parts.append(f'"video_grid_thw": torch.tensor({grids})')
    told = facts.family.told_of_tokens
    if told:
        types = batch.types if told != "prefix" else [[0] * batch.width for _ in batch.ids]
        parts.append(f'"token_type_ids": {tensor(types)}')
    lines = [f"{name} = {{{', '.join(parts)}}}"]
    if crossing:
        # Each token sees the last image before it, and of that the first tile.
        lines += [
            f'seen = ({name}["input_ids"] == {facts.image}).cumsum(1)',
            f"seen = torch.nn.functional.one_hot(seen, {len(batch.pictures) + 1})[..., 1:, None]",
            f'{name}["cross_attention_mask"] = seen * torch.tensor({_one_tile()})',
        ]
    if batch.seen and not told and facts.axes > 1:
        written = tensor(batch.types)
        if len(written) > SHORT:
            written = _types_of(facts, batch, name)
        more = f"mm_token_type_ids={written}"
        if any(film.seconds != 1 for film in batch.films) and facts.family.video == "block":
            more += f", second_per_grid_ts=torch.tensor({[film.seconds for film in batch.films]})"
        lines.append(f"{name} |= known(model.forward, {more})")
    return lines


def _seen_beside(batch: Batch, pixels: str) -> list[str]:
    """Return what layers of cross attention see of the images of a single row.

    Raises:
        UsageProblem: there are several rows, or two images follow each other.
    """
    spans = batch.prompts[0].spans
    if len(batch.prompts) > 1 or any(one[1] == other[0] for one, other in pairwise(spans)):
        raise UsageProblem(
            "several rows, or images beside each other, are not supported in scripts"
        )
    n = len(spans)
    return [
        f'"pixel_values": {pixels}[None]',
        f'"aspect_ratio_ids": torch.ones(1, {n}, dtype=torch.int64)',
        f'"aspect_ratio_mask": torch.tensor([[{_one_tile()}] * {n}])',
    ]


def _one_tile() -> list[int]:
    return [1] + [0] * (TILES - 1)


def _types_of(facts: Facts, batch: Batch, name: str) -> str:
    """Return the source that computes token types of the ids."""
    steps_as_images = facts.family.video == "steps as images"
    kinds = [(facts.image, "")] if batch.pictures else []
    if batch.films:
        kinds.append((facts.image if steps_as_images else facts.video, " * 2"))
    return " + ".join(f'({name}["input_ids"] == {token}).long(){by}' for token, by in kinds)


def _listed(row: Sequence[int]) -> str:
    """Return a list's source, with what is repeated many times written once."""
    runs = [(value, len(list(group))) for value, group in groupby(row)]
    if len(runs) == 1 and runs[0][1] > REPEATED:
        return f"[{runs[0][0]}] * {runs[0][1]}"
    parts: list[str] = []
    for value, count in runs:
        many = count > REPEATED
        parts += [f"*[{value}] * {count}"] if many else [str(value)] * count
    return f"[{', '.join(parts)}]"


def pixels_of(pictures: Sequence[Picture], dtype: str = "model.dtype") -> str:
    """Return the source that draws the pixels of images, or of videos.

    Raises:
        UsageProblem: they have several shapes.
    """
    shapes = {p.shape[1:] for p in pictures}
    if len(shapes) > 1:
        raise UsageProblem("images of several shapes are not supported in scripts")
    shape = (sum(p.shape[0] for p in pictures), *shapes.pop())
    return f"torch.randn{literal(shape)[:-1]}, dtype={dtype})"


def real_of(batch: Batch, name: str) -> str:
    """Return the index that picks the logits of real tokens, (tokens, vocabulary)."""
    if len(batch.prompts) == 1:
        start, end = batch.starts[0], batch.starts[0] + len(batch.prompts[0].ids)
        if not batch.padded:
            return "[0]"
        return f"[0, {start}:]" if start else f"[0, :{end}]"
    return f'[{name}["attention_mask"].bool()]' if batch.padded else ".flatten(0, 1)"
