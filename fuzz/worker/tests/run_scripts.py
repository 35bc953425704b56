"""Runs scripts where nothing of ropefuzz can be imported: python -I run_scripts.py FOLDER SITE.

torch and transformers are imported once; every script runs in a forked child. Scripts below
``FOLDER/flash`` take a GPU: they run on flash-attn over the reference of its kernels, which is
ropefuzz's, so that these alone are run where SITE (ropefuzz's folder) can be imported from.
Prints one line of JSON: by script its exit code and output, and what transformers says of itself.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

OURS = ("fuzz", "strategies", "regressions", "conftest")


class Blocked:
    """Finds nothing of ropefuzz, wherever it is installed."""

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] in OURS:
            raise ModuleNotFoundError(f"{name} is not to be imported here", name=name)


def run(script: Path, arguments: list[str]) -> tuple[int, str]:
    """Run a script in a child; exit code 97 means that it raised, 98 that it imported ours."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        os.dup2(write, 2)
        sys.argv = [str(script), *arguments]
        code = 0
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 97
        except BaseException:
            traceback.print_exc()
            code = 97
        blocked = any(isinstance(finder, Blocked) for finder in sys.meta_path)
        if blocked and any(name.partition(".")[0] in OURS for name in sys.modules):
            code = 98
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    os.close(write)
    with os.fdopen(read, errors="replace") as said:
        text = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


def run_all(folder: Path) -> dict[str, tuple[int, str]]:
    """Run the scripts of a folder, those named ``NAME.mended.py`` with that argument."""
    return {
        p.stem: run(p, ["mended"] if p.stem.endswith(".mended") else [])
        for p in sorted(folder.glob("*.py"))
    }


def on_reference(folder: Path, site: str) -> dict[str, tuple[int, str]]:
    """Run scripts that take a GPU on flash-attn's Python over our reference of its kernels."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, Blocked)]
        sys.path.insert(0, site)
        import torch

        from fuzz.worker import flash

        installed = flash.set_up("cpu")
        # There is none; all else is as on a GPU.
        setattr(torch, "set_default_device", lambda device: None)  # noqa: ARG005, B010
        results = run_all(folder) if installed.usable else {"": (0, installed.reason)}
        os.write(write, json.dumps(results).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        gave: dict[str, tuple[int, str]] = json.loads(told.read() or "{}")
    os.waitpid(child, 0)
    return gave


def facts(kinds: list[str]) -> dict[str, Any]:
    """Return default configurations, and the names of image processors, by model type."""
    import importlib

    import transformers

    auto = importlib.import_module("transformers.models.auto.image_processing_auto")
    return {
        "defaults": {k: transformers.AutoConfig.for_model(k).to_dict() for k in kinds},
        "processors": {
            k: v["pil"] if isinstance(v, dict) else str(v)
            for k, v in auto.IMAGE_PROCESSOR_MAPPING_NAMES.items()
            if not isinstance(v, dict) or "pil" in v
        },
    }


def main(folder: Path, site: str, kinds: list[str]) -> None:
    """Run everything and print it."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.meta_path.insert(0, Blocked())
    import torch
    import torch._dynamo
    import transformers

    torch.set_num_threads(1)
    flash = on_reference(folder / "flash", site)
    for name in ("LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen2VLForConditionalGeneration"):
        getattr(transformers, name)
    results = run_all(folder)
    print(json.dumps({"plain": results, "flash": flash, **facts(kinds)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
