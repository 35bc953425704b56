"""The published rotary rules, written again in float64 from the papers, with numpy only.

Nothing here looks at transformers' code: the numbers come from the papers and the model's config.
Sources: rotary embedding, arXiv:2104.09864, equation 34 (pairs laid out in two halves, as the
released checkpoints are); multimodal rotary embedding, arXiv:2409.12191, section 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def mrope_positions(
    token_types: Sequence[int],
    grids: Sequence[tuple[int, int, int]],
    merge: int,
    paces: Sequence[float] = (),
) -> Ints:
    """Return the position ids of one row, shape (3, tokens): time, height, width.

    A text token has one position on all three axes, one more than the largest before it. An
    image's tokens share the next position plus their row and column in the merged grid. Those of a
    video also have their frame's number on the axis of time, times a pace, rounded down; Qwen2.5-VL
    has a position for each fraction of a second (arXiv:2502.13923, section 2.1.3, and its inference
    code, ``rope2d.py``), others one for each frame. Families that write a frame at a time have a
    grid for each, of one frame (arXiv:2511.21631).

    Args:
        token_types: 0 for text, not 0 for placeholders, without padding.
        grids: (t, h, w) in patches, one for each unbroken run of placeholders, in order.
        merge: patches along one side of a merged cell.
        paces: positions from a frame to the next, one for each grid; 1 without any.
    """
    columns: list[tuple[int, int, int]] = []
    start = 0
    left = list(grids)
    i = 0
    while i < len(token_types):
        if token_types[i] == 0:
            columns.append((start, start, start))
            start += 1
            i += 1
            continue
        pace = paces[len(grids) - len(left)] if paces else 1.0
        t, h, w = left.pop(0)
        rows, cols = h // merge, w // merge
        times = [int(frame * pace) for frame in range(t)]
        for time in times:
            for y in range(rows):
                for x in range(cols):
                    columns.append((start + time, start + y, start + x))
        start += max(times[-1] + 1, rows, cols)
        i += t * rows * cols
    positions: Ints = np.array(columns, dtype=np.int64).reshape(-1, 3).T
    return positions


def xdrope_positions(
    token_types: Sequence[int], grids: Sequence[tuple[int, int, int]], merge: int
) -> Ints:
    """Return the position ids of one row, shape (4, tokens): order, column, row, image.

    The rule of HunyuanOCR (arXiv:2511.19575 and its own inference code): every token has its place
    in the row on all four axes; the cells of an image have their column and row in the merged grid,
    each row with one more cell for its end, and their image's number in the row of text. The first
    and the last placeholder of an image belong to no cell.

    Args:
        token_types: 0 for text, 1 for image placeholders, without padding.
        grids: (t, h, w) in patches, one per image, in order.
        merge: patches along one side of a merged cell.
    """
    positions: Ints = np.tile(np.arange(len(token_types), dtype=np.int64), (4, 1))
    at = 0
    for number, (_, h, w) in enumerate(grids):
        at = list(token_types).index(1, at) + 1
        for y in range(h // merge):
            for x in range(w // merge + 1):
                positions[1:, at] = (x, y, number)
                at += 1
        at += 1
    return positions


def axes_of_pairs(half: int, sections: Sequence[int], interleaved: bool) -> Ints:
    """Return which axis (0 time, 1 height, 2 width) each pair of a head turns with, shape (half,).

    In chunks (arXiv:2409.12191): first all pairs of time, then those of height, then of width.
    Interleaved (Qwen3-VL technical report, arXiv:2511.21631): time, height, width by turns, so that
    every axis has high and low frequencies; what is left when height and width have had their
    share is time's.

    Args:
        half: pairs of a head.
        sections: pairs per axis; none for one-axis rope.
        interleaved: the second of the two ways.

    Raises:
        ValueError: the sections do not add up.
    """
    if not sections:
        return np.zeros(half, np.int64)
    if sum(sections) != half:
        raise ValueError(f"sections {tuple(sections)} do not add up to {half} pairs")
    if not interleaved:
        return np.repeat(np.arange(len(sections)), sections)
    axes = np.zeros(half, np.int64)
    for axis in (1, 2):
        axes[[3 * n + axis for n in range(sections[axis])]] = axis
    return axes


def mrope_angles(
    positions: Ints,
    theta: float,
    head_dim: int,
    sections: Sequence[int],
    interleaved: bool = False,
    frequency: Floats | None = None,
) -> Floats:
    """Return the angle of every pair of a head, shape (tokens, head_dim // 2), in radians.

    Pair ``j`` turns by ``position * theta ** (-2 j / head_dim)``, the position being that on its
    axis (:func:`axes_of_pairs`). No sections: one-axis rope.

    Args:
        positions: (3, tokens), or (1, tokens) without sections.
        theta: base of the frequencies.
        head_dim: size of a head.
        sections: pairs per axis, adding up to ``head_dim // 2``.
        interleaved: whether the axes take turns.
        frequency: of each pair, where it is scaled (:mod:`fuzz.worker.rope_scaling`).
    """
    half = head_dim // 2
    if frequency is None:
        frequency = theta ** (-2.0 * np.arange(half, dtype=np.float64) / head_dim)
    axis = axes_of_pairs(half, sections, interleaved)
    result: Floats = positions[axis].T.astype(np.float64) * frequency
    return result


def vision_angles(
    grids: Sequence[tuple[int, int, int]],
    merge: int,
    head_dim: int,
    theta: float = 10_000.0,
    window: int = 0,
) -> Floats:
    """Return the angles of the vision tower's 2D rope, shape (patches, head_dim // 2).

    The first half of the pairs turns with the patch's row, the second with its column. Patches
    come cell by cell of the merged grid, as the processor lays them out; with window attention
    (arXiv:2502.13923, section 2.1.1) window by window, each cell by cell.

    Args:
        grids: (t, h, w) in patches, one per image.
        merge: patches along one side of a merged cell.
        head_dim: size of a vision head.
        theta: base of the frequencies (10,000 in the released vision towers).
        window: merged cells along one side of an attention window, 0 without windows.
    """
    quarter = head_dim // 4
    frequency = theta ** (-2.0 * np.arange(quarter, dtype=np.float64) / (head_dim // 2))
    places: list[tuple[int, int]] = []
    for t, h, w in grids:
        for _ in range(t):
            for cell_y, cell_x in _cells(h // merge, w // merge, window):
                for y in range(cell_y * merge, (cell_y + 1) * merge):
                    for x in range(cell_x * merge, (cell_x + 1) * merge):
                        places.append((y, x))
    where = np.array(places, dtype=np.float64).reshape(-1, 2)
    return np.concatenate([where[:, :1] * frequency, where[:, 1:] * frequency], axis=1)


def alternating_vision_angles(
    grids: Sequence[tuple[int, int]], head_dim: int, theta: float
) -> Floats:
    """Return the angles of Pixtral's 2D rope, shape (patches, head_dim // 2).

    Row and column take turns in one series of frequencies ``theta ** (-2 j / head_dim)``: even
    ``j`` turn with the row, odd ones with the column (arXiv:2410.07073, section 2.1). Released
    checkpoints in transformers' layout hold the row's pairs first, then the column's.

    Args:
        grids: (rows, columns) of patches, one per image, each row by row.
        head_dim: size of a vision head.
        theta: base of the frequencies.
    """
    frequency = theta ** (-2.0 * np.arange(head_dim // 2, dtype=np.float64) / head_dim)
    places = [(y, x) for rows, cols in grids for y in range(rows) for x in range(cols)]
    where = np.array(places, dtype=np.float64).reshape(-1, 2)
    turns = [where[:, :1] * frequency[0::2], where[:, 1:] * frequency[1::2]]
    return np.concatenate(turns, axis=1)


def _cells(rows: int, cols: int, window: int) -> list[tuple[int, int]]:
    """Return (row, column) of each merged cell, in the order in which the tower holds them."""
    side = window or max(rows, cols)
    return [
        (y, x)
        for top in range(0, rows, side)
        for left in range(0, cols, side)
        for y in range(top, min(top + side, rows))
        for x in range(left, min(left + side, cols))
    ]


def rotate(vectors: Floats, angles: Floats, pairs: str = "halves") -> Floats:
    """Turn each pair of each vector by its angle, and leave what is beyond the pairs.

    Pairs are (j, j + n) of the first 2 n elements (``halves``), or (2 j, 2 j + 1), as
    arXiv:2104.09864 has them and GLM (``neighbours``). DeepSeek's are neighbours and are put into
    halves as they turn (``neighbours_apart``): no score depends on the order of a head's elements,
    as long as queries and keys have the same.

    Args:
        vectors: (..., tokens, head_dim).
        angles: (tokens, n) or anything that broadcasts to it.
        pairs: which elements turn together, see :class:`fuzz.families.family.Family`.
    """
    turned: Floats = vectors.copy()
    n = angles.shape[-1]
    halves = slice(0, n), slice(n, 2 * n)
    neighbours = slice(0, 2 * n, 2), slice(1, 2 * n, 2)
    before = halves if pairs == "halves" else neighbours
    after = neighbours if pairs == "neighbours" else halves
    a, b = (vectors[..., part] for part in before)
    cos, sin = np.cos(angles), np.sin(angles)
    turned[..., after[0]], turned[..., after[1]] = a * cos - b * sin, b * cos + a * sin
    return turned
