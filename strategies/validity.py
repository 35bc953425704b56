"""Which cases are well-formed, and which of those a target has to refuse."""

from __future__ import annotations

from collections.abc import Iterator

from strategies.case import (
    DEFAULT,
    GUESSING,
    TICK,
    Audio,
    Case,
    Entry,
    Image,
    Row,
    Text,
    Video,
    has_turn,
    media_of,
    videos_of,
    visuals_of,
)
from strategies.geometry import Geometry, accepts_size


def is_generate(entry: Entry) -> bool:
    """Tell whether the entry point is one of ``generate``'s."""
    return entry in ("generate", "generate-embeds")


def may_be_padded(rows: tuple[Row, ...], extra_padding: int) -> bool:
    """Tell whether any row may need padding.

    Rows certainly need none if they hold as many text tokens and the same images as each other;
    of other rows it is not known without the processor.

    Args:
        rows: the prompts of the batch.
        extra_padding: columns beyond what the longest row needs.
    """
    return extra_padding > 0 or len({_content(row) for row in rows}) > 1


def trainable(rows: tuple[Row, ...]) -> bool:
    """Tell whether any row has a token to predict: one after its first, placeholders left out.

    An image, a video and audio are followed by their end marker. Without any such token the loss
    is a mean of nothing.

    Args:
        rows: the prompts of the batch.
    """
    return any(_text(row) > 1 or media_of(row) for row in rows)


def mixed(rows: tuple[Row, ...]) -> bool:
    """Tell whether the rows of a batch hold images as well as videos."""
    return len({type(visual) for row in rows for visual in visuals_of(row)}) > 1


def problems(case: Case) -> tuple[str, ...]:
    """Return what makes a case ill-formed, in words; empty if it is well-formed.

    An ill-formed case asks for something that has no meaning, or for one thing in two ways. A
    well-formed case can still be one that the target has to refuse: see :func:`refusals`.

    Args:
        case: the case to look at.
    """
    return tuple(_problems(case))


def refusals(case: Case, geometry: Geometry) -> tuple[str, ...]:
    """Return why a target has to refuse a well-formed case, in words; empty if it must run it.

    Args:
        case: the case to look at.
        geometry: the target's sizes and limits.
    """
    earlier = (*case.history, *case.between)
    rows = (*case.rows, *(call.row for call in earlier))
    visuals = [visual for row in rows for visual in visuals_of(row)]
    if case.turn_image is not None:
        visuals.append(case.turn_image)
    reasons = [
        f"image {visual.width}x{visual.height} is not a size that the processor accepts"
        for visual in visuals
        if not accepts_size(geometry, visual)
    ]
    entries = {case.entry, *(call.entry for call in earlier)}
    if "generate-embeds" in entries and not geometry.takes_embeddings:
        reasons.append("the target's generate takes no embeddings")
    if visuals and not geometry.images:
        reasons.append("the target takes no images")
    recordings = max(sum(isinstance(s, Audio) for s in row) for row in rows)
    if recordings and not geometry.audio:
        reasons.append("the target takes no audio")
    elif recordings > 1:
        reasons.append("the target takes one recording a prompt")
    if any(map(videos_of, rows)) and not geometry.videos:
        reasons.append("the target takes no videos")
    calls = (case.rows, *((call.row,) for call in earlier))
    if any(map(mixed, calls)) and not geometry.videos_beside_images:
        reasons.append("the target does not take images and videos in one call")
    if case.extra_placeholders:
        reasons.append(f"{case.extra_placeholders:+d} image placeholders do not fit the features")
    if case.cache in geometry.lacks:
        reasons.append(f"the target has no {case.cache} cache")
    if case.crop and "crop" in geometry.lacks:
        reasons.append("the target's cache cannot be cropped")
    if case.how == "assisted" and "crop" in geometry.lacks:
        reasons.append("the target's cache cannot be cropped, as wrong guesses are")
    if case.turn_image is not None and "turn_image" in geometry.lacks:
        reasons.append("the target takes no image after its first answer")
    return tuple(reasons)


def _problems(case: Case) -> Iterator[str]:
    yield from _problems_of_rows(case)
    yield from _problems_of_feeding(case)
    if is_generate(case.entry):
        if case.side != "left":
            yield f"{case.entry} needs side left"
        if case.decode < 1:
            yield f"{case.entry} needs decode of 1 or more"
        if case.chunks and case.how != "chunked":
            yield f"{case.entry} takes no chunks"
        if case.cache not in ("dynamic", "static"):
            yield f"{case.entry} takes no {case.cache} cache"
    yield from _problems_of_generating(case)
    yield from _problems_of_coming_back(case)
    if case.entry != "forward" and (case.offset or case.gap):
        yield f"{case.entry} takes no offset and no gap: it sees no explicit positions"
    if case.gap_at and not case.gap:
        yield "gap_at without gap"
    if case.mode == "train":
        yield from _problems_of_training(case)


def _problems_of_generating(case: Case) -> Iterator[str]:
    if case.how == DEFAULT.how and not has_turn(case):
        return
    if case.entry != "generate":
        yield f"{case.entry} is no generate that is told how, or has a second turn"
    if case.cache != DEFAULT.cache:
        yield "generate that is told how, or has a second turn, makes its own cache"
    if has_turn(case) and case.how != DEFAULT.how:
        yield "a second turn is generated greedily"
    if case.how == "chunked" and len(case.chunks) != 1:
        yield "a prompt prefilled in pieces has one size of them"
    alone = case.how in GUESSING or has_turn(case)
    if alone and len(case.rows) > 1:
        yield "guesses and second turns are for one row"
    if alone and may_be_padded(case.rows, case.extra_padding):
        yield "guesses and second turns are for rows without padding"


def _problems_of_coming_back(case: Case) -> Iterator[str]:
    """Look at what happens to the model or its cache before a sequence goes on."""
    fed_on = not is_generate(case.entry) and (case.chunks or case.decode)
    if case.crop and not fed_on:
        yield "crop without a forward that is fed in pieces"
    if case.crop and case.cache not in ("dynamic", "own"):
        yield f"a {case.cache} cache is not cropped"
    if case.between and not (fed_on or has_turn(case)):
        yield "between without a piece or a turn that goes on"
    if case.between and case.entry == "forward-implicit":
        # They are those of the prompt that the model was given last.
        yield "between needs explicit positions"


def _problems_of_training(case: Case) -> Iterator[str]:
    if is_generate(case.entry):
        yield f"{case.entry} is not trained through"
    elif case.chunks or case.decode or case.cache != DEFAULT.cache or case.history:
        yield "training is one forward: it takes no cache, no chunks, no decode and no history"
    if not trainable(case.rows):
        yield "training needs a token to predict: two text tokens in a row, an image or the like"


def _problems_of_rows(case: Case) -> Iterator[str]:
    if not case.rows:
        yield "no row"
    calls = [("rows", case.entry, row) for row in case.rows]
    calls += [("history", call.entry, call.row) for call in case.history]
    calls += [("between", call.entry, call.row) for call in case.between]
    for where, entry, row in calls:
        media = media_of(row)
        if not media and not _text(row):
            yield f"{where}: a row without a token"
        if media and entry == "generate-embeds":
            yield f"{where}: generate-embeds takes no images and no audio"
        if any(isinstance(s, Audio) and s.samples < 1 for s in media):
            yield f"{where}: audio without samples"
        for video in videos_of(row):
            if video.frames < 1:
                yield f"{where}: a video without frames"
            if video.seconds <= 0 or video.seconds % TICK:
                yield f"{where}: a video needs a multiple of 1/64 second above 0"
    if case.extra_placeholders and not any(map(media_of, case.rows)):
        yield "extra_placeholders without an image"


def _problems_of_feeding(case: Case) -> Iterator[str]:
    padded = may_be_padded(case.rows, case.extra_padding)
    if padded and not case.attention_mask:
        yield "a padded batch always has an attention mask"
    if case.cache_room and case.cache != "static":
        yield "cache_room without a static cache"
    if (
        case.entry == "forward-implicit"
        and case.side == "right"
        and padded
        and (case.chunks or case.decode)
    ):
        yield "a right-padded batch is not fed on with positions left to the model"


def _text(row: Row) -> int:
    return sum(s.tokens for s in row if isinstance(s, Text))


def _content(row: Row) -> tuple[int, tuple[tuple[int, ...], ...]]:
    return _text(row), tuple(sorted(_measures(visual) for visual in media_of(row)))


def _measures(visual: Image | Video | Audio) -> tuple[int, ...]:
    """Return what decides how many tokens an image, a video or a recording becomes."""
    if isinstance(visual, Audio):
        return (visual.samples,)
    size = visual.width, visual.height
    return size if isinstance(visual, Image) else (*size, visual.frames)
