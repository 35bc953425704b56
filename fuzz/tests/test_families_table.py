"""What is said of the families is read off their data, and README says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.cli import main
from fuzz.families import FAMILIES
from fuzz.families.not_covered import NOT_COVERED
from fuzz.families_table import markdown, not_applicable, rotary_of
from fuzz.session import PROPERTY_KINDS
from strategies.geometry import without_images
from strategies.kinds import kinds_for

README = Path(__file__).resolve().parents[2] / "README.md"


def test_readme_has_the_table_that_the_data_gives() -> None:
    assert "\n".join(markdown()) in README.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("qwen2_vl", "three axes, in chunks"),
        ("qwen3_vl", "three axes, interleaved"),
        ("glm4v", "three axes, in chunks, 0.5 of a head"),
        ("hunyuan_vl", "four axes"),
        ("llama", "one axis"),
    ],
)
def test_the_rotary_embedding_is_read_off_the_config(family: str, said: str) -> None:
    assert rotary_of(FAMILIES[family]).startswith(said)


def test_a_family_with_images_has_videos_or_says_why_not() -> None:
    for family in FAMILIES.values():
        takes_images = "vision_config" in family.config
        assert bool(family.video) + bool(family.without_video) == takes_images, family.name


def test_text_models_lack_exactly_the_properties_that_nothing_can_be_drawn_for() -> None:
    drawn = kinds_for(without_images(1024))
    lacking = {name for name, kind in PROPERTY_KINDS.items() if kind not in drawn}
    assert set(not_applicable(FAMILIES["llama"])) == lacking


def test_the_command_lists_every_family_with_its_reasons(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["families"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}: " in said for name in FAMILIES)
    assert all(f"  {name}: {why}\n" in said for name, why in NOT_COVERED.items())
    assert "any other model_type, with --model DIR: " in said
    assert "packing_invariance is not applicable: linear attention carries" in said
