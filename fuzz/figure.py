"""Pictures: a figure without a screen, and a file that is the same for the same picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.errors import UsageProblem

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure.

    Args:
        width: inches.
        height: inches.

    Raises:
        UsageProblem: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageProblem(
            "matplotlib is not installed, which draws pictures: pip install 'ropefuzz[plot]'"
        ) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Figure, path: Path, svg_fonttype: str = "path") -> None:
    """Write a figure into a file.

    Args:
        figure: what is drawn.
        path: its suffix decides between SVG and PNG.
        svg_fonttype: whether an SVG keeps its text (``none``) or its outlines (``path``).

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "ropefuzz", "svg.fonttype": svg_fonttype}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
