"""The reference extension's functions: packed sequences, caches, pages, gradients, dropout."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from fuzz.worker.flash.tests.loops import looped

if TYPE_CHECKING:
    import torch

SCALE = 0.3


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    import torch

    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def i32(*values: int) -> torch.Tensor:
    import torch

    return torch.tensor(values, dtype=torch.int32)


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    import torch

    torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


def packed(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cu_q: Any, cu_k: Any, **given: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Call varlen_fwd of the reference, without the guard."""
    from fuzz.worker.flash.extension import reference

    module: Any = reference()
    names = ("seqused_k", "leftpad_k", "block_table", "alibi_slopes")
    side = [given.pop(name, None) for name in names]
    most = [int((c[1:] - c[:-1]).max()) for c in (cu_q, cu_k)]
    defaults = {"zero": False, "causal": False, "left": -1, "right": -1, "softcap": 0.0}
    rest = {**defaults, **given}
    out, lse, *_ = module.varlen_fwd(
        q, k, v, None, cu_q, cu_k, *side, *most, 0.0, SCALE, *rest.values(), False, None
    )
    return out, lse


def cached(q: torch.Tensor, k_cache: torch.Tensor, v_cache: torch.Tensor, **given: Any) -> Any:
    """Call fwd_kvcache of the reference, without the guard."""
    from fuzz.worker.flash.extension import reference

    module: Any = reference()
    side = ("k", "v", "seqlens", "cos", "sin", "batch_idx", "leftpad", "table", "alibi", "out")
    settings = {"causal": True, "left": -1, "right": -1, "softcap": 0.0, "interleaved": False}
    return module.fwd_kvcache(
        q,
        k_cache,
        v_cache,
        *(given.get(name) for name in side),
        SCALE,
        *(given.get(name, value) for name, value in settings.items()),
        0,
    )


def test_a_batch_of_one_length_equals_its_rows() -> None:
    from fuzz.worker.flash.extension import fwd

    q, k, v = draw(2, 3, 4, 8), draw(2, 5, 2, 8, seed=1), draw(2, 5, 2, 8, seed=2)
    slopes = draw(2, 4).abs()
    out, lse, *_ = fwd(q, k, v, None, slopes, 0.0, SCALE, True, 2, -1, 1.5, False, None)
    for row in range(2):
        expected, logarithms = looped(
            q[row], k[row], v[row], SCALE, True, (2, -1), 1.5, slopes[row]
        )
        close(out[row], expected)
        close(lse[row], logarithms)


def test_results_are_written_into_the_tensor_that_is_passed() -> None:
    import torch

    from fuzz.worker.flash.extension import fwd

    q, k, v = draw(1, 3, 2, 8), draw(1, 3, 2, 8, seed=1), draw(1, 3, 2, 8, seed=2)
    mine = torch.zeros_like(q)
    out, *_ = fwd(q, k, v, mine, None, 0.0, SCALE, False, -1, -1, 0.0, False, None)
    assert out is mine
    assert bool((mine != 0).all())


def test_packed_sequences_equal_the_sequences_apart() -> None:
    q, k, v = draw(7, 4, 8), draw(9, 2, 8, seed=1), draw(9, 2, 8, seed=2)
    cu_q, cu_k = i32(0, 3, 3, 7), i32(0, 4, 5, 9)
    out, lse = packed(q, k, v, cu_q, cu_k, causal=True)
    for row in (0, 2):
        own, seen = slice(cu_q[row], cu_q[row + 1]), slice(cu_k[row], cu_k[row + 1])
        expected, logarithms = looped(q[own], k[seen], v[seen], SCALE, causal=True)
        close(out[own], expected)
        close(lse[:, own], logarithms)


@pytest.mark.parametrize(("starts", "bare"), [((0, 2, 5), [5, 6]), ((1, 4, 7), [0])], ids=str)
def test_rows_that_no_sequence_covers_are_nan(starts: tuple[int, ...], bare: list[int]) -> None:
    q, k, v = draw(7, 2, 8), draw(7, 2, 8, seed=1), draw(7, 2, 8, seed=2)
    out, lse = packed(q, k, v, i32(*starts), i32(*starts))
    assert [i for i in range(7) if bool(out[i].isnan().all())] == bare
    assert [i for i in range(7) if bool(lse[:, i].isnan().all())] == bare
    covered = [i for i in range(7) if i not in bare]
    assert bool(out[covered].isfinite().all())
    assert bool(lse[:, covered].isfinite().all())


def test_zero_tensors_fills_the_rows_that_no_sequence_covers() -> None:
    q, k, v = draw(7, 2, 8), draw(7, 2, 8, seed=1), draw(7, 2, 8, seed=2)
    out, lse = packed(q, k, v, i32(0, 5), i32(0, 5), zero=True)
    assert bool((out[5:] == 0).all())
    assert bool((lse[:, 5:] == -math.inf).all())


def test_left_padding_and_used_keys_shorten_a_sequence() -> None:
    q, k, v = draw(4, 2, 8), draw(10, 2, 8, seed=1), draw(10, 2, 8, seed=2)
    out, _ = packed(
        q, k, v, i32(0, 2, 4), i32(0, 5, 10), seqused_k=i32(4, 5), leftpad_k=i32(1, 2), causal=True
    )
    close(out[:2], looped(q[:2], k[1:4], v[1:4], SCALE, causal=True)[0])
    close(out[2:], looped(q[2:], k[7:10], v[7:10], SCALE, causal=True)[0])


def test_packed_queries_read_pages_in_the_tables_order() -> None:
    import torch

    q = draw(3, 2, 8)
    k, v = draw(4, 256, 2, 8, seed=1), draw(4, 256, 2, 8, seed=2)
    table = torch.tensor([[2, 0], [3, -1]], dtype=torch.int32)
    out, _ = packed(q, k, v, i32(0, 1, 3), i32(0, 300, 310), block_table=table, causal=True)
    keys, values = (torch.cat([x[2], x[0][:44]]) for x in (k, v))
    close(out[:1], looped(q[:1], keys, values, SCALE)[0])
    close(out[1:], looped(q[1:], k[3, :10], v[3, :10], SCALE, causal=True)[0])


def test_new_keys_are_written_to_the_cache_and_seen() -> None:
    q, k, v = draw(2, 2, 4, 8), draw(2, 6, 2, 8, seed=1), draw(2, 6, 2, 8, seed=2)
    fresh_k, fresh_v = draw(2, 2, 2, 8, seed=3), draw(2, 2, 2, 8, seed=4)
    keys, values = k.clone(), v.clone()
    out, lse = cached(q, keys, values, k=fresh_k, v=fresh_v, seqlens=i32(1, 4))
    for row, held in enumerate((1, 4)):
        close(keys[row, held : held + 2], fresh_k[row])
        close(values[row, held : held + 2], fresh_v[row])
        close(keys[row, :held], k[row, :held])
        close(keys[row, held + 2 :], k[row, held + 2 :])
        seen = slice(0, held + 2)
        expected = looped(q[row], keys[row, seen], values[row, seen], SCALE, causal=True)
        close(out[row], expected[0])
        close(lse[row], expected[1])


def test_a_cache_without_lengths_is_used_whole() -> None:
    q, k, v = draw(1, 2, 4, 8), draw(1, 6, 2, 8, seed=1), draw(1, 6, 2, 8, seed=2)
    out, _ = cached(q, k, v)
    close(out[0], looped(q[0], k[0], v[0], SCALE, causal=True)[0])


def test_rows_of_a_cache_are_chosen_by_their_index_and_left_padding() -> None:
    q, k, v = draw(2, 1, 4, 8), draw(3, 6, 2, 8, seed=1), draw(3, 6, 2, 8, seed=2)
    out, _ = cached(q, k, v, seqlens=i32(4, 6), batch_idx=i32(2, 0), leftpad=i32(1, 3))
    close(out[0], looped(q[0], k[2, 1:4], v[2, 1:4], SCALE)[0])
    close(out[1], looped(q[1], k[0, 3:6], v[0, 3:6], SCALE)[0])


def test_new_keys_go_to_the_pages_of_their_sequence() -> None:
    import torch

    q, k, v = draw(1, 3, 2, 8), draw(3, 256, 2, 8, seed=1), draw(3, 256, 2, 8, seed=2)
    fresh_k, fresh_v = draw(1, 3, 2, 8, seed=3), draw(1, 3, 2, 8, seed=4)
    keys, values = k.clone(), v.clone()
    table = torch.tensor([[2, 1]], dtype=torch.int32)
    out, _ = cached(q, keys, values, k=fresh_k, v=fresh_v, seqlens=i32(255), table=table)
    close(keys[2, 255], fresh_k[0, 0])
    close(keys[1, :2], fresh_k[0, 1:])
    close(keys[0], k[0])
    whole = [torch.cat([x[2], x[1, :2]]) for x in (keys, values)]
    close(out[0], looped(q[0], whole[0], whole[1], SCALE, causal=True)[0])


def rotated(x: torch.Tensor, position: int, angles: Any, interleaved: bool) -> torch.Tensor:
    """Rotate one token, (heads, size), pair by pair."""
    y = x.clone()
    pairs = len(angles[position])
    for i, angle in enumerate(angles[position]):
        a, b = (2 * i, 2 * i + 1) if interleaved else (i, i + pairs)
        c, s = math.cos(angle), math.sin(angle)
        y[:, a], y[:, b] = x[:, a] * c - x[:, b] * s, x[:, a] * s + x[:, b] * c
    return y


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("skipped", [0, 1])
def test_queries_and_new_keys_are_rotated_by_their_place_in_the_cache(
    interleaved: bool, causal: bool, skipped: int
) -> None:
    import torch

    q, k, v = draw(1, 3, 2, 24), draw(1, 8, 2, 24, seed=1), draw(1, 8, 2, 24, seed=2)
    fresh_k, fresh_v = draw(1, 3, 2, 24, seed=3), draw(1, 3, 2, 24, seed=4)
    angles = draw(8, 8, seed=5)
    keys, values = k.clone(), v.clone()
    out, _ = cached(
        q,
        keys,
        values,
        k=fresh_k,
        v=fresh_v,
        seqlens=i32(4),
        cos=angles.cos(),
        sin=angles.sin(),
        leftpad=i32(skipped),
        interleaved=interleaved,
        causal=causal,
    )
    table = angles.tolist()
    for i in range(3):
        close(keys[0, 4 + i], rotated(fresh_k[0, i], 4 + i, table, interleaved))
    # Without a mask all queries count as standing where the first one does.
    own = [rotated(q[0, i], 4 + i if causal else 4, table, interleaved) for i in range(3)]
    seen = slice(skipped, 7)
    expected, _ = looped(torch.stack(own), keys[0, seen], values[0, seen], SCALE, causal)
    close(out[0], expected)


def test_gradients_of_a_batch_equal_autograd() -> None:
    import torch

    from fuzz.worker.flash.extension import bwd, fwd
    from fuzz.worker.flash.tests.test_attend import plain

    q, k, v = draw(2, 3, 4, 8), draw(2, 5, 2, 8, seed=1), draw(2, 5, 2, 8, seed=2)
    dout = draw(2, 3, 4, 8, seed=3)
    settings = (None, 0.0, SCALE, True, -1, -1, 0.0)
    out, lse, *_ = fwd(q, k, v, None, *settings, False, None)
    *gradients, workspace = bwd(dout, q, k, v, out, lse, None, None, None, *settings, True, None)
    assert workspace.shape == (2, 4, 128)
    for row in range(2):
        leaves = [x[row].clone().requires_grad_() for x in (q, k, v)]
        plain(leaves[0], leaves[1], leaves[2], {"causal": True}).backward(dout[row])
        for ours, leaf in zip(gradients, leaves, strict=True):
            assert isinstance(leaf.grad, torch.Tensor)
            close(ours[row], leaf.grad)


def test_gradients_of_packed_sequences_equal_autograd_and_are_nan_beyond() -> None:
    import torch

    from fuzz.worker.flash.extension import varlen_bwd
    from fuzz.worker.flash.tests.test_attend import plain

    q, k, v = draw(8, 4, 8), draw(8, 2, 8, seed=1), draw(8, 2, 8, seed=2)
    dout = draw(8, 4, 8, seed=3)
    cu = i32(0, 3, 7)
    out, lse = packed(q, k, v, cu, cu, left=1, right=1)
    mine = torch.zeros_like(q)
    *gradients, _ = varlen_bwd(
        dout, q, k, v, out, lse, mine, None, None, cu, cu, None, 4, 4, 0.0, SCALE, False, False,
        1, 1, 0.0, True, None,
    )  # fmt: skip
    assert gradients[0] is mine
    for a, b in ((0, 3), (3, 7)):
        leaves = [x[a:b].clone().requires_grad_() for x in (q, k, v)]
        plain(leaves[0], leaves[1], leaves[2], {"window": (1, 1)}).backward(dout[a:b])
        for ours, leaf in zip(gradients, leaves, strict=True):
            assert isinstance(leaf.grad, torch.Tensor)
            close(ours[a:b], leaf.grad)
    assert all(bool(gradient[7].isnan().all()) for gradient in gradients)


def test_the_same_call_gives_the_same_bits() -> None:
    q, k, v = draw(7, 4, 8), draw(7, 2, 8, seed=1), draw(7, 2, 8, seed=2)
    once, again = (packed(q, k, v, i32(0, 3, 7), i32(0, 3, 7), causal=True)[0] for _ in "12")
    assert bool((once == again).all())


def test_dropout_is_refused() -> None:
    from fuzz.worker.flash.extension import fwd

    q = draw(1, 2, 2, 8)
    with pytest.raises(NotImplementedError, match=r"no dropout \(got dropout_p 0\.1\)"):
        fwd(q, q, q, None, None, 0.1, SCALE, False, -1, -1, 0.0, False, None)


@pytest.mark.parametrize("defect", ["causal", "scale", "boundaries", "shifted", "window"])
def test_the_loops_see_a_defect_at_the_boundary(defect: str) -> None:
    q, k, v = draw(9, 4, 8), draw(9, 2, 8, seed=1), draw(9, 2, 8, seed=2)
    cu = {"boundaries": i32(0, 9), "shifted": i32(0, 5, 9)}.get(defect, i32(0, 4, 9))
    out, _ = packed(
        q * 1.01 if defect == "scale" else q,
        k,
        v,
        cu,
        cu,
        causal=defect != "causal",
        left=-1 if defect == "window" else 2,
    )
    gap = max(
        float((out[a:b] - looped(q[a:b], k[a:b], v[a:b], SCALE, True, (2, -1))[0]).abs().max())
        for a, b in ((0, 4), (4, 9))
    )
    assert gap > 1e-6
