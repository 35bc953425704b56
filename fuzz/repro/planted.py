"""Planted defects as lines of a script, and the change of upstream that each stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fuzz.repro.blocks import DECODER

MADE_UP: Final = "stands for no change of upstream: it is made up"
"""What most planted defects stand for."""

_TABLE: Final = (
    "stands for transformers 4.45.0.dev0 after pull request 33161 (issue 33302, QwenLM/Qwen3-VL "
    "issue 26), whose table of cosines and sines had cache_position[-1] rows"
)
_DELTAS: Final = (
    "stands for transformers up to 4.48, in which a second forward of Qwen2-VL took the "
    "rope_deltas of the first prompt"
)


@dataclass(frozen=True, slots=True)
class Planted:
    """A defect as lines that go into a freshly built ``model``.

    Attributes:
        lines: they do nothing where the script is given the argument ``mended``.
        stands: what it stands for, after "it".
        function: the one that raises, "" where the code under test goes on.
        once: whether it only holds for a model that is called once.
    """

    lines: tuple[str, ...]
    stands: str = MADE_UP
    function: str = ""
    once: bool = False


_TEXT: Final = f"text = {DECODER}"
_UNLESS: Final = 'if "mended" not in sys.argv:  # the planted change'
_OWNER: Final = 'owner = next(m for m in model.modules() if hasattr(m, "get_rope_index"))'
_TOWER: Final = 'tower = next(m for n, m in model.named_modules() if n.endswith("visual"))'


def _masked(becomes: str) -> Planted:
    told = 'k == "attention_mask" and getattr(v, "ndim", 0) == 2'
    return Planted(
        (
            _TEXT,
            f"new = lambda k, v: {becomes} if {told} else v",
            "change = lambda m, args, more: (args, {k: new(k, v) for k, v in more.items()})",
            _UNLESS,
            "    text.register_forward_pre_hook(change, with_kwargs=True)",
        )
    )


def _placed(becomes: str) -> Planted:
    return Planted(
        (
            _TEXT,
            f"new = lambda p: {becomes}",
            'ids = lambda args, more: {**more, "position_ids": '
            'new(more.get("position_ids", args[-1]))}',
            "change = lambda m, args, more: (args[:1], ids(args, more))",
            _UNLESS,
            "    text.rotary_emb.register_forward_pre_hook(change, with_kwargs=True)",
        )
    )


def _on_grids(condition: str, deed: str) -> Planted:
    return Planted(
        (
            _TOWER,
            "def deed(module, args, more):",
            f'    if "mended" not in sys.argv and {condition}:  # the planted change',
            f"        {deed}",
            "tower.register_forward_pre_hook(deed, with_kwargs=True)",
        )
    )


_SHORT: Final = Planted(
    (
        _TEXT,
        "compute, fed = text.rotary_emb.forward, 0",
        "",
        "def short_table(x, position_ids):",
        "    nonlocal fed",
        "    fed += x.shape[1]",
        '    rows = fed if "mended" in sys.argv else fed - 1  # fed - 1 is cache_position[-1]',
        "    torch.arange(rows)[position_ids]  # the lookup of cosines and sines by position",
        "    return compute(x, position_ids)",
        "",
        "text.rotary_emb.forward = short_table",
    ),
    _TABLE,
    function="short_table",
    once=True,
)

PLANTED: Final[dict[str, Planted]] = {
    "later-images-blank": Planted(
        (
            "generate = model.generate",
            'ours = lambda k: k == "pixel_values" and "mended" not in sys.argv  # the change',
            "blank = lambda more: {k: v * 0 + 0.5 if ours(k) else v for k, v in more.items()}",
            'change = lambda more: blank(more) if "past_key_values" in more else more',
            "model.generate = lambda **more: generate(**change(more))",
        )
    ),
    "guesses-kept": Planted(
        (_UNLESS, "    transformers.DynamicCache.crop = lambda self, length: None"),
    ),
    "rotary-table-short": _SHORT,
    "rotary-table-short-flash": _SHORT,
    "padding-leak": _masked("v * 0 + 1"),
    "batch-crosstalk": _masked("v[:1].expand_as(v)"),
    "positions-rounded": _placed("p.to(torch.bfloat16).to(p.dtype)"),
    "far-positions-wrap": _placed("p % model.config.get_text_config().max_position_embeddings"),
    "cos-sin-exchanged": Planted(
        (
            _TEXT,
            _UNLESS,
            "    text.rotary_emb.register_forward_hook(lambda m, args, out: out[::-1])",
        )
    ),
    "another-base": Planted((_TEXT, _UNLESS, "    text.rotary_emb.inv_freq.pow_(1.01)")),
    "mrope-axes-swapped": Planted(
        (
            _OWNER,
            "compute = owner.get_rope_index",
            "swap = lambda *a, **k: (lambda p, d: (p[[0, 2, 1]], d))(*compute(*a, **k))",
            _UNLESS,
            "    owner.get_rope_index = functools.wraps(compute)(swap)",
        )
    ),
    "stale-rope-deltas": Planted(
        (
            _OWNER,
            "compute = owner.get_rope_index",
            "def stale(*args, **more):",
            "    places, new = compute(*args, **more)",
            '    old = getattr(owner, "rope_deltas", None)',
            "    return places, new if old is None or old.shape != new.shape else old",
            _UNLESS,
            "    owner.get_rope_index = functools.wraps(compute)(stale)",
        ),
        _DELTAS,
    ),
    "eager-scale": Planted(
        (
            'eager = model.config._attn_implementation == "eager" and "mended" not in sys.argv',
            "for name, p in model.named_parameters():  # the planted change",
            '    p.data *= 1.01 if eager and "self_attn.q_proj" in name else 1',
        )
    ),
    "abort": _on_grids('(more["grid_thw"][:, 1] == 2).any()', "os.abort()"),
    "hang": _on_grids('len(more["grid_thw"]) > 1', "signal.pause()"),
}
"""By name, the defects that take few lines."""
