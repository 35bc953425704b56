"""Saved regressions become scripts that run without ropefuzz and say what a replay says."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fuzz import ledger, regression
from fuzz.families import FAMILIES
from fuzz.repro.facts import DEFAULTS, PROCESSORS
from fuzz.repro.layout import WIDEST
from fuzz.repro.main import text_of
from fuzz.repro.script import script_of
from fuzz.repro.tests.findings import CARRIED, PLANTED, SOUND, TOO_MANY
from fuzz.repro.tests.test_agreement import STANDARD, imported
from fuzz.tests.once import once

ROOT = Path(__file__).resolve().parents[3]
SAVED = {p.stem: p for p in regression.regressions_in(ROOT / "regressions")}
GPU = "transformers.utils.is_flash_attn_2_available()"


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    return {name: text_of(path) for name, path in SAVED.items()}


@pytest.fixture(scope="module")
def ran(scripts: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run all scripts in one process tree: saved ones, those of sound findings, and plants mended.

    Those that take a GPU run as they are, and again on flash-attn over our reference.
    """
    return once(tmp_path_factory, "scripts", lambda: run(scripts, tmp_path_factory))


def run(scripts: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("scripts")
    for name, text in scripts.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        if GPU in text:
            (folder / "flash").mkdir(exist_ok=True)
            (folder / "flash" / f"{name}.py").write_text(text, encoding="utf-8")
        if regression.load(SAVED[name]).target.plants:
            (folder / f"{name}.mended.py").write_text(text, encoding="utf-8")
    for name, saved in {**SOUND, "rejection": TOO_MANY}.items():
        (folder / f"sound {name}.py").write_text(script_of(saved), encoding="utf-8")
    for name, saved in CARRIED.items():
        for end in ("", ".mended"):
            (folder / f"carried {name}{end}.py").write_text(script_of(saved), encoding="utf-8")
    (folder / "planted").mkdir()
    for name, saved in PLANTED.items():
        (folder / "planted" / f"{name}.py").write_text(script_of(saved), encoding="utf-8")
    runner = ROOT / "fuzz" / "worker" / "tests" / "run_scripts.py"
    done = subprocess.run(
        [sys.executable, "-I", str(runner), str(folder), str(ROOT), *DEFAULTS],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def expected(name: str) -> int:
    """Return what the script of a regression has to exit with here.

    ``regressions/test_replay.py`` holds that each fails where the ledger says so, and only there.
    """
    saved = regression.load(SAVED[name])
    if saved.target.plants:
        return 1  # the script plants it itself
    release = importlib.metadata.version("transformers")
    entries = ledger.shipped()
    found = ledger.known(entries, saved.target, saved.signature, saved.case, release)
    return 1 if found else 0


def test_every_saved_regression_is_a_script_of_fewer_than_60_lines(scripts: dict[str, str]):
    lengths = {n: t.count("\n") for n, t in scripts.items()}  # as wc -l counts
    assert len(lengths) >= 20
    assert {n: k for n, k in lengths.items() if k >= 60} == {}
    assert {n for n, t in scripts.items() if max(map(len, t.splitlines())) > WIDEST} == set()


def test_a_script_imports_nothing_but_torch_transformers_and_pillow(scripts: dict[str, str]):
    names = {name for text in scripts.values() for name in imported(text)}
    assert names - STANDARD == {"torch", "transformers", "PIL"}


@pytest.mark.parametrize("name", SAVED)
def test_a_script_exits_with_what_a_replay_says(
    name: str, ran: dict[str, Any], scripts: dict[str, str]
):
    code, said = ran["plain"][name]
    if GPU in scripts[name]:
        assert (code, said.strip()) == (2, "cannot tell: it takes a CUDA device and flash-attn")
        if "" in ran["flash"]:
            pytest.skip(f"flash-attn cannot be used: {ran['flash'][''][1]}")
        code, said = ran["flash"][name]
    assert code == expected(name), said
    assert said.splitlines()[-1].startswith("WRONG: " if code else "gone: ")


@pytest.mark.parametrize("name", [*SOUND, "rejection"])
def test_a_script_of_what_is_not_broken_says_that_it_is_gone(name: str, ran: dict[str, Any]):
    code, said = ran["plain"][f"sound {name}"]
    assert code == 0, said
    assert said.splitlines()[-1].startswith("gone: ")


@pytest.mark.parametrize("name", PLANTED)
def test_the_same_script_says_what_is_wrong_once_it_is_broken(name: str, ran: dict[str, Any]):
    code, said = ran["planted"][name]
    assert code == 1, said
    assert said.splitlines()[-1].startswith("WRONG: ")


def test_the_script_of_a_planted_defect_names_its_change_and_ends_with_it(
    ran: dict[str, Any], scripts: dict[str, str]
):
    (name,) = (n for n, path in SAVED.items() if regression.load(path).target.plants)
    assert "whose table of cosines" in " ".join(scripts[name].replace("# ", "").split())
    assert ran["plain"][f"{name}.mended"][0] == 0


@pytest.mark.parametrize("name", CARRIED)
def test_a_script_that_plants_a_defect_itself_says_what_it_stands_for_and_ends_with_it(
    name: str, ran: dict[str, Any]
):
    text = " ".join(script_of(CARRIED[name]).replace("# ", "").split())
    upstream = name == "stale-rope-deltas"
    assert ("stands for transformers up to 4.48" in text) == upstream
    assert ("stands for no change of upstream" in text) != upstream
    code, said = ran["plain"][f"carried {name}"]
    assert code == 1, said
    assert said.splitlines()[-1].startswith("WRONG: ")
    code, said = ran["plain"][f"carried {name}.mended"]
    assert code == 0, said


def _stated(defaults: Mapping[str, Any], name: str) -> Iterator[object]:
    for table in (defaults, defaults.get("text_config") or {}):
        if name in table:
            yield table[name]


def test_what_a_script_leaves_out_of_a_config_is_the_default(ran: dict[str, Any]):
    seen = 0
    for kind, ours in DEFAULTS.items():
        theirs = ran["defaults"][kind]
        for name, value in ours.items():
            if isinstance(value, dict):
                assert value.items() <= theirs[name].items(), kind
            else:
                assert value in list(_stated(theirs, name)), (kind, name)
            seen += 1
    assert seen > 20


def test_the_image_processors_that_scripts_name_are_those_of_the_families(ran: dict[str, Any]):
    kinds = {f.image_processor or f.kind for f in FAMILIES.values() if f.processor}
    # Of these a script with an image, or a recording, is refused in a line.
    refused = {"glmasr", "granite4_vision", "qwen4_exp"}
    assert kinds - PROCESSORS.keys() == refused
    kinds -= refused
    assert {k: f"{PROCESSORS[k]}ImageProcessorPil" for k in kinds} == {
        k: ran["processors"][k] for k in kinds
    }
