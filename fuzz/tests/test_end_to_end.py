"""The whole way on the real model: found, made small, confirmed, saved, replayed. Each < 25 s."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from fuzz.regression import load, regressions_in
from fuzz.tests.test_cli import ropefuzz
from strategies.case import Image, Video

LLAMA: Final = """
import sys
from transformers import LlamaConfig, LlamaForCausalLM
sizes = dict(vocab_size=160, hidden_size=64, intermediate_size=96, num_hidden_layers=4)
heads = dict(num_attention_heads=2, num_key_value_heads=1, pad_token_id=150, eos_token_id=151)
LlamaForCausalLM(LlamaConfig(**sizes, **heads)).save_pretrained(sys.argv[1])
"""


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
    printed = fuzz(tmp_path, "rotary-table-short", 20, "--report", "page.html")
    assert "index 0 passed a table of 0 rows" in printed
    assert "smallest case       one text token, no image\n" in printed
    assert "confirmed           3 of 3 fresh processes" in printed
    assert not list((tmp_path / ".ropefuzz").glob("running-*"))
    paths = [p for p in regressions_in(tmp_path / "saves") if "table of" in load(p).message]
    assert len(paths) == 1
    assert paths[0].stat().st_size < 1024
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count('<svg class="map"') == page.count("<article ")
    # The rule: every text, and images of which one side is a single merged row or column.
    rule = (
        "fails exactly where min(merged rows, merged columns) &lt;= 1, with an image put before it"
    )
    assert f"<b>{rule} (over text tokens and first chunk in tokens it fails everywhere" in page
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
    case = crashes[0].case
    if plant == "abort":
        # Images and videos die at places of their own.
        alone = [segment for s in crashes for row in s.case.rows for segment in row]
        assert [type(segment) for segment in alone] in ([Image], [Image, Video], [Video, Image])
        return
    assert len(crashes) == 1
    if plant == "exit":
        assert case.cache == "static"
        assert len(case.rows) == 1
    else:
        # Padding at the end of a batch, or of a piece of one.
        assert case.side == "right" or (case.extra_padding, case.decode) == (1, 1)


def test_a_finding_on_real_weights_is_replayed_while_they_are_there(tmp_path: Path):
    """On another directory's weights it is another finding; on a directory that is gone none."""
    folder = tmp_path / "model"
    made = subprocess.run(
        [sys.executable, "-c", LLAMA, str(folder)], capture_output=True, text=True, timeout=300
    )
    assert made.returncode == 0, made.stderr
    options = ("--model", str(folder), "--weights", "real")
    printed = fuzz(tmp_path, "causal-off-by-one", 5, *options, property_id="causality")
    assert f"\n{folder} with its real weights (sdpa, exact, cpu, planted: " in printed
    assert f"--model {folder} --weights real" in printed.splitlines()[-1]
    # One for each entry point that was drawn.
    path, *_ = regressions_in(tmp_path / "saves")
    assert (load(path).target.model, load(path).target.weights) == (str(folder), "real")
    planted = ropefuzz(tmp_path, "replay", str(path), "--plant", "causal-off-by-one")
    assert planted.stdout.startswith(f"FAILED {path}: ")
    without = ropefuzz(tmp_path, "replay", str(path))
    assert without.stdout == f"FIXED  {path}: passes\n"
    (folder / "model.safetensors").unlink()
    folder.rename(tmp_path / "elsewhere")
    gone = ropefuzz(tmp_path, "replay", str(path))
    assert (gone.stdout, gone.returncode) == (f"ERROR  {folder}: no such model directory\n", 2)
