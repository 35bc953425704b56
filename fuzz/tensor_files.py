"""The safetensors files of a checkpoint directory: which tensor is where; no tensor is read here.

The format (https://github.com/huggingface/safetensors, README, "Format"): eight bytes with the
length of a header, little-endian; the header, a JSON object that gives each tensor's dtype, shape
and place; the tensors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fuzz.errors import UsageProblem

SINGLE: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
_LONGEST_HEADER: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as a file's header describes it.

    Attributes:
        dtype: its name there, e.g. ``BF16``.
        shape: sizes of its axes.
    """

    dtype: str
    shape: tuple[int, ...]


def header(file: Path) -> dict[str, Stored]:
    """Return the tensors of a safetensors file by name.

    Raises:
        UsageProblem: there is no such file, it is not one, or it ends too early.
    """
    try:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            length = int.from_bytes(opened.read(8), "little")
            if size < 8 or length > _LONGEST_HEADER:
                raise UsageProblem(f"{file}: not a safetensors file")
            if size < 8 + length:
                raise UsageProblem(
                    f"{file}: truncated: {size} bytes, and its header alone needs {8 + length}"
                )
            table = json.loads(opened.read(length))
        tensors = {
            name: (Stored(str(e["dtype"]), tuple(e["shape"])), int(e["data_offsets"][1]))
            for name, e in table.items()
            if name != "__metadata__"
        }
    except FileNotFoundError:
        raise UsageProblem(f"{file}: no such file") from None
    except OSError as error:
        raise UsageProblem(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, AttributeError, KeyError, TypeError, IndexError):
        raise UsageProblem(f"{file}: not a safetensors file") from None
    needed = 8 + length + max((end for _, end in tensors.values()), default=0)
    if size < needed:
        raise UsageProblem(f"{file}: truncated: {size} bytes, and its tensors need {needed}")
    return {name: stored for name, (stored, _) in tensors.items()}


def files_in(folder: Path) -> dict[str, Path]:
    """Return which file of a checkpoint directory holds each tensor, by the tensor's name.

    Of a single file the header is read; of several only their index, so that files which are not
    needed need not be there.

    Raises:
        UsageProblem: there are no weights, or what says where they are cannot be used.
    """
    index = folder / INDEX
    if not index.exists():
        if not (folder / SINGLE).exists():
            raise UsageProblem(
                f"{folder}: no weights: neither {SINGLE} nor {INDEX}; --weights real needs one"
            )
        return dict.fromkeys(header(folder / SINGLE), folder / SINGLE)
    try:
        places: Any = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        if not isinstance(places, Mapping) or not places:
            raise TypeError
        return {str(name): folder / Path(file).name for name, file in places.items()}
    except OSError as error:
        raise UsageProblem(f"{index}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UsageProblem(f"{index}: not an index of safetensors files") from None
