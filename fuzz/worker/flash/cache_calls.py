"""What ``fwd_kvcache`` of flash-attn's extension needs of its arguments.

As in :mod:`fuzz.worker.flash.calls`, findings are noted and nothing is raised.
"""

from __future__ import annotations

import torch

from fuzz.worker.flash.checks import (
    Findings,
    alibi,
    batch,
    floats,
    heads,
    ranks,
    settings,
    shaped,
    written,
)
from fuzz.worker.flash.sequence_checks import host, pages, within


def fwd_kvcache(
    f: Findings,
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
    _scale: float,
    causal: bool,
    left: int,
    right: int,
    softcap: float,
    _interleaved: bool,
    num_splits: int,
) -> None:
    """Check a call of ``fwd_kvcache``, the arguments of mha_fwd_kvcache."""
    settings(f, 0.0, softcap, False)
    if not ranks(f, ("q", q, 4), ("k_cache", k_cache, 4), ("v_cache", v_cache, 4)):
        return
    rows, queries, count, size = q.shape
    key_heads = k_cache.shape[2]
    named = (("q", q), ("k_cache", k_cache), ("v_cache", v_cache), ("k", k), ("v", v), ("out", out))
    # Heads that are no multiple of 8 are copied into padded ones first.
    floats(f, q, named, vectors=size % 8 == 0)
    heads(f, count, key_heads, size, pads=True)
    batch(f, rows)
    f.need(queries > 0, "queries-empty", "q is {}", tuple(q.shape))
    f.need(num_splits <= 128, "splits", "it is {}", num_splits)
    shaped(f, "k_cache", k_cache, *k_cache.shape[:-1], size)
    shaped(f, "v_cache", v_cache, *k_cache.shape)
    shaped(f, "out", out, *q.shape)
    written(f, ("out", out), *(named[1:3] if k is not None else ()))
    alibi(f, q, alibi_slopes, rows, count)
    capacity = k_cache.shape[1]
    if block_table is not None:
        capacity *= block_table.shape[-1]
    fresh = _appended(f, q, k, v, cache_seqlens, key_heads, capacity)
    held = [capacity] * rows
    if cache_seqlens is not None:
        given = host(f, q, "cache_seqlens", cache_seqlens, (rows,))
        held = given if given is not None else []
        f.need(min(held, default=0) >= 0, "cache-length-negative", "they are {}", held)
        most = max(held, default=0)
        f.need(
            most + fresh <= capacity,
            "cache-overflow",
            "{} rows and {} new ones do not fit {}",
            most,
            fresh,
            capacity,
        )
    if leftpad is not None:
        f.need(block_table is None, "leftpad-paged", "both are given")
        skipped = host(f, q, "cache_leftpad", leftpad, (rows,))
        if skipped and held:
            within(f, "leftpad-range", "cache_leftpad", skipped, held)
    if block_table is not None:
        f.need(cache_batch_idx is None, "batch-index-paged", "both are given")
        lengths = [keys + fresh for keys in held] if cache_seqlens is not None else None
        pages(f, q, k_cache, block_table, rows, lengths or None)
    elif cache_batch_idx is not None:
        _owners(f, q, cache_batch_idx, len(k_cache), fresh > 0)
    else:
        f.need(len(k_cache) >= rows, "cache-batch", "it has {} for {}", len(k_cache), rows)
    # One query alone is not masked: mha_fwd_kvcache sets is_causal to false there.
    masked = causal or 0 <= left < capacity or 0 <= right < capacity
    last = max(held, default=0) + (queries if masked else 1)
    _tables(f, q, rotary_cos, rotary_sin, k is not None, capacity, last)


def _appended(
    f: Findings,
    q: torch.Tensor,
    k: torch.Tensor | None,
    v: torch.Tensor | None,
    cache_seqlens: torch.Tensor | None,
    key_heads: int,
    capacity: int,
) -> int:
    """Check new keys and values and return how many there are for each sequence."""
    if k is None:
        f.need(v is None, "append-values-only", "there are none")
        return 0
    f.need(v is not None, "append-needs", "there are no new values")
    f.need(cache_seqlens is not None, "append-needs", "there are no cache_seqlens")
    queries = q.shape[1]
    f.need(queries <= capacity, "append-queries", "there are {} for {}", queries, capacity)
    fresh = k.shape[1] if k.dim() > 1 else 0
    shaped(f, "k", k, len(q), fresh, key_heads, q.shape[3])
    shaped(f, "v", v, len(q), fresh, key_heads, q.shape[3])
    return fresh


def _owners(
    f: Findings, q: torch.Tensor, cache_batch_idx: torch.Tensor, rows: int, appends: bool
) -> None:
    values = host(f, q, "cache_batch_idx", cache_batch_idx, None)
    if values is None:
        return
    f.need(len(values) == len(q), "batch-index-length", "it has {} for {}", len(values), len(q))
    outside = [x for x in values if not 0 <= x < rows]
    f.need(not outside, "batch-index-range", "{} of {} rows are named", outside, rows)
    twice = appends and len(set(values)) < len(values)
    f.need(not twice, "batch-index-twice", "it is {}", values)


def _tables(
    f: Findings,
    q: torch.Tensor,
    cos: torch.Tensor | None,
    sin: torch.Tensor | None,
    appends: bool,
    capacity: int,
    last: int,
) -> None:
    """Check the rotary tables of a cache; ``last`` is one past the last query's position."""
    if cos is None:
        f.need(sin is None, "rotary-sin-only", "there is no rotary_cos")
        return
    f.need(appends, "rotary-append", "there are none")
    size = 2 * cos.shape[-1]
    f.need(size <= q.shape[3] and size % 16 == 0, "rotary-size", "{} of {}", size, q.shape[3])
    f.need(len(cos) >= capacity, "rotary-rows", "they have {} for {}", len(cos), capacity)
    f.need(last <= len(cos), "rotary-queries", "it is {} of {} rows", last - 1, len(cos))
    other = None if sin is None else tuple(sin.shape)
    f.need(other == tuple(cos.shape), "rotary-shape", "they are {} and {}", tuple(cos.shape), other)
    for name, table in (("rotary_cos", cos), ("rotary_sin", sin)):
        if table is not None:
            f.need(table.is_contiguous(), "contiguous", "{} has strides {}", name, table.stride())
            floats(f, q, ((name, table),))
