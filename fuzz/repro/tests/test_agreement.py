"""Scripts say what a replay says, where a defect is and where it is not."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuzz.repro.layout import WIDEST
from fuzz.repro.tests.found import FOUND
from fuzz.target import Target, target_to_plain
from fuzz.tests.once import once
from strategies.case import to_plain

STANDARD = {
    *("functools", "inspect", "os", "re", "resource", "signal", "sys", "traceback", "zlib"),
}
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Judge every case with its defect and without, and run the script of what was found so too."""
    return once(tmp_path_factory, "agreement", lambda: run(tmp_path_factory))


def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    specs = {
        name: {
            "property": one.property,
            "case": to_plain(one.case),
            "target": target_to_plain(Target(**one.target)),
            "plant": one.plant,
        }
        for name, one in FOUND.items()
    }
    path = tmp_path_factory.mktemp("found") / "specs.json"
    path.write_text(json.dumps(specs), encoding="utf-8")
    runner = ROOT / "fuzz" / "worker" / "tests" / "run_found.py"
    done = subprocess.run(
        [sys.executable, "-I", str(runner), str(path), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def imported(script: str) -> set[str]:
    """Return the packages that a script imports."""
    nodes = list(ast.walk(ast.parse(script)))
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    return names | {str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)}


@pytest.mark.parametrize("name", FOUND)
def test_a_script_agrees_with_the_check_with_the_defect_and_without(name: str, ran: dict[str, Any]):
    one = ran[name]
    assert one["affected"]["verdict"] not in ("pass", "reject", "broken"), one["affected"]
    assert one["sound"]["verdict"] == "pass", one["sound"]
    code, said = one["wrong"]
    assert code == 1, said
    assert said.splitlines()[-1].startswith("WRONG: ")
    code, said = one["gone"]
    assert code == 0, said
    assert said.splitlines()[-1].startswith("gone: ")


@pytest.mark.parametrize("name", FOUND)
def test_a_script_has_fewer_than_60_lines_and_imports_nothing_else(name: str, ran: dict[str, Any]):
    lines = ran[name]["script"].splitlines()
    assert len(lines) < 60
    assert max(map(len, lines)) <= WIDEST
    assert imported(ran[name]["script"]) - STANDARD <= {"torch", "transformers", "PIL"}


def test_every_property_that_judges_a_single_release_can_become_a_script():
    from fuzz.claims import CLAIMS
    from fuzz.repro.legs import _WRITERS

    # Scripts of low_precision are written by a module of its own.
    assert {*_WRITERS, "low_precision"} >= set(CLAIMS)


@pytest.mark.parametrize("name", FOUND)
def test_a_script_that_draws_pixels_draws_the_same_each_time(name: str, ran: dict[str, Any]):
    script = ran[name]["script"]
    if "pixel_values" in script:
        assert script.index("torch.manual_seed(0)") < script.index("torch.randn(")
