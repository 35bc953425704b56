"""Whole cases: every axis of a Case drawn together, so that the axes fit each other."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from strategies.audio import recordings
from strategies.case import GAINS, CacheKind, Call, Case, Entry, Mode, Side, Text, images_of
from strategies.earlier_calls import earlier_calls, possible
from strategies.feedings import MAX_DECODE, caches, feedings, shifts
from strategies.generation import generations
from strategies.geometry import Geometry, estimated_cells, estimated_tokens
from strategies.image_sizes import image_sizes, invalid_image_sizes
from strategies.kinds import KINDS, Demands, Kind, kinds_for
from strategies.prompt_lengths import DEFAULT_CAP
from strategies.rows import (
    IMAGE_BUDGET,
    MAX_IMAGES,
    MAX_TOKENS,
    Prompt,
    batches_of_rows,
    fitted,
)
from strategies.validity import is_generate, may_be_padded, trainable
from strategies.videos import as_stills
from strategies.weighted import weighted

_MAX_PADDING: Final = 5
_MAX_ROOM: Final = 4
_MAX_GENERATED: Final = 17
"""Most tokens that :func:`generations` adds to a row: padding, a second turn, and two answers."""
_MAX_SEED: Final = 3
_MAX_EXTRA_PLACEHOLDERS: Final = 4


# Each entry as often as its share of the draws; the simplest first, since draws shrink to it.
_FORWARD: Final[tuple[Entry, ...]] = ("forward",) * 3 + ("forward-implicit",) * 3
_WITH_IMAGES: Final[tuple[Entry, ...]] = (*_FORWARD, *("generate",) * 3)
_ALL: Final[tuple[Entry, ...]] = (*_WITH_IMAGES, "generate-embeds", "generate-embeds")
# Explicit positions are the one entry that reads no state.
_STATEFUL: Final[tuple[Entry, ...]] = (
    "forward",
    *("forward-implicit",) * 5,
    *("generate",) * 3,
    "generate-embeds",
)

_FORWARD_ENTRIES: Final = st.sampled_from(_FORWARD)
_IMAGE_ENTRIES: Final = st.sampled_from(_WITH_IMAGES)
_ALL_ENTRIES: Final = st.sampled_from(_ALL)
_STATEFUL_ENTRIES: Final = st.sampled_from(_STATEFUL)
_GAINS: Final = st.sampled_from(GAINS)
# With seed 0 a case is compared in every way that there is, at several times the price of others.
_SEEDS: Final = st.sampled_from((*range(_MAX_SEED + 1), *range(1, _MAX_SEED + 1)))
_SIDES: Final[st.SearchStrategy[Side]] = st.sampled_from(("left", "right"))
# A quarter of all cases in the end: generate and rows of one token are not trained on.
_MODES: Final[st.SearchStrategy[Mode]] = st.sampled_from(("eval", "train"))
_BOOLEANS: Final = st.booleans()
_RARELY: Final = weighted(0, 1, (0,))
# Failures that several axes bring about together hardly come up while each axis is mostly left
# alone; what one axis hides needs cases that leave it alone (swarm testing, Groce et al., 2012).
_BUSY: Final = st.sampled_from((False, True, True, True))
_ROOMS: Final = weighted(0, _MAX_ROOM, (0, 1))


def cases(geometry: Geometry, kind: Kind = "any") -> st.SearchStrategy[Case]:
    """Return a strategy for cases of a kind.

    Every case is well-formed, fulfils the :class:`Demands` of its kind, and is one that the
    target has to run (or, for ``clean_rejection``, to refuse). Shrinks to ``Case()``, or to what
    is closest to it within the kind.

    Args:
        geometry: the target's sizes and limits.
        kind: the id of the property that the case is for, or ``any``.

    Raises:
        ValueError: the kind is unknown, or is not one of :func:`kinds_for` the geometry.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    if kind not in kinds_for(geometry):
        raise ValueError(f"kind {kind!r} needs a target that takes images or audio")
    demands = KINDS[kind]
    if demands.generated:
        budget = min(MAX_TOKENS // 2, _budget(geometry, demands))
        prompt = Prompt(budget=budget, cap=min(DEFAULT_CAP, budget))
        prompts = batches_of_rows(geometry, demands, prompt)
        return generations(prompts, geometry)
    return _valid(geometry, demands) if demands.valid else _invalid(geometry)


@st.composite
def _valid(draw: st.DrawFn, geometry: Geometry, demands: Demands) -> Case:
    # Every choice is made whether it is of use or not, and what is of no use is put back to its
    # default: the shrinker can then change one choice without shifting all that follow.
    entries = _STATEFUL_ENTRIES if demands.stateful else _ALL_ENTRIES
    entry = possible(geometry, draw(_FORWARD_ENTRIES if demands.forward_only else entries))
    least = demands.extra_padding
    busy = draw(_BUSY)
    quiet = () if busy else ((least,), (least,), (least,))
    padding = draw(weighted(least, _MAX_PADDING, *quiet, (1,)))
    gain = draw(_GAINS)
    seed = draw(_SEEDS)
    if demands.plain:
        budget = _budget(geometry, demands) - demands.images * IMAGE_BUDGET
        prompt = Prompt(budget=budget, cap=min(DEFAULT_CAP, budget))
        rows = draw(batches_of_rows(geometry, demands, prompt))
        return Case(rows=rows, gain=gain, seed=seed)
    static = draw(_BOOLEANS) if busy else draw(_RARELY)
    kind: CacheKind = "static" if static and "static" not in geometry.lacks else "dynamic"
    crop = 0
    if demands.fed_in_pieces:
        kind, crop = draw(caches(geometry))
    room = draw(_ROOMS)
    side = draw(_SIDES)
    mask = not draw(_BOOLEANS)
    # Only rows of one length go without a mask, and chance alone hardly draws these.
    bare = draw(_RARELY)
    # What earlier calls left is read where one prompt is continued without a mask and without
    # positions: half of the cases are of that form, half of those without an image of their own
    # to replace it.
    single, plain = demands.stateful and draw(_BOOLEANS), demands.stateful and draw(_BOOLEANS)
    # Other conversations in between are those of a caller who passes positions.
    apart = demands.stateful and not single and bool(draw(_RARELY))
    if single:
        entry = "forward-implicit"
    elif apart:
        entry = "forward"
    budget = _budget(geometry, demands)
    text_only = plain or entry == "generate-embeds"
    prompt = Prompt(text_only=text_only, budget=budget, cap=min(DEFAULT_CAP, budget))
    rows = draw(batches_of_rows(geometry, demands, prompt))
    if single or (bare and not least):
        longest = max(rows, key=lambda row: estimated_tokens(geometry, row))
        rows, padding, mask = (longest,) * (1 if single else len(rows)), 0, False
    columns = max(estimated_tokens(geometry, row) for row in rows) + padding
    padded = may_be_padded(rows, padding)
    fed_on = demands.fed_in_pieces and entry == "forward-implicit"
    if not padded or is_generate(entry) or fed_on:
        side = "left"
    in_pieces = demands.fed_in_pieces or ((single or apart) and columns > 1)
    decode, chunks = draw(feedings(columns, in_pieces, busy))
    if is_generate(entry):
        # What one token too few or too many does shows only once another one is generated.
        decode, chunks = min(decode + 1, MAX_DECODE), ()
        kind = "static" if kind == "static" else "dynamic"
    elif entry == "forward-implicit" and side == "right":
        decode, chunks = 0, ()
    offset, gap, gap_at = draw(shifts(geometry, columns))
    if entry != "forward":
        offset = 0
    if geometry.alike_up_to and demands.alike:
        offset = min(offset, geometry.alike_up_to - columns)
    if entry != "forward" or geometry.one_axis:
        # Where positions have one axis, a jump means that another sequence begins there.
        gap, gap_at = 0, 0
    history: list[Call] = []
    # What they leave is a property of its own; in others each costs a call or more of every leg.
    if draw(_RARELY) or demands.history:
        history = draw(earlier_calls(geometry, max(1, demands.history)))
    between = draw(earlier_calls(geometry, 1)) if apart and (chunks or decode) else ()
    mode: Mode = draw(_MODES) if demands.trained else "eval"
    if is_generate(entry) or not trainable(rows):
        mode = "eval"
    if mode == "train":
        decode, chunks, kind, history = 0, (), "dynamic", []
    return Case(
        rows=rows,
        side=side,
        extra_padding=padding,
        entry=entry,
        mode=mode,
        attention_mask=mask or padded,
        cache=kind,
        cache_room=room if kind == "static" else 0,
        chunks=chunks,
        decode=decode,
        crop=crop if (chunks or decode) and not is_generate(entry) else 0,
        between=tuple(between),
        offset=offset,
        gap=gap,
        gap_at=gap_at,
        history=tuple(history),
        gain=gain,
        seed=seed,
    )


def _budget(geometry: Geometry, demands: Demands) -> int:
    """Return the most tokens of a row: what is added to it must not reach too far either."""
    if not (demands.alike and geometry.alike_up_to):
        return MAX_TOKENS
    # What generate gives is also fed once more.
    added = _MAX_GENERATED if demands.generated else _MAX_PADDING + 2 * MAX_DECODE
    return min(MAX_TOKENS, geometry.alike_up_to - added)


@st.composite
def _invalid(draw: st.DrawFn, geometry: Geometry) -> Case:
    """Draw a case with one flaw and little else: what refuses it runs before anything else."""
    entry = draw(_IMAGE_ENTRIES)
    if geometry.audio:
        return draw(_wrong_count(geometry, entry))
    # Half of the budget, so that the image that follows fits into the rest.
    prompt = Prompt(images=MAX_IMAGES - 1, budget=MAX_TOKENS // 2)
    rows = list(draw(batches_of_rows(geometry, Demands(), prompt)))
    wrong_size = not draw(_BOOLEANS)
    image = draw(invalid_image_sizes(geometry) if wrong_size else image_sizes(geometry))
    at = draw(st.integers(0, len(rows) - 1))
    row = rows[at]
    place = draw(st.integers(0, len(row)))
    if not wrong_size:
        image = fitted(geometry, image, MAX_TOKENS - estimated_tokens(geometry, row))
    rows[at] = (*row[:place], image, *row[place:])
    if not geometry.videos_beside_images:
        rows = [as_stills(row) for row in rows]
    extra = 0
    if not wrong_size:
        stills = [i for row in rows for i in images_of(as_stills(row))]
        cells = min(estimated_cells(geometry, i) for i in stills)
        extra = draw(_extra_placeholders(cells))
    padding = draw(weighted(0, _MAX_PADDING, (0,), (0,), (1,)))
    padded = may_be_padded(tuple(rows), padding)
    return Case(
        rows=tuple(rows),
        entry=entry,
        extra_padding=padding,
        side="right" if padded and entry in _FORWARD and draw(_BOOLEANS) else "left",
        decode=1 if is_generate(entry) else 0,
        extra_placeholders=extra,
    )


@st.composite
def _wrong_count(draw: st.DrawFn, geometry: Geometry, entry: Entry) -> Case:
    """Draw a case whose first recording has placeholders too many or too few."""
    prompt = Prompt(budget=MAX_TOKENS // 2)
    # Of a recording that comes first, for that is where too many and too few are placed.
    audio = draw(recordings(geometry, MAX_TOKENS // 4))
    first, *rest = draw(batches_of_rows(geometry, Demands(), prompt))
    extra = draw(_extra_placeholders(audio.samples // geometry.audio_step))
    text = tuple(s for s in first if isinstance(s, Text))
    return Case(
        rows=((audio, *text), *rest),
        entry=entry,
        decode=1 if is_generate(entry) else 0,
        extra_placeholders=extra if extra > 0 or audio.samples > geometry.audio_step else -extra,
    )


def _extra_placeholders(cells: int) -> st.SearchStrategy[int]:
    """Draw a number that is not 0 and takes away at most what the smallest image has.

    The last placeholder stays where the estimate allows it: an image without any is a case of
    its own, kept for images of one cell.
    """
    fewest = -max(1, cells - 1)
    counts = (sign * n for n in range(1, _MAX_EXTRA_PLACEHOLDERS + 1) for sign in (1, -1))
    return st.sampled_from([n for n in counts if n >= fewest])
