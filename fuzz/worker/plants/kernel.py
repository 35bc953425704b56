"""Defects of flash-attn's kernels, put between its extension and whoever looks at its results."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from fuzz.target import FLASH
from fuzz.worker import release
from fuzz.worker.flash.attend import per_head, scores_of
from fuzz.worker.flash.pieces import pieces
from fuzz.worker.flash.shadow import SIGNATURES, Defect, watching


def in_kernel(defect: Defect) -> Callable[[Any], None]:
    """Return a plant that breaks the extension while a model with flash_attention_2 runs."""

    def plant(model: Any) -> None:
        if release.text_config(model.config)._attn_implementation != FLASH:
            return
        forward = model.forward

        @functools.wraps(forward)  # callers look at its signature
        def broken(*args: Any, **kwargs: Any) -> Any:
            with watching(defect):
                return forward(*args, **kwargs)

        model.forward = broken

    return plant


def last_key_ignored(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Leave the last key of every sequence out of a forward pass: its share is taken back out."""
    if name not in ("fwd", "varlen_fwd"):
        return function

    def broken(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        for piece in pieces(name, _named(name, args, kwargs)):
            if len(piece.k) < 2:
                continue
            groups = piece.q.shape[1] // piece.k.shape[1]
            keys, values = (per_head(x, groups, torch.float64) for x in (piece.k, piece.v))
            scores, _ = scores_of(piece.q, keys, piece.rule, piece.slopes)
            lse = piece.lse_of(result[1])
            share = torch.exp(scores[..., -1] - lse.double())
            out = piece.of(result[0])
            rest = (out.double() - share.T[..., None] * values[-1]) / (1 - share.T[..., None])
            out.copy_(rest)
            lse.copy_(lse + torch.log1p(-share))
        return result

    return broken


def causal_top_left(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Have query i of fewer queries than keys stand at key i, as flash-attn before 2.1 did."""
    if name != "fwd":
        return function

    def broken(*args: Any, **kwargs: Any) -> Any:
        given = _named(name, args, kwargs)
        queries = given["q"].shape[1]
        if not given["causal"] or queries >= given["k"].shape[1]:
            return function(*args, **kwargs)
        q, k, v, *rest = args
        return function(q, k[:, :queries], v[:, :queries], *rest, **kwargs)

    return broken


def window_ignored(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """See every key before a query, whatever the sliding window."""
    if name not in ("fwd", "varlen_fwd"):
        return function

    def broken(*args: Any, **kwargs: Any) -> Any:
        bound = SIGNATURES[name].bind(*args, **kwargs)
        bound.arguments["window_left"] = -1
        return function(*bound.args, **bound.kwargs)

    return broken


def boundary_late(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Have every packed sequence but the first begin one row late, for queries and for keys."""
    if name != "varlen_fwd":
        return function

    def broken(*args: Any, **kwargs: Any) -> Any:
        bound = SIGNATURES[name].bind(*args, **kwargs)
        for which in ("cu_seqlens_q", "cu_seqlens_k"):
            bounds = bound.arguments[which].clone()
            longer = bounds[1:-1] + 1
            bounds[1:-1] = torch.minimum(longer, bounds[-1])
            bound.arguments[which] = bounds
        for most in ("_max_seqlen_q", "max_seqlen_k"):
            bound.arguments[most] = int(bound.arguments[most]) + 1
        return function(*bound.args, **bound.kwargs)

    return broken


def _named(name: str, args: Any, kwargs: Any) -> dict[str, Any]:
    return dict(SIGNATURES[name].bind(*args, **kwargs).arguments)
