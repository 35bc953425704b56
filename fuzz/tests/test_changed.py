"""What a pass is worth: the statements that differ between two releases, and which have run."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.gate.changed import Reach, Statement, changed
from fuzz.gate.report import gated, reach_line, verdict_lines
from fuzz.outcome import BLOCKING
from fuzz.reports.markdown import gate_markdown
from fuzz.tests.gate_stub import Release, gate
from strategies.case import Case, Image, has_images

BEFORE = '''\
import torch


class Rope:
    """Turns."""

    size: int = 1

    def forward(self, x, positions):
        """Turn x."""
        # Once.
        y = x * 2
        if positions is None:
            z = y
        else:
            z = y + 1
        return z


def helper(a):
    return a
'''


def lines(after: str, before: str = BEFORE) -> list[tuple[int, int, str]]:
    return [(s.line, s.end, s.function) for s in changed("x.py", before, after)]


@pytest.mark.parametrize(
    "after",
    [
        BEFORE,
        BEFORE.replace("# Once.", "# Twice."),
        BEFORE.replace('"""Turn x."""', '"""Turn y, in radians."""'),
        BEFORE.replace("y = x * 2", "y = (\n            x\n            * 2\n        )"),
        BEFORE.replace("import torch", "import torch\nimport math").replace("int = 1", "int = 2"),
        "def helper(a):\n    return a\n\n\n" + BEFORE.rpartition("\n\ndef helper")[0],
    ],
    ids=["same", "comment", "docstring", "format", "import", "order"],
)
def test_what_python_does_not_run_otherwise_is_no_change(after: str):
    assert lines(after) == []


def test_a_changed_statement_is_named_with_its_lines_and_function():
    after = BEFORE.replace("y = x * 2", "y = (\n            x * 3\n        )")
    assert lines(after) == [(12, 14, "Rope.forward")]


def test_of_a_compound_statement_only_its_head_counts():
    after = BEFORE.replace("if positions is None:", "if positions is not None:")
    assert lines(after) == [(13, 13, "Rope.forward")]


def test_a_new_function_counts_with_all_its_statements():
    after = (
        BEFORE + "\n\ndef more(b):\n    '''Say.'''\n    for i in b:\n        print(i)\n    pass\n"
    )
    assert lines(after) == [(26, 26, "more"), (27, 27, "more")]
    assert len(changed("x.py", "", BEFORE)) == 6


def test_where_statements_are_gone_the_next_one_stands_for_them():
    after = BEFORE.replace("        y = x * 2\n", "")
    assert lines(after) == [(12, 12, "Rope.forward")]
    after = BEFORE.replace("        return z\n", "")
    assert lines(after) == [(16, 16, "Rope.forward")]


def test_another_default_or_argument_counts_at_the_first_statement():
    assert lines(BEFORE.replace("def helper(a)", "def helper(a=1)")) == [(21, 21, "helper")]


def test_statements_of_every_block_are_seen():
    before = (
        "def f(x):\n    try:\n        a(x)\n    except ValueError:\n        b(x)\n    else:\n"
        "        c(x)\n    finally:\n        d(x)\n    match x:\n"
        "        case 1:\n            e(x)\n"
        "    with x as y:\n        g(y)\n    while x:\n        h(x)\n"
    )
    for name in "abcdegh":
        # Each by itself, and by itself only.
        after = before.replace(f"{name}(", f"{name}{name}(")
        assert len(lines(after, before)) == 1, name
    assert [n for n, _, _ in lines(before.replace("ValueError", "KeyError"), before)] == [2]
    assert [n for n, _, _ in lines(before.replace("case 1", "case 2"), before)] == [10]


def release(folder: Path, version: str, text: str, **more: object) -> Release:
    root = folder / version
    root.mkdir(parents=True)
    (root / "modeling_x.py").write_text(text)
    return Release(version, sources=root, **more)  # type: ignore[arg-type]  # keywords of the test


AFTER = BEFORE.replace("z = y + 1", "z = y + 2").replace("    return a\n", "    return -a\n")


def test_the_gate_says_how_much_of_what_changed_ran_and_lists_the_rest(tmp_path: Path):
    result = gate(
        tmp_path / "saves",
        release(tmp_path, "1", BEFORE),
        release(tmp_path, "2", AFTER, runs=lambda _: [12, 13, 16, 17]),
        "no_crash",
    )
    said = verdict_lines(result, BLOCKING, "again")
    assert (
        "changed code: 1 of 2 statements ran in the candidate (50 %), in 1 of 1 files under test"
        in said
    )
    assert said[said.index("changed, and not run:") + 1] == (
        "  modeling_x.py: helper, 1 statement (line 21)"
    )
    assert "helper, 1 statement" in gate_markdown(gated(result, BLOCKING, "again"))


def test_without_a_change_there_is_nothing_to_run(tmp_path: Path):
    before, after = release(tmp_path, "1", BEFORE), release(tmp_path, "2", BEFORE)
    result = gate(tmp_path / "saves", before, after, "no_crash")
    assert reach_line(result.reach) == "changed code: none in the 1 files under test"
    assert after.watch is None  # what it costs is not spent
    same = gate(tmp_path / "s", before, Release("1", sources=before.sources), "no_crash")
    assert "none was looked for" in reach_line(same.reach)


def test_workers_that_cannot_say_where_their_files_are_cost_the_gate_nothing_else(tmp_path: Path):
    result = gate(tmp_path, Release("1", sources=None), Release("2"), "no_crash")
    assert set(result.total()) == {"same", "passing"}
    assert "none was looked for" in reach_line(result.reach)


def test_cases_that_run_more_of_what_changed_are_preferred(tmp_path: Path):
    """Many images in one case are rare in what is drawn blindly."""

    def images(case: Case) -> int:
        return sum(isinstance(s, Image) for row in case.rows for s in row)

    def most(aimed: bool, seed: int) -> int:
        folder = tmp_path / f"{aimed}{seed}"
        new = "\n\ndef more(b):\n" + "    b = b + 1\n" * 20
        after = release(
            folder,
            "2",
            BEFORE + (new if aimed else ""),
            runs=lambda c: list(range(25, 25 + images(c))),
        )
        before = release(folder, "1", BEFORE)
        gate(folder / "saves", before, after, "no_crash", cases=200, seed=seed)
        return sum(images(c) >= 7 for c in after.asked)

    assert sum(most(True, s) for s in range(3)) > 1.5 * sum(most(False, s) for s in range(3))


def test_the_number_of_cases_is_the_same_with_an_aim(tmp_path: Path):
    candidate = release(tmp_path, "2", AFTER, runs=lambda c: [16] * has_images(c))
    result = gate(tmp_path / "s", release(tmp_path, "1", BEFORE), candidate, "no_crash", cases=70)
    assert result.total().total() == 70


def test_a_statement_has_run_when_any_of_its_lines_has():
    reach = Reach({"x"}, {Statement("x", 3, 5, "f"), Statement("x", 7, 7, "g")})
    reach.note({"x": [5], "y": [7]})
    assert (reach.latest, reach.missed()) == (1, [("x", "g", [Statement("x", 7, 7, "g")])])
    reach.note({})
    assert reach.latest == 0
    assert len(reach.reached) == 1
