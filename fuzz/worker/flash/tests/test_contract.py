"""The guard at the extension's boundary: valid calls pass, every precondition is seen broken."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fuzz.worker.flash.preconditions import PRECONDITIONS
from fuzz.worker.flash.tests.contract_cases import (
    BREACHES,
    FUNCTIONS,
    VARIANTS,
    Change,
    i32,
    put,
    valid,
    zeros,
)
from fuzz.worker.flash.tests.page import page


def broken(function: str, change: Change | None = None, wide: bool = True) -> Any:
    """Check a valid call with a change, and return the error or None."""
    from fuzz.worker.flash.contract import ContractError, check

    call = valid(function)
    if change is not None:
        change(call)
    try:
        check(function, *call.values(), wide=wide)
    except ContractError as error:
        return error
    return None


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_valid_call_passes(function: str) -> None:
    assert broken(function) is None


@pytest.mark.parametrize("number", range(len(VARIANTS)))
def test_a_valid_variant_passes(number: int) -> None:
    function, change = VARIANTS[number]
    assert broken(function, change()) is None


@pytest.mark.parametrize(
    ("code", "function", "change", "words"), BREACHES, ids=[f"{b[0]}-{b[1]}" for b in BREACHES]
)
def test_a_broken_precondition_is_named_with_its_numbers(
    code: str, function: str, change: Callable[[], Change], words: str
) -> None:
    error = broken(function, change())
    assert error is not None
    rule = PRECONDITIONS[code]
    breach = next(b for b in error.breaches if b.precondition is rule)
    assert words in breach.actual
    text = str(error)
    assert text.startswith(f"{function}: ")
    assert f"{rule.sentence} [{code}], but {breach.actual}; {rule.kernel}" in text
    assert ("the kernel checks this itself" in rule.kernel) == rule.checked


def test_every_precondition_has_a_call_that_breaks_it() -> None:
    assert {code for code, *_ in BREACHES} == set(PRECONDITIONS)


@pytest.mark.parametrize("code", PRECONDITIONS)
def test_a_precondition_says_what_and_where(code: str) -> None:
    rule = PRECONDITIONS[code]
    assert rule.code == code
    for place in rule.source.split("; "):
        assert re.fullmatch(r"(csrc/flash_attn/|flash_attn/)[\w/]+\.(cpp|h|py):[1-9]\d*", place)
    assert not rule.sentence.endswith(".")
    assert rule.kernel.startswith("the kernel ")


def test_the_page_of_preconditions_is_what_is_checked_and_said() -> None:
    """``python -m fuzz.worker.flash.tests.page`` prints it anew."""
    kept = Path(__file__).resolve().parents[1] / "PRECONDITIONS.md"
    assert kept.read_text(encoding="utf-8") == page()
    assert all(f"[{code}] |" in page() for code in PRECONDITIONS)


def test_lines_of_the_python_that_preconditions_cite_speak_of_them() -> None:
    """The kernels' own sources are not installed; this file of flash-attn is."""
    file = Path(sys.prefix) / "flash-attn" / "flash_attn" / "ops" / "triton" / "rotary.py"
    lines = file.read_text(encoding="utf-8").splitlines()
    words = {
        "rotary-size": "headdim",
        "rotary-rows": "seqlen_ro >= seqlen",
        "rotary-shape": "sin.shape == cos.shape",
        "rotary-offset-negative": "mask_cs =",
        "rotary-offset-past": "mask_cs =",
    }
    cited = {
        code: int(place.rpartition(":")[2])
        for code, rule in PRECONDITIONS.items()
        for place in rule.source.split("; ")
        if place.startswith("flash_attn/ops/triton/rotary.py:")
    }
    assert set(cited) == set(words)
    assert [code for code, line in cited.items() if words[code] not in lines[line - 1]] == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wide_dtypes_are_for_the_reference_alone(dtype: str) -> None:
    change = put(**{n: zeros(1, 2, 2, 8, dtype=dtype) for n in "qkv"})
    assert broken("fwd", change) is None
    error = broken("fwd", change, wide=False)
    assert error.codes == ("dtype",)
    assert f"queries are float16 or bfloat16 [dtype], but q is torch.{dtype}" in str(error)


def test_all_that_does_not_hold_is_named_at_once() -> None:
    error = broken("varlen_fwd", put(cu_q=i32(1, 3, 9), max_k=2, softcap=-1.0))
    assert error.codes == (
        "softcap-negative",
        "cu-first",
        "cu-past-end",
        "max-seqlen-low",
        "max-seqlen-low",
    )


def test_a_guarded_function_runs_only_with_valid_arguments() -> None:
    from fuzz.worker.flash.contract import ContractError, guard

    calls: list[Any] = []

    def fwd(*args: Any) -> str:
        """Say done."""
        calls.append(args)
        return "done"

    guarded = guard("fwd", fwd, wide=True)
    assert guarded.__doc__ == "Say done."
    call = valid("fwd")
    assert guarded(*call.values()) == "done"
    call["softcap"] = -1.0
    with pytest.raises(ContractError, match=r"^fwd: softcap is not negative \[softcap-negative\]"):
        guarded(*call.values())
    assert len(calls) == 1
