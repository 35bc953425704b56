"""Negative controls: defects put between flash-attn's Python and its extension, to be noticed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from fuzz.worker.flash import extension

CAUSAL: Final = "causal dropped"
SCALE: Final = "scale x 1.01"
IGNORED: Final = "boundaries ignored"
SHIFTED: Final = "boundaries shifted"
IGNORED_IN_IMAGES: Final = "boundaries of images ignored"
WINDOW: Final = "window ignored"
CONTROLS: Final = (CAUSAL, SCALE, IGNORED, SHIFTED, IGNORED_IN_IMAGES, WINDOW)

# Where an argument stands: scale, and causal, which the two sides of the window follow.
_PLACES: Final = {"fwd": (6, 7), "varlen_fwd": (13, 15)}
_STARTS: Final = (4, 5)  # cu_seqlens of queries and of keys; six further on is their max_seqlen


@contextlib.contextmanager
def in_place(control: str, vision_heads: int) -> Iterator[None]:
    """Put a control in front of the extension for a while.

    Args:
        control: one of :data:`CONTROLS`.
        vision_heads: by how many heads a call of the vision tower is told from one of the text's.
    """
    module: Any = sys.modules[extension.NAME]
    before = {name: getattr(module, name) for name in _PLACES}
    for name, function in before.items():
        setattr(module, name, changed(control, name, function, vision_heads))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(module, name, function)


def changed(
    control: str, name: str, function: Callable[..., Any], vision_heads: int
) -> Callable[..., Any]:
    """Return a function of the extension with what a control does to its arguments.

    Args:
        control: one of :data:`CONTROLS`.
        name: ``fwd`` or ``varlen_fwd``.
        function: the one of that name.
        vision_heads: see :func:`in_place`.
    """
    scale, causal = _PLACES[name]

    def call(*given: Any) -> Any:
        args = list(given)
        vision = args[0].shape[-2] == vision_heads
        if control == CAUSAL:
            args[causal] = False
        if control == SCALE:
            args[scale] *= 1.01
        if control == WINDOW:
            args[causal + 1 : causal + 3] = (-1, -1)
        if name == "varlen_fwd":
            ignored = control == IGNORED or (control == IGNORED_IN_IMAGES and vision)
            for at in _STARTS:
                if ignored:
                    args[at] = args[at][[0, -1]].contiguous()
                elif control == SHIFTED and len(args[at]) > 2:
                    args[at] = args[at].clone()
                    args[at][1:-1] += 1
                else:
                    continue
                args[at + 6] = int(args[at].diff().max())
        return function(*args)

    return call
