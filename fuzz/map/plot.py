"""A map as a picture: PNG or SVG, by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fuzz.figure import new_figure, write_figure
from fuzz.map.axes import Ticks
from fuzz.map.draw import WORDS
from fuzz.map.sweep import Mark, Swept

SUFFIXES: Final = (".svg", ".png")

_ORDER: Final[tuple[Mark, ...]] = ("fails", "passes", "refused", "other", "unjudged", "invalid")
# Okabe and Ito's colours (jfly.uni-koeln.de/color), told apart by every kind of colour blindness,
# and of different lightness, for print; failing ones are hatched besides.
_COLOURS: Final[dict[Mark, str]] = {
    "fails": "#d55e00",
    "passes": "#cfe8f7",
    "refused": "#f0e442",
    "other": "#0072b2",
    "unjudged": "#999999",
    "invalid": "#ffffff",
}


def save(
    path: Path,
    swept: Swept,
    labels: tuple[str, str],
    title: str,
    merged: tuple[Ticks, Ticks] | None,
) -> None:
    """Draw a map into a file.

    Args:
        path: its suffix decides between SVG and PNG.
        swept: what is known.
        labels: of the two axes.
        title: above the picture.
        merged: for maps over image sizes, the merged patches along both axes.

    Raises:
        UsageProblem: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    figure = new_figure(7, 6)
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    xs = sorted({x for x, _ in swept.marks})
    ys = sorted({y for _, y in swept.marks})
    values = [[_ORDER.index(swept.marks[x, y]) for x in xs] for y in ys]
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
    _merged_scales(axes, merged)
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
    write_figure(figure, path)


def _merged_scales(axes: object, merged: tuple[Ticks, Ticks] | None) -> None:
    """Mark in merged patches, on the far sides, where their number changes."""
    if merged is None:
        return
    for ticks, add, place in zip(
        merged, ("secondary_xaxis", "secondary_yaxis"), ("top", "right"), strict=True
    ):
        changes, last = [], None
        for value, count in sorted(ticks.counts.items()):
            if count != last:
                last = count
                changes.append((value, str(count)))
        side = getattr(axes, add)(place)
        side.set_ticks([v for v, _ in changes], labels=[c for _, c in changes], fontsize=7)
        getattr(side, "set_xlabel" if place == "top" else "set_ylabel")(
            f"{ticks.word} from there on (other side: {ticks.other} pixels)", fontsize=7
        )
