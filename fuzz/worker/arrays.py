"""Arrays as JSON: bytes, with their type and shape, bit for bit."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def pack(tensor: torch.Tensor) -> dict[str, Any]:
    """Return a tensor of a type that numpy knows as JSON-ready data."""
    array = np.ascontiguousarray(tensor.detach().cpu().numpy())
    return {
        "dtype": array.dtype.str,
        "shape": list(tensor.shape),
        "bytes": base64.b64encode(array.tobytes()).decode(),
    }


def unpack(plain: Mapping[str, Any]) -> torch.Tensor:
    """Return the tensor that :func:`pack` was given, on the CPU."""
    data = np.frombuffer(base64.b64decode(plain["bytes"]), dtype=np.dtype(plain["dtype"]))
    return torch.from_numpy(data.reshape(plain["shape"]).copy())
