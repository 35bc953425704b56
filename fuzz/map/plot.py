"""A map as a picture: PNG or SVG, by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from fuzz.errors import UsageProblem
from fuzz.map.draw import WORDS
from fuzz.map.sweep import Mark, Point, Swept

SUFFIXES: Final = (".svg", ".png")

_ORDER: Final[tuple[Mark, ...]] = ("fails", "passes", "refused", "other", "invalid")
# Okabe and Ito's colours (jfly.uni-koeln.de/color), told apart by every kind of colour blindness,
# and of different lightness, for print; failing ones are hatched besides.
_COLOURS: Final[dict[Mark, str]] = {
    "fails": "#d55e00",
    "passes": "#cfe8f7",
    "refused": "#f0e442",
    "other": "#0072b2",
    "invalid": "#ffffff",
}


def save(
    path: Path,
    swept: Swept,
    labels: tuple[str, str],
    title: str,
    grids: Mapping[Point, tuple[int, int] | None],
) -> None:
    """Draw a map into a file.

    Args:
        path: its suffix decides between SVG and PNG.
        swept: what is known.
        labels: of the two axes.
        title: above the picture.
        grids: for maps over image sizes, the merged columns and rows of each; lines are drawn
            where they change.

    Raises:
        UsageProblem: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.colors import BoundaryNorm, ListedColormap
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError:
        raise UsageProblem(
            "matplotlib is not installed, which draws pictures: pip install 'ropefuzz[plot]'"
        ) from None
    xs = sorted({x for x, _ in swept.marks})
    ys = sorted({y for _, y in swept.marks})
    values = [[_ORDER.index(swept.marks[x, y]) for x in xs] for y in ys]
    figure = Figure(figsize=(7, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    edges = [k - 0.5 for k in range(len(_ORDER) + 1)]
    axes.pcolormesh(
        xs,
        ys,
        values,
        cmap=ListedColormap([_COLOURS[m] for m in _ORDER]),
        norm=BoundaryNorm(edges, len(_ORDER)),
        shading="nearest",
        rasterized=True,
    )
    if "fails" in swept.marks.values() and len(xs) > 1 and len(ys) > 1:
        failing = [[float(swept.marks[x, y] == "fails") for x in xs] for y in ys]
        axes.contourf(xs, ys, failing, levels=[0.5, 1.5], colors="none", hatches=["//"])
    _grid_lines(axes, xs, ys, grids)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.set_title(title, fontsize=9, wrap=True)
    there = [m for m in _ORDER if m in swept.marks.values()]
    axes.legend(
        handles=[
            Patch(
                facecolor=_COLOURS[m],
                edgecolor="black",
                label=WORDS[m],
                hatch="//" if m == "fails" else "",
            )
            for m in there
        ],
        loc="upper right",
        fontsize=8,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # The same map gives the same file.
    with rc_context({"svg.hashsalt": "ropefuzz"}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _grid_lines(
    axes: object,
    xs: Sequence[int],
    ys: Sequence[int],
    grids: Mapping[Point, tuple[int, int] | None],
) -> None:
    """Mark in merged patches, on the far sides, where a square image's grid changes."""
    if not grids:
        return
    for values, name, part in ((xs, "secondary_xaxis", 0), (ys, "secondary_yaxis", 1)):
        ticks, texts, last = [], [], None
        other = max(ys if part == 0 else xs)
        for value in values:
            grid = grids.get((value, other) if part == 0 else (other, value))
            if grid is not None and grid[part] != last:
                last = grid[part]
                ticks.append(value)
                texts.append(str(last))
        side = getattr(axes, name)("top" if part == 0 else "right")
        side.set_ticks(ticks, labels=texts, fontsize=7)
        word = "columns" if part == 0 else "rows"
        side.set_label(f"merged {word} from there on, at {other} pixels the other way")
        getattr(side, "set_xlabel" if part == 0 else "set_ylabel")(
            f"merged {word} from there on (other side: {other} pixels)", fontsize=7
        )
