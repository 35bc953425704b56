"""What was asked for and cannot be had, or not wholly, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NOT_COVERED: Final[Mapping[str, str]] = {
    "glm5_next": "its text model has no rotary embedding, which is what everything here is about; "
    "its vision tower alone has one",
    "kimi_k25 with images": "its image processor needs torchvision and has no Pillow form; its "
    "text model is that of deepseek_v3",
    "Spark-Formalizer": "its architecture is not published; llama and qwen2 stand for dense text "
    "models",
    "quantized weights on their own kernels": "fine-grained FP8 and INT4 are brought to the same "
    "numbers on a CPU and run as ordinary weights; the kernels need a GPU",
}
"""By name, a reason each."""
