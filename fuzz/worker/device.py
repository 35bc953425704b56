"""The device after a case: finished, and still to be trusted?"""

from __future__ import annotations

import torch

_poison = ""


def poison(message: str) -> None:
    """Behave from now on as a device does after a sticky error: every later use fails.

    Stands in for CUDA, where the error is asynchronous and a ``try`` can swallow it.
    """
    global _poison
    _poison = message


def probe(device: torch.device) -> str:
    """Wait for the device and use it once; return the error text if it is lost, else ""."""
    if _poison:
        return _poison
    try:
        one = torch.ones(1, device=device)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if float(one.sum()) != 1.0:
            return f"a sum of one element on {device} is not 1"
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return ""
