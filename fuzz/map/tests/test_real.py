"""The map of the original bug, drawn on the real model: its rule is true of every size."""

from __future__ import annotations

from fuzz.bench.maps import PLANT, drawn_map, runs_against
from fuzz.isolation.supervisor import Supervisor
from fuzz.target import Target

POINTS = 200


def test_the_rule_is_true_of_every_size_up_to_200_and_of_real_runs():
    """Held against all 40,000 sizes by the processor's arithmetic, and 200 of them run for real."""
    with Supervisor(Target(plants=(PLANT,))) as supervisor:
        made, swept, rule = drawn_map(supervisor)
        assert rule == "fails exactly where min(merged rows, merged columns) <= 1"
        assert len(swept.marks) == 40_000
        assert len(swept.ran) <= 4_000
        against = [
            point
            for point, grid in made.grids.items()
            if (swept.marks[point] == "fails") != (grid is not None and min(grid) <= 1)
        ]
        assert against == []
        failed, contradicting = runs_against(supervisor, swept.marks, POINTS, 0)
    assert contradicting == 0
    assert 20 < failed < POINTS
