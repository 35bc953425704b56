"""What stands behind flash_attention_2 after install(), each time in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuzz.isolation.environment import environment
from fuzz.worker.flash.tests.agreement import CONTROLS, SCENARIOS

ROOT = Path(__file__).resolve().parents[4]
FLASH_ATTN = Path(sys.prefix) / "flash-attn"

# How often the extension is called for each of the two text layers; the two vision layers are
# called once each where there are images.
PIECES = {
    "decode steps after an image": 6,
    "decode steps of a left-padded batch": 5,
    "chunks and decode steps": 5,
    "static cache": 5,
    "generate from a left-padded batch": 5,
}


def run(*arguments: str, folders: tuple[Path, ...] = (FLASH_ATTN,)) -> dict[str, Any]:
    """Run Python with folders on its import path and return the JSON of its last line."""
    for folder in folders:
        if not (folder / "flash_attn").is_dir():
            pytest.fail(f"flash-attn is not in {folder}: run .ci/setup", pytrace=False)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment([*map(str, folders), str(ROOT)], os.environ),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


@pytest.fixture(scope="module")
def agreement() -> dict[str, Any]:
    return run("-m", "fuzz.worker.flash.tests.agreement")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_model_agrees_with_eager_in_float64(agreement: dict[str, Any], scenario: str) -> None:
    assert agreement["scenarios"][scenario]["distance"] <= 1e-9


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_model_calls_the_extension_in_every_layer(
    agreement: dict[str, Any], scenario: str
) -> None:
    calls = agreement["scenarios"][scenario]["calls"]
    images = any(len(row) > 1 for row in SCENARIOS[scenario].rows)
    assert calls.pop("vision varlen_fwd", 0) == (2 if images else 0)
    assert sum(calls.values()) == 2 * PIECES.get(scenario, 1)
    assert set(calls) <= {"text fwd", "text varlen_fwd"}
    if len(SCENARIOS[scenario].rows) > 1:
        assert set(calls) == {"text varlen_fwd"}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_defect_at_the_boundary_shows(agreement: dict[str, Any], control: str) -> None:
    assert agreement["controls"][control] > 1e-6


def test_it_says_what_is_in_place(agreement: dict[str, Any]) -> None:
    installed = agreement["installed"]
    assert installed["extension"] == "reference"
    assert installed["version"].startswith("2.")
    assert installed["reason"] == "the device is cpu"


def test_a_missing_real_extension_is_the_reason_for_the_reference() -> None:
    report = run("-c", TELL, "cuda")
    assert report["extension"] == "reference"
    assert report["reason"].startswith("flash_attn_2_cuda cannot be imported: No module named")


def test_flash_attns_own_operators_and_layers_run_and_differentiate() -> None:
    report = run("-c", OWN_CODE)
    assert report["gradients"] < 1e-12
    assert report["rotary"] < 1e-12
    assert report["kvcache"] < 1e-12
    assert report["breach"].startswith("varlen_fwd: cu_seqlens end at the last row [cu-short]")


def test_a_real_extension_stays_is_guarded_and_is_held_against_float64(tmp_path: Path) -> None:
    (tmp_path / "flash_attn_2_cuda.py").write_text(REAL)
    (tmp_path / "flash_attn").symlink_to(FLASH_ATTN / "flash_attn")
    report = run("-c", BESIDE_REAL, folders=(tmp_path, FLASH_ATTN))
    assert report["installed"]["extension"] == "real"
    assert report["installed"]["reason"] == ""
    assert report["file"] == str(tmp_path / "flash_attn_2_cuda.py")
    assert report["good"] == "called"
    assert "[dtype]" in report["bad"]
    assert report["wrong"].startswith(
        "fwd, sequence 0 (queries 2, keys 2), query 0, head 0: out is"
    )
    assert not report["available"]


def test_on_the_cpu_a_real_extension_is_left_aside(tmp_path: Path) -> None:
    (tmp_path / "flash_attn_2_cuda.py").write_text(REAL)
    (tmp_path / "flash_attn").symlink_to(FLASH_ATTN / "flash_attn")
    report = run("-c", TELL, "cpu", folders=(tmp_path, FLASH_ATTN))
    assert report["extension"] == "reference"


def test_without_flash_attn_nothing_is_replaced() -> None:
    report = run("-c", TELL, "cpu", folders=())
    assert report["extension"] == report["version"] == ""
    assert report["reason"] == "flash-attn is not installed"
    assert report["replaced"] == []


def test_a_flash_attn_that_cannot_be_imported_is_told_and_left_alone(tmp_path: Path) -> None:
    package = tmp_path / "flash_attn"
    package.mkdir()
    (package / "__init__.py").write_text("import no_such_module\n")
    about = tmp_path / "flash_attn-2.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: flash-attn\nVersion: 2.0\n")
    report = run("-c", TELL, "cpu", folders=(tmp_path,))
    assert report["extension"] == ""
    assert report["version"] == "2.0"
    assert report["reason"] == "flash-attn cannot be imported: No module named 'no_such_module'"
    assert report["replaced"] == []


def test_it_refuses_to_come_too_late() -> None:
    assert run("-c", TOO_LATE)["error"].startswith("flash-attn has to be installed before")


TELL = """
import json, sys
from dataclasses import asdict
from fuzz.worker.flash.install import install
installed = install(sys.argv[1])
names = ("flash_attn_2_cuda", "flash_attn.ops.triton.rotary", "transformers.modeling_utils")
print(json.dumps({**asdict(installed), "replaced": [n for n in names if n in sys.modules]}))
"""

TOO_LATE = """
import json
import transformers.modeling_utils
from fuzz.worker.flash.install import install
try:
    install("cpu")
except RuntimeError as error:
    print(json.dumps({"error": str(error)}))
"""

OWN_CODE = """
import json, torch
from fuzz.worker.flash.install import install
install("cpu")
from flash_attn import flash_attn_varlen_func, flash_attn_with_kvcache
from flash_attn.layers.rotary import apply_rotary_emb, apply_rotary_emb_torch

torch.manual_seed(0)
q, k, v = (torch.randn(7, 2, 8, dtype=torch.float64, requires_grad=True) for _ in "qkv")
cu = torch.tensor([0, 3, 7], dtype=torch.int32)
flash_attn_varlen_func(q, k, v, cu, cu, 4, 4, causal=True).pow(2).sum().backward()
ours = [x.grad.clone() for x in (q, k, v)]
for x in (q, k, v):
    x.grad = None
plain = torch.nn.functional.scaled_dot_product_attention
for a, b in ((0, 3), (3, 7)):
    parts = (x[a:b].transpose(0, 1) for x in (q, k, v))
    plain(*parts, is_causal=True).pow(2).sum().backward()
gaps = [float((a - x.grad).abs().max()) for a, x in zip(ours, (q, k, v))]

x = torch.randn(2, 5, 2, 16, dtype=torch.float64)
angles = torch.randn(5, 8, dtype=torch.float64)
turned = apply_rotary_emb(x, angles.cos(), angles.sin())
rotary = float((turned - apply_rotary_emb_torch(x, angles.cos(), angles.sin())).abs().max())

with torch.no_grad():
    caches = [t.detach()[None].clone() for t in (k, v)]
    out = flash_attn_with_kvcache(q.detach()[None], *caches, cache_seqlens=7, causal=True)
    parts = (t.detach().transpose(0, 1) for t in (q, k, v))
    kvcache = float((out[0] - plain(*parts, is_causal=True).transpose(0, 1)).abs().max())
try:
    short = torch.tensor([0, 3, 6], dtype=torch.int32)
    flash_attn_varlen_func(q, k, v, short, short, 4, 4)
except RuntimeError as error:
    breach = str(error)
print(json.dumps({"gradients": max(gaps), "rotary": rotary, "kvcache": kvcache, "breach": breach}))
"""

REAL = """
import math, torch

def fwd(q, *args):
    # Right for a mean over two keys of zero, and wrong for any other.
    return torch.zeros_like(q), torch.full((1, 2, 2), math.log(2)), "called", None

varlen_fwd = fwd_kvcache = bwd = varlen_bwd = fwd
"""

BESIDE_REAL = """
import json, torch
from dataclasses import asdict
from fuzz.worker.flash.install import install
installed = install("cuda")
import flash_attn_2_cuda
from transformers.utils import is_flash_attn_2_available
half, double = (torch.zeros(1, 2, 2, 8, dtype=t) for t in (torch.float16, torch.float64))
rest = (None, None, 0.0, 0.3, False, -1, -1, 0.0, False, None)
try:
    flash_attn_2_cuda.fwd(double, double, double, *rest)
except RuntimeError as error:
    bad = str(error)
good = flash_attn_2_cuda.fwd(half, half, half, *rest)[2]
try:
    flash_attn_2_cuda.fwd(half, half, half + 1, *rest)
except RuntimeError as error:
    wrong = str(error)
print(json.dumps({"installed": asdict(installed), "file": flash_attn_2_cuda.__file__,
    "good": good, "bad": bad, "wrong": wrong, "available": is_flash_attn_2_available()}))
"""
