"""``fwd_kvcache`` of the reference extension: append to a cache, rotate, attend."""

from __future__ import annotations

import math

import torch

from fuzz.worker.flash.attend import accumulator, attend, scoring


def fwd_kvcache(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    k: torch.Tensor | None,
    v: torch.Tensor | None,
    cache_seqlens: torch.Tensor | None,
    rotary_cos: torch.Tensor | None,
    rotary_sin: torch.Tensor | None,
    cache_batch_idx: torch.Tensor | None,
    leftpad: torch.Tensor | None,
    block_table: torch.Tensor | None,
    alibi_slopes: torch.Tensor | None,
    out: torch.Tensor | None,
    softmax_scale: float,
    causal: bool,
    window_left: int,
    window_right: int,
    softcap: float,
    rotary_interleaved: bool,
    _num_splits: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend to a cache, after writing new keys and values into it (mha_fwd_kvcache).

    Args:
        q: (batch, queries, heads, head size).
        k_cache: (cache batch, rows, key heads, head size), or (pages, page size, key heads,
            head size) with a ``block_table``; written in place.
        v_cache: as ``k_cache``.
        k: (batch, new, key heads, head size) to append at ``cache_seqlens``, or None.
        v: as ``k``.
        cache_seqlens: (batch,) int32 rows in use, None for all.
        rotary_cos: (positions, rotary size / 2); new keys and queries are rotated by their
            position in the cache, all queries by the first one's where nothing is masked.
        rotary_sin: as ``rotary_cos``.
        cache_batch_idx: (batch,) int32, which row of the cache each row of ``q`` uses.
        leftpad: (batch,) int32, rows of the cache to leave out at its start.
        block_table: (batch, pages per row) int32, or None.
        alibi_slopes: (heads,) or (batch, heads), or None.
        out: written and returned where given.
        softmax_scale: factor of the scores.
        causal: see :func:`fuzz.worker.flash.attend.scoring`.
        window_left: likewise.
        window_right: likewise.
        softcap: likewise.
        rotary_interleaved: rotate neighbours instead of halves.

    Returns:
        The output, shaped as ``q``, and (batch, heads, queries) logarithms.
    """
    batch, queries, heads, _ = q.shape
    page = k_cache.shape[1]
    capacity = page if block_table is None else page * block_table.shape[1]
    rule = scoring(softmax_scale, causal, window_left, window_right, softcap, capacity)
    out = torch.empty_like(q) if out is None else out
    lse = torch.full((batch, heads, queries), math.nan, dtype=accumulator(q.dtype), device=q.device)
    for row in range(batch):
        held = capacity if cache_seqlens is None else int(cache_seqlens[row])
        owner = row if cache_batch_idx is None else int(cache_batch_idx[row])
        pages = None if block_table is None else block_table[row].long()
        asked = q[row]
        if k is not None and v is not None:
            fresh, positions = k[row], _span(held, held + k.shape[1], q)
            if rotary_cos is not None and rotary_sin is not None:
                fresh = rotate(fresh, rotary_cos, rotary_sin, positions, rotary_interleaved)
                own = _span(0, queries, q) * int(rule.positional) + held
                asked = rotate(asked, rotary_cos, rotary_sin, own, rotary_interleaved)
            where = _where(positions, owner, pages, page)
            k_cache[where], v_cache[where] = fresh, v[row]
            held += k.shape[1]
        first = 0 if leftpad is None else int(leftpad[row])
        where = _where(_span(first, held, q), owner, pages, page)
        out[row], lse[row] = attend(
            asked, k_cache[where], v_cache[where], rule, slopes_of(alibi_slopes, row)
        )
    return out, lse


def rotate(
    x: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    positions: torch.Tensor,
    interleaved: bool,
) -> torch.Tensor:
    """Return ``x``, (tokens, heads, head size), rotated by the angles of its positions.

    The first 2 * cos.shape[1] columns are rotated in pairs: neighbours where ``interleaved``, else
    column i with column i + cos.shape[1] (copy_rotary_interleaved and copy_rotary_contiguous in
    src/rotary.h). Computed in :func:`accumulator`'s dtype.

    Args:
        x: what is rotated.
        cos: (positions, pairs).
        sin: as ``cos``.
        positions: (tokens,) int64 rows of the tables.
        interleaved: which columns are a pair.
    """
    wide = accumulator(x.dtype)
    pairs = cos.shape[1]
    c, s = cos[positions].to(wide)[:, None], sin[positions].to(wide)[:, None]
    first, second = (
        (slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2))
        if interleaved
        else (slice(0, pairs), slice(pairs, 2 * pairs))
    )
    a, b = x[..., first].to(wide), x[..., second].to(wide)
    rotated = x.clone()
    rotated[..., first] = (a * c - b * s).to(x.dtype)
    rotated[..., second] = (a * s + b * c).to(x.dtype)
    return rotated


def slopes_of(alibi_slopes: torch.Tensor | None, row: int | list[int]) -> torch.Tensor | None:
    """Return the (heads,) slopes of a row of the batch, or (rows, heads) of several."""
    if alibi_slopes is None or alibi_slopes.dim() == 1:
        return alibi_slopes
    return alibi_slopes[row]


def paged_rows(cache: torch.Tensor, pages: torch.Tensor, count: int) -> torch.Tensor:
    """Return the first ``count`` rows, (..., count, key heads, head size), that pages hold.

    Args:
        cache: (pages, page size, key heads, head size).
        pages: (..., pages per sequence), integers.
        count: rows of each sequence.
    """
    return cache[_where(_span(0, count, cache), 0, pages.long(), cache.shape[1])]


def _span(start: int, end: int, like: torch.Tensor) -> torch.Tensor:
    return torch.arange(start, max(start, end), device=like.device)


def _where(
    positions: torch.Tensor, owner: int, pages: torch.Tensor | None, page: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two indices into a cache of positions of one sequence."""
    if pages is None:
        return torch.full_like(positions, owner), positions
    return pages[..., positions // page], positions % page
