"""One sequence's attention against loops, and its gradients against autograd."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from fuzz.worker.flash.tests.loops import looped

if TYPE_CHECKING:
    import torch

    Triple = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

# Sizes: more keys than queries, as many, fewer, one query, no keys, no queries.
SIZES = [(3, 7), (5, 5), (6, 2), (1, 6), (3, 0), (0, 4)]
RULES: list[dict[str, Any]] = [
    {},
    {"causal": True},
    {"window": (2, 1)},
    {"window": (1, 0)},
    {"window": (-1, 1)},
    {"window": (2, 2), "causal": True},
    {"softcap": 1.5},
    {"softcap": 1.5, "causal": True},
    {"alibi": True},
    {"alibi": True, "causal": True},
    {"alibi": True, "softcap": 2.0, "window": (3, 1)},
]


def drawn(queries: int, keys: int, heads: int = 4, key_heads: int = 2) -> Triple:
    import torch

    generator = torch.Generator().manual_seed(queries * 100 + keys)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return draw(queries, heads, 8), draw(keys, key_heads, 8), draw(keys, key_heads, 8)


def slopes_for(rule: dict[str, Any], heads: int = 4) -> torch.Tensor | None:
    import torch

    return torch.linspace(0.1, 0.7, heads, dtype=torch.float64) if rule.get("alibi") else None


def attended(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rule: dict[str, Any]
) -> tuple[torch.Tensor, torch.Tensor]:
    from fuzz.worker.flash.attend import attend

    return attend(q, k, v, scored(rule, len(k)), slopes_for(rule, q.shape[1]))


def scored(rule: dict[str, Any], keys: int) -> Any:
    from fuzz.worker.flash.attend import scoring

    left, right = rule.get("window", (-1, -1))
    return scoring(0.3, rule.get("causal", False), left, right, rule.get("softcap", 0.0), keys)


def named(rule: dict[str, Any]) -> str:
    return ", ".join(f"{k}={v}" for k, v in rule.items()) or "plain"


@pytest.mark.parametrize("rule", RULES, ids=named)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("key_heads", [4, 2, 1])
def test_it_equals_the_loops(rule: dict[str, Any], sizes: tuple[int, int], key_heads: int) -> None:
    import torch

    q, k, v = drawn(*sizes, key_heads=key_heads)
    out, lse = attended(q, k, v, rule)
    plain = {name: value for name, value in rule.items() if name != "alibi"}
    expected, logarithms = looped(q, k, v, 0.3, slopes=slopes_for(rule), **plain)
    assert out.dtype == lse.dtype == torch.float64
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(lse, logarithms, rtol=1e-12, atol=1e-12)


def test_a_causal_mask_is_aligned_to_the_last_key() -> None:
    q, k, v = drawn(3, 7)
    before, _ = attended(q, k, v, {"causal": True})
    k[5:] += 1.0
    after, _ = attended(q, k, v, {"causal": True})
    # Query 0 stands at key 4.
    assert bool((before[0] == after[0]).all())
    assert bool((before[1:] != after[1:]).any(-1).any(-1).all())


def test_a_window_counts_its_own_key_and_both_edges() -> None:
    import torch

    q, k, _ = drawn(6, 6)
    for j in range(6):
        marked = torch.zeros_like(k)
        marked[j] = 1.0
        out, _ = attended(q, k, marked, {"window": (2, 1)})
        seen = [i for i in range(6) if float(out[i].abs().sum()) > 0]
        assert seen == [i for i in range(6) if i - 2 <= j <= i + 1]


def test_a_causal_mask_overrides_the_window_to_the_right() -> None:
    q, k, v = drawn(5, 5)
    both, _ = attended(q, k, v, {"causal": True, "window": (1, 3)})
    left, _ = attended(q, k, v, {"window": (1, 0)})
    assert bool((both == left).all())


def test_each_group_of_heads_has_its_own_key_head() -> None:
    q, k, v = drawn(4, 4)
    before, _ = attended(q, k, v, {})
    v[:, 1] += 1.0
    after, _ = attended(q, k, v, {})
    assert bool((before[:, :2] == after[:, :2]).all())
    assert bool((before[:, 2:] != after[:, 2:]).all())


def test_softcap_bounds_scores() -> None:
    import torch

    q, k, v = drawn(4, 4)
    capped, _ = attended(q * 1e4, k, v, {"softcap": 1e-9})
    torch.testing.assert_close(
        capped, v.mean(0).repeat_interleave(2, 0).expand(4, 4, 8), rtol=1e-7, atol=1e-7
    )


def test_alibi_takes_away_more_from_keys_farther_off() -> None:
    import torch

    q, k, _ = drawn(1, 5, heads=1, key_heads=1)
    values = torch.eye(5, 8, dtype=torch.float64)[:, None]
    out, _ = attended(torch.zeros_like(q), k, values, {"alibi": True})
    weights = out[0, 0, :5]
    assert weights.tolist() == sorted(weights.tolist())
    expected = torch.full((4,), math.exp(0.1), dtype=torch.float64)
    torch.testing.assert_close(weights[1:] / weights[:-1], expected)


def test_a_query_without_keys_gives_zero_and_infinity() -> None:
    q, k, v = drawn(6, 2)
    out, lse = attended(q, k, v, {"causal": True})
    assert bool((out[:4] == 0).all())
    assert bool((lse[:, :4] == math.inf).all())
    assert bool((out[4:] != 0).all())
    assert bool(lse[:, 4:].isfinite().all())


def test_a_window_open_to_the_right_ends_where_the_kernel_ends_it() -> None:
    # set_params_fprop writes the number of keys for "no bound": of 6 queries for 2 keys the first
    # three stand at -4, -3 and -2, and see up to -2, -1 and 0.
    q, k, v = drawn(6, 2)
    out, _ = attended(q, k, v, {"window": (1, -1)})
    assert [bool((row == 0).all()) for row in out] == [True, True, False, False, False, False]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_narrow_inputs_are_computed_in_float32(dtype: str) -> None:
    import torch

    q, k, v = (x.to(getattr(torch, dtype)) for x in drawn(5, 7))
    out, lse = attended(q, k, v, {"causal": True})
    expected, logarithms = looped(q, k, v, 0.3, causal=True)
    assert out.dtype == q.dtype
    assert lse.dtype == torch.float32
    torch.testing.assert_close(lse.double(), logarithms, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(out.double(), expected.to(out.dtype).double(), rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("rule", RULES, ids=named)
@pytest.mark.parametrize("sizes", [(3, 7), (5, 5), (6, 2)], ids=str)
def test_gradients_equal_autograd_of_a_plain_formula(
    rule: dict[str, Any], sizes: tuple[int, int]
) -> None:
    import torch

    from fuzz.worker.flash.attend import attend, attend_backward

    q, k, v = (x.requires_grad_() for x in drawn(*sizes))
    generator = torch.Generator().manual_seed(5)
    dout = torch.randn(q.shape, generator=generator, dtype=torch.float64)
    plain(q, k, v, rule).backward(dout)
    how, slopes = scored(rule, len(k)), slopes_for(rule)
    with torch.no_grad():
        out, lse = attend(q, k, v, how, slopes)
        torch.testing.assert_close(out, plain(q, k, v, rule), rtol=1e-12, atol=1e-12)
        gradients = attend_backward(dout, q, k, v, out, lse, how, slopes)
    for ours, x in zip(gradients, (q, k, v), strict=True):
        torch.testing.assert_close(ours, x.grad, rtol=1e-11, atol=1e-12)


def plain(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rule: dict[str, Any]) -> torch.Tensor:
    """The same with torch's softmax, keys seen as (queries, keys) of 0 and 1."""
    import torch

    queries, keys = len(q), len(k)
    groups = q.shape[1] // k.shape[1]
    own = torch.arange(queries)[:, None] + keys - queries
    away = torch.arange(keys)[None] - own
    left, right = rule.get("window", (-1, -1))
    right = 0 if rule.get("causal") else right
    seen = (away <= right if right >= 0 else away == away) & (
        away >= -left if left >= 0 else away == away
    )
    x = torch.stack([q[:, h] @ k[:, h // groups].T for h in range(q.shape[1])]) * 0.3
    if rule.get("softcap"):
        x = rule["softcap"] * torch.tanh(x / rule["softcap"])
    slopes = slopes_for(rule)
    if slopes is not None:
        x = x - slopes[:, None, None] * away.abs()
    # Rows that see nothing get finite scores, then no weight: softmax of -inf alone is NaN.
    blind = ~seen.any(-1, keepdim=True)
    weights = torch.softmax(x.masked_fill(~seen & ~blind, -math.inf), -1) * ~blind
    return torch.stack([weights[h] @ v[:, h // groups] for h in range(q.shape[1])], 1)
