"""Where flash-attn cannot be used this is said, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fuzz.target import Target, target_to_plain
from fuzz.verdict import Outcome
from strategies.case import Case

PLANT = "rotary-table-short-flash"
IN_PLACE = {
    "missing": ("", "", "flash-attn is not installed"),
    "real": ("2.8.3", "real", ""),
    "reference": ("2.8.3", "reference", "the device is cpu"),
}
SAID = {
    "missing": "flash-attn is not installed",
    "real": "flash-attn's kernels take float16 and bfloat16, not exact",
}


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    from fuzz.worker import flash, serve
    from fuzz.worker.flash.install import Installed

    def put(name: str) -> None:
        version, extension, reason = IN_PLACE[name]
        monkeypatch.setattr(flash, "_state", [Installed(version, extension, reason)])  # type: ignore[arg-type]  # a literal

    monkeypatch.setattr(serve, "_state", dict(serve._state))
    return put


def started(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    from fuzz.worker import serve

    target = target_to_plain(Target(**changes))
    return serve.load(target), serve.prepare(target)


@pytest.mark.parametrize("name", SAID)
def test_an_implementation_that_is_not_compared_is_named_with_its_reason(
    in_place: Callable[[str], None], judge: Callable[..., Outcome], name: str
) -> None:
    in_place(name)
    _, ready = started()
    assert f"flash_attention_2 is not compared: {SAID[name]}" in ready["unchecked"]
    assert judge("attention_agreement", Case(), PLANT).verdict == "pass"


@pytest.mark.parametrize("name", SAID)
def test_a_target_that_needs_it_is_refused_with_the_same_reason(
    in_place: Callable[[str], None], name: str
) -> None:
    from fuzz.worker.errors import WorkerSetupError

    in_place(name)
    with pytest.raises(WorkerSetupError, match=r"^flash_attention_2 cannot be used: ") as caught:
        started(attn="flash_attention_2")
    assert str(caught.value).endswith(SAID[name])


def test_where_it_is_used_its_version_is_told(in_place: Callable[[str], None]) -> None:
    in_place("reference")
    versions, ready = started()
    assert versions["flash-attn"] == "2.8.3 (reference)"
    assert not any("flash_attention_2" in line for line in ready["unchecked"])


def test_where_it_is_missing_no_version_is_told(in_place: Callable[[str], None]) -> None:
    in_place("missing")
    assert "flash-attn" not in started()[0]
