"""flash-attn through its own Python, with a guard, and a reference where there is no GPU for it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.target import LOW

if TYPE_CHECKING:
    from fuzz.worker.flash.install import Installed

FOLDER = "flash-attn"
"""Where ``.ci/setup`` puts flash-attn without its kernels, below the environment: nothing but this
may take it for a flash-attn that works."""

_state: list[Installed] = []


def set_up(device: str) -> Installed:
    """Make flash-attn run in this process, once, and tell how.

    Args:
        device: a torch device string.
    """
    if not _state:
        aside = Path(sys.prefix) / FOLDER
        if importlib.util.find_spec("flash_attn") is None and aside.is_dir():
            sys.path.append(str(aside))
        module = importlib.import_module("fuzz.worker.flash.install")
        _state.append(module.install(device))
    return _state[0]


def obstacle(dtype: str) -> str:
    """Return why models of this process cannot run with flash-attn, "" where they can.

    Args:
        dtype: of the target, one of :data:`fuzz.target.DTYPES`.
    """
    if not _state:
        return "flash-attn was not looked for"
    if not _state[0].usable:
        return _state[0].reason
    if _state[0].extension == "real" and dtype not in LOW:
        # The guard would say so at every call.
        return f"flash-attn's kernels take float16 and bfloat16, not {dtype}"
    return ""
