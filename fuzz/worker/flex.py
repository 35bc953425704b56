"""flex_attention where the model supports it; on CPU run as it is written, not compiled."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from fuzz.worker import release

_state: list[str] = []


def set_up(architecture: type[Any], device: str) -> str:
    """Make flex_attention run in this process if the model supports it.

    transformers hands it to ``torch.compile``, for which a CPU needs a C++ compiler and a case
    needs seconds. On a CPU compiling is switched off; on any other device a user gets it compiled,
    and so do we.

    Args:
        architecture: the model's class.
        device: a torch device string.

    Returns:
        Why it cannot be used, "" where it can.
    """
    _state[:] = [_obstacle(architecture, device)]
    if not _state[0] and device.startswith("cpu"):
        import torch

        torch.compiler.set_stance("force_eager")
        # Imported by the first call otherwise, which takes seconds in every new process.
        importlib.import_module("torch._dynamo")
        # Asked for its default compiler, torch would import that one too, to no use.
        torch.compile = _not_compiled
    return _state[0]


def _not_compiled(model: Any = None, **_options: Any) -> Any:
    """Stand for ``torch.compile``: what is to be compiled, or a decorator, runs as it is."""
    return (lambda function: function) if model is None else model


def refuse_sinks(model: Any, device: str) -> str:
    """Note that a model whose heads have a learned sink cannot run with it on a CPU.

    Returns:
        Why it cannot, "" where nothing changes.
    """
    sinks = any(hasattr(a, "sinks") for a in release.attentions(model))
    if not sinks or not device.startswith("cpu") or (_state and _state[0]):
        return ""
    _state[:] = ["attention sinks cannot be run on a CPU with it"]
    return _state[0]


def obstacle() -> str:
    """Return why models of this process cannot run with flex_attention, "" where they can."""
    return _state[0] if _state else "flex_attention was not looked for"


def trains(device: str) -> bool:
    """Tell whether a device has its backward pass: torch refuses it on a CPU."""
    return not device.startswith("cpu")


def _obstacle(architecture: type[Any], device: str) -> str:
    import torch
    import transformers

    if not getattr(architecture, "_supports_flex_attn", False):
        release = transformers.__version__
        return f"{architecture.__name__} of transformers {release} does not support it"
    if importlib.util.find_spec("torch.nn.attention.flex_attention") is None:
        return f"torch {torch.__version__} does not have it"
    if device.startswith("cpu") and not hasattr(torch.compiler, "set_stance"):
        return f"torch {torch.__version__} cannot run it without compiling it"
    return ""
