"""The exact lane computes nothing below float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from strategies.case import Case, Image, Text

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject


def test_requests_for_float32_give_float64() -> None:
    import torch

    from fuzz.worker.exact import lane

    with lane("exact"):
        x = torch.ones(2)
        assert x.dtype == torch.float64
        assert x.float().dtype == torch.float64
        assert x.to(torch.float32).dtype == torch.float64
        assert torch.zeros(2, dtype=torch.float32).dtype == torch.float64
        assert torch.softmax(x, 0, dtype=torch.float32).dtype == torch.float64


def test_the_lane_leaves_nothing_behind() -> None:
    import torch

    from fuzz.worker.exact import lane

    with lane("exact"):
        pass
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_no_operation_of_a_model_runs_in_float32(subject_of: Callable[..., Subject]) -> None:
    """Every floating-point tensor that a forward with an image produces is float64."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from fuzz.worker import calls
    from fuzz.worker.exact import lane
    from fuzz.worker.subject import model_of

    narrow: set[str] = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            for value in out if isinstance(out, (tuple, list)) else (out,):
                if isinstance(value, torch.Tensor) and value.dtype in (
                    torch.float32,
                    torch.bfloat16,
                    torch.float16,
                ):
                    narrow.add(str(func))
            return out

    subject = subject_of()
    case = Case(rows=((Text(2), Image(56, 56), Text(2)),), decode=1)
    for attn in ("sdpa", "eager"):
        model = model_of(subject, attn)
        batch = calls.batch_of(subject, case)
        with lane("exact"), Watch():
            calls.run(subject, model, case, batch)
    # The processor's pixels are float32; copying them up is the one use.
    assert narrow <= {"aten.cat.default"}


def test_a_patch_embedding_is_the_convolution_that_it_was() -> None:
    """With its gradients; a convolution that overlaps, pads or sees more is left alone."""
    import torch

    from fuzz.worker.exact import _as_product, lane

    torch.manual_seed(0)
    patches = torch.nn.Conv3d(3, 8, (2, 14, 14), stride=(2, 14, 14)).double()
    x = torch.randn(5, 3, 2, 14, 14, dtype=torch.float64)

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        patches.zero_grad()
        with torch.enable_grad():
            out = patches(x)
            out.square().sum().backward()
        grad = patches.weight.grad
        assert grad is not None
        return out.detach(), grad.clone()

    plain = run()
    with lane("exact"):
        quick = run()
    for a, b in zip(plain, quick, strict=True):
        assert a.shape == b.shape
        assert float((a - b).abs().max()) < 1e-11
    weight = patches.weight
    assert _as_product(x, weight, None, (2, 14, 14)) is not None
    assert _as_product(x, weight, None, 1, 1) is None
    assert _as_product(torch.randn(5, 3, 4, 14, 14), weight) is None
    assert _as_product(x, weight[:, :1], None, 1, 0, 1, 3) is None
