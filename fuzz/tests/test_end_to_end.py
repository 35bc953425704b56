"""The whole way on the real model: found, made small, confirmed, saved, replayed. Each < 25 s."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.regression import load, regressions_in
from fuzz.tests.test_cli import ropefuzz
from strategies.case import Image


def fuzz(folder: Path, plant: str, cases: int, *options: str, property_id: str = "no_crash") -> str:
    arguments = [
        "run",
        "--plant",
        plant,
        "--property",
        property_id,
        "--cases",
        str(cases),
        *options,
    ]
    done = ropefuzz(folder, *arguments, "--seed", "1", "--save-to", "saves")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_original_bug_is_found_saved_and_replayed(tmp_path: Path):
    printed = fuzz(tmp_path, "rotary-table-short", 20)
    assert "index 0 passed a table of 0 rows" in printed
    assert "smallest case       one text token, no image\n" in printed
    assert "confirmed           3 of 3 fresh processes" in printed
    assert not list((tmp_path / ".ropefuzz").glob("running-*"))
    paths = [p for p in regressions_in(tmp_path / "saves") if "table of" in load(p).message]
    assert len(paths) == 1
    assert paths[0].stat().st_size < 1024
    path = str(paths[0])
    planted = ropefuzz(tmp_path, "replay", path, "--plant", "rotary-table-short")
    assert planted.stdout.startswith(f"FAILED {path}: index 0 passed a table of 0 rows")
    assert planted.returncode == 1
    without = ropefuzz(tmp_path, "replay", path)
    assert without.stdout == f"FIXED  {path}: passes\n"
    assert without.returncode == 0


@pytest.mark.parametrize(
    ("options", "property_id"),
    [(("--attn", "flash_attention_2"), "no_crash"), ((), "attention_agreement")],
)
def test_the_original_bug_as_it_happened_is_found_and_made_small(
    tmp_path: Path, options: tuple[str, ...], property_id: str
):
    printed = fuzz(tmp_path, "rotary-table-short-flash", 20, *options, property_id=property_id)
    assert "FINDING no_crash (error): index 0 passed a table of 0 rows" in printed
    assert "smallest case       one text token, no image\n" in printed
    assert "confirmed           3 of 3 fresh processes" in printed
    assert "new findings 1, " in printed


def test_the_original_bug_restricted_to_images_shrinks_to_the_smallest_one_row_image(
    tmp_path: Path,
):
    """The processor makes 4 cells of the smallest image; in a row they have as many positions as
    tokens, as text has: 4x1 is the smallest size that gives such a row."""
    options = ("--attn", "flash_attention_2", "--only-images")
    printed = fuzz(tmp_path, "rotary-table-short-flash", 10, *options)
    assert "FINDING no_crash (error): index 5 passed a table of 5 rows" in printed
    assert "smallest case       image 4x1\n" in printed
    assert "confirmed           3 of 3 fresh processes" in printed
    assert " --only-images --plant rotary-table-short-flash" in printed.splitlines()[-1]
    path = "saves/qwen2_vl/no_crash-f28fe84e38.json"
    assert f"ropefuzz replay {path} --plant rotary-table-short-flash\n" in printed


@pytest.mark.parametrize("plant", ["abort", "exit", "sticky-device-error"])
def test_a_process_that_dies_is_made_small_and_confirmed(tmp_path: Path, plant: str):
    # 10 of 25 cases poison their process there, and each costs a new one.
    printed = fuzz(tmp_path, plant, 25 if plant == "sticky-device-error" else 60)
    assert "FINDING no_crash (crash): " in printed
    assert "confirmed           3 of 3 fresh processes" in printed
    crashes = [
        s for p in regressions_in(tmp_path / "saves") if (s := load(p)).signature.verdict == "crash"
    ]
    assert len(crashes) == 1
    case = crashes[0].case
    if plant == "abort":
        (row,) = case.rows
        (image,) = row
        assert isinstance(image, Image)
    elif plant == "exit":
        assert case.cache == "static"
        assert len(case.rows) == 1
    else:
        assert case.side == "right"
