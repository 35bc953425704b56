"""The shadow oracle: every call of flash-attn's extension held against float64.

Each sequence of a call is attended once more from the call's own q, k, v and metadata, and what
the extension returned must be that within the error of its dtype (:mod:`.budget`). A whole model
in bfloat16 cannot show one key or one position; one call can.

On where the real extension is. Over the reference it would mostly compare our rules with
themselves, so there it is off, unless a defect of a kernel is planted.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import torch

from fuzz.worker.flash import budget, extension
from fuzz.worker.flash.budget import Expected
from fuzz.worker.flash.kvcache import fwd_kvcache
from fuzz.worker.flash.pieces import Piece, pieces

LEG: Final = "flash kernel = float64"
"""The comparison's name in signatures."""

Function: TypeAlias = Callable[..., Any]
Defect: TypeAlias = Callable[[str, Function], Function]

SIGNATURES: Final = {
    name: inspect.signature(getattr(extension, name))
    for name in ("fwd", "varlen_fwd", "fwd_kvcache", "bwd", "varlen_bwd")
}
"""The functions' parameters by name, an underscore before those that the reference ignores."""
_watching: list[Defect | None] = []


class KernelError(RuntimeError):
    """A call of the extension that did not give what its arguments define.

    Attributes:
        function: name of the function that was called.
    """

    def __init__(self, function: str, message: str) -> None:
        """Take the function's name, and what is off, where and by how much."""
        super().__init__(f"{function}, {message}")
        self.function = function


@contextmanager
def watching(defect: Defect | None = None) -> Iterator[None]:
    """Hold every call of the body against float64, whatever extension is in place.

    Args:
        defect: makes a broken function of a function's name and itself, to be noticed.
    """
    _watching.append(defect)
    try:
        yield
    finally:
        _watching.pop()


def shadowed(name: str, function: Function, always: bool) -> Function:
    """Return a function of the extension with every call held against float64.

    Args:
        name: the function's name.
        function: the real one or the reference.
        always: also outside of :func:`watching`.
    """

    # As the contract guard: compiled functions have no other attributes.
    @functools.wraps(function, assigned=("__name__", "__doc__"), updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        if not (always or _watching):
            return function(*args, **kwargs)
        defect = _watching[-1] if _watching else None
        given = dict(SIGNATURES[name].bind(*args, **kwargs).arguments)
        given = {key.removeprefix("_"): value for key, value in given.items()}
        # Written in place by the call; nothing else is.
        caches = [x for x in ("k_cache", "v_cache") if x in given]
        before: dict[str, torch.Tensor] = {x: given[x].clone() for x in caches}
        result = (defect(name, function) if defect else function)(*args, **kwargs)
        with torch.no_grad():
            check(name, given, result, before)
        return result

    return call


def check(name: str, given: dict[str, Any], result: Any, before: dict[str, torch.Tensor]) -> None:
    """Hold one call against float64. Calls with dropout are not looked at, they are random.

    Args:
        name: the function.
        given: its arguments by name.
        result: what it returned.
        before: copies of the caches that it writes to, from before the call.

    Raises:
        KernelError: something is off by more than rounding.
    """
    if given.get("dropout_p", 0.0) > 0:
        return
    if before:
        _caches(name, given, before)
    for piece in pieces(name, given):
        if name.endswith("bwd"):
            _gradients(name, given, result, piece)
        else:
            _output(name, given, result, piece)


def _output(name: str, given: dict[str, Any], result: Any, piece: Piece) -> None:
    out, lse = budget.forward(piece, given["q"].dtype)
    _hold(name, piece, "out", piece.of(result[0]), out)
    # Under ALiBi with a causal mask the kernel's own lacks what is the same for a whole row.
    if piece.slopes is None or not given["causal"]:
        logarithms = Expected(lse.value.T, lse.most.T)
        _hold(name, piece, "softmax_lse", piece.lse_of(result[1]).T, logarithms)


def _gradients(name: str, given: dict[str, Any], result: Any, piece: Piece) -> None:
    dout, out = (piece.of(given[x]).double() for x in ("dout", "out"))
    lse = piece.lse_of(given["softmax_lse"]).double()[:, : len(piece.q)]
    expected = budget.backward(piece, dout, out, lse, given["q"].dtype)
    for what, value, right in zip(("dq", "dk", "dv"), result, expected, strict=False):
        _hold(name, piece, what, piece.of(value, keys=what != "dq"), right)


def _caches(name: str, given: dict[str, Any], before: dict[str, torch.Tensor]) -> None:
    """Hold the caches after a call against what it should have written, and not have written."""
    right = {x: copy.clone() for x, copy in before.items()}
    again: dict[str, Any] = {**given, **right, "out": None}
    values: list[Any] = [again.get(x.removeprefix("_")) for x in SIGNATURES[name].parameters]
    fwd_kvcache(*values)
    fresh = given["k"]
    turned = fresh is not None and given["rotary_cos"] is not None
    for x, value in right.items():
        most = budget.rotated(fresh, fresh.dtype) if turned and x == "k_cache" else 0.0
        now = given[x]
        near = (now.double() - value.double()).abs() <= most
        bad = ~(near | (now == value) | (now.isnan() & value.isnan())).flatten(2).all(-1)
        if bool(bad.any()):
            block, row = bad.nonzero()[0].tolist()
            gap = float((now[block, row].double() - value[block, row].double()).abs().max())
            raise KernelError(
                name, f"{x}[{block}, {row}]: not what should stand there, off by {gap:.2g}"
            )


def _hold(name: str, piece: Piece, what: str, value: torch.Tensor, right: Expected) -> None:
    """Raise where a result, (rows, heads, ...), is off by more than it may be."""
    if value.numel() == 0:
        return
    gap = (value.double() - right.value).abs()
    # Inputs that are not finite give no result to hold: that is another property's.
    fine = (gap <= right.most) | (value.double() == right.value) | right.value.isnan()
    if bool(fine.all()):
        return
    over = torch.where(fine, 0.0, gap / right.most).nan_to_num(nan=torch.inf)
    worst = torch.unravel_index(over.argmax(), over.shape)
    row, head = int(worst[0]), int(worst[1])
    bad = int((~fine).flatten(1).any(1).sum())
    side = "key" if what in ("dk", "dv") else "query"
    count = len(piece.k) if side == "key" else len(piece.q)
    raise KernelError(
        name,
        f"sequence {piece.sequence} (queries {len(piece.q)}, keys {len(piece.k)}), {side} {row}, "
        f"head {head}: {what} is off by {float(gap[worst]):.2g}, rounding to "
        f"{str(value.dtype)[6:]} allows {float(right.most[worst]):.1g}; rows off: {bad} of {count}",
    )
