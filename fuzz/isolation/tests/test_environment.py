"""What the preloaded process is started with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fuzz.isolation.environment import environment
from fuzz.isolation.tests.conftest import Make


def test_own_folders_come_before_those_inherited() -> None:
    result = environment(["/a", "/b"], {"PYTHONPATH": "/c::/d", "PYTHONFAULTHANDLER": "1"})
    assert result["PYTHONPATH"] == os.pathsep.join(["/a", "/b", "/c", "/d"])
    assert "PYTHONFAULTHANDLER" not in result
    assert "PYTHONPATH" not in environment([], {"HOME": "/"})


def test_what_was_set_before_does_not_change_the_number_of_threads() -> None:
    assert environment([], {"OMP_NUM_THREADS": "8"})["OMP_NUM_THREADS"] == "1"


def test_the_process_sees_it_and_finds_this_package_last(make: Make, tmp_path: Path) -> None:
    ready = make(pythonpath=[str(tmp_path)]).start()
    seen, path = ready.versions["environment"], ready.versions["path"]
    assert seen["OMP_NUM_THREADS"] == "1"
    assert seen["PYTORCH_NVML_BASED_CUDA_CHECK"] == "1"
    assert seen["HF_HUB_OFFLINE"] == "1"
    assert path[0] == str(tmp_path)
    assert path[-1] == str(Path(__file__).parents[3])
    assert "" not in path


def test_the_driver_imports_without_torch() -> None:
    code = "import fuzz.isolation.supervisor, sys; print('torch' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert printed.stdout.strip() == "False"
