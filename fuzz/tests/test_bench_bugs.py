"""The catalogue is sound, nothing but the benchmark reads it, and results add up."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.version import Version

from fuzz import ledger
from fuzz.bench import bugs, exposure, known_bugs, mutants, tables_of
from fuzz.bench.bugs import Results
from fuzz.bench.curves import draw, survival
from fuzz.bench.exposure import Budget, Run, Silent
from fuzz.bench.grid import BATCH, grid
from fuzz.bench.known_bugs import elements
from fuzz.bench.mutants import Mutant
from fuzz.bench.rates import clopper_pearson
from fuzz.bench.tables import lines, summary
from fuzz.bench.uniform import uniform
from fuzz.errors import UsageProblem
from fuzz.families import FAMILIES
from fuzz.session import PROPERTY_KINDS
from fuzz.verdict import Outcome, Signature
from strategies.case import Case, Image, Text, images_of
from strategies.geometry import estimated_tokens
from strategies.kinds import KINDS, kinds_for
from strategies.rows import MAX_TOKENS
from strategies.tests.examples import GEOMETRIES, QWEN2_VL, TEXT_ONLY
from strategies.validity import problems, refusals

CATALOGUE = known_bugs.load()
ROOT = Path(__file__).resolve().parents[2]


def test_there_are_twenty_bugs_over_many_families_and_releases():
    assert len(CATALOGUE) >= 20
    assert len({b.target.family for b in CATALOGUE}) >= 6
    assert len({b.affected for b in CATALOGUE}) >= 10


@pytest.mark.parametrize("bug", CATALOGUE, ids=lambda b: b.id)
def test_a_bug_is_one_that_can_be_looked_for(bug: known_bugs.Bug):
    since = Version(FAMILIES[bug.target.family].since)
    assert Version(bug.affected) >= since
    assert Version(bug.silent) >= since
    assert bug.affected != bug.silent
    assert all(link.startswith("https://github.com/") for link in bug.links)
    assert not problems(bug.smallest)
    assert set(bug.apart_from) <= {entry.id for entry in ledger.shipped()}


def test_nothing_that_fuzzes_reads_the_catalogue():
    readers = {
        path.relative_to(ROOT).as_posix()
        for folder in ("fuzz", "strategies")
        for path in (ROOT / folder).rglob("*.py")
        if "known_bugs" in path.read_text() or "bench/catalogue" in path.read_text()
    }
    bench = ("bugs", "exposure", "tables", "tables_of", "verify")
    assert readers == {
        "fuzz/tests/test_bench_bugs.py",
        *(f"fuzz/bench/{name}.py" for name in bench),
    }


def test_a_failure_is_the_bug_only_if_it_fails_as_the_bug_does():
    bug = replace(CATALOGUE[0], verdict="fail", what="position ids", where="")
    assert bug.matches(Signature("rotary_reference", "fail", "position ids, forward"))
    assert not bug.matches(Signature("rotary_reference", "fail", "text rotation"))
    assert not bug.matches(Signature("no_crash", "error", "position ids"))
    there = replace(bug, verdict="error", what="IndexError", where="modeling_x.forward")
    assert there.matches(Signature("no_crash", "error", "IndexError", "modeling_x.forward"))
    assert not there.matches(Signature("no_crash", "error", "IndexError", "modeling_x.other"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"property": "no_crahs"}, "did you mean 'no_crash'?"),
        ({"family": "qwen9"}, "unknown family"),
        ({"id": "another"}, "its id is 'another'"),
        ({"title": None, "links": None}, "not a bug of the catalogue"),
        ({"format_version": 2}, "format_version 2 is unknown"),
    ],
)
def test_an_entry_that_cannot_be_used_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], said: str
):
    source = next(known_bugs.FOLDER.glob("*.json"))
    data = {**json.loads(source.read_text()), **change}
    (tmp_path / source.name).write_text(json.dumps(data))
    monkeypatch.setattr(known_bugs, "FOLDER", tmp_path)
    with pytest.raises(UsageProblem, match=said.replace("?", r"\?")):
        known_bugs.load()


def test_elements_count_what_a_case_is_made_of_but_not_its_seed():
    assert elements(Case()) == 2
    assert elements(Case(seed=3)) == 2
    assert elements(Case(rows=((Image(1, 1),),))) == 2
    assert elements(Case(rows=((Image(2, 1),),), decode=1, entry="forward-implicit")) == 5


def test_uniform_cases_are_of_use_to_their_property_and_spread_evenly():
    """As the strategies' are: well-formed, to be run (or refused), within the same ranges."""
    for geometry in GEOMETRIES.values():
        for kind in kinds_for(geometry):
            demands = KINDS[kind]
            drawn = list(itertools.islice(uniform(geometry, kind, 1), 25))
            assert len(set(drawn)) == 25
            for case in drawn:
                assert not problems(case)
                assert bool(refusals(case, geometry)) is not demands.valid
                assert len(case.rows) >= demands.rows or case.how == "lookup" or case.turn
                assert len(case.history) >= demands.history
                assert sum(len(images_of(row)) for row in case.rows) >= demands.images
    drawn = list(itertools.islice(uniform(QWEN2_VL, "no_crash", 1), 400))
    assert all(estimated_tokens(QWEN2_VL, row) <= MAX_TOKENS for c in drawn for row in c.rows)
    images = [i for case in drawn for row in case.rows for i in images_of(row)]
    # No place is preferred: a twentieth of the widths is a twentieth of the range.
    assert 0.4 < sum(i.width <= 1000 for i in images) / len(images) < 0.7
    assert 0.4 < sum(case.cache == "static" for case in drawn) / len(drawn) < 0.6
    assert drawn == list(itertools.islice(uniform(QWEN2_VL, "no_crash", 1), 400))
    assert drawn[0] != next(uniform(QWEN2_VL, "no_crash", 2))


def test_the_grid_is_that_of_transformers_tests_in_every_way_they_call_a_model():
    drawn = list(grid(QWEN2_VL, "no_crash", 0))
    plain = {(c.side, c.extra_padding, c.attention_mask) for c in drawn if c.entry == "forward"}
    assert plain >= {("left", 1, True), ("right", 1, True), ("left", 0, False)}
    assert {c.entry for c in drawn} >= {"forward", "forward-implicit", "generate"}
    assert {c.cache for c in drawn} == {"dynamic", "static"}
    assert drawn[0].rows == ((Image(8, 8), Text(7)),) * BATCH
    assert all(not problems(c) and not refusals(c, QWEN2_VL) for c in drawn)
    assert {c.how for c in grid(QWEN2_VL, "generation_agreement", 0)} == {
        "greedy",
        "samples",
        "beams",
        "lookup",
    }
    for kind in kinds_for(QWEN2_VL):
        assert list(grid(QWEN2_VL, kind, 0))
    assert all(refusals(c, QWEN2_VL) for c in grid(QWEN2_VL, "clean_rejection", 0))
    assert next(grid(TEXT_ONLY, "no_crash", 0)).rows == ((Text(7),),) * BATCH


class _Asked:
    """Stands for a session: fails as a bug does from the third case on."""

    def __init__(self, bug: known_bugs.Bug) -> None:
        self.supervisor, self.geometry, self.count, self.bug = self, QWEN2_VL, 0, bug

    def expects(self, *_asked: object) -> bool:
        return False

    def check(self, _property: str, _case: Case) -> Outcome:
        self.count += 1
        signature = Signature(self.bug.property, "error", self.bug.what, self.bug.where)
        other = replace(signature, what="something else")
        return Outcome("error", "", signature if self.count >= 3 else other)


def test_a_baseline_stops_at_the_first_case_that_fails_as_the_bug_does_or_at_its_budget():
    bug = replace(CATALOGUE[0], verdict="error")
    cases = list(itertools.islice(uniform(QWEN2_VL, PROPERTY_KINDS[bug.property], 0), 9))
    blank = Run(bug.id, exposure.UNIFORM, 0)
    met = exposure._through(_Asked(bug), bug, cases, blank, Budget())  # type: ignore[arg-type]
    assert (met.found, met.cases) == (True, 3)
    spent = exposure._through(_Asked(bug), bug, cases, blank, Budget(2))  # type: ignore[arg-type]
    assert (spent.found, spent.cases) == (False, 2)
    # A grid goes on in another dtype with what is left.
    on = exposure._through(_Asked(bug), bug, cases, spent, Budget(4))  # type: ignore[arg-type]
    assert (on.found, on.cases) == (False, 4)


RUNS = [
    Run("a", "ropefuzz", 0, True, 4, 1.0, 3.0, "image 1x2", "{}", 0),
    Run("a", "ropefuzz", 1, True, 8, 2.0, 4.0, "image 4x1", "{}", 2),
    Run("b", "ropefuzz", 0, False, 200, 9.0),
    Run("a", "uniform", 0, False, 500, 9.0),
    Run("a", "grid", 0, True, 1, 0.5),
]


def test_the_tables_count_what_was_found_and_tell_every_alarm():
    one, other = CATALOGUE[0], replace(CATALOGUE[1], id="b")
    silent = [
        Silent("a", "exact", 0, 100),
        Silent("a", "exact", 1, 100, 3, ("no_crash: new",)),
        Silent("a", "float16", 0, 50),
    ]
    said = lines(RUNS, silent, {"a": one, "b": other})
    rows = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:] for line in said[:8]}
    assert rows["bugs found with every seed"] == ["1 of 2", "0 of 1", "1 of 1 |"]
    assert rows["runs that found theirs"] == ["2 of 3", "0 of 1", "1 of 1 |"]
    assert rows["cases to meet one, median of all runs"] == ["8", "not reached", "1 |"]
    assert said[9].startswith("exact lane: 200 cases on releases without the bug, 1 failures that")
    assert "50.0 in 10000" in said[9]
    assert said[10].startswith("float16: 50 cases")
    row = next(line for line in said if one.title in line)
    assert row == (
        f"| {one.title} (`{one.target.family}`) | {one.affected} | 2 of 2 | 6 [8] | 1.5 | 3.5 | "
        "image 1x2 | 0 of 1 | 1 of 1, 1 |"
    )
    assert said[-1] == "  a, exact, seed 1: no_crash: new"
    assert summary([], [])[-1] == "float16: no cases on releases without the bug"


def test_an_interval_is_clopper_and_pearsons():
    """Against published values: 0 of 10, 1 of 10, 10 of 10 at 95%."""
    for hits, interval in ((0, (0.0, 0.3085)), (1, (0.0025, 0.4450)), (10, (0.6915, 1.0))):
        assert clopper_pearson(hits, 10) == pytest.approx(interval, abs=1e-4)
    low, high = clopper_pearson(0, 20_000)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 20_000), rel=1e-6)
    with pytest.raises(ValueError, match="hits"):
        clopper_pearson(1, 0)


def test_a_curve_falls_where_bugs_are_met_and_counts_censored_runs_until_they_end(tmp_path: Path):
    ours = [r for r in RUNS if r.method == "ropefuzz"]
    assert survival(ours) == ([0, 4, 8], [1.0, pytest.approx(2 / 3), pytest.approx(1 / 3)], [200])
    # One that ended at 5 is no longer at risk at 8.
    early = [ours[0], ours[1], Run("b", "ropefuzz", 0, False, 5)]
    assert survival(early)[1] == [1.0, pytest.approx(2 / 3), 0.0]
    pytest.importorskip("matplotlib", reason="draws pictures: pip install 'ropefuzz[plot]'")
    for name in ("one.svg", "two.svg"):
        draw(tmp_path / name, RUNS, Budget())
    assert (tmp_path / "one.svg").read_text() == (tmp_path / "two.svg").read_text()
    assert "uniform random cases (0 of 1 runs" in (tmp_path / "one.svg").read_text()


def test_results_are_kept_and_gone_on_from_but_not_with_another_budget(tmp_path: Path):
    path = tmp_path / "r.json"
    results = Results(Budget(), machine={"cpu": "any"})
    results.add([*RUNS, Silent("a", "exact", 0, 100, 1, ("x",))])
    bugs._keep(path, results)
    assert bugs.kept(path, Budget()) == results
    assert bugs.kept(path) == results
    with pytest.raises(UsageProblem, match=r"not \{'cases': 60"):
        bugs.kept(path, Budget(60))
    assert bugs.kept(tmp_path / "none.json").runs == {}


def test_the_mutation_score_leaves_out_what_changes_nothing(tmp_path: Path):
    found = [
        Mutant("llama", "padding-leak", "killed", "padding_invariance"),
        Mutant("llama", "causal-off-by-one", "survived", "causality saw nothing in 300 cases"),
        Mutant("llama", "vision-leak", "equivalent", "the target takes no images"),
    ]
    assert mutants.score(found).startswith("1 of 2 planted defects killed")
    assert "1 without effect" in mutants.score(found)
    said = mutants.lines(found)
    assert "| `padding-leak` | `padding_invariance` | k |" in said
    assert "| `causal-off-by-one` | `causality` | **S** |" in said
    assert "- `vision-leak` equivalent in llama: the target takes no images" in said
    path = tmp_path / "m.json"
    mutants._keep(path, mutants.Mutants({(m.family, m.plant): m for m in found}, {"cpu": "any"}))
    assert list(mutants.kept(path).found.values()) == sorted(found, key=lambda m: m.plant)
    assert path.with_suffix(".md").read_text().startswith("1 of 2")


def test_the_readme_says_what_the_kept_results_say():
    """``ropefuzz bench tables`` makes the table of them, and the picture beside them."""
    readme = (ROOT / "README.md").read_text()
    results = bugs.kept(tables_of.BUGS)
    said = [line for line in tables_of.table(results) if not line.startswith("  ")]
    assert "\n".join(said) in readme
    assert tables_of.BUGS.with_suffix(".md").read_text().startswith("\n".join(said))
    assert tables_of.mutation_score() in readme
    assert {bug for bug, _, _ in results.runs} == {bug.id for bug in CATALOGUE}
    assert "fuzz/bench/results/bugs.svg" in readme
    assert tables_of.BUGS.with_suffix(".svg").exists()
