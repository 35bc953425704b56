"""Each finding of a run gets a map, as far as there is time for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from fuzz import regression, replay
from fuzz.events import Event, Mapped
from fuzz.gate.drawn import draw
from fuzz.gate.report import gated
from fuzz.gate.result import Difference, Result
from fuzz.isolation.supervisor import Supervisor
from fuzz.map import around, axes
from fuzz.map.tests.test_map import FAILS, IMAGE, Stub, one_row
from fuzz.reports.html import page
from fuzz.reports.plain import from_plain, to_plain
from fuzz.target import Target
from fuzz.tests.builders import SIGNATURE, finding
from fuzz.tests.stub_run import PASS
from strategies.case import Case, Text, images_of


def maps(stub: Stub, *cases: Case, **fields: int) -> list[Mapped]:
    told: list[Event] = []
    stub.start()  # as the run that found them has
    findings = [finding(case=case, **fields) for case in cases]
    around.maps_of(cast(Supervisor, stub), findings, told.append, lambda _: None)
    return [event for event in told if isinstance(event, Mapped)]


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(around, "SECONDS", 600.0)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw maps of image sizes of up to 30 pixels, in a moment."""
    sizes = tuple(replace(axis, high=30) for axis in axes.SIZES)
    for module in (axes, around):
        monkeypatch.setattr(module, "SIZES", sizes)


def test_a_finding_gets_a_map_over_the_axes_that_say_most():
    (drawn,) = maps(Stub(one_row), IMAGE)
    assert drawn.signature == SIGNATURE
    assert drawn.labels == ("width in pixels", "height in pixels")
    assert drawn.spans == ((1, 200), (1, 200))
    assert len({len(row) for row in drawn.rows}) == 1
    assert drawn.rows[0][0] == "#"
    assert drawn.rows[-1][-1] == "."
    assert drawn.legend[:2] == ("# fails", ". passes")
    assert drawn.sentence.startswith("fails exactly where merged rows <= 1; ")


@pytest.mark.usefixtures("small")
def test_where_a_text_fails_everywhere_the_map_is_that_of_an_image_before_it():
    """As the original bug does: every text fails, and of images those of a single row."""
    (drawn,) = maps(Stub(lambda c: one_row(c) if images_of(c.rows[0]) else FAILS), Case())
    assert drawn.labels == ("width in pixels", "height in pixels")
    assert drawn.sentence.startswith(
        "fails exactly where merged rows <= 1, with an image put before it (over text tokens and "
        "first chunk in tokens it fails everywhere in the map); "
    )


@pytest.mark.usefixtures("small")
def test_where_an_image_fails_at_every_size_the_map_is_that_of_texts_and_chunks():
    (drawn,) = maps(Stub(lambda c: FAILS if c.chunks else PASS), replace(IMAGE, chunks=(2,)))
    assert drawn.labels == ("text tokens", "first chunk in tokens")
    assert drawn.sentence.startswith("fails exactly where first chunk >= 1 (over width in pixels ")


@pytest.mark.usefixtures("small")
def test_where_neither_pair_parts_anything_the_first_map_stands():
    (drawn,) = maps(Stub(lambda _: FAILS), Case())
    assert drawn.labels == ("text tokens", "first chunk in tokens")
    assert drawn.sentence.startswith("fails everywhere in the map; ")


def test_a_map_that_takes_too_long_says_what_was_not_judged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(around, "SECONDS", -1.0)
    (drawn,) = maps(Stub(one_row), IMAGE)
    assert drawn.sentence.startswith("nothing is known (40000 of 40000 points were not judged)")
    assert set("".join(drawn.rows)) == {"!"}


def test_a_flaky_finding_has_none_and_ctrl_c_leaves_the_rest_out():
    assert maps(Stub(one_row), IMAGE, failed=1) == []

    def stopped(_: Case) -> None:
        raise KeyboardInterrupt

    assert maps(Stub(cast("object", stopped)), IMAGE, IMAGE) == []  # type: ignore[arg-type]


def test_no_more_findings_are_mapped_than_anyone_looks_at(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(around, "MOST", 2)
    case = Case(rows=((Text(1),),))
    assert len(maps(Stub(lambda _: FAILS), case, replace(case, seed=1), case)) == 2


def test_a_replay_that_fails_gets_a_map_where_a_page_shows_it(tmp_path: Path):
    path, _ = regression.save(finding(case=IMAGE), tmp_path)
    for paged in (False, True):
        told: list[Event] = []
        stub = cast(Supervisor, Stub(one_row))
        list(replay.replay([path], (), (), lambda _, s=stub: s, told.append, paged=paged))  # type: ignore[misc]
        drawn = [e.sentence for e in told if isinstance(e, Mapped)]
        assert len(drawn) == paged
        assert all(d.startswith("fails exactly where merged rows <= 1; ") for d in drawn)


def test_a_gates_differences_get_maps_of_the_candidate():
    found = finding(case=IMAGE)
    other = replace(found, target=Target(family="llama"))
    result = Result("5.0.0", "5.1.0")
    result.differences += [Difference("regressed", f, None) for f in (found, other)]
    stub = Stub(one_row)
    stub.start()
    draw(result, found.target, cast(Supervisor, stub))
    mine, theirs = result.differences
    assert mine.drawn is not None
    assert theirs.drawn is None
    told = gated(result, {"regressed"}, "again")
    assert from_plain(json.loads(json.dumps(to_plain(told)))) == told
    assert page([], [told]).count('<svg class="map"') == 1


def test_what_sizes_become_is_asked_once_for_all_findings_of_a_target():
    stub = Stub(one_row)
    drawn = maps(stub, IMAGE, replace(IMAGE, seed=1))
    assert [d.sentence for d in drawn] == [drawn[0].sentence] * 2
    assert stub.asked == 1
