"""The fake device breaks as CUDA is documented to; each test runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import torch
from fuzz.worker import device
from fuzz.worker.plants import fake_device

cpu = torch.device("cpu")
layer = fake_device.installed()
assert fake_device.installed() is layer
assert device.probe(cpu) == ""
said = []


def call():
    try:
        torch.ones(2) + 1
        said.append("fine")
    except RuntimeError as error:
        said.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")


call()
try:
    getattr(fake_device, DEED)()
except RuntimeError:
    said.append("raised")
call()
call()
probed = [device.probe(cpu), device.probe(cpu)]
print(said)
print(probed)
"""
LOST = "AcceleratorError: CUDA error: device-side assert triggered"
PROBED = ["CUDA error: device-side assert triggered"] * 2


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ("raised_at_once", ["fine", "raised", LOST, LOST]),
        # The first operation of the call after it still comes through.
        ("raised_late", ["fine", LOST, LOST]),
        ("swallowed", ["fine", LOST, LOST]),
        ("raised_at_synchronize", ["fine", "fine", "fine"]),
    ],
)
def test_the_error_comes_when_it_should_and_then_stays(deed: str, said: list[str]) -> None:
    program = PROGRAM.replace("DEED", repr(deed))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [str(said), str(PROBED)]
    assert "Assertion `srcIndex < srcSelectDimSize` failed." in done.stderr
