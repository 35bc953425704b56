"""A worker module without torch for the command line: images bring about the planted faults."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from typing import Any

from fuzz.faults import PREFIX
from fuzz.isolation.tests.fake_worker import in_transformers
from fuzz.worker.faults import DEEDS
from strategies.case import Case, from_plain, has_images
from strategies.geometry import geometry_to_plain
from strategies.tests.examples import QWEN2_VL, TEXT_ONLY

PASSES: dict[str, Any] = {
    "verdict": "pass",
    "message": "",
    "signature": None,
    "details": "",
    "seconds": 0.001,
}
_planted: list[str] = []


def load(_target: dict[str, Any]) -> dict[str, Any]:
    """Tell versions."""
    return {"python": platform.python_version(), "torch": "0", "transformers": "5.23.0"}


def prepare(target: dict[str, Any]) -> dict[str, Any]:
    """Remember what is planted."""
    _planted[:] = [name.removeprefix(PREFIX) for name in target["plants"]]
    geometry = TEXT_ONLY if os.environ.get("FAKE_TARGET_TEXT_ONLY") else QWEN2_VL
    return {"geometry": geometry_to_plain(geometry), "build_seconds": 0.001}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Bring about what is planted where the case has an image; else pass."""
    time.sleep(float(os.environ.get("FAKE_TARGET_SECONDS", "0")))
    case: Case = from_plain(request["case"])
    if has_images(case):
        for name in _planted:
            if name in ANSWERS:
                return {"outcome": ANSWERS[name]()}
            in_transformers(DEEDS[name], family="qwen2_vl")()
    return {"outcome": PASSES}


def poisoned() -> str:
    """Have a device that works."""
    return ""


ANSWERS: dict[str, Callable[[], Any]] = {
    "unsendable-answer": object,
    "huge-answer": lambda: "x" * (17 * 2**20),
}
