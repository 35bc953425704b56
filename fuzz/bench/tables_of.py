"""``ropefuzz bench tables``: what ``ropefuzz bench bugs`` measured, as a table and as a picture."""

from __future__ import annotations

from pathlib import Path

from fuzz.bench import mutants
from fuzz.bench.bugs import Results, kept
from fuzz.bench.curves import draw
from fuzz.bench.known_bugs import load
from fuzz.bench.tables import budget_in_words, lines
from fuzz.errors import UsageProblem
from fuzz.files import write_text

FOLDER = Path(__file__).parent / "results"
BUGS = FOLDER / "bugs.json"
MUTANTS = FOLDER / "mutants.json"


def main(path: Path | None) -> int:
    """Write the table and the curves beside the results, and print the table.

    Args:
        path: of the results, None for those that ship.

    Raises:
        UsageProblem: there are none, or matplotlib is not installed.
    """
    path = path or BUGS
    if not path.exists():
        raise UsageProblem(f"{path}: no such file; ropefuzz bench bugs --results writes one")
    results = kept(path)
    said = "\n".join(table(results))
    try:
        write_text(path.with_suffix(".md"), said + "\n")
        draw(path.with_suffix(".svg"), list(results.runs.values()), results.budget)
    except OSError as error:
        raise UsageProblem(f"{path.parent}: cannot be written: {error.strerror}") from None
    print(said)
    return 0


def table(results: Results) -> list[str]:
    """Return everything that was measured, in Markdown, with where and when it was."""
    where = results.machine
    versions = ", ".join(f"{n} {where[n]}" for n in ("python", "torch", "hypothesis") if n in where)
    seeds = len({seed for _, _, seed in results.runs})
    return [
        f"{seeds} seeds, {budget_in_words(results.budget)}; {where['cores']} cores of "
        f"{where['cpu']}, {versions}, {where['date']}, commit {where['commit']}",
        "",
        *lines(
            list(results.runs.values()),
            list(results.silent.values()),
            {bug.id: bug for bug in load()},
        ),
    ]


def mutation_score() -> str:
    """Return the mutation score that ships, as a sentence."""
    return mutants.score(mutants.kept(MUTANTS).found.values())
