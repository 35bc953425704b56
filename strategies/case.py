"""The Case: what was generated, as plain data that travels, is saved and is shrunk."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Protocol, TypeAlias, cast, get_args

Side: TypeAlias = Literal["left", "right"]
Entry: TypeAlias = Literal["forward", "forward-implicit", "generate", "generate-embeds"]
CacheKind: TypeAlias = Literal["dynamic", "static", "own", "quantized"]
Mode: TypeAlias = Literal["eval", "train"]

ENTRIES: Final[tuple[Entry, ...]] = get_args(Entry)
How: TypeAlias = Literal["greedy", "samples", "beams", "chunked", "lookup"]
HOWS: Final[tuple[How, ...]] = get_args(How)
CACHE_KINDS: Final[tuple[CacheKind, ...]] = get_args(CacheKind)
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
GAINS: Final[tuple[float, ...]] = (1.0, 0.3, 3.0)


class CaseError(ValueError):
    """A case's data does not have the form of a case; the message names the field."""


class Printer(Protocol):
    """What Hypothesis, and IPython, print with."""

    def text(self, text: str) -> None:
        """Print a text."""

    def break_(self) -> None:
        """Begin a new line."""


@dataclass(frozen=True, slots=True)
class Text:
    """A run of text tokens.

    Attributes:
        tokens: how many text tokens (0 or more).
    """

    tokens: int


@dataclass(frozen=True, slots=True)
class Image:
    """An image as the user hands it over, before any resizing.

    Attributes:
        width: pixels, before the processor.
        height: pixels, before the processor.
    """

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Video:
    """The frames of a video as they were sampled, before any resizing.

    Attributes:
        frames: how many (1 or more).
        width: pixels of each, before the processor.
        height: pixels of each, before the processor.
        seconds: that one temporal patch spans (``second_per_grid_ts``): frames in a temporal patch
            over frames per second. A multiple of :data:`TICK`.
    """

    frames: int
    width: int
    height: int
    seconds: float = 1.0


TICK: Final = 1 / 64
"""Seconds: float32 rounds none of its multiples, nor a temporal position made of one."""

Segment: TypeAlias = Text | Image | Video
Row: TypeAlias = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """An earlier call on the same model object.

    Attributes:
        row: its single prompt.
        entry: how it was made.
    """

    row: Row
    entry: Entry = "forward-implicit"


@dataclass(frozen=True, slots=True)
class Case:
    """One generated situation, complete: a worker needs nothing else to run it.

    Attributes:
        rows: the prompts of the batch, each a sequence of segments.
        side: which side shorter rows (and ``extra_padding``) are padded on.
        extra_padding: padding columns beyond what the longest row needs.
        entry: how the model is called. ``forward`` passes explicit ``position_ids``;
            ``forward-implicit`` leaves them to the model.
        mode: ``train`` is one forward with the tokens themselves as labels, and the backward pass
            of its loss.
        attention_mask: whether a mask is passed although no row is padded (a padded batch
            always gets one).
        cache: the kind of KV cache that the feeding below uses: ``dynamic`` keeps all tokens,
            ``static`` has its size from the start, ``own`` is what the model makes for itself
            (which slides where its attention does), ``quantized`` keeps books as one that rounds,
            and rounds nothing.
        cache_room: rows of a static cache beyond what the sequence needs.
        chunks: lengths, in columns of the padded batch, of the first prefill chunks; what
            remains is one more chunk. Lengths past the end are ignored.
        decode: tokens at the end that are fed one by one (``forward*``), or new tokens to be
            generated (``generate*``, at least 1 there).
        crop: tokens that are fed before the last piece and cropped away again.
        between: calls made on the same model object before the last piece, or the second turn:
            of other conversations.
        how: how ``generate`` goes about it: ``greedy``; ``samples``, two sequences a prompt, chosen
            by chance; ``beams``, two sequences a prompt of three beams; ``chunked``, the prompt
            prefilled in pieces of ``chunks[0]`` tokens; ``lookup``, guesses found in the prompt.
        turn: text tokens of a second turn, which goes on from the first one's cache; 0 for none.
        offset: added to every explicit position.
        gap: added to the explicit positions of each row from its token ``gap_at`` on.
        gap_at: the token of each row (padding not counted) at which ``gap`` starts.
        history: calls made on the same model object before.
        extra_placeholders: image placeholder tokens beyond (or, negative, short of) what the
            image's features fill; not 0 makes the case invalid.
        gain: factor on every weight matrix, relative to unit fan-in gain.
        seed: draws token ids and pixels.
    """

    rows: tuple[Row, ...] = ((Text(1),),)
    side: Side = "left"
    extra_padding: int = 0
    entry: Entry = "forward"
    mode: Mode = "eval"
    attention_mask: bool = True
    cache: CacheKind = "dynamic"
    cache_room: int = 0
    chunks: tuple[int, ...] = ()
    decode: int = 0
    crop: int = 0
    between: tuple[Call, ...] = ()
    how: How = "greedy"
    turn: int = 0
    offset: int = 0
    gap: int = 0
    gap_at: int = 0
    history: tuple[Call, ...] = ()
    extra_placeholders: int = 0
    gain: float = 1.0
    seed: int = 0

    def _repr_pretty_(self, printer: Printer, _cycle: bool) -> None:
        """Have Hypothesis print the case in words, and as Python that makes it again."""
        from strategies.words import describe  # which is about cases, and so imports this module

        printer.text(f"from_json(  # {describe(self)}")
        printer.break_()
        printer.text(f"    {to_json(self)!r})")


DEFAULT: Final = Case()


def images_of(row: Row) -> tuple[Image, ...]:
    """Return the images of a row, in order."""
    return tuple(s for s in row if isinstance(s, Image))


def videos_of(row: Row) -> tuple[Video, ...]:
    """Return the videos of a row, in order."""
    return tuple(s for s in row if isinstance(s, Video))


def visuals_of(row: Row) -> tuple[Image | Video, ...]:
    """Return the images and videos of a row, in order."""
    return tuple(s for s in row if not isinstance(s, Text))


def has_images(case: Case) -> bool:
    """Tell whether any row of the batch (not of the history) holds an image."""
    return any(images_of(row) for row in case.rows)


def has_videos(case: Case) -> bool:
    """Tell whether any row of the batch or of the history holds a video."""
    return any(videos_of(row) for row in (*case.rows, *(call.row for call in case.history)))


def has_visuals(case: Case) -> bool:
    """Tell whether any row of the batch (not of the history) holds an image or a video."""
    return any(visuals_of(row) for row in case.rows)


# --- plain data -------------------------------------------------------------------------


def to_plain(case: Case) -> dict[str, Any]:
    """Return the case as JSON-ready data; fields at their default are left out.

    Leaving defaults out keeps a minimized case short and makes what matters stand out.
    """
    plain: dict[str, Any] = {"rows": [_row_to_plain(row) for row in case.rows]}
    for f in fields(Case):
        value = getattr(case, f.name)
        if f.name == "rows" or value == getattr(DEFAULT, f.name):
            continue
        if f.name in ("history", "between"):
            value = [{"row": _row_to_plain(c.row), "entry": c.entry} for c in value]
        elif isinstance(value, tuple):
            value = list(value)
        plain[f.name] = value
    return plain


def to_json(case: Case) -> str:
    """Return the case as one line of JSON with sorted keys: equal cases give equal text."""
    return json.dumps(to_plain(case), sort_keys=True, separators=(",", ":"))


def from_plain(data: object) -> Case:
    """Build a case from JSON-ready data.

    Raises:
        CaseError: a field is missing, unknown, of the wrong type or out of range.
    """
    table = _mapping(data, "case")
    known = {f.name for f in fields(Case)}
    for name in table:
        if name not in known:
            raise CaseError(f"case has no field {name!r}")
    if "rows" not in table:
        raise CaseError("case lacks the field 'rows'")
    values: dict[str, Any] = {}
    for name, value in table.items():
        values[name] = _FIELDS[name](value, name)
    return Case(**values)


def from_json(text: str) -> Case:
    """Build a case from its JSON text.

    Raises:
        CaseError: the text is not JSON, or not a case.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CaseError(f"case is not JSON: {error}") from None
    return from_plain(data)


def _row_to_plain(row: Row) -> list[dict[str, Any]]:
    return [_segment_to_plain(s) for s in row]


def _segment_to_plain(segment: Segment) -> dict[str, Any]:
    match segment:
        case Text(tokens):
            return {"text": tokens}
        case Image(width, height):
            return {"image": [width, height]}
        case Video(frames, width, height, seconds):
            plain: dict[str, Any] = {"video": [frames, width, height]}
            return plain if seconds == 1.0 else {**plain, "seconds": seconds}


def _mapping(data: object, where: str) -> Mapping[str, object]:
    if not isinstance(data, dict):
        raise CaseError(f"{where}: expected an object, got {_kind(data)}")
    return data


def _list(data: object, where: str) -> list[object]:
    if not isinstance(data, list):
        raise CaseError(f"{where}: expected a list, got {_kind(data)}")
    return data


def _integer(data: object, where: str, low: int | None = None) -> int:
    if not isinstance(data, int) or isinstance(data, bool):
        raise CaseError(f"{where}: expected a whole number, got {_kind(data)}")
    if low is not None and data < low:
        raise CaseError(f"{where}: expected {low} or more, got {data}")
    return data


def _natural(data: object, where: str) -> int:
    return _integer(data, where, 0)


def _number(data: object, where: str) -> float:
    # Infinity and NaN pass Python's JSON reader, but nobody else's.
    is_number = isinstance(data, (int, float)) and not isinstance(data, bool)
    if is_number and 0 < (number := cast(float, data)) <= sys.float_info.max:
        return float(number)
    raise CaseError(f"{where}: expected a finite number above 0, got {_kind(data)}")


def _truth(data: object, where: str) -> bool:
    if not isinstance(data, bool):
        raise CaseError(f"{where}: expected true or false, got {_kind(data)}")
    return data


def _one_of(*allowed: str) -> Callable[[object, str], Any]:
    def read(data: object, where: str) -> str:
        if data not in allowed:
            raise CaseError(f"{where}: expected one of {', '.join(allowed)}, got {_kind(data)}")
        return str(data)

    return read


def _segment(data: object, where: str) -> Segment:
    table = _mapping(data, where)
    match dict(table):
        case {"text": n, **rest} if not rest:
            return Text(_natural(n, f"{where}.text"))
        case {"image": [w, h], **rest} if not rest:
            return Image(_natural(w, f"{where}.image"), _natural(h, f"{where}.image"))
        case {"video": [n, w, h], **rest} if set(rest) <= {"seconds"}:
            here = f"{where}.video"
            sizes = _integer(n, here, 1), _natural(w, here), _natural(h, here)
            return Video(*sizes, _ticks(rest.get("seconds", 1.0), f"{where}.seconds"))
    raise CaseError(
        f'{where}: expected {{"text": n}}, {{"image": [width, height]}} or '
        f'{{"video": [frames, width, height]}}, got {_kind(data)}'
    )


def _ticks(data: object, where: str) -> float:
    seconds = _number(data, where)
    if seconds % TICK:
        raise CaseError(f"{where}: expected a multiple of 1/64 second, got {_kind(data)}")
    return seconds


def _row(data: object, where: str) -> Row:
    return tuple(_segment(s, f"{where}[{i}]") for i, s in enumerate(_list(data, where)))


def _rows(data: object, where: str) -> tuple[Row, ...]:
    rows = tuple(_row(r, f"{where}[{i}]") for i, r in enumerate(_list(data, where)))
    if not rows:
        raise CaseError(f"{where}: expected at least one row")
    return rows


def _chunks(data: object, where: str) -> tuple[int, ...]:
    return tuple(_integer(n, f"{where}[{i}]", 1) for i, n in enumerate(_list(data, where)))


def _calls(data: object, where: str) -> tuple[Call, ...]:
    calls = []
    for i, item in enumerate(_list(data, where)):
        here = f"{where}[{i}]"
        table = _mapping(item, here)
        if set(table) != {"row", "entry"}:
            raise CaseError(f"{here}: expected the fields 'row' and 'entry', got {sorted(table)}")
        entry = _one_of(*ENTRIES)(table["entry"], f"{here}.entry")
        calls.append(Call(_row(table["row"], f"{here}.row"), entry))
    return tuple(calls)


def _kind(data: object) -> str:
    text = repr(data)
    return text if len(text) <= 40 else f"{text[:37]}..."


_FIELDS: Final[dict[str, Any]] = {
    "rows": _rows,
    "side": _one_of(*get_args(Side)),
    "extra_padding": _natural,
    "entry": _one_of(*ENTRIES),
    "mode": _one_of(*MODES),
    "attention_mask": _truth,
    "cache": _one_of(*CACHE_KINDS),
    "cache_room": _natural,
    "chunks": _chunks,
    "decode": _natural,
    "crop": _natural,
    "between": _calls,
    "how": _one_of(*HOWS),
    "turn": _natural,
    "offset": _natural,
    "gap": _natural,
    "gap_at": _natural,
    "history": _calls,
    "extra_placeholders": _integer,
    "gain": _number,
    "seed": _natural,
}
