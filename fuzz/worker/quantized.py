"""Quantized checkpoints on a CPU: real weights are dequantized, random ones put on the same grid.

Two forms are known. Fine-grained FP8 (``quant_method`` ``fp8``; DeepSeek-V3, arXiv:2412.19437,
section 3.3): e4m3 numbers and a scale for each block of 128 by 128, ``weight_scale_inv``, which
they are multiplied by. And compressed-tensors (its ``pack_quantized`` and ``naive_quantized``
compressors): integers packed into int32, the first one lowest, with half of their range added; or
e4m3 numbers; with a scale per group of a row, per row or per tensor. Products are computed in the
target's lane: kernels for these forms need a GPU.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from fuzz.worker.errors import WorkerSetupError
from fuzz.worker.slim import Kept, old_name
from fuzz.worker.widen import widened

E4M3_LARGEST: Final = 448.0
_MOVED: Final = ("model", "language_model")


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a checkpoint's matrices are quantized.

    Attributes:
        method: what its config calls it.
        bits: of a number; 0 where the form is not known, and nothing is emulated.
        floating: whether numbers are e4m3, else whole numbers.
        block: rows and columns that share a scale, 0 for all.
        ignored: modules that are not quantized: names, parts of names, or ``re:`` and a pattern.
    """

    method: str
    bits: int = 0
    floating: bool = False
    block: tuple[int, int] = (0, 0)
    ignored: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The grid in a few words."""
        kind = "e4m3" if self.floating else f"int{self.bits}"
        rows, columns = (str(n) if n else "all" for n in self.block)
        return f"{self.method}: {kind}, one scale for {rows} x {columns}"


def scheme_of(settings: dict[str, Any]) -> Scheme | None:
    """Take the ``quantization_config`` out of a ``config.json`` and return what it says.

    Returns:
        None for a checkpoint that is not quantized.
    """
    found = settings.pop("quantization_config", None)
    text = settings.get("text_config")
    if isinstance(text, dict):
        found = text.pop("quantization_config", None) or found
    if not isinstance(found, Mapping):
        return None
    method = str(found.get("quant_method", "unknown"))
    if method == "fp8":
        rows, columns = found.get("weight_block_size") or (0, 0)
        ignored = tuple(str(n) for n in found.get("modules_to_not_convert") or ())
        return Scheme(method, 8, True, (int(rows), int(columns)), ignored)
    if method == "compressed-tensors":
        return _compressed(found)
    return Scheme(method)


def _compressed(found: Mapping[str, Any]) -> Scheme:
    groups = found.get("config_groups")
    forms = [g.get("weights") or {} for g in groups.values()] if isinstance(groups, dict) else []
    if not forms or any(form != forms[0] for form in forms):
        return Scheme("compressed-tensors")
    form = forms[0]
    bits, floating = form.get("num_bits"), form.get("type") == "float"
    blocks = {
        "group": (1, form.get("group_size") or 0),
        "channel": (1, 0),
        "tensor": (0, 0),
        "block": tuple(form.get("block_structure") or (0, 0)),
    }
    block = blocks.get(str(form.get("strategy")))
    known = isinstance(bits, int) and bits in ((8,) if floating else (4, 8))
    if not known or block is None or not form.get("symmetric", True):
        return Scheme("compressed-tensors")
    ignored = tuple(str(n) for n in found.get("ignore") or ())
    return Scheme(
        "compressed-tensors",
        int(form["num_bits"]),
        floating,
        (int(block[0]), int(block[1])),
        ignored,
    )


def ignores(scheme: Scheme, name: str) -> bool:
    """Tell whether a module, by its name in the checkpoint, is left as it is."""
    parts = _plain(name)
    for pattern in scheme.ignored:
        if pattern.startswith("re:"):
            names = (name, ".".join(parts))
            if any(re.match(pattern.removeprefix("re:"), n) for n in names):
                return True
            continue
        wanted = _plain(pattern)
        ends = range(len(parts) - len(wanted) + 1)
        if wanted and any(parts[i : i + len(wanted)] == wanted for i in ends):
            return True
    return False


def _plain(name: str) -> list[str]:
    """Return the parts of a name without those that releases have moved around."""
    return [part for part in name.split(".") if part and part not in _MOVED]


def quantized_names(model: Any, scheme: Scheme, kept: Kept) -> frozenset[str]:
    """Return the parameters of a slim model that its checkpoint has quantized.

    These are the matrices of linear layers, and of experts that a release holds in one tensor;
    not that of the output, nor those that the config leaves out.
    """
    if not scheme.bits:
        return frozenset()
    head = model.get_output_embeddings()
    names = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module is not head:
            if not ignores(scheme, old_name(name, kept)):
                names.add(f"{name}.weight")
        elif name.endswith("experts"):
            for own, parameter in module.named_parameters(recurse=False):
                whole = f"{name}.{own}"
                if parameter.ndim == 3 and not ignores(scheme, old_name(whole, kept)):
                    names.add(whole)
    return frozenset(names)


def on_grid(weight: torch.Tensor, scheme: Scheme) -> torch.Tensor:
    """Return a matrix rounded to what quantizing and dequantizing would leave of it.

    Args:
        weight: (..., rows, columns), float64.
        scheme: the grid; scales are float32 for e4m3 and bfloat16 for whole numbers, as stored.
    """
    # Scales are stored in less than the exact lane would make of them.
    with widened(False):
        rows, columns = weight.shape[-2:]
        high, wide = scheme.block[0] or rows, scheme.block[1] or columns
        padded = nn.functional.pad(weight, (0, -columns % wide, 0, -rows % high)).abs()
        down, across = padded.shape[-2] // high, padded.shape[-1] // wide
        blocks = padded.reshape(*weight.shape[:-2], down, high, across, wide)
        largest = blocks.amax(dim=(-3, -1))
        top = E4M3_LARGEST if scheme.floating else (2**scheme.bits - 1) / 2
        scale = (largest / top).to(torch.float32 if scheme.floating else torch.bfloat16).double()
        spread = _spread(torch.where(scale == 0, 1.0, scale), weight.shape, (high, wide))
        numbers = weight / spread
        if scheme.floating:
            numbers = numbers.clamp(-E4M3_LARGEST, E4M3_LARGEST).to(torch.float8_e4m3fn).double()
        else:
            half = 2 ** (scheme.bits - 1)
            numbers = numbers.round().clamp(-half, half - 1)
        return numbers * spread


def _spread(
    scale: torch.Tensor, shape: torch.Size | tuple[int, ...], block: tuple[int, int]
) -> torch.Tensor:
    """Return the scale of each element: (..., rows, columns) from one for each block."""
    high, wide = block
    whole = scale.repeat_interleave(high, -2).repeat_interleave(wide, -1)
    return whole[..., : shape[-2], : shape[-1]]


def dequantized(tensors: dict[str, torch.Tensor], scheme: Scheme) -> dict[str, torch.Tensor]:
    """Return a checkpoint's tensors with numbers and their scales made one matrix, float32.

    Raises:
        WorkerSetupError: the form is not known, or a scale is missing or does not fit.
    """
    if not scheme.bits:
        raise WorkerSetupError(
            f"weights quantized by {scheme.method} in this form cannot be read; those of fp8 and "
            "symmetric compressed-tensors can"
        )
    whole = {}
    for name, tensor in tensors.items():
        stem, _, last = name.rpartition(".")
        if last == "weight_packed":
            numbers = _unpacked(tensors, stem, scheme)
            whole[f"{stem}.weight"] = _scaled(tensors, stem, numbers, scheme)
        elif last == "weight" and tensor.dtype in (torch.float8_e4m3fn, torch.int8):
            whole[name] = _scaled(tensors, stem, tensor.double(), scheme)
        elif last not in _PARTS:
            whole[name] = tensor
    return whole


_PARTS: Final = (
    "weight_scale_inv",
    "weight_scale",
    "weight_shape",
    "weight_packed",
    "input_scale",
    "activation_scale",
)


def _unpacked(tensors: Mapping[str, torch.Tensor], stem: str, scheme: Scheme) -> torch.Tensor:
    """Return the whole numbers of a packed matrix, (rows, columns), float64."""
    shape = tensors.get(f"{stem}.weight_shape")
    if shape is None:
        raise WorkerSetupError(f"{stem}.weight_packed has no weight_shape beside it")
    rows, columns = (int(n) for n in shape.tolist())
    each = 32 // scheme.bits
    packed = tensors[f"{stem}.weight_packed"]
    if tuple(packed.shape) != (rows, -(-columns // each)):
        raise WorkerSetupError(
            f"{stem}.weight_packed has shape {tuple(packed.shape)}, expected "
            f"{(rows, -(-columns // each))}"
        )
    shifts = torch.arange(0, 32, scheme.bits, dtype=torch.int32)
    numbers: torch.Tensor = (packed[..., None] >> shifts) & (2**scheme.bits - 1)
    signed: torch.Tensor = numbers.flatten(-2)[:, :columns] - 2 ** (scheme.bits - 1)
    return signed.double()


def _scaled(
    tensors: Mapping[str, torch.Tensor], stem: str, numbers: torch.Tensor, scheme: Scheme
) -> torch.Tensor:
    names = (f"{stem}.weight_scale_inv", f"{stem}.weight_scale")
    scale = next((tensors[n] for n in names if n in tensors), None)
    if scale is None:
        raise WorkerSetupError(f"{stem}.weight is quantized and has no scale beside it")
    rows, columns = numbers.shape
    block = scheme.block[0] or rows, scheme.block[1] or columns
    fits = -(-rows // block[0]), -(-columns // block[1])
    if scale.numel() != fits[0] * fits[1]:
        raise WorkerSetupError(
            f"{stem}: the scale has shape {tuple(scale.shape)}, expected {fits} for blocks of "
            f"{block[0]} x {block[1]}"
        )
    return (numbers * _spread(scale.double().reshape(fits), numbers.shape, block)).float()


def said_of(scheme: Scheme, real: bool, matrices: int, dtype: str) -> str:
    """Return what is emulated and what has not been run, in one line.

    Args:
        scheme: the form.
        real: whether weights are real.
        matrices: how many are rounded to the grid.
        dtype: the lane.
    """
    rest = f"no kernel of {scheme.method} has been run, and activations are not quantized"
    if not scheme.bits:
        return f"{scheme.method} in this form is not emulated: weights are as drawn; {rest}"
    done = "real weights are dequantized" if real else f"{matrices} matrices are put on the grid"
    return f"quantized ({scheme.words}): {done} and computed with in {dtype}; {rest}"
