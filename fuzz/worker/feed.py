"""How a batch goes into a model: in which pieces, with which cache and at which positions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from fuzz.worker.inputs import Batch
from strategies.case import Case


@dataclass(frozen=True, slots=True)
class Feed:
    """How a batch goes into the model.

    Attributes:
        explicit: whether position ids are passed.
        pieces: half-open column ranges, one forward each, covering the batch.
        cache: a kind of :data:`strategies.case.CACHE_KINDS` or "" for none (then there is one
            piece).
        room: rows of a static cache beyond the batch's width.
        crop: tokens that are fed before the last piece and cropped away again.
        offset: added to explicit positions.
        gap: added to the explicit positions of each row from its token ``gap_at`` on.
        gap_at: see ``gap``.
    """

    explicit: bool = True
    pieces: tuple[tuple[int, int], ...] = ()
    cache: str = ""
    room: int = 0
    crop: int = 0
    offset: int = 0
    gap: int = 0
    gap_at: int = 0


def feed_of(case: Case, batch: Batch, split: bool = True, whole_images: bool = False) -> Feed:
    """Return how the case feeds a batch through a ``forward`` entry.

    Positions left to the model can only be continued after the last image, so with
    ``forward-implicit`` the first piece always reaches past it.

    Args:
        case: the case.
        batch: the batch it became.
        split: False for one forward without a cache.
        whole_images: whether the first piece has to hold all images.
    """
    explicit = case.entry == "forward"
    pieces = _pieces(case, batch, whole_images) if split else ((0, batch.width),)
    one = len(pieces) == 1
    # One piece says nothing of a cache, but for those that differ as soon as there is one.
    without = one and not (split and (batch.whole or case.cache in ("static", "own")))
    return Feed(
        explicit=explicit,
        pieces=pieces,
        cache="" if without else case.cache,
        room=case.cache_room,
        crop=0 if one or batch.whole else case.crop,
        offset=case.offset if explicit else 0,
        gap=case.gap if explicit else 0,
        gap_at=case.gap_at if explicit else 0,
    )


def _pieces(case: Case, batch: Batch, whole_images: bool) -> tuple[tuple[int, int], ...]:
    width = batch.width
    if batch.whole:
        return ((0, width),)
    decode = min(case.decode, width - 1)
    first = batch.images_end if whole_images else 0
    if case.entry == "forward-implicit":
        # The model derives the later positions from what it saw first: all images, and at least
        # one token of every row.
        first = max(batch.images_end, max(batch.starts) + 1)
    cuts = set(range(width - decode, width))
    at = 0
    for length in case.chunks:
        at += length
        if at < width - decode:
            cuts.add(at)
    # A cut that comes too early is moved, not dropped: minimizing a length must not undo it.
    ordered = [0, *sorted({max(c, first, 1) for c in cuts if max(c, first) < width}), width]
    return tuple((a, b) for a, b in pairwise(ordered) if a < b)
