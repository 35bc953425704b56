"""Why a device cannot be used is told before anything is tried on it."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("device", "built", "count", "visible", "said"),
    [
        ("cpu", False, 0, None, ""),
        ("cuda", False, 0, None, "is built without CUDA"),
        ("cuda", True, 0, None, "torch finds no GPU"),
        ("cuda:0", True, 0, "", "torch finds no GPU (CUDA_VISIBLE_DEVICES is '')"),
        ("cuda:1", True, 1, "3", "the last GPU is cuda:0 (CUDA_VISIBLE_DEVICES is '3')"),
        ("cuda:1", True, 2, None, ""),
        ("cuda", True, 1, None, ""),
    ],
)
def test_a_device_that_is_missing_is_named_with_what_there_is(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    built: bool,
    count: int,
    visible: str | None,
    said: str,
) -> None:
    import torch

    from fuzz.worker.device import missing

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = missing(torch.device(device))
    assert found.endswith(said)
    assert bool(found) is bool(said)
