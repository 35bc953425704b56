"""With flash-attn installed, the imports of the preloaded process leave the CUDA driver alone.

transformers then asks whether CUDA is there while it imports a model, and an initialized driver
is lost to every forked worker. Neither a GPU nor torch's CUDA build is needed: a recorder stands
where torch calls the driver, on a machine that seems to have one GPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuzz.isolation.environment import environment

ROOT = Path(__file__).resolve().parents[3]
FLASH_ATTN = Path(sys.prefix) / "flash-attn"

PROGRAM = """
import json, sys, types
import torch

driver, asked = [], []
is_available = torch.cuda.is_available

def ask():
    asked.append(True)
    return is_available()

def count():
    driver.append("count")
    return 1

def refuse(*_):
    driver.append("init")
    raise RuntimeError("the driver has been called")

# torch's CUDA build on a machine with one GPU, as far as the imports look.
torch.version.cuda = torch.version.cuda or "12.8"
torch.cuda._is_compiled = lambda: True
torch.cuda._raw_device_count_nvml = lambda: 1
torch.cuda._cudart = object()
# flash-attn's kernels are not built; here is what its Python and the guard take for them.
kernels = types.ModuleType("flash_attn_2_cuda")
for name in ("fwd", "varlen_fwd", "fwd_kvcache", "bwd", "varlen_bwd"):
    setattr(kernels, name, refuse)
sys.modules["flash_attn_2_cuda"] = kernels

# The ways from torch's Python into the driver; torch._dynamo imports the last one by its name.
torch._C._cuda_getDeviceCount = count
torch._C._cuda_init = refuse
torch._C._cuda_getCurrentRawStream = refuse
torch.cuda.is_available = ask

from fuzz.families import FAMILIES
from fuzz.isolation import kernel
from fuzz.target import Target, target_to_plain
from fuzz.worker import serve

for family in FAMILIES.values():
    target = Target(family=family.name, attn=family.attention, device=sys.argv[1])
    versions = serve.load(target_to_plain(target))

report = {
    "flash-attn": versions["flash-attn"],
    "driver": list(driver),
    "asked": len(asked),
    "initialized": torch.cuda.is_initialized(),
    "threads": kernel.thread_count(),
}

from transformers.utils.import_utils import is_flash_attn_2_available

report["flash_attn"] = is_flash_attn_2_available()
driver.clear()
try:
    torch.zeros(1, device="cuda")
except RuntimeError:
    pass
print(json.dumps({**report, "opened": driver}))
"""


def load_every_family(*without: str, device: str = "cuda") -> dict[str, Any]:
    """Import all families as the preloaded process does, with some of its variables missing."""
    if not (FLASH_ATTN / "flash_attn").is_dir():
        pytest.fail(f"flash-attn is not in {FLASH_ATTN}: run .ci/setup", pytrace=False)
    variables = environment([str(FLASH_ATTN)], os.environ)
    for name in ("CUDA_VISIBLE_DEVICES", *without):
        variables.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, device],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    # Else no test here says anything: flash-attn was not seen.
    assert report["flash_attn"]
    return report


@pytest.fixture(scope="module")
def preloaded() -> dict[str, Any]:
    return load_every_family()


def test_importing_every_family_leaves_the_driver_alone(preloaded: dict[str, Any]) -> None:
    assert preloaded["asked"] > 0  # transformers did ask for a device
    assert preloaded["driver"] == []
    assert not preloaded["initialized"]


def test_the_guard_stands_before_the_kernels(preloaded: dict[str, Any]) -> None:
    assert preloaded["flash-attn"].endswith("(real)")


def test_with_models_on_the_cpu_it_leaves_the_driver_alone_too() -> None:
    report = load_every_family("PYTORCH_NVML_BASED_CUDA_CHECK", device="cpu")
    assert report["flash-attn"].endswith("(reference)")
    assert report["driver"] == []


def test_importing_every_family_starts_no_thread(preloaded: dict[str, Any]) -> None:
    assert preloaded["threads"] == 1


def test_the_recorder_sees_a_device_being_opened(preloaded: dict[str, Any]) -> None:
    assert preloaded["opened"] == ["init"]


def test_without_its_variable_the_same_imports_call_the_driver() -> None:
    assert "count" in load_every_family("PYTORCH_NVML_BASED_CUDA_CHECK")["driver"]
