"""Calls of flash-attn's extension: valid ones, and for every precondition one that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Call = dict[str, Any]
Change = Callable[[Call], None]


def valid(function: str) -> Call:
    """Return the arguments of a valid call, by name and in order."""
    import torch

    def draw(*shape: int) -> Any:
        return torch.zeros(*shape, dtype=torch.float64)

    def i32(*values: int) -> Any:
        return torch.tensor(values, dtype=torch.int32)

    end = {"scale": 0.3, "causal": True, "left": -1, "right": -1, "softcap": 0.0}
    if function in ("fwd", "bwd"):
        floats = {"q": draw(2, 3, 4, 8), "k": draw(2, 5, 2, 8), "v": draw(2, 5, 2, 8)}
        if function == "fwd":
            return {**floats, "out": None, "alibi": None, "dropout": 0.0, **end, "ret": False}
        out, lse = draw(2, 3, 4, 8), draw(2, 4, 3)
        result = {"out": out, "lse": lse, "dq": None, "dk": None, "dv": None}
        call = {"dout": draw(2, 3, 4, 8), **floats, **result, "alibi": None, "dropout": 0.0}
        return {**call, **end, "deterministic": False}
    if function in ("varlen_fwd", "varlen_bwd"):
        floats = {"q": draw(7, 4, 8), "k": draw(9, 2, 8), "v": draw(9, 2, 8)}
        cu = {"cu_q": i32(0, 3, 7), "cu_k": i32(0, 4, 9)}
        most = {"max_q": 4, "max_k": 5, "dropout": 0.0, "scale": 0.3, "zero": False}
        end.pop("scale")
        if function == "varlen_fwd":
            side = {"seqused": None, "leftpad": None, "table": None, "alibi": None}
            return {**floats, "out": None, **cu, **side, **most, **end, "ret": False}
        result = {"out": draw(7, 4, 8), "lse": draw(4, 7), "dq": None, "dk": None, "dv": None}
        call = {"dout": draw(7, 4, 8), **floats, **result, **cu, "alibi": None}
        return {**call, **most, **end, "deterministic": False}
    if function == "fwd_kvcache":
        floats = {"q": draw(2, 3, 4, 16), "kc": draw(2, 8, 2, 16), "vc": draw(2, 8, 2, 16)}
        fresh = {"k": draw(2, 3, 2, 16), "v": draw(2, 3, 2, 16), "lengths": i32(2, 5)}
        tables = {"cos": draw(8, 8), "sin": draw(8, 8), "index": None, "leftpad": None}
        call = {**floats, **fresh, **tables, "table": None, "alibi": None, "out": None}
        return {**call, **end, "interleaved": False, "splits": 0}
    return {"x": draw(2, 5, 2, 16), "cos": draw(8, 8), "sin": draw(8, 8), "offsets": 3}


def put(**values: Any) -> Change:
    """Return a change that sets arguments; a function is given the call."""

    def change(call: Call) -> None:
        call.update({k: v(call) if callable(v) else v for k, v in values.items()})

    return change


def zeros(*shape: int, dtype: str = "float64") -> Any:
    import torch

    return lambda _: torch.zeros(*shape, dtype=getattr(torch, dtype))


def i32(*values: Any, dtype: str = "int32") -> Any:
    import torch

    return lambda _: torch.tensor(values, dtype=getattr(torch, dtype))


def spread(name: str) -> Any:
    """Return a copy of a one-dimensional argument with stride 2."""
    return lambda call: call[name].repeat_interleave(2)[::2]


def meta(name: str) -> Any:
    return lambda call: call[name].to("meta")


def on_gpu(name: str, index: int) -> Any:
    """Return a stand-in for an argument that says it is on a GPU; it needs none."""

    def make(call: Call) -> Any:
        import torch
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode():
            return torch.zeros(call[name].shape, dtype=torch.float64, device=f"cuda:{index}")

    return make


def halves(*names: str) -> Change:
    """Make arguments float16, which is looked at by address."""
    return put(**{name: lambda call, name=name: call[name].half() for name in names})


def both(*changes: Change) -> Change:
    def change(call: Call) -> None:
        for one in changes:
            one(call)

    return change


def paged(call: Call) -> None:
    """Make a packed call one with pages: 3 pages, two sequences of 300 and 10 keys."""
    import torch

    call["k"] = call["v"] = torch.zeros(3, 256, 2, 8, dtype=torch.float64)
    call["cu_k"] = torch.tensor([0, 300, 310], dtype=torch.int32)
    call["table"] = torch.tensor([[2, 0], [1, -1]], dtype=torch.int32)
    call["max_k"] = 300


def paged_cache(call: Call) -> None:
    """Make a cache call one with pages: 3 pages, two sequences of up to 512 keys."""
    import torch

    call["kc"], call["vc"] = (torch.zeros(3, 256, 2, 16, dtype=torch.float64) for _ in "kv")
    call["table"] = torch.tensor([[2, 0], [1, -1]], dtype=torch.int32)
    call["cos"] = call["sin"] = torch.zeros(512, 8, dtype=torch.float64)


# Code, function, what is changed, and words with the actual numbers.
BREACHES: list[tuple[str, str, Callable[[], Change], str]] = [
    ("argument-type", "fwd", lambda: put(k=[1, 2]), "k is a list"),
    ("argument-type", "varlen_fwd", lambda: put(cu_q=[0, 7]), "cu_seqlens_q is a list"),
    ("argument-type", "varlen_fwd", lambda: put(max_q=4.0), "max_seqlen_q is a float"),
    ("rank", "fwd", lambda: put(k=zeros(5, 2, 8)), "k has 3 dimensions, not 4"),
    ("shape", "fwd", lambda: put(v=zeros(2, 6, 2, 8)), "v is (2, 6, 2, 8), not (2, 5, 2, 8)"),
    ("shape", "fwd", lambda: put(out=zeros(2, 3, 4, 16)), "out is (2, 3, 4, 16)"),
    ("shape", "varlen_fwd", lambda: put(k=zeros(9, 2, 16), v=zeros(9, 2, 16)), "not (9, 2, 8)"),
    ("shape", "bwd", lambda: put(dout=zeros(2, 3, 4, 16)), "dout is (2, 3, 4, 16)"),
    ("shape", "fwd_kvcache", lambda: put(k=zeros(2, 3, 4, 16)), "k is (2, 3, 4, 16)"),
    ("dtype", "fwd", lambda: put(**{n: zeros(1, 2, 2, 8, dtype="int32") for n in "qkv"}), "int32"),
    ("same-dtype", "fwd", lambda: put(v=zeros(2, 5, 2, 8, dtype="float32")), "v is torch.float32"),
    ("same-dtype", "bwd", lambda: put(dout=zeros(2, 3, 4, 8, dtype="float32")), "dout is"),
    ("same-dtype", "fwd_kvcache", lambda: put(cos=zeros(8, 8, dtype="float32")), "rotary_cos is"),
    ("device", "fwd", lambda: put(k=meta("k")), "k is on meta, q on cpu"),
    ("device", "varlen_fwd", lambda: put(cu_q=meta("cu_q")), "cu_seqlens_q is on meta"),
    (
        "device-index",
        "fwd",
        lambda: put(q=on_gpu("q", 0), k=on_gpu("k", 1), v=on_gpu("v", 0)),
        "k is on cuda:1, q on cuda:0",
    ),
    ("last-stride", "fwd", lambda: put(k=zeros(2, 5, 2, 16)(0)[..., ::2]), "k has strides"),
    (
        "pointer-alignment",
        "varlen_fwd",
        lambda: put(q=zeros(57 * 4)(0)[4:].view(7, 4, 8)),
        "q starts 4 elements past one",
    ),
    (
        "pointer-alignment",
        "fwd",
        lambda: both(
            halves("q", "k", "v"),
            put(v=zeros(164, dtype="float16")(0)[4:].view(2, 5, 2, 8)),
        ),
        "v starts 4 elements past one",
    ),
    ("stride-alignment", "fwd", lambda: put(q=zeros(2, 3, 4, 12)(0)[..., :8]), "(144, 48, 12, 1)"),
    ("output-overlap", "fwd", lambda: put(out=zeros(1, 3, 4, 8)(0).expand(2, 3, 4, 8)), "out is"),
    ("output-overlap", "bwd", lambda: put(dk=zeros(2, 5, 1, 8)(0).expand(2, 5, 2, 8)), "dk is"),
    ("batch-empty", "fwd", lambda: put(**{n: zeros(0, 3, 2, 8) for n in "qkv"}), "there are 0"),
    (
        "batch-empty",
        "varlen_fwd",
        lambda: put(q=zeros(0, 4, 8), k=zeros(0, 2, 8), v=zeros(0, 2, 8), cu_q=i32(0), cu_k=i32(0)),
        "there are 0",
    ),
    ("queries-empty", "fwd", lambda: put(q=zeros(2, 0, 4, 8)), "q is (2, 0, 4, 8)"),
    (
        "queries-empty",
        "varlen_fwd",
        lambda: put(q=zeros(0, 4, 8), cu_q=i32(0, 0, 0), max_q=0),
        "max_seqlen_q is 0",
    ),
    ("keys-empty", "bwd", lambda: put(k=zeros(2, 0, 2, 8), v=zeros(2, 0, 2, 8)), "(2, 0, 2, 8)"),
    (
        "keys-empty",
        "varlen_bwd",
        lambda: put(k=zeros(0, 2, 8), v=zeros(0, 2, 8), cu_k=i32(0, 0, 0), max_k=0),
        "max_seqlen_k is 0",
    ),
    ("grid", "fwd", lambda: put(**{n: zeros(65536, 1, 1, 8) for n in "qkv"}), "65536 sequences"),
    ("grid", "fwd", lambda: put(**{n: zeros(1, 1, 65536, 8) for n in "qkv"}), "65536 heads"),
    ("head-size-256", "fwd", lambda: put(**{n: zeros(1, 2, 2, 264) for n in "qkv"}), "it is 264"),
    ("head-size-8", "fwd", lambda: put(**{n: zeros(8, 8, 8, 12) for n in "qkv"}), "it is 12"),
    ("key-heads", "fwd", lambda: put(k=zeros(2, 5, 0, 8), v=zeros(2, 5, 0, 8)), "0 for 4 heads"),
    ("gqa", "fwd", lambda: put(k=zeros(2, 5, 3, 8), v=zeros(2, 5, 3, 8)), "they are 4 and 3"),
    ("dropout-1", "fwd", lambda: put(dropout=1.0), "it is 1.0"),
    ("dropout-negative", "fwd", lambda: put(dropout=-0.5), "it is -0.5"),
    ("softcap-dropout", "fwd", lambda: put(dropout=0.1, softcap=2.0), "softcap is 2.0"),
    ("softcap-negative", "fwd_kvcache", lambda: put(softcap=-1.0), "it is -1.0"),
    ("softmax-dropout", "fwd", lambda: put(ret=True), "dropout_p is 0.0"),
    ("alibi-dtype", "fwd", lambda: put(alibi=zeros(4, dtype="float16")), "torch.float16"),
    ("alibi-stride", "fwd", lambda: put(alibi=zeros(2, 8)(0)[:, ::2]), "their strides are (8, 2)"),
    (
        "alibi-shape",
        "fwd",
        lambda: put(alibi=zeros(3)),
        "they are (3,) for 2 sequences and 4 heads",
    ),
    ("alibi-shape", "varlen_fwd", lambda: put(alibi=zeros(3, 4)), "they are (3, 4)"),
    ("lse-shape", "bwd", lambda: put(lse=zeros(2, 3, 4)), "it is (2, 3, 4), not (2, 4, 3)"),
    ("lse-shape", "varlen_bwd", lambda: put(lse=zeros(7, 4)), "it is (7, 4), not (4, 7)"),
    ("lse-dtype", "bwd", lambda: put(lse=zeros(2, 4, 3, dtype="float32")), "torch.float32 for"),
    ("lse-contiguous", "varlen_bwd", lambda: put(lse=zeros(7, 4)(0).T), "its strides are (1, 4)"),
    ("int32", "varlen_fwd", lambda: put(cu_q=i32(0, 3, 7, dtype="int64")), "cu_seqlens_q is"),
    ("int32", "fwd_kvcache", lambda: put(lengths=i32(2, 5, dtype="int64")), "cache_seqlens is"),
    (
        "int32",
        "varlen_fwd",
        lambda: both(paged, put(table=i32([2, 0], [1, -1], dtype="int64"))),
        "block_table is torch.int64",
    ),
    ("contiguous", "varlen_fwd", lambda: put(cu_k=spread("cu_k")), "cu_seqlens_k has strides (2,)"),
    ("contiguous", "fwd_kvcache", lambda: put(sin=zeros(8, 16)(0)[:, :8]), "rotary_sin has"),
    ("side-shape", "varlen_fwd", lambda: put(cu_k=i32(0, 9)), "cu_seqlens_k is (2,), not (3,)"),
    ("side-shape", "varlen_fwd", lambda: put(cu_q=i32([0, 3, 7])), "cu_seqlens_q is (1, 3)"),
    ("side-shape", "fwd_kvcache", lambda: put(lengths=i32(2)), "cache_seqlens is (1,), not (2,)"),
    ("side-shape", "varlen_fwd", lambda: both(paged, put(table=i32([2, 0]))), "is (1, 2) for 2"),
    ("cu-first", "varlen_fwd", lambda: put(cu_q=i32(1, 3, 7)), "cu_seqlens_q starts at 1"),
    ("cu-first", "varlen_bwd", lambda: put(cu_k=i32(1, 4, 9)), "cu_seqlens_k starts at 1"),
    (
        "cu-order",
        "varlen_fwd",
        lambda: put(cu_q=i32(0, 4, 3, 7), cu_k=i32(0, 4, 5, 9)),
        "cu_seqlens_q is [0, 4, 3, 7]",
    ),
    ("cu-past-end", "varlen_fwd", lambda: put(cu_q=i32(0, 4, 8)), "cu_seqlens_q reaches 8 of 7"),
    ("cu-short", "varlen_fwd", lambda: put(cu_k=i32(0, 4, 8)), "cu_seqlens_k ends at 8 of 9 rows"),
    (
        "max-seqlen-low",
        "varlen_fwd",
        lambda: put(max_q=1),
        "max_seqlen_q is 1 and a sequence has 4",
    ),
    (
        "max-seqlen-low",
        "varlen_bwd",
        lambda: put(max_k=4),
        "max_seqlen_k is 4 and a sequence has 5",
    ),
    (
        "one-query-each",
        "varlen_fwd",
        lambda: put(q=zeros(1, 4, 8), cu_q=i32(0, 1, 1), max_q=1),
        "there are 1 for 2",
    ),
    ("leftpad-paged", "varlen_fwd", lambda: both(paged, put(leftpad=i32(0, 0))), "both are given"),
    (
        "leftpad-range",
        "varlen_fwd",
        lambda: put(leftpad=i32(1, 6)),
        "leftpad_k is [1, 6] for [4, 5]",
    ),
    ("leftpad-range", "varlen_fwd", lambda: put(leftpad=i32(-1, 0)), "leftpad_k is [-1, 0]"),
    ("leftpad-range", "fwd_kvcache", lambda: put(leftpad=i32(3, 0)), "cache_leftpad is [3, 0]"),
    (
        "seqused-range",
        "varlen_fwd",
        lambda: put(seqused=i32(4, 6)),
        "seqused_k is [4, 6] for [4, 5]",
    ),
    (
        "seqused-range",
        "varlen_fwd",
        lambda: both(paged, put(seqused=i32(513, 2))),
        "seqused_k is [513, 2] for [512, 512]",
    ),
    (
        "page-size",
        "varlen_fwd",
        lambda: both(paged, put(k=zeros(3, 320, 2, 8), v=zeros(3, 320, 2, 8))),
        "it is 320",
    ),
    (
        "page-stride",
        "varlen_fwd",
        lambda: both(paged, put(table=i32([2, 1], [0, -1])(0).T)),
        "its strides are (1, 2)",
    ),
    (
        "page-table-short",
        "varlen_fwd",
        lambda: both(paged, put(table=i32([2], [1]))),
        "sequence 0 has 300 keys, 2 pages, and there are 1 columns",
    ),
    (
        "page-range",
        "varlen_fwd",
        lambda: both(paged, put(table=i32([2, 3], [1, 9]))),
        "sequence 0 uses [3] of 3 pages",
    ),
    (
        "page-range",
        "fwd_kvcache",
        lambda: both(paged_cache, put(lengths=i32(4, 254))),
        "sequence 1 uses [-1] of 3 pages",
    ),
    (
        "cache-batch",
        "fwd_kvcache",
        lambda: put(kc=zeros(1, 8, 2, 16), vc=zeros(1, 8, 2, 16)),
        "it has 1 for 2",
    ),
    ("cache-length-negative", "fwd_kvcache", lambda: put(lengths=i32(-1, 2)), "they are [-1, 2]"),
    (
        "cache-overflow",
        "fwd_kvcache",
        lambda: put(lengths=i32(2, 6)),
        "6 rows and 3 new ones do not",
    ),
    ("append-needs", "fwd_kvcache", lambda: put(v=None), "there are no new values"),
    ("append-needs", "fwd_kvcache", lambda: put(lengths=None), "there are no cache_seqlens"),
    (
        "append-values-only",
        "fwd_kvcache",
        lambda: put(k=None, cos=None, sin=None),
        "there are none",
    ),
    (
        "append-queries",
        "fwd_kvcache",
        lambda: put(q=zeros(2, 9, 4, 16), cos=zeros(16, 8), sin=zeros(16, 8)),
        "there are 9 for 8",
    ),
    ("splits", "fwd_kvcache", lambda: put(splits=129), "it is 129"),
    (
        "batch-index-paged",
        "fwd_kvcache",
        lambda: both(paged_cache, put(index=i32(0, 1))),
        "both are given",
    ),
    ("batch-index-length", "fwd_kvcache", lambda: put(index=i32(0)), "it has 1 for 2"),
    ("batch-index-range", "fwd_kvcache", lambda: put(index=i32(0, 2)), "[2] of 2 rows are named"),
    ("batch-index-twice", "fwd_kvcache", lambda: put(index=i32(1, 1)), "it is [1, 1]"),
    ("rotary-append", "fwd_kvcache", lambda: put(k=None, v=None), "there are none"),
    ("rotary-sin-only", "fwd_kvcache", lambda: put(cos=None), "there is no rotary_cos"),
    ("rotary-size", "fwd_kvcache", lambda: put(cos=zeros(8, 16), sin=zeros(8, 16)), "32 of 16"),
    ("rotary-size", "apply_rotary", lambda: put(cos=zeros(8, 9), sin=zeros(8, 9)), "it is 18"),
    (
        "rotary-rows",
        "fwd_kvcache",
        lambda: put(cos=zeros(7, 8), sin=zeros(7, 8), lengths=i32(2, 4)),
        "they have 7 for 8",
    ),
    ("rotary-shape", "fwd_kvcache", lambda: put(sin=None), "they are (8, 8) and None"),
    ("rotary-shape", "apply_rotary", lambda: put(sin=zeros(9, 8)), "(8, 8) and (9, 8)"),
    ("rotary-queries", "fwd_kvcache", lambda: put(q=zeros(2, 4, 4, 16)), "it is 8 of 8 rows"),
    ("rotary-offset-negative", "apply_rotary", lambda: put(offsets=-1), "they are [-1]"),
    (
        "rotary-offset-past",
        "apply_rotary",
        lambda: put(offsets=i32(2, 4)),
        "they reach 9 of 8 rows",
    ),
]

FUNCTIONS = ("fwd", "varlen_fwd", "fwd_kvcache", "bwd", "varlen_bwd", "apply_rotary")
VARIANTS: list[tuple[str, Callable[[], Change]]] = [
    ("fwd", lambda: put(alibi=zeros(2, 4), softcap=3.0, left=2)),
    ("fwd", lambda: put(k=zeros(2, 0, 2, 8), v=zeros(2, 0, 2, 8))),
    ("fwd", lambda: halves("q", "k", "v")),
    ("varlen_fwd", lambda: put(seqused=i32(3, 5), leftpad=i32(3, 0))),
    ("varlen_fwd", lambda: put(q=zeros(2, 4, 8), cu_q=i32(0, 1, 2), max_q=1)),
    ("varlen_fwd", lambda: put(cu_q=i32(0, 0, 7), max_q=128)),
    ("varlen_fwd", lambda: paged),
    ("fwd_kvcache", lambda: paged_cache),
    ("fwd_kvcache", lambda: put(index=i32(1, 0), leftpad=i32(1, 5))),
    ("fwd_kvcache", lambda: put(k=None, v=None, cos=None, sin=None, lengths=None)),
    ("fwd_kvcache", lambda: put(lengths=i32(8, 0), k=None, v=None, cos=None, sin=None)),
    (
        "fwd_kvcache",
        lambda: put(
            **{n: zeros(2, 8, 2, 12) for n in ("kc", "vc")},
            **{n: zeros(2, 1, 2, 12) for n in "kv"},
            q=zeros(2, 1, 4, 12),
            cos=None,
            sin=None,
        ),
    ),
    ("bwd", lambda: put(dq=zeros(2, 3, 4, 8), dk=zeros(2, 5, 2, 8), dv=zeros(2, 5, 2, 8))),
    ("apply_rotary", lambda: put(offsets=i32(0, 3))),
    ("apply_rotary", lambda: put(x=zeros(7, 2, 16), cu=i32(0, 3, 7), most=4)),
]
