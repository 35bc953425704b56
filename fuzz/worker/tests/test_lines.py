"""Which lines of transformers run is told, and only of the code under test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from strategies.case import Case, Image, Text, to_plain

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject


def test_the_files_are_those_of_the_model_its_processor_and_what_all_models_share(
    subject_of: Callable[..., Subject],
) -> None:
    from fuzz.worker.lines import ROOT, sources_of

    said = sources_of(subject_of(family="qwen2_5_vl"))
    assert said["root"] == str(ROOT)
    assert "models/qwen2_5_vl/modeling_qwen2_5_vl.py" in said["files"]
    assert any("image_processing" in f and "qwen2_vl" in f for f in said["files"])
    assert {"cache_utils.py", "modeling_rope_utils.py"} <= set(said["files"])
    assert not any("llama" in f for f in said["files"])


def test_lines_are_those_of_one_check(subject_of: Callable[..., Subject]) -> None:
    """Not those of the check before; an image runs more of the model than text, twice the same."""
    from fuzz.worker import serve

    subject_of()

    def lines(*row: Text | Image) -> set[int]:
        case = to_plain(Case(rows=(tuple(row),)))
        asked = {"op": "check", "property": "no_crash", "case": case, "lines": True}
        answer = serve.answer(asked)
        assert answer["outcome"]["verdict"] == "pass"
        return set(answer["lines"]["models/qwen2_vl/modeling_qwen2_vl.py"])

    text, image = lines(Text(3)), lines(Image(56, 56), Text(1))
    assert text - image == set()
    assert len(image - text) > 20
    assert lines(Text(3)) == text
    asked = {"op": "check", "property": "no_crash", "case": to_plain(Case())}
    assert "lines" not in serve.answer(asked)
