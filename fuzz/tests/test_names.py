"""The names that two sides write down separately are the same names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuzz.claims import CLAIMS
from fuzz.families import FAMILIES
from fuzz.plants import PLANT_NAMES, PLANTS
from fuzz.session import PROPERTY_KINDS
from strategies.kinds import KINDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def worker() -> Any:
    # In a process of its own: this one must not import torch. Takes some 5 s.
    code = (
        "import json\n"
        "from fuzz.worker.plants import PLANTERS\n"
        "from fuzz.worker.properties import CHECKS\n"
        "print(json.dumps({'checks': list(CHECKS), 'planters': list(PLANTERS)}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_property_has_its_kind_of_case():
    assert set(KINDS) == {"any", *CLAIMS}
    assert set(PROPERTY_KINDS) == set(CLAIMS)


def test_every_plant_is_to_be_found_by_a_property():
    assert {p.killer for p in PLANTS.values()} <= set(CLAIMS)


def test_every_property_has_a_plant_to_find():
    assert {p.killer for p in PLANTS.values()} == set(CLAIMS)


def test_everything_is_filed_under_its_own_name():
    assert [c.id for c in CLAIMS.values()] == list(CLAIMS)
    assert [p.name for p in PLANTS.values()] == list(PLANTS)
    assert [f.name for f in FAMILIES.values()] == list(FAMILIES)


def test_the_worker_checks_every_property_and_no_other(worker: Any):
    assert set(worker["checks"]) == set(CLAIMS)


def test_the_worker_plants_every_plant_and_no_other(worker: Any):
    assert set(worker["planters"]) == {*PLANT_NAMES, "on-demand"}
