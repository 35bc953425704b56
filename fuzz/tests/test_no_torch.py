"""The driver's side never imports torch: a poisoned device must not be able to reach it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "flash_attn")

# By the files: pkgutil.walk_packages would import the worker's packages to look into them.
WALK = """
import importlib, pathlib, sys
names = []
for package in ("fuzz", "strategies", "regressions"):
    for path in sorted(pathlib.Path(package).rglob("*.py")):
        parts = path.with_suffix("").parts
        if "tests" in parts or parts[:2] == ("fuzz", "worker"):
            continue
        names.append(".".join(p for p in parts if p != "__init__"))
        importlib.import_module(names[-1])
"""
SAY = f"""
print("modules:", len(names))
print("heavy:", [n for n in {HEAVY!r} if n in sys.modules])
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def sources() -> Iterator[Path]:
    yield ROOT / "conftest.py"
    for folder in ("fuzz", "strategies", "regressions"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Return the absolute names a file imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return names


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def test_importing_every_module_of_the_driver_leaves_torch_out():
    done = python(WALK + SAY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"
    # The walk is worth nothing if it finds nothing.
    assert int(done.stdout.splitlines()[0].split()[1]) > 30


def test_the_command_line_prints_its_help_without_torch():
    code = (
        "import sys\nfrom fuzz.cli import main\nnames = []\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
    )
    done = python(code + SAY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ropefuzz")
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_collecting_the_tests_of_the_driver_imports_no_torch():
    # The worker's own tests live on the worker's side, and are the one place left out.
    arguments = ["--collect-only", "-q", "-p", "no:cacheprovider", "--ignore=fuzz/worker"]
    arguments += ["strategies/tests", "fuzz/tests", "fuzz/isolation/tests", "regressions"]
    arguments += ["fuzz/test_fuzz.py"]
    code = f"import pytest, sys\nnames = []\ncode = int(pytest.main({arguments!r}))\n"
    done = python(code + SAY + "sys.exit(code)")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_fuzz.py" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_collecting_the_whole_project_imports_no_torch():
    arguments = ["--collect-only", "-q", "-p", "no:cacheprovider"]
    code = f"import pytest, sys\nnames = []\ncode = int(pytest.main({arguments!r}))\n"
    done = python(code + SAY + "sys.exit(code)")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize("name", HEAVY)
def test_only_the_worker_imports_it(name: str):
    outside = [p for p in sources() if not p.is_relative_to(ROOT / "fuzz" / "worker")]
    assert len(outside) > 40
    assert [str(p.relative_to(ROOT)) for p in outside if name in tops(p)] == []


def test_the_worker_does_import_torch_so_that_the_search_above_can_see_it():
    worker = [p for p in sources() if p.is_relative_to(ROOT / "fuzz" / "worker")]
    assert any("torch" in tops(p) for p in worker)


def test_strategies_imports_nothing_of_the_packages_above_it():
    inside = [p for p in sources() if p.is_relative_to(ROOT / "strategies")]
    above = {"fuzz", "regressions", "conftest"}
    assert [str(p.relative_to(ROOT)) for p in inside if tops(p) & above] == []


def test_no_module_of_the_driver_imports_the_worker():
    driver = [
        p
        for p in sources()
        if not p.is_relative_to(ROOT / "fuzz" / "worker") and "tests" not in p.parts
    ]
    wrong = [p for p in driver if any(n.startswith("fuzz.worker") for n in imported(p))]
    assert [str(p.relative_to(ROOT)) for p in wrong] == []
