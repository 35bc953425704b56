"""The shadow oracle: what kernels may round it lets pass, what they may not do it names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import torch

Change = Callable[[Any, list[Any]], Any]
DTYPES = ("float64", "float32", "float16", "bfloat16")
CALLS = [
    *("fwd", "fwd alibi", "bwd", "fwd_kvcache", "fwd_kvcache paged"),
    *("varlen_fwd", "varlen_fwd used", "varlen_fwd paged", "varlen_bwd"),
]


def draw(dtype: str, *shape: int, seed: int = 0) -> torch.Tensor:
    import torch

    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(getattr(torch, dtype))


def i32(*values: Any) -> torch.Tensor:
    import torch

    return torch.tensor(values, dtype=torch.int32)


def arguments(call: str, dtype: str, causal: bool = True, left: int = -1) -> list[Any]:
    """The arguments of a call with every shape a different number, by position."""
    from fuzz.worker.flash import extension

    name, _, how = call.partition(" ")
    end = [causal, left, -1, 0.0]
    if name in ("fwd", "bwd"):
        q, k, v = (draw(dtype, 2, n, h, 8, seed=n) for n, h in ((3, 4), (6, 2), (6, 2)))
        v = draw(dtype, 2, 6, 2, 8, seed=9)
        slopes = draw("float32", 4).abs() if how else None
        forward: list[Any] = [q, k, v, None, slopes, 0.0, 0.3, *end, False, None]
        if name == "fwd":
            return forward
        out, lse, *_ = extension.fwd(*forward)
        grads = [draw(dtype, 2, 3, 4, 8, seed=5), q, k, v, out, lse, None, None, None]
        return [*grads, slopes, 0.0, 0.3, *end, False]
    if name == "fwd_kvcache":
        shape = (5, 4, 2, 8) if how else (3, 8, 2, 8)
        q, kc, vc = draw(dtype, 2, 3, 4, 8), draw(dtype, *shape), draw(dtype, *shape, seed=1)
        k, v = draw(dtype, 2, 3, 2, 8, seed=2), draw(dtype, 2, 3, 2, 8, seed=3)
        cos, sin = draw(dtype, 8, 4, seed=4).cos(), draw(dtype, 8, 4, seed=4).sin()
        side = [None, None, i32([4, 1], [0, 2])] if how else [i32(2, 0), i32(1, 0), None]
        given = [q, kc, vc, k, v, i32(2, 5), cos, sin, *side, None, None]
        return [*given, 0.3, *end, False, 0]
    q, k, v = draw(dtype, 9, 4, 8), draw(dtype, 12, 2, 8), draw(dtype, 12, 2, 8, seed=1)
    # Two rows of queries and one of keys belong to no sequence.
    cu = [i32(0, 3, 7), i32(0, 5, 11)]
    side = [None, None, None]
    if how == "used":
        side = [i32(4, 6), i32(1, 0), None]
    if how == "paged":
        k, v = draw(dtype, 4, 4, 2, 8), draw(dtype, 4, 4, 2, 8, seed=1)
        side = [None, None, i32([3, 0], [1, 2])]
    packed: list[Any] = [q, k, v, None, *cu, *side, None, 4, 6, 0.0, 0.3, False, *end, False, None]
    if name == "varlen_fwd":
        return packed
    out, lse, *_ = extension.varlen_fwd(*packed)
    grads = [draw(dtype, 9, 4, 8, seed=5), q, k, v, out, lse, None, None, None, *cu, None]
    return [*grads, 4, 6, 0.0, 0.3, False, *end, False]


def held(call: str, args: list[Any], change: Change | None = None) -> str:
    """Make a call of the reference, perhaps of a changed one, and return what is said of it."""
    from fuzz.worker.flash import extension
    from fuzz.worker.flash.shadow import KernelError, shadowed, watching

    name = call.partition(" ")[0]
    function = getattr(extension, name)

    def other(*given: Any) -> Any:
        return change(function, list(given)) if change else function(*given)

    try:
        with watching():
            shadowed(name, other, always=False)(*args)
    except KernelError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("causal", "left"), [(True, -1), (False, -1), (True, 2)])
def test_the_reference_is_itself_in_every_dtype(
    call: str, dtype: str, causal: bool, left: int
) -> None:
    """Rows and keys that belong to no sequence, NaN here and leftovers in a kernel, included."""
    assert held(call, arguments(call, dtype, causal, left)) == ""


def window(at: int) -> Change:
    def change(function: Any, args: list[Any]) -> Any:
        args[at] += 1
        return function(*args)

    return change


def top_left(function: Any, args: list[Any]) -> Any:
    args[1], args[2] = args[1][:, : args[0].shape[1]], args[2][:, : args[0].shape[1]]
    return function(*args)


def shifted(function: Any, args: list[Any]) -> Any:
    args[4] = args[4].clone()
    args[4][1] += 1
    return function(*args)


def last_key(function: Any, args: list[Any]) -> Any:
    """Only the last query of a causal call sees the last key, so values alone are changed."""
    args[2] = args[2].clone()
    args[2][:, -1] = 0
    return function(*args)


def one_page(function: Any, args: list[Any]) -> Any:
    args[8] = i32([3, 0], [1, 1])
    return function(*args)


def one_late(function: Any, args: list[Any]) -> Any:
    caches = args[1].clone(), args[2].clone()
    result = function(*args)
    for cache, copy in zip(args[1:3], caches, strict=True):
        cache[2, 2:5], cache[2, 3:6] = copy[2, 2:5].clone(), cache[2, 2:5].clone()
    return result


def off(which: int) -> Change:
    def change(function: Any, args: list[Any]) -> Any:
        result = function(*args)
        result[which][0, 0] *= 1.25
        return result

    return change


DEFECTS: list[tuple[str, Change, str]] = [
    ("fwd", window(8), "fwd, sequence 0 (queries 3, keys 6), query"),
    ("fwd", top_left, "fwd, sequence 0 (queries 3, keys 6), query"),
    ("fwd", last_key, "fwd, sequence 0 (queries 3, keys 6), query 2"),
    ("fwd alibi", off(0), "query 0"),
    ("fwd", off(1), "softmax_lse is off by"),
    ("varlen_fwd", window(16), "varlen_fwd, sequence"),
    ("varlen_fwd", shifted, "varlen_fwd, sequence"),
    ("varlen_fwd paged", one_page, "varlen_fwd, sequence 1 (queries 4, keys 6), query"),
    ("fwd_kvcache", window(15), "fwd_kvcache, sequence"),
    ("fwd_kvcache", one_late, "fwd_kvcache, k_cache[2, 2]: not what should stand there, off by"),
    ("bwd", off(0), "query 0, head"),
    ("bwd", off(1), "key 0, head"),
    ("bwd", off(2), ": dv is off by"),
    ("varlen_bwd", window(18), "varlen_bwd, sequence"),
]


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize(("call", "change", "said"), DEFECTS)
def test_a_defect_of_one_position_one_key_or_one_row_is_named(
    call: str, change: Change, said: str, dtype: str
) -> None:
    left = 2 if change.__qualname__.startswith("window") else -1
    assert said in held(call, arguments(call, dtype, left=left), change)


def rounding(args: list[Any]) -> tuple[Any, ...]:
    """What a kernel may do at worst: round the weights, each by itself, and the result."""
    import torch

    from fuzz.worker.flash.attend import per_head, scores_of
    from fuzz.worker.flash.pieces import pieces
    from fuzz.worker.flash.shadow import SIGNATURES

    q = args[0]
    out, lse = torch.empty_like(q), torch.empty(q.shape[0], q.shape[2], q.shape[1])
    for piece in pieces("fwd", SIGNATURES["fwd"].bind(*args).arguments):
        groups = piece.q.shape[1] // piece.k.shape[1]
        k, v = (per_head(x.float(), groups, torch.float32) for x in (piece.k, piece.v))
        scores, _ = scores_of(piece.q.float(), k, piece.rule, None)
        top = scores.amax(-1, keepdim=True)
        weights = torch.exp(scores - top)
        total = weights.sum(-1)
        summed = torch.einsum("hij,jhd->ihd", weights.to(q.dtype).float(), v)
        out[piece.sequence] = (summed / total.T[..., None]).to(q.dtype)
        lse[piece.sequence] = top[..., 0] + total.log()
    return out, lse, None, None


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_budget_holds_what_a_kernel_rounds_and_is_no_wider_than_eight_times_that(
    dtype: str,
) -> None:
    """Queries and keys from flat to peaked scores, 1 to 200 keys, a head of 64."""
    from fuzz.worker.flash.budget import forward
    from fuzz.worker.flash.pieces import pieces
    from fuzz.worker.flash.shadow import SIGNATURES

    ratios = []
    for keys in (1, 7, 64, 200):
        for gain in (0.1, 1.0, 4.0):
            q, k, v = (draw(dtype, 1, keys, h, 64, seed=h) for h in (4, 2, 3))
            v = draw(dtype, 1, keys, 2, 64, seed=11)
            args = [q * gain, k, v, None, None, 0.0, 0.125, True, -1, -1, 0.0, False, None]
            out, lse, *_ = rounding(args)
            assert held("fwd", args, lambda *_, out=out, lse=lse: (out, lse)) == ""
            (piece,) = pieces("fwd", SIGNATURES["fwd"].bind(*args).arguments)
            expected, _ = forward(piece, q.dtype)
            ratios.append(float(((out[0].double() - expected.value).abs() / expected.most).max()))
    assert 1 / 8 < max(ratios) <= 1, ratios


def test_outside_of_watching_nothing_is_looked_at_but_always_means_always() -> None:
    from fuzz.worker.flash.shadow import KernelError, shadowed

    args = arguments("fwd", "float64")

    def broken(*given: Any) -> Any:
        return (given[0] * 0, None, None, None)

    shadowed("fwd", broken, always=False)(*args)
    with pytest.raises(KernelError, match=r"^fwd, sequence 0 "):
        shadowed("fwd", broken, always=True)(*args)


def test_a_result_that_is_not_a_number_is_off() -> None:
    def change(function: Any, args: list[Any]) -> Any:
        result = function(*args)
        result[0][1, 2] = math.nan
        return result

    said = held("fwd", arguments("fwd", "bfloat16"), change)
    assert said.startswith("fwd, sequence 1 (queries 3, keys 6), query 2, head")
    assert "out is off by nan" in said


def test_dropout_is_random_and_not_compared() -> None:
    args = arguments("fwd", "float64")
    args[5] = 0.1
    assert held("fwd", args, lambda _, given: (given[0] * 0, None, None, None)) == ""
