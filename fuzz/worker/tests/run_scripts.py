"""Runs scripts where nothing of ropefuzz can be imported: python -I run_scripts.py FOLDER SITE.

torch and transformers are imported once; every script runs in a forked child. Scripts below
``FOLDER/flash`` take a GPU: they run on flash-attn over the reference of its kernels, and those
below ``FOLDER/planted`` with a defect planted. Both are ropefuzz's, so that these alone are run
where SITE (ropefuzz's folder) can be imported from.
Prints one line of JSON: by script its exit code and output, and what transformers says of itself.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Results: TypeAlias = dict[str, tuple[int, str]]
"""By script, its exit code and what it printed."""

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


def run_all(folder: Path) -> Results:
    """Run the scripts of a folder, those named ``NAME.mended.py`` with that argument."""
    return {
        p.stem: run(p, ["mended"] if p.stem.endswith(".mended") else [])
        for p in sorted(folder.glob("*.py"))
    }


def with_ours(work: Callable[[], Results], site: str) -> Results:
    """Do something in a child in which ropefuzz can be imported, and return what it gives."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, Blocked)]
        sys.path.insert(0, site)
        with os.fdopen(write, "w") as told:
            json.dump(work(), told)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        gave: Results = json.loads(told.read() or "{}")
    os.waitpid(child, 0)
    return gave


def on_reference(folder: Path) -> Results:
    """Run scripts that take a GPU on flash-attn's Python over our reference of its kernels."""
    import torch

    from fuzz.worker import flash

    installed = flash.set_up("cpu")
    # There is none; all else is as on a GPU.
    setattr(torch, "set_default_device", lambda device: None)  # noqa: ARG005, B010
    return run_all(folder) if installed.usable else {"": (0, installed.reason)}


def planted(folder: Path) -> Results:
    """Run scripts named ``ANYTHING @ PLANT.py`` with that defect in the models they build."""
    from transformers import PreTrainedModel

    from fuzz.worker.plants import planter

    build = vars(PreTrainedModel)["_from_config"].__func__
    results = {}
    for script in sorted(folder.glob("*.py")):
        name = script.stem.partition(" @ ")[2]

        def built(cls: type, /, *args: Any, name: str = name, **kwargs: Any) -> Any:
            model = build(cls, *args, **kwargs)
            # Models build their parts in the same way.
            if cls.__name__.endswith(("ForCausalLM", "ForConditionalGeneration")):
                planter([name])(model)
            return model

        setattr(PreTrainedModel, "_from_config", classmethod(built))  # noqa: B010
        results[script.stem] = run(script, [])
    return results


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
    flash = with_ours(lambda: on_reference(folder / "flash"), site)
    for name in ("LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen2VLForConditionalGeneration"):
        getattr(transformers, name)
    told = {
        "plain": run_all(folder),
        "flash": flash,
        "planted": with_ours(lambda: planted(folder / "planted"), site),
    }
    print(json.dumps({**told, **facts(kinds)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
