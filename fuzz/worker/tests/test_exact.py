"""The exact lane computes nothing below float64."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
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


def test_every_request_is_seen_by_the_mode_and_the_usual_ones_by_the_wrappers() -> None:
    """A function that was taken before the lane began asks for float32 past the wrappers."""
    import torch

    from fuzz.worker.exact import lane
    from fuzz.worker.widen import everywhere

    taken = torch.zeros
    with lane("exact"):
        assert taken(2, dtype=torch.float32).dtype == torch.float32
    with everywhere(), lane("exact"):
        assert taken(2, dtype=torch.float32).dtype == torch.float64
        with lane("float32"):
            assert taken(2, dtype=torch.float32).dtype == torch.float32
    own = torch.ones(2)
    for seen in (nullcontext, everywhere):
        with seen(), lane("exact"):
            for wide in (
                own.float(),
                own.to(torch.float32),
                own.to("cpu", torch.float32),
                own.type(torch.float32),
                torch.nn.functional.softmax(own, 0, dtype=torch.float32),
                torch.arange(0, 4, 2, dtype=torch.float32),
                torch.full((2,), 1, dtype=torch.float32),
                own.new_zeros(2, dtype=torch.float32),
                own.double().sum(dtype=torch.float32),
            ):
                assert wide.dtype == torch.float64
            with lane("float16"), lane("exact"):
                assert own.float().dtype == torch.float64
            with lane("float16"):
                assert own.float().dtype == torch.float32


def test_the_wrappers_are_gone_after_the_lane() -> None:
    import torch

    from fuzz.worker.exact import lane

    before = [dict(vars(holder)) for holder in (torch, torch.Tensor, torch.linalg)]
    with lane("exact"), lane("float16"), lane("exact"):
        assert torch.Tensor.float is not before[1].get("float")
    after = [dict(vars(holder)) for holder in (torch, torch.Tensor, torch.linalg)]
    assert after == before


def test_a_failure_is_what_the_mode_says(subject_of: Callable[..., Subject]) -> None:
    """What only the wrappers let happen is no failure; what comes and goes is not lost."""
    import torch

    from fuzz.worker import serve
    from fuzz.worker.failure import Failed

    subject_of()
    runs: list[bool] = []
    taken = torch.zeros

    def narrow(_: Subject, __: Case) -> None:
        runs.append(True)
        if taken(1, dtype=torch.float32).dtype == torch.float32:
            raise Failed("leg", "too narrow")

    def flaky(_: Subject, __: Case) -> None:
        runs.append(True)
        if len(runs) == 1:
            raise Failed("leg", "now and then")

    case = Case(rows=((Text(1),),))
    assert serve.judge("no_crash", case, check=narrow).verdict == "pass"
    assert len(runs) == 3
    runs.clear()
    assert serve.judge("no_crash", case, check=flaky).verdict == "fail"


def test_a_patch_embedding_is_the_convolution_that_it_was() -> None:
    """With its gradients; a convolution that overlaps, pads or sees more is left alone."""
    import torch

    from fuzz.worker.patches import as_product

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
    as_product(patches)
    quick = run()
    for a, b in zip(plain, quick, strict=True):
        assert a.shape == b.shape
        assert float((a - b).abs().max()) < 1e-11
    for shape, padding in (((2, 3, 4, 14, 14), 0), ((2, 3, 2, 14, 14), (0, 1, 1))):
        other = torch.nn.Conv3d(3, 8, (2, 14, 14), padding=padding).double()
        x = torch.randn(*shape, dtype=torch.float64)
        expected = other(x)
        as_product(other)
        assert torch.equal(other(x), expected)
