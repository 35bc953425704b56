"""Finding out where in a plane a failure is, in few runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Point: TypeAlias = tuple[int, int]
Mark: TypeAlias = Literal["fails", "passes", "refused", "other", "invalid"]
Judge: TypeAlias = Callable[[Point], Mark]

LINES: Final = 9
"""Lines of the coarse grid along an axis: what is smaller than its meshes can be missed."""


@dataclass(slots=True)
class Swept:
    """What is known of a plane.

    Attributes:
        marks: every point, with what it does.
        ran: the points that were run; the others do as those that they stand with.
        classes: how many kinds of points there were, 0 where none were known.
    """

    marks: dict[Point, Mark] = field(default_factory=dict)
    ran: set[Point] = field(default_factory=set)
    classes: int = 0


def sweep(
    xs: Sequence[int],
    ys: Sequence[int],
    judge: Judge,
    kinds: Mapping[Point, Hashable] | None = None,
) -> Swept:
    """Find out what every point of a plane does.

    Where kinds of points are known that should all do the same, each kind is run at three points:
    its smallest, its middle and its largest. If these do not agree for any of them, the kinds mean
    nothing for this failure, and the plane is refined instead.

    Args:
        xs: values of the first axis, ascending.
        ys: values of the second axis, ascending.
        judge: runs one point; it is asked once for each.
        kinds: the kind of each point, None where nothing is known.
    """
    swept = Swept()

    def at(point: Point) -> Mark:
        if point not in swept.marks or point not in swept.ran:
            swept.ran.add(point)
            swept.marks[point] = judge(point)
        return swept.marks[point]

    if kinds is not None and _by_kind(swept, kinds, at):
        return swept
    swept.marks = {p: swept.marks[p] for p in swept.ran}
    swept.classes = 0
    _refine_all(swept, xs, ys, at)
    return swept


def _by_kind(swept: Swept, kinds: Mapping[Point, Hashable], at: Judge) -> bool:
    members: dict[Hashable, list[Point]] = {}
    for point in sorted(kinds, key=lambda p: (p[0] + p[1], p)):
        members.setdefault(kinds[point], []).append(point)
    swept.classes = len(members)
    for group in members.values():
        tried = (group[0], group[len(group) // 2], group[-1])
        marks = {at(point) for point in tried}
        if len(marks) > 1:
            return False
        swept.marks.update(dict.fromkeys(group, marks.pop()))
    return True


def _refine_all(swept: Swept, xs: Sequence[int], ys: Sequence[int], at: Judge) -> None:
    columns, rows = _coarse(len(xs)), _coarse(len(ys))
    boxes = [
        (a, b, c, d)
        for a, b in zip(columns, columns[1:] or columns, strict=False)
        for c, d in zip(rows, rows[1:] or rows, strict=False)
    ]
    while boxes:
        a, b, c, d = boxes.pop()
        marks = {at((xs[i], ys[j])) for i in (a, b) for j in (c, d)}
        if len(marks) == 1:
            mark = marks.pop()
            for i in range(a, b + 1):
                for j in range(c, d + 1):
                    swept.marks.setdefault((xs[i], ys[j]), mark)
            continue
        i, j = (a + b) // 2, (c + d) // 2
        across = [(a, i), (i, b)] if b - a > 1 else [(a, b)]
        down = [(c, j), (j, d)] if d - c > 1 else [(c, d)]
        if len(across) + len(down) > 2:
            boxes += [(*x, *y) for x in across for y in down]


def _coarse(count: int) -> list[int]:
    """Return the indices of the coarse grid's lines, the ends among them, closer at the start."""
    last = count - 1
    spread = {round(last * (k / (LINES - 1)) ** 1.5) for k in range(LINES)}
    return sorted(spread | {min(1, last)})
