"""What happened is judged by where it came from."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fuzz.verdict import Outcome, Signature
from strategies.case import Case, Image, Text

# The first of its two pieces is the column of padding.
ALL_PADDING = Case(extra_padding=1, decode=1)


def test_an_exception_of_our_own_is_broken() -> None:
    """A mistake in the harness never counts as a finding or as a pass."""
    from fuzz.worker.failure import raised
    from fuzz.worker.inputs import draw_pixels

    with pytest.raises(AttributeError) as caught:
        draw_pixels("not an image", 0)  # type: ignore[arg-type]  # the mistake is the point
    assert raised(caught.value).verdict == "broken"


def test_running_out_of_memory_is_oom() -> None:
    import torch

    from fuzz.worker.failure import raised

    assert raised(MemoryError("no room")).verdict == "oom"
    assert raised(torch.OutOfMemoryError("CUDA out of memory")).verdict == "oom"


def test_a_refusal_in_words_is_a_reject(judge: Callable[..., Outcome]) -> None:
    """An aspect ratio above the limit is turned down by the processor itself."""
    case = Case(rows=((Image(5_000, 5),),))
    assert judge("clean_rejection", case).verdict == "pass"
    outcome = judge("attention_agreement", case)
    assert outcome.verdict == "reject"
    assert "aspect ratio" in outcome.message


def test_refusing_a_case_that_no_crash_drew_is_an_error(judge: Callable[..., Outcome]) -> None:
    """no_crash gets valid cases only, so a refusal is a failure there."""
    assert judge("no_crash", Case(rows=((Image(5_000, 5),),))).verdict == "error"


def test_a_signature_names_the_function_and_holds_no_numbers(
    judge: Callable[..., Outcome],
) -> None:
    signature = judge("no_crash", Case(rows=((Text(5),),)), "rotary-table-short").signature
    assert signature is not None
    assert signature.where == "modeling_qwen2_vl.Qwen2VLTextModel.forward"
    assert not any(c.isdigit() for c in signature.message)


def test_a_failure_while_checking_an_invalid_case_belongs_to_clean_rejection(
    judge: Callable[..., Outcome],
) -> None:
    """Raising is right for such a case; raising something unclear is what fails."""
    outcome = judge("clean_rejection", Case(rows=((Image(0, 5),),)))
    if outcome.failed:
        assert outcome.signature is not None
        assert outcome.signature.property == "clean_rejection"


def test_a_call_that_flash_attn_is_not_made_for_is_an_error_of_its_caller(
    judge: Callable[..., Outcome],
) -> None:
    """The guard that raises it is ours; what was passed is transformers' doing."""
    outcome = judge("no_crash", ALL_PADDING, attn="flash_attention_2")
    assert outcome.verdict == "error"
    assert outcome.message == (
        "ContractError in modeling_flash_attention_utils._flash_attention_forward: varlen_fwd: "
        "there is at least one query (max_seqlen_q of at least 1) [queries-empty], but "
        "max_seqlen_q is 0; the kernel checks this itself"
    )
    assert outcome.signature == Signature(
        "no_crash",
        "error",
        "ContractError: queries-empty",
        "modeling_flash_attention_utils._flash_attention_forward",
    )


def test_a_mistake_of_the_flash_reference_is_broken(
    judge: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands beneath transformers and flash-attn, and neither is blamed for it."""
    from fuzz.worker.flash import extension

    assert judge("no_crash", Case(), attn="flash_attention_2").verdict == "pass"
    monkeypatch.setattr(extension, "attend", lambda *_: 1 / 0)
    assert judge("no_crash", Case(), attn="flash_attention_2").verdict == "broken"


def test_a_contract_error_that_transformers_has_no_part_in_is_broken() -> None:
    """Then it was our own call that was wrong."""
    import torch

    from fuzz.worker.failure import raised
    from fuzz.worker.flash.contract import ContractError, check

    x = torch.zeros(1, 2, 2, 8, dtype=torch.float16)
    with pytest.raises(ContractError) as caught:
        check("fwd", x, x, x, None, None, 0.0, 1.0, False, -1, -1, -1.0, False)
    assert raised(caught.value).verdict == "broken"
