"""What is said of a failing case: where a wrong value begins, where an exception came out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fuzz.plants import PLANTS
from fuzz.worker.tests.test_plants import WITNESSES
from strategies.case import Case, Image, Text, Video, has_images

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject

SubjectOf = Callable[..., "Subject"]
LAYER = "model.language_model.layers.0."

BEGINS = {
    "positions-restart": "position_ids: ",
    "stale-rope-deltas": "position_ids: ",
    # What attention has made is first seen as what is projected out of it.
    "padding-leak": f"{LAYER}self_attn.o_proj: ",
    "causal-off-by-one": f"{LAYER}self_attn.o_proj: ",
    "batch-crosstalk": f"{LAYER}self_attn.o_proj: ",
    "packing-ignored": f"{LAYER}self_attn.o_proj: ",
    "eager-scale": f"{LAYER}self_attn.q_proj: ",
    "vision-leak": "model.visual.blocks.0.attn.proj: ",
}


def said(subject_of: SubjectOf, property_id: str, case: Case, *plants: str) -> dict[str, str]:
    from fuzz.worker import serve

    subject_of(*plants)
    told = dict(serve._explained(property_id, case))
    assert ("images" in told) == has_images(case)
    told.pop("images", None)
    return told


@pytest.mark.parametrize("plant", BEGINS)
def test_a_wrong_value_is_traced_to_where_it_begins(subject_of: SubjectOf, plant: str) -> None:
    found = said(subject_of, PLANTS[plant].killer, WITNESSES[plant], plant)
    assert found.keys() == {"begins at"}
    assert found["begins at"].startswith(BEGINS[plant])
    size, before = found["begins at"].removeprefix(BEGINS[plant]).split(", before it at most ")
    assert float(size) > 1e-3
    assert float(before) < 1e-12


@pytest.mark.parametrize("plant", ["padding-leak", "batch-crosstalk", "eager-scale"])
def test_a_wrong_value_of_generate_is_traced_to_where_it_begins(
    subject_of: SubjectOf, plant: str
) -> None:
    """Up to the first token that the two runs choose differently, after which all differs."""
    case = replace(WITNESSES[plant], entry="generate", decode=3)
    begins = said(subject_of, PLANTS[plant].killer, case, plant)["begins at"]
    assert begins.startswith(BEGINS[plant])
    assert float(begins.rpartition(" ")[2]) < 1e-12


def test_an_index_error_names_operation_shapes_and_module(subject_of: SubjectOf) -> None:
    found = said(subject_of, "no_crash", Case(), "rotary-table-short")
    assert found.keys() == {"index"}
    assert found["index"].startswith("index 0 passed a table of 0 rows (dimension 0): index on 0 ")
    assert "in model.language_model" in found["index"]
    assert "modeling_qwen2_vl.py line " in found["index"]


def test_an_exception_is_traced_to_the_module_it_came_out_of(
    subject_of: SubjectOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fuzz.worker import release, subject

    there = subject_of()
    model = subject.model_of(there)

    def broken(*_: object, **__: object) -> None:
        raise ValueError("out of order")

    monkeypatch.setattr(release.text_model(model).layers[1].mlp, "forward", broken)
    found = said(subject_of, "no_crash", Case())
    assert found == {"raised in": "model.language_model.layers.1.mlp"}


def test_of_a_case_that_passes_nothing_is_said(subject_of: SubjectOf) -> None:
    assert said(subject_of, "cache_agreement", Case(rows=((Text(3),),), chunks=(1,))) == {}


def test_of_a_wrong_gradient_no_place_is_said(subject_of: SubjectOf) -> None:
    """What the modules give is right; the parameter is in the failure's own message."""
    plant = "eager-gradient"
    assert said(subject_of, PLANTS[plant].killer, WITNESSES[plant], plant) == {}


def test_what_images_become_is_told_once_for_each_size(subject_of: SubjectOf) -> None:
    from fuzz.worker.explain import images_in_words

    one, other = Image(150, 29), Image(1, 1)
    case = Case(rows=((one, Text(1), other), (one,)))
    told = "image 150x29: grid 1x2x10, 5 tokens; image 1x1: grid 1x4x4, 4 tokens"
    assert images_in_words(subject_of(), case) == [("images", told)]
    assert images_in_words(subject_of(), Case()) == []
    beside_a_video = Case(rows=((Video(2, 28, 28), one, other),))
    assert images_in_words(subject_of(), beside_a_video) == [("images", told)]
