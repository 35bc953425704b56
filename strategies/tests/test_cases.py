"""Whole cases: well-formed, fit for their property, cheap, varied and repeatable."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields, replace
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis.internal.conjecture import providers

from strategies.case import Case, Entry, Image, Text, images_of, to_json
from strategies.cases import cases
from strategies.geometry import accepts_size, estimated_tokens
from strategies.kinds import KINDS, Kind, kinds_for
from strategies.rows import MAX_IMAGES, MAX_ROWS, MAX_TOKENS
from strategies.tests.examples import (
    GEOMETRIES,
    QWEN2_VL,
    TEXT_ONLY,
    UNCAPPED,
    share,
    single_draws,
)
from strategies.validity import may_be_padded, problems, refusals

VALID = [kind for kind in KINDS if kind != "clean_rejection"]


@pytest.fixture(scope="module")
def drawn():
    """Cases of each kind: drawn once, since drawing is what these tests spend their time on."""
    return {
        kind: single_draws(
            cases(QWEN2_VL, kind),
            150 if kind in ("any", "state_independence", "generation_agreement") else 60,
        )
        for kind in KINDS
    }


def test_every_kind_has_its_demands():
    assert tuple(KINDS) == get_args(Kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_case_is_well_formed(drawn, kind):
    assert [problems(case) for case in drawn[kind] if problems(case)] == []


@pytest.mark.parametrize("kind", VALID)
def test_a_case_of_a_valid_kind_has_to_run(drawn, kind):
    assert [case for case in drawn[kind] if refusals(case, QWEN2_VL)] == []


def test_a_case_for_clean_rejection_has_to_be_refused(drawn):
    assert [case for case in drawn["clean_rejection"] if not refusals(case, QWEN2_VL)] == []


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_the_same_holds_for_other_geometries(geometry):
    for kind in ("any", "cache_agreement", "clean_rejection"):
        if kind not in kinds_for(geometry):
            continue
        for case in single_draws(cases(geometry, kind), 50):
            assert problems(case) == ()
            assert bool(refusals(case, geometry)) == (kind == "clean_rejection")


@pytest.mark.parametrize("kind", KINDS)
def test_every_case_is_cheap(drawn, kind):
    for case in drawn[kind]:
        assert len(case.rows) <= MAX_ROWS
        for row in case.rows:
            assert len(images_of(row)) <= MAX_IMAGES
            if all(accepts_size(QWEN2_VL, image) for image in images_of(row)):
                assert estimated_tokens(QWEN2_VL, row) <= MAX_TOKENS


def test_images_are_cut_to_the_budget_where_the_processor_would_keep_them_large():
    for case in single_draws(cases(UNCAPPED), 80):
        for row in case.rows:
            assert estimated_tokens(UNCAPPED, row) <= MAX_TOKENS


def test_every_case_serves_its_property(drawn):
    for case in drawn["cache_agreement"]:
        assert case.chunks or case.decode
    for case in drawn["padding_invariance"]:
        assert case.extra_padding >= 1
    for case in drawn["batch_invariance"]:
        assert len(case.rows) >= 2
    for case in drawn["causality"]:
        assert max(estimated_tokens(QWEN2_VL, row) for row in case.rows) >= 2
        assert case.entry in ("forward", "forward-implicit")
    for case in drawn["state_independence"]:
        assert case.history
    for case in drawn["image_independence"]:
        assert sum(len(images_of(row)) for row in case.rows) >= 2
    for case in drawn["packing_invariance"]:
        assert len(case.rows) >= 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_feeding_leaves_something_to_prefill(drawn, kind):
    for case in drawn[kind]:
        if case.entry.startswith("forward"):
            columns = max(estimated_tokens(QWEN2_VL, row) for row in case.rows)
            assert case.decode + sum(case.chunks) < columns + case.extra_padding


@pytest.mark.parametrize("kind", KINDS)
def test_no_axis_is_set_where_it_changes_nothing(drawn, kind):
    for case in drawn[kind]:
        padded = may_be_padded(case.rows, case.extra_padding)
        assert padded or case.side == "left"
        assert bool(case.gap) == bool(case.gap_at)
        assert all(segment != Text(0) for row in case.rows for segment in row)


@pytest.mark.parametrize("field", [f.name for f in fields(Case)])
def test_every_axis_is_drawn_with_several_values_and_left_alone_often(drawn, field):
    only = {
        "extra_placeholders": "clean_rejection",
        "mode": "attention_agreement",
        "how": "generation_agreement",
        "turn": "generation_agreement",
        "turn_image": "generation_agreement",
        "crop": "cache_agreement",
        "between": "state_independence",
    }
    kind = only.get(field, "any")
    values = [getattr(case, field) for case in drawn[kind]]
    assert len(set(values)) > 1
    if field == "rows":
        return
    share_of_default = share(values, values.count(getattr(Case(), field)))
    assert 0.1 < share_of_default < 0.99


def test_a_quarter_of_what_compares_implementations_is_trained_on_and_nothing_else(drawn):
    # Under one seed Hypothesis draws many that are alike.
    values = [
        case
        for start in range(8)
        for case in single_draws(cases(QWEN2_VL, "attention_agreement"), 100, start)
    ]
    assert 0.18 < share(values, sum(case.mode == "train" for case in values)) < 0.36
    for kind in set(KINDS) - {"attention_agreement"}:
        assert all(case.mode == "eval" for case in drawn[kind])


@pytest.mark.parametrize("entry", get_args(Entry))
def test_every_entry_is_drawn_and_so_it_is_in_the_history(drawn, entry):
    assert any(case.entry == entry for case in drawn["any"])
    calls = [call for case in drawn["state_independence"] for call in case.history]
    assert any(call.entry == entry for call in calls)


def test_positions_at_and_past_the_end_of_the_table_are_drawn():
    drawn = single_draws(cases(TEXT_ONLY, "rotary_reference"), 1_500)
    offsets = [case.offset for case in drawn if case.entry == "forward"]
    near = [n for n in offsets if abs(n - QWEN2_VL.max_positions) <= 2]
    past = [n for n in offsets if n > QWEN2_VL.max_positions]
    assert near
    assert share(offsets, len(past)) > 0.05
    assert max(offsets) >= 50_000


def test_one_row_grids_and_several_images_in_a_row_are_drawn(drawn):
    rows = [row for case in drawn["any"] for row in case.rows]
    assert share(rows, sum(len(images_of(row)) > 1 for row in rows)) > 0.1
    assert share(rows, sum(not images_of(row) for row in rows)) > 0.1
    assert any(
        isinstance(a, Image) and isinstance(b, Image) for row in rows for a, b in _pairs(row)
    )


def test_equal_rows_that_need_no_mask_are_drawn():
    many = single_draws(cases(QWEN2_VL, "batch_invariance"), 400)
    equal = [c for c in many if not may_be_padded(c.rows, c.extra_padding)]
    assert share(many, len(equal)) > 0.05
    assert any(not case.attention_mask for case in equal)


def test_a_target_without_images_gets_none():
    for case in single_draws(cases(TEXT_ONLY), 100):
        rows = (*case.rows, *(call.row for call in case.history))
        assert not any(images_of(row) for row in rows)


def test_a_target_without_images_has_nothing_to_refuse():
    assert kinds_for(QWEN2_VL) == tuple(KINDS)
    without = ("clean_rejection", "image_independence")
    assert kinds_for(TEXT_ONLY) == tuple(kind for kind in KINDS if kind not in without)
    with pytest.raises(ValueError, match="'clean_rejection' needs a target that takes images"):
        cases(TEXT_ONLY, "clean_rejection")


def test_an_unknown_kind_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"expected one of any, no_crash, .*, got 'speed'"):
        cases(QWEN2_VL, "speed")  # type: ignore[arg-type] # the point of the test


def test_a_seed_gives_the_same_cases_and_another_seed_gives_others():
    first, again, other = (single_draws(cases(QWEN2_VL), 40, start) for start in (1, 1, 2))
    assert first == again
    assert first != other


def test_no_case_is_drawn_from_what_the_sources_around_say(monkeypatch):
    """A checkout and an installed ropefuzz would draw different ones under one seed."""

    def read():
        raise AssertionError("the sources were read")

    monkeypatch.setattr(providers, "_get_local_constants", read)
    assert single_draws(cases(QWEN2_VL), 50)


def test_the_cases_of_a_seed_are_the_same_with_and_without_ci():
    """Hypothesis loads another profile under CI; explicit settings have to overrule it whole."""
    code = "from strategies.tests.test_cases import print_cases\nprint_cases()\n"
    environment = {
        k: v for k, v in os.environ.items() if k not in ("CI", "TF_BUILD", "GITHUB_ACTIONS")
    }
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True
        ).stdout
        for env in (environment, {**environment, "CI": "1"})
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].count("\n") == 40


def print_cases():
    """Print what a seed gives: run in an interpreter of its own."""
    for case in single_draws(cases(QWEN2_VL), 40, 7):
        sys.stdout.write(f"{to_json(case)}\n")


def _pairs(row):
    return pairwise(row)


def test_where_rotation_follows_reach_only_what_ran_before_reaches_past_the_maximum():
    """Prompts of different reach are compared below it; what runs before, and others, go past."""
    geometry = replace(TEXT_ONLY, max_positions=32, alike_up_to=32)

    def reach(case):
        longest = max(estimated_tokens(geometry, row) for row in case.rows)
        new = case.decode * 2 + case.turn if case.entry.startswith("generate") else 0
        return longest + case.extra_padding + case.offset + new

    for kind in (k for k in kinds_for(geometry) if KINDS[k].alike):
        drawn = single_draws(cases(geometry, kind), 60)
        assert max(reach(case) for case in drawn) in range(18, 33)
        if kind == "state_independence":
            past = [c for c in drawn for h in c.history if estimated_tokens(geometry, h.row) > 32]
            assert share(drawn, len(past)) > 0.1
    drawn = single_draws(cases(geometry, "rotary_reference"), 60)
    assert share(drawn, sum(reach(c) > 32 for c in drawn)) > 0.2
