"""The device after a case: finished, and still to be trusted?"""

from __future__ import annotations

import os
from typing import Protocol

import torch


class StandIn(Protocol):
    """What waits in place of a real device, where a planted one stands."""

    def synchronize(self) -> None:
        """Wait for the device; raise what it has to report."""


stand_in: StandIn | None = None
"""A planted device of this process; None everywhere but in tests of broken devices."""


def probe(device: torch.device) -> str:
    """Wait for the device and use it once; return the error text if it is lost, else ""."""
    try:
        _synchronize(device)
        one = torch.ones(1, device=device)
        if float(one.sum()) != 1.0:
            return f"a sum of one element on {device} is not 1"
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return ""


def missing(device: torch.device) -> str:
    """Return why a device cannot be used here, "" where nothing speaks against it.

    Where it is a GPU this asks for how many there are: not for a process that forks.
    """
    if device.type != "cuda":
        return ""
    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]  # torch has no types here
        return f"torch {torch.__version__} is built without CUDA"
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    among = "" if seen is None else f" (CUDA_VISIBLE_DEVICES is {seen!r})"
    count = torch.cuda.device_count()
    if count == 0:
        return f"torch finds no GPU{among}"
    if (device.index or 0) >= count:
        return f"the last GPU is cuda:{count - 1}{among}"
    return ""


def fragile(device: torch.device) -> bool:
    """Tell whether an index out of range costs the process: on a device it is an assertion."""
    return device.type != "cpu" or stand_in is not None


def release_memory(device: torch.device) -> None:
    """Give back what torch holds in reserve, so that the next case finds it free."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _synchronize(device: torch.device) -> None:
    if stand_in is not None:
        stand_in.synchronize()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
