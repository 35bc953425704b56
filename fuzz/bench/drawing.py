"""Cases for the measurements: different ones, that pass."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from fuzz.isolation.supervisor import Supervisor
from strategies.case import Case, to_json
from strategies.cases import cases as draw_cases
from strategies.geometry import Geometry, geometry_from_plain
from strategies.kinds import Kind


def passing(
    supervisor: Supervisor, info: dict[str, Any], property_id: Kind, count: int, of: int
) -> list[Case]:
    """Draw different cases that pass a property.

    Args:
        supervisor: started.
        info: what starting it told.
        property_id: the property.
        count: how many at most.
        of: the seed.
    """
    drawn = different(geometry_from_plain(info["geometry"]), property_id, 4 * count, of)
    fine = (c for c in drawn if supervisor.check(property_id, c).verdict == "pass")
    return list(itertools.islice(fine, count))


def different(geometry: Geometry, kind: Kind, draws: int, of: int) -> list[Case]:
    """Draw cases and return the different ones, at most as many as are drawn.

    Args:
        geometry: the target's sizes.
        kind: the property that they are for.
        draws: how many are drawn.
        of: the seed.
    """
    drawn: dict[str, Case] = {}

    @seed(of)
    @settings(
        max_examples=draws,
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(draw_cases(geometry, kind))
    def one(case: Case) -> None:
        drawn[to_json(case)] = case

    one()
    return list(drawn.values())
