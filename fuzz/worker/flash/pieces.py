"""A call of flash-attn's extension taken apart into the sequences that it attends.

Written apart from the loops of :mod:`fuzz.worker.flash.extension`, from the meaning of the
metadata, so that the two hold each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from fuzz.worker.flash.attend import Scoring, scoring
from fuzz.worker.flash.kvcache import rotate, slopes_of


@dataclass(frozen=True, slots=True)
class Piece:
    """One sequence of a call, in float64.

    Attributes:
        sequence: its number in the call.
        q: (queries, heads, head size), rotated where the call rotates.
        k: (keys, key heads, head size).
        v: as ``k``.
        rows: which rows of the packed queries it has, None where queries have a batch dimension.
        key_rows: the same of the keys.
        rule: how it is attended.
        slopes: (heads,) of ALiBi, or None.
        rotated: whether the kernel has rounded a rotation of q.
    """

    sequence: int
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    rows: slice | None
    key_rows: slice | None
    rule: Scoring
    slopes: torch.Tensor | None
    rotated: bool = False

    def of(self, packed: torch.Tensor, keys: bool = False) -> torch.Tensor:
        """Return the part of a tensor, laid out as the call's queries or keys, that is its own."""
        rows = self.key_rows if keys else self.rows
        return packed[self.sequence] if rows is None else packed[rows]

    def lse_of(self, lse: torch.Tensor) -> torch.Tensor:
        """Return its part, (heads, queries), of the call's logarithms."""
        return lse[self.sequence] if self.rows is None else lse[:, self.rows]


def pieces(name: str, given: Mapping[str, Any]) -> Iterator[Piece]:
    """Return the sequences of a call that has been made.

    Args:
        name: the function.
        given: its arguments by name. A cache is looked at as the call has left it.
    """
    if name == "fwd_kvcache":
        yield from _cached(given)
    elif name.startswith("varlen"):
        yield from _packed(given)
    else:
        rule = _rule(given, given["k"].shape[1])
        for i in range(len(given["q"])):
            q, k, v = (given[x][i].double() for x in "qkv")
            yield Piece(i, q, k, v, None, None, rule, slopes_of(given["alibi_slopes"], i))


def _rule(given: Mapping[str, Any], keys: int) -> Scoring:
    return scoring(
        given["softmax_scale"],
        given["causal"],
        given["window_left"],
        given["window_right"],
        given["softcap"],
        keys,
    )


def _packed(given: Mapping[str, Any]) -> Iterator[Piece]:
    starts, key_starts = given["cu_seqlens_q"].tolist(), given["cu_seqlens_k"].tolist()
    used, skipped, table = (given.get(x) for x in ("seqused_k", "leftpad_k", "block_table"))
    rule = _rule(given, given["max_seqlen_k"])
    for i, (start, end) in enumerate(itertools.pairwise(starts)):
        count = key_starts[i + 1] - key_starts[i] if used is None else int(used[i])
        key_rows = None
        if table is None:
            first = key_starts[i] + (0 if skipped is None else int(skipped[i]))
            key_rows = slice(first, key_starts[i] + count)
            k, v = given["k"][key_rows], given["v"][key_rows]
        else:
            pages = table[i].long()
            k, v = (given[x][pages].flatten(0, 1)[:count] for x in "kv")
        yield Piece(
            i,
            given["q"][start:end].double(),
            k.double(),
            v.double(),
            slice(start, end),
            key_rows,
            rule,
            slopes_of(given["alibi_slopes"], i),
        )


def _cached(given: Mapping[str, Any]) -> Iterator[Piece]:
    table, fresh = given["block_table"], given["k"]
    rows = given["k_cache"].shape[1] * (1 if table is None else table.shape[1])
    rule = _rule(given, rows)
    for i, own in enumerate(given["q"]):
        held = rows if given["cache_seqlens"] is None else int(given["cache_seqlens"][i])
        q = own.double()
        rotated = fresh is not None and given["rotary_cos"] is not None
        if rotated:
            # All queries stand at the first one's place where nothing is masked.
            steps = torch.arange(len(q), device=q.device) * int(rule.positional)
            tables = given["rotary_cos"].double(), given["rotary_sin"].double()
            q = rotate(q, *tables, held + steps, given["rotary_interleaved"])
        end = held if fresh is None else held + fresh.shape[1]
        first = 0 if given["leftpad"] is None else int(given["leftpad"][i])
        k, v = (cache_row(given, name, i)[first:end].double() for name in ("k_cache", "v_cache"))
        slopes = slopes_of(given["alibi_slopes"], i)
        yield Piece(i, q, k, v, None, None, rule, slopes, rotated)


def cache_row(given: Mapping[str, Any], name: str, sequence: int) -> torch.Tensor:
    """Return the rows, (rows, key heads, head size), of the cache that a sequence uses.

    Args:
        given: the arguments of ``fwd_kvcache``.
        name: ``k_cache`` or ``v_cache``.
        sequence: its number.
    """
    cache: torch.Tensor = given[name]
    if given["block_table"] is not None:
        return cache[given["block_table"][sequence].long()].flatten(0, 1)
    owner = given["cache_batch_idx"]
    return cache[sequence if owner is None else int(owner[sequence])]
