"""What image sizes become, asked of the worker."""

from __future__ import annotations

from collections.abc import Mapping

from fuzz.isolation.supervisor import Supervisor
from fuzz.map.axes import Grid
from fuzz.map.sweep import Point
from strategies.case import Image


def grids_of(supervisor: Supervisor, images: Mapping[Point, Image]) -> dict[Point, Grid | None]:
    """Return the merged columns and rows that the image at each point becomes.

    Args:
        supervisor: a started one.
        images: the image at each point.

    Returns:
        None for an image that is refused; nothing at all where the target's images have no grids.
    """
    sizes = [[i.width, i.height] for i in images.values()]
    answer = supervisor.ask({"op": "sizes", "sizes": sizes})["grids"]
    if answer is None:
        return {}
    found = zip(images, answer, strict=True)
    return {p: (int(g[0]), int(g[1])) if g is not None else None for p, g in found}
