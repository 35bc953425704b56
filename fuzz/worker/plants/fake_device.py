"""A device that can break, on a machine without one: it behaves as CUDA is documented to.

Work is queued and its errors come back later: from the call itself only when calls are made to
wait (``CUDA_LAUNCH_BLOCKING``), else from some later call, at the latest from synchronizing. An
error of this kind is sticky: from then on every call of the process fails with it. See the CUDA
programming guide, "Error Checking", and PyTorch's notes on CUDA semantics.
"""

from __future__ import annotations

import os
from typing import Any, Final, Literal, TypeAlias

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fuzz.worker import device
from fuzz.worker.faults import ASSERTION

When: TypeAlias = Literal["at once", "one call later", "at synchronize"]

LATE: Final[When] = "at synchronize"

TEXT: Final = (
    "CUDA error: device-side assert triggered\n"
    "CUDA kernel errors might be asynchronously reported at some other API call, so the "
    "stacktrace below might be incorrect.\n"
    "For debugging consider passing CUDA_LAUNCH_BLOCKING=1\n"
    "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"
)
_ERROR: Final[type[RuntimeError]] = getattr(torch, "AcceleratorError", RuntimeError)


class FakeDevice(TorchDispatchMode):
    """Stands between torch and its kernels: each operation is a call of the device."""

    def __init__(self) -> None:
        """Start as a device that works, and whose kernels do not look at indices."""
        super().__init__()
        self._broken: When | None = None
        self._calls_left = 0
        self.asserts = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if self._broken is not None and self._broken != "at synchronize":
            if self._calls_left == 0:
                raise _ERROR(TEXT)
            self._calls_left -= 1
        try:
            return func(*args, **(kwargs or {}))
        except IndexError:
            if not self.asserts:
                raise
        # What a device does in place of an exception; results are then anything.
        self.break_now("at once" if os.environ.get("CUDA_LAUNCH_BLOCKING") == "1" else LATE)
        return args[0].new_zeros(_shape(func, args))

    def break_now(self, when: When) -> None:
        """Run a kernel whose assertion fails.

        Raises:
            RuntimeError: ``torch.AcceleratorError`` where torch has it, with ``"at once"``.
        """
        os.write(2, ASSERTION.encode())
        self._broken = when
        self._calls_left = 1 if when == "one call later" else 0
        if when == "at once":
            raise _ERROR(TEXT)

    def synchronize(self) -> None:
        """Wait for the device.

        Raises:
            RuntimeError: it is broken, in whatever way.
        """
        if self._broken is not None:
            raise _ERROR(TEXT)


def installed() -> FakeDevice:
    """Return this process's fake device, putting it in place the first time."""
    if not isinstance(device.stand_in, FakeDevice):
        fake = FakeDevice()
        fake.__enter__()  # for as long as the process lives
        device.stand_in = fake
    return device.stand_in


def asserting(_model: Any) -> None:
    """Have an index out of range be an assertion on the device, as a plant."""
    installed().asserts = True


def _shape(func: Any, args: tuple[Any, ...]) -> tuple[int, ...]:
    """Return the shape that a lookup would have given."""
    return tuple(func(*(_on_meta(a) for a in args)).shape)


def _on_meta(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to("meta")
    return [_on_meta(v) for v in value] if isinstance(value, (list, tuple)) else value


def raised_at_once() -> None:
    """Break, and raise where it happens."""
    installed().break_now("at once")


def raised_late() -> None:
    """Break, and have the call after the next one raise."""
    installed().break_now("one call later")


def swallowed() -> None:
    """Break, and catch what is raised."""
    try:
        installed().break_now("at once")
    except RuntimeError:
        return


def raised_at_synchronize() -> None:
    """Break, and say nothing until somebody waits for the device."""
    installed().break_now("at synchronize")


def out_of_memory() -> None:
    """Raise what torch raises when a device has no memory left for one more tensor.

    Raises:
        torch.OutOfMemoryError: always.
    """
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
