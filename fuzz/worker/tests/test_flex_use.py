"""flex_attention is compared where a model supports it, and otherwise it is said that it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fuzz.target import Target, target_to_plain
from fuzz.verdict import Outcome
from strategies.case import Case, Image, Text

ROWS = ((Text(5),), (Text(2), Image(56, 56)))
CASES = {
    "text": Case(rows=((Text(5),),), attention_mask=False),
    "left padding": Case(rows=ROWS),
    "right padding": Case(rows=ROWS, side="right", entry="forward-implicit"),
    "cache": Case(rows=ROWS, chunks=(9,), decode=1),
    "generate": Case(rows=ROWS, entry="generate", decode=2),
    "training": Case(rows=ROWS, mode="train"),
}


@pytest.fixture
def supported(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No release tried lets Qwen2-VL use flex_attention; its code would, if it were let."""
    import torch
    import transformers

    from fuzz.worker import flex, serve

    monkeypatch.setattr(serve, "_state", dict(serve._state))
    monkeypatch.setattr(flex, "_state", list(flex._state))
    cls: Any = transformers.Qwen2VLForConditionalGeneration
    owner = next(c for c in cls.__mro__ if "_supports_sdpa" in vars(c))
    monkeypatch.setattr(owner, "_supports_flex_attn", True, raising=False)
    yield
    torch.compiler.set_stance("default")


def started(**changes: Any) -> dict[str, Any]:
    from fuzz.worker import serve

    target = target_to_plain(Target(**changes))
    serve.load(target)
    return serve.prepare(target)


def checked(case: Case) -> Outcome:
    from fuzz.worker import serve

    return serve.judge("attention_agreement", case)


def test_a_model_without_it_is_named_with_its_release(judge: Callable[..., Outcome]) -> None:
    import transformers

    from fuzz.worker.errors import WorkerSetupError

    reason = (
        f"Qwen2VLForConditionalGeneration of transformers {transformers.__version__} "
        "does not support it"
    )
    judge("no_crash", Case())
    assert started()["unchecked"] == [f"flex_attention is not compared: {reason}"]
    with pytest.raises(WorkerSetupError, match=f"^flex_attention cannot be used: {reason}$"):
        started(attn="flex_attention")


@pytest.mark.usefixtures("supported")
def test_where_it_is_supported_it_agrees_and_a_defect_of_it_alone_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In cases of seed 0, and of those in such as a CPU can run it on."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    calls = []
    whole = ALL_ATTENTION_FUNCTIONS["flex_attention"]
    scale = 1.0

    def scaled(module: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(query.dtype)
        return whole(module, query * scale, *args, **kwargs)

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "flex_attention", scaled)
    assert started()["unchecked"] == []
    for name, case in CASES.items():
        calls.clear()
        assert checked(case).verdict == "pass", name
        assert {str(dtype) for dtype in calls} == (
            set() if case.mode == "train" else {"torch.float64"}
        )
    calls.clear()
    assert checked(Case(rows=ROWS, seed=1)).verdict == "pass"
    assert not calls
    scale = 1.01
    outcome = checked(CASES["text"])
    assert outcome.signature is not None
    assert outcome.signature.what == "flex_attention = sdpa"


@pytest.mark.usefixtures("supported")
def test_a_target_may_run_on_it() -> None:
    """Also in the cases that others train on."""
    started(attn="flex_attention")
    assert checked(CASES["training"]).verdict == "pass"
