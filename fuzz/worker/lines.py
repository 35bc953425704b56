"""Which lines of transformers a check runs, told by coverage.py."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import transformers

from fuzz.worker.subject import Subject, model_of

if TYPE_CHECKING:
    from coverage import Coverage

ROOT: Final = Path(transformers.__file__).resolve().parent

SHARED: Final = (
    "cache_utils",
    "image_processing_backends",
    "image_processing_utils",
    "image_processing_utils_fast",
    "integrations.flash_attention",
    "integrations.flex_attention",
    "integrations.sdpa_attention",
    "masking_utils",
    "modeling_attn_mask_utils",
    "modeling_flash_attention_utils",
    "modeling_rope_utils",
)
"""What all models share of attention, caches, masks, rotary embedding and image processing."""

_held: list[Coverage] = []


def sources_of(subject: Subject) -> dict[str, Any]:
    """Return the files of transformers that a subject's cases are about.

    Returns:
        ``root``: the package's folder; ``files``: names below it, sorted: the modules that define
        the model's and the processor's classes and what these inherit from, and the
        :data:`SHARED` ones that are loaded.
    """
    model = model_of(subject)
    objects = [*model.modules(), subject.processor, subject.config]
    classes = {c for o in objects if o is not None for c in type(o).__mro__}
    names = {c.__module__ for c in classes if c.__module__.startswith("transformers.models.")}
    names |= {f"transformers.{name}" for name in SHARED}
    modules = (sys.modules.get(name) for name in names)
    files = {Path(m.__file__).resolve() for m in modules if m is not None and m.__file__}
    below = sorted(f.relative_to(ROOT).as_posix() for f in files if f.is_relative_to(ROOT))
    return {"root": str(ROOT), "files": below}


@contextmanager
def watched() -> Iterator[dict[str, list[int]]]:
    """Note the lines that run inside; they are in what it gives once it is left.

    The names of files are relative to transformers' folder. Lines that run in other threads, such
    as those of autograd, are seen where these are Python's own.
    """
    found: dict[str, list[int]] = {}
    if not _held:
        _held.append(_coverage())
    coverage = _held[0]
    coverage.start()
    try:
        yield found
    finally:
        coverage.stop()
        data = coverage.get_data()
        for name in data.measured_files():
            found[Path(name).relative_to(ROOT).as_posix()] = sorted(data.lines(name) or ())
        # Of coverage's own ways to forget, the one that keeps what it knows of files (1 ms a case
        # instead of 7).
        data.erase()


def _coverage() -> Coverage:
    from coverage import Coverage

    shared = [str(ROOT / f"{name.replace('.', '/')}.py") for name in SHARED]
    return Coverage(
        data_file=None,
        include=[str(ROOT / "models" / "*"), *shared],
        config_file=False,
        messages=False,
    )
