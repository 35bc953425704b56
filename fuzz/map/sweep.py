"""Finding out where in a plane a failure is, in few runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Point: TypeAlias = tuple[int, int]
Mark: TypeAlias = Literal["fails", "passes", "refused", "other", "invalid", "unjudged"]
Judge: TypeAlias = Callable[[Point], Mark]
_Box: TypeAlias = tuple[int, int, int, int]

LINES: Final = 9
"""Lines of the coarse grid along an axis: what is smaller than its meshes can be missed."""
MOST_LINES: Final = 24
"""Lines along an axis where it is known at which values behaviour can change."""

MOST_POINTS: Final = 250_000
"""Points of a plane; what is larger no one looks at."""


@dataclass(slots=True)
class Swept:
    """What is known of a plane.

    Attributes:
        marks: every point, with what it does.
        ran: the points that were run; the others do as those that they stand with.
        classes: how many kinds of points there were, 0 where none were known.
        stopped: whether Ctrl-C ended it; what was not reached is ``unjudged``.
    """

    marks: dict[Point, Mark] = field(default_factory=dict)
    ran: set[Point] = field(default_factory=set)
    classes: int = 0
    stopped: bool = False


def sweep(
    xs: Sequence[int],
    ys: Sequence[int],
    judge: Judge,
    kinds: Mapping[Point, Hashable] | None = None,
    turns: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> Swept:
    """Find out what every point of a plane does.

    Where kinds of points are known that should all do the same, each kind is run at three points:
    its smallest, its middle and its largest. If these do not agree for any of them, the kinds mean
    nothing for this failure, and the plane is refined instead. Refining, an edge that was met
    anywhere is followed to its ends: neighbours that differ were both run. Ctrl-C keeps what is
    known by then.

    Args:
        xs: values of the first axis, ascending.
        ys: values of the second axis, ascending.
        judge: runs one point; it is asked once for each.
        kinds: the kind of each point, None where nothing is known.
        turns: values of each axis at which behaviour can change: there the coarse grid lies.
    """
    swept = Swept()

    def at(point: Point) -> Mark:
        if point not in swept.ran:
            mark = judge(point)
            swept.marks[point] = mark
            swept.ran.add(point)
        return swept.marks[point]

    try:
        if kinds is not None and _by_kind(swept, kinds, at):
            return swept
        swept.marks = {p: swept.marks[p] for p in swept.ran}
        swept.classes = 0
        _refine_all(swept, xs, ys, at, turns)
    except KeyboardInterrupt:
        swept.stopped = True
        for x in xs:
            for y in ys:
                swept.marks.setdefault((x, y), "unjudged")
    return swept


def _by_kind(swept: Swept, kinds: Mapping[Point, Hashable], at: Judge) -> bool:
    members: dict[Hashable, list[Point]] = {}
    for point in sorted(kinds, key=lambda p: (p[0] + p[1], p)):
        members.setdefault(kinds[point], []).append(point)
    swept.classes = len(members)
    for group in members.values():
        tried = (group[0], group[len(group) // 2], group[-1])
        # A run that gave no verdict says nothing against its kind.
        marks = {at(point) for point in tried} - {"unjudged"}
        if len(marks) > 1:
            return False
        mark: Mark = marks.pop() if marks else "unjudged"
        for point in group:
            swept.marks.setdefault(point, mark)
    return True


def _refine_all(
    swept: Swept,
    xs: Sequence[int],
    ys: Sequence[int],
    at: Judge,
    turns: tuple[Sequence[int], Sequence[int]],
) -> None:
    columns, rows = _coarse(xs, turns[0]), _coarse(ys, turns[1])
    boxes: list[_Box] = [
        (a, b, c, d)
        for a, b in zip(columns, columns[1:] or columns, strict=False)
        for c, d in zip(rows, rows[1:] or rows, strict=False)
    ]
    alike: list[_Box] = []
    try:
        while boxes:
            while boxes:
                box = boxes.pop()
                a, b, c, d = box
                if len({at((xs[i], ys[j])) for i in (a, b) for j in (c, d)}) == 1:
                    alike.append(box)
                else:
                    boxes += _parts(box)
            # A box shares its border with its neighbours, whose refinement may have met there an
            # edge that none of its own corners shows.
            kept: list[_Box] = []
            for box in alike:
                found = {swept.marks[p] for p in _border(box, xs, ys) if p in swept.ran}
                if len(found) > 1:
                    boxes += _parts(box)
                else:
                    kept.append(box)
            alike = kept
    finally:
        for a, b, c, d in alike:
            mark = swept.marks[xs[a], ys[c]]
            for i in range(a, b + 1):
                for j in range(c, d + 1):
                    swept.marks.setdefault((xs[i], ys[j]), mark)


def _parts(box: _Box) -> list[_Box]:
    """Cut a box in four, or in two where it is one step thin; nothing of a single mesh is left."""
    a, b, c, d = box
    i, j = (a + b) // 2, (c + d) // 2
    across = [(a, i), (i, b)] if b - a > 1 else [(a, b)]
    down = [(c, j), (j, d)] if d - c > 1 else [(c, d)]
    if len(across) + len(down) == 2:
        return []
    return [(*x, *y) for x in across for y in down]


def _border(box: _Box, xs: Sequence[int], ys: Sequence[int]) -> Iterator[Point]:
    a, b, c, d = box
    for i in range(a, b + 1):
        yield xs[i], ys[c]
        yield xs[i], ys[d]
    for j in range(c, d + 1):
        yield xs[a], ys[j]
        yield xs[b], ys[j]


def _coarse(values: Sequence[int], turns: Sequence[int]) -> list[int]:
    """Return the indices of the coarse grid's lines, the ends among them, closer at the start."""
    last = len(values) - 1
    places = [i for i, value in enumerate(values) if value in set(turns)]
    if places:
        chosen = set(places[:: -(-len(places) // MOST_LINES)])
    else:
        chosen = {round(last * (k / (LINES - 1)) ** 1.5) for k in range(LINES)}
    return sorted(chosen | {0, min(1, last), last})
