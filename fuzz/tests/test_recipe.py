"""The workflow that teams copy: it is one, and every command in it is one of ours."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types, and transformers brings it along

from fuzz.cli import _parser

RECIPE = Path(__file__).resolve().parents[2] / ".ci" / "recipe.yml"
WORKFLOW: dict[Any, Any] = yaml.safe_load(RECIPE.read_text())


def variants(job: dict[str, Any]) -> list[dict[str, str]]:
    matrix = job["strategy"]["matrix"]
    return matrix.get("include") or [{"runner": runner} for runner in matrix["runner"]]


def fill(line: str, variant: dict[str, str]) -> str:
    line = re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda m: str(variant[m[1]]), line)
    line = line.replace('"$GITHUB_RUN_NUMBER"', "17")
    for name, value in WORKFLOW["env"].items():
        line = line.replace(f'"${name}"', value).replace(f"${name}", value)
    return line


def commands() -> list[tuple[str, str]]:
    """Each command of ropefuzz and pytest, with the values of each entry of its job's matrix."""
    found = []
    for name, job in WORKFLOW["jobs"].items():
        for variant in variants(job):
            for step in job["steps"]:
                for line in step.get("run", "").splitlines():
                    filled = fill(line.strip(), variant)
                    if filled.startswith(("ropefuzz ", "pytest ")):
                        found.append((name, filled.partition(" | ")[0]))
    return found


def test_every_command_of_ropefuzz_is_understood():
    ours = [shlex.split(c)[1:] for _, c in commands() if c.startswith("ropefuzz ")]
    assert {words[0] for words in ours} == {"gate", "replay"}
    assert len(ours) == 4
    for words in ours:
        assert "$" not in " ".join(words)
        _parser().parse_args(words)


def test_the_options_of_pytest_are_those_of_conftest(pytestconfig: pytest.Config):
    ours = [shlex.split(c) for _, c in commands() if c.startswith("pytest ")]
    assert len(ours) == 2
    for words in ours:
        given = pytestconfig._parser.parse_known_args(words[2:])
        assert given.cases == 1000
        assert given.seed == 17
        assert str(given.save_to) == "regressions"


def test_it_replays_on_a_push_gates_a_pull_request_and_fuzzes_at_night_on_both_runners():
    # YAML 1.1 reads the key `on` as true.
    assert set(WORKFLOW[True]) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    assert WORKFLOW[True]["pull_request"]["paths"] == [WORKFLOW["env"]["REQUIREMENTS"]]
    for job in WORKFLOW["jobs"].values():
        runners = [v["runner"] for v in variants(job)]
        assert str(runners) == "[['ubuntu-latest'], ['self-hosted', 'gpu']]"
        assert job["timeout-minutes"] <= 120
