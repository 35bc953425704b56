"""The self-check: every defect and fault has its line, and its exit code is what was missed."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import pytest

from fuzz import selfcheck
from fuzz.faults import FAULTS, PREFIX, REAL
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.plants import PLANTS
from fuzz.selfcheck import GAPS, NAMED, Lane, Line, expected_to_be_missed, main
from fuzz.target import FLASH, Target

CPU = Lane(Target(), "")


def faults(names: Iterable[str]) -> list[str]:
    return [PREFIX + name for name in names]


def test_it_names_every_plant_and_fault_and_counts_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what is to be checked replaced: each name is asked for once, in order."""
    asked: list[str] = []

    def one(name: str, *_: Any) -> Line:
        asked.append(name)
        return Line(name, "caught", "by a test")

    class NoWorker:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None: ...

        def start(self) -> Any:
            return type("Ready", (), {"info": {}})()

    monkeypatch.setattr(selfcheck, "_one", one)
    supervise: Any = NoWorker
    assert main(Target(), supervise) == 0
    assert asked == [*PLANTS, *faults(FAULTS), *faults(REAL)]
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[2:-1]] == asked
    assert said[-1].startswith(f"{len(asked)} defects and faults: {len(asked)} caught, 0 missed, 0")

    def stopped(*_: Any) -> Line:
        raise KeyboardInterrupt

    monkeypatch.setattr(selfcheck, "_one", stopped)
    assert main(Target(), supervise) == 3
    assert "stopped; 0 defects" in capsys.readouterr().out


def test_what_cannot_be_seen_on_a_lane_is_data_with_a_reason() -> None:
    assert {gap.name for gap in GAPS} <= set(NAMED)
    assert all(gap.reason for gap in GAPS)
    missed = {name: expected_to_be_missed(name, CPU) for name in NAMED}
    assert {name for name, why in missed.items() if why} == set(faults(REAL))
    assert (
        expected_to_be_missed("fault-real-device-assert", Lane(Target(device="cuda:1"), "")) == ""
    )
    without = Lane(Target(), "flash_attention_2 is not compared: flash-attn is not installed")
    flash = [name for name, plant in PLANTS.items() if plant.attn == FLASH]
    assert {name: expected_to_be_missed(name, without) for name in flash} == dict.fromkeys(
        flash, without.no_flash
    )


def test_a_part_of_it_on_this_machine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real worker: a defect, one that so few cases do not show, a fault, a GPU's."""
    monkeypatch.setattr(selfcheck, "CASES", 1)
    names = ("causal-off-by-one", "stale-rope-deltas", "fault-segfault", "fault-real-device-assert")
    assert main(Target(), Supervisor, names) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "selfcheck of qwen2_vl (sdpa, exact, cpu)"
    assert said[2].startswith("  causal-off-by-one                 caught    causality (fail: ")
    assert said[3].startswith(
        "  stale-rope-deltas                 MISSED    state_independence saw not"
    )
    assert said[4].startswith("  fault-segfault                    caught    crash SIGSEGV, ")
    assert said[5] == "  fault-real-device-assert          expected  not run: no GPU"
    assert said[6].startswith("4 defects and faults: 2 caught, 1 missed, 1 expected to be missed")


def test_a_target_that_cannot_be_started_is_a_setup_problem() -> None:
    with pytest.raises(SetupProblem):
        main(Target(), functools.partial(Supervisor, python="/no/such/python"), ())


def test_every_planted_defect_must_be_seen_on_the_lane_that_is_the_default() -> None:
    lane = Lane(Target(), "")
    assert not [name for name in PLANTS if expected_to_be_missed(name, lane)]


def test_on_text_alone_only_what_needs_images_or_their_axes_is_not_expected() -> None:
    lane = Lane(Target(family="llama"), "", images=False, one_axis=True)
    missed = {name for name in PLANTS if expected_to_be_missed(name, lane)}
    assert missed == {
        "abort",
        "hang",
        "last-image-dropped",
        "features-one-late",
        "later-images-blank",
        "mrope-axes-swapped",
        "stale-rope-deltas",
        "vision-leak",
        "vision-segments-late",
        "image-hidden-from-text",
        "placeholders-unchecked",
        "frames-skipped",
        "video-times-lost",
    }
