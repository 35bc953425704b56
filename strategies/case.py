"""The Case: what was generated, as plain data that travels, is saved and is shrunk."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

from strategies.reading import (
    CaseError,
    as_integer,
    as_list,
    as_natural,
    as_number,
    as_object,
    as_truth,
    one_of,
    shown,
)

Side: TypeAlias = Literal["left", "right"]
Entry: TypeAlias = Literal["forward", "forward-implicit", "generate", "generate-embeds"]
CacheKind: TypeAlias = Literal["dynamic", "static", "own", "quantized"]
Mode: TypeAlias = Literal["eval", "train"]

ENTRIES: Final[tuple[Entry, ...]] = get_args(Entry)
How: TypeAlias = Literal["greedy", "samples", "beams", "chunked", "lookup", "assisted"]
HOWS: Final[tuple[How, ...]] = get_args(How)
GUESSING: Final[tuple[How, ...]] = ("lookup", "assisted")
"""Those in which several new tokens are guessed, and what is wrong of them is taken back."""
CACHE_KINDS: Final[tuple[CacheKind, ...]] = get_args(CacheKind)
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
GAINS: Final[tuple[float, ...]] = (1.0, 0.3, 3.0)


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


@dataclass(frozen=True, slots=True)
class Audio:
    """A recording of one channel, as the user hands it over.

    Attributes:
        samples: how many, :data:`RATE` a second (1 or more).
    """

    samples: int


TICK: Final = 1 / 64
"""Seconds: float32 rounds none of its multiples, nor a temporal position made of one."""
RATE: Final = 16_000
"""Samples of a second of audio, as the models' feature extractors ask for them."""

Segment: TypeAlias = Text | Image | Video | Audio
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
            prefilled in pieces of ``chunks[0]`` tokens; ``lookup``, guesses found in the prompt;
            ``assisted``, guesses of an assistant, a model of the same config with other weights.
        turn: text tokens of a second turn, which goes on from the first one's cache.
        turn_image: an image of that turn, before its text; a turn of neither is none.
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
    turn_image: Image | None = None
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
    return tuple(s for s in row if isinstance(s, (Image, Video)))


def media_of(row: Row) -> tuple[Image | Video | Audio, ...]:
    """Return the images, videos and recordings of a row, in order."""
    return tuple(s for s in row if not isinstance(s, Text))


def has_turn(case: Case) -> bool:
    """Tell whether there is a second turn."""
    return case.turn > 0 or case.turn_image is not None


def has_images(case: Case) -> bool:
    """Tell whether any row of the batch (not of the history) holds an image."""
    return any(images_of(row) for row in case.rows)


def has_videos(case: Case) -> bool:
    """Tell whether any row of the batch or of the history holds a video."""
    return any(videos_of(row) for row in (*case.rows, *(call.row for call in case.history)))


def has_visuals(case: Case) -> bool:
    """Tell whether any row of the batch (not of the history) holds an image or a video."""
    return any(visuals_of(row) for row in case.rows)


def has_audio(case: Case) -> bool:
    """Tell whether any row of the batch or of the history holds audio."""
    rows = (*case.rows, *(call.row for call in case.history))
    return any(isinstance(s, Audio) for row in rows for s in row)


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
        elif isinstance(value, Image):
            value = [value.width, value.height]
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
    table = as_object(data, "case")
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
        case Audio(samples):
            return {"audio": samples}


def _segment(data: object, where: str) -> Segment:
    table = as_object(data, where)
    match dict(table):
        case {"text": n, **rest} if not rest:
            return Text(as_natural(n, f"{where}.text"))
        case {"image": [_, _] as sides, **rest} if not rest:
            return _image(sides, f"{where}.image")
        case {"video": [n, w, h], **rest} if set(rest) <= {"seconds"}:
            here = f"{where}.video"
            sizes = as_integer(n, here, 1), as_natural(w, here), as_natural(h, here)
            return Video(*sizes, _ticks(rest.get("seconds", 1.0), f"{where}.seconds"))
        case {"audio": n, **rest} if not rest:
            return Audio(as_integer(n, f"{where}.audio", 1))
    raise CaseError(
        f'{where}: expected {{"text": n}}, {{"image": [width, height]}}, '
        f'{{"video": [frames, width, height]}} or {{"audio": samples}}, got {shown(data)}'
    )


def _ticks(data: object, where: str) -> float:
    seconds = as_number(data, where)
    if seconds % TICK:
        raise CaseError(f"{where}: expected a multiple of 1/64 second, got {shown(data)}")
    return seconds


def _row(data: object, where: str) -> Row:
    return tuple(_segment(s, f"{where}[{i}]") for i, s in enumerate(as_list(data, where)))


def _rows(data: object, where: str) -> tuple[Row, ...]:
    rows = tuple(_row(r, f"{where}[{i}]") for i, r in enumerate(as_list(data, where)))
    if not rows:
        raise CaseError(f"{where}: expected at least one row")
    return rows


def _image(data: object, where: str) -> Image:
    sides = as_list(data, where)
    if len(sides) != 2:
        raise CaseError(f"{where}: expected [width, height], got {shown(data)}")
    width, height = sides
    return Image(as_natural(width, where), as_natural(height, where))


def _chunks(data: object, where: str) -> tuple[int, ...]:
    return tuple(as_integer(n, f"{where}[{i}]", 1) for i, n in enumerate(as_list(data, where)))


def _calls(data: object, where: str) -> tuple[Call, ...]:
    calls = []
    for i, item in enumerate(as_list(data, where)):
        here = f"{where}[{i}]"
        table = as_object(item, here)
        if set(table) != {"row", "entry"}:
            raise CaseError(f"{here}: expected the fields 'row' and 'entry', got {sorted(table)}")
        entry = one_of(*ENTRIES)(table["entry"], f"{here}.entry")
        calls.append(Call(_row(table["row"], f"{here}.row"), entry))
    return tuple(calls)


_FIELDS: Final[dict[str, Any]] = {
    "rows": _rows,
    "side": one_of(*get_args(Side)),
    "extra_padding": as_natural,
    "entry": one_of(*ENTRIES),
    "mode": one_of(*MODES),
    "attention_mask": as_truth,
    "cache": one_of(*CACHE_KINDS),
    "cache_room": as_natural,
    "chunks": _chunks,
    "decode": as_natural,
    "crop": as_natural,
    "between": _calls,
    "how": one_of(*HOWS),
    "turn": as_natural,
    "turn_image": _image,
    "offset": as_natural,
    "gap": as_natural,
    "gap_at": as_natural,
    "history": _calls,
    "extra_placeholders": as_integer,
    "gain": as_number,
    "seed": as_natural,
}
