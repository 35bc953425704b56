"""The real weights of a checkpoint directory: only those of the layers that are kept are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open

from fuzz import tensor_files
from fuzz.errors import UsageProblem
from fuzz.worker import release
from fuzz.worker.errors import WorkerSetupError
from fuzz.worker.quantized import Scheme, dequantized
from fuzz.worker.slim import Kept, new_names

_FLOATING: Final = ("F64", "F32", "F16", "BF16")
_PACKED: Final = ("F8_E4M3", "I8")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint directory.

    Attributes:
        folder: where it is.
        kept: the layers that its model is built with.
        scheme: how its matrices are quantized, None where they are not.
        values: the real weights of that model by their names in it, none where they are random.
    """

    folder: Path
    kept: Kept
    scheme: Scheme | None = None
    values: Mapping[str, torch.Tensor] = field(default_factory=dict)


def load(checkpoint: Checkpoint, cls: Any, config: Any) -> dict[str, torch.Tensor]:
    """Return the real weights of a slim model by their names in it, buffers that are saved too.

    transformers' own loading matches the names, which releases have moved around, and joins what
    they have fused since; it is handed the tensors and no directory.

    Args:
        checkpoint: the directory, and which layers are kept.
        cls: the model's class.
        config: its configuration, cut slim.

    Raises:
        WorkerSetupError: a tensor is missing, cannot be read, or has a shape or dtype that does
            not fit; or a file is missing, truncated or none of safetensors.
    """
    from transformers.utils import logging

    tensors = _read(checkpoint)
    # It would start a thread, and nobody sees it.
    quiet: Any = logging.disable_progress_bar
    quiet()
    wide = any(x.dtype == torch.float64 for x in tensors.values())
    dtype = release.in_dtype(config, torch.float64 if wide else torch.float32)
    try:
        model, info = cls.from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **dtype,
        )
    except Exception as error:
        said = next((line for line in str(error).splitlines() if line.strip()), "")
        raise WorkerSetupError(
            f"{checkpoint.folder}: its weights do not fit {cls.__name__}: "
            f"{type(error).__name__}: {said}"
        ) from None
    if missing := sorted(info["missing_keys"]):
        raise WorkerSetupError(
            f"{checkpoint.folder}: {cls.__name__} needs {_some(missing)}, which the weights lack"
        )
    for name, got, wanted in sorted(info["mismatched_keys"]):
        raise WorkerSetupError(
            f"{checkpoint.folder}: {name} has shape {tuple(got)}, expected {tuple(wanted)}"
        )
    return {name: x.detach().clone() for name, x in model.state_dict().items()}


def _read(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    try:
        files = tensor_files.files_in(checkpoint.folder)
        wanted = new_names(files, checkpoint.kept)
        by_file: dict[Path, list[str]] = {}
        for name in wanted:
            by_file.setdefault(files[name], []).append(name)
        for file, names in by_file.items():
            _check(file, names, _PACKED if checkpoint.scheme else ())
        tensors = {}
        for file, names in by_file.items():
            with safe_open(file, framework="pt") as opened:
                for name in names:
                    tensors[wanted[name]] = opened.get_tensor(name)
    except UsageProblem as problem:
        raise WorkerSetupError(str(problem)) from None
    except (OSError, SafetensorError) as error:
        raise WorkerSetupError(f"{checkpoint.folder}: cannot be read: {error}") from None
    if checkpoint.scheme is None:
        return tensors
    try:
        return dequantized(tensors, checkpoint.scheme)
    except WorkerSetupError as problem:
        raise WorkerSetupError(f"{checkpoint.folder}: {problem}") from None


def _check(file: Path, names: Iterable[str], also: tuple[str, ...]) -> None:
    """Look whether a file holds tensors that can be used, of dtypes that fit.

    Args:
        file: the file.
        names: the tensors.
        also: dtypes of weights that are known beside floating ones.

    Raises:
        UsageProblem: it cannot be used.
    """
    held = tensor_files.header(file)
    for name in names:
        if name not in held:
            raise UsageProblem(f"{file}: {name} is not in it, though the index says so")
        if held[name].dtype not in (*_FLOATING, *also) and name.endswith(("weight", "bias")):
            raise UsageProblem(
                f"{file}: {name} is of dtype {held[name].dtype}, expected one of "
                f"{', '.join(_FLOATING)}"
            )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return names[0] + more
