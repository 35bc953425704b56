"""rotary_reference: how queries and keys turn, in the decoder and in the vision tower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from fuzz.errors import UsageProblem
from fuzz.repro.blocks import DECODER
from fuzz.repro.calls import feed_of
from fuzz.repro.facts import Facts, geometry_of
from fuzz.repro.layout import literal
from fuzz.repro.prompts import batch_of
from fuzz.repro.writer import Body, Writer
from strategies.case import Case

TURNS: Final = (
    "def turns(model, inputs):  # queries and keys before and after they turn",
    f"    seen, text = [], {DECODER}",
    "    module = sys.modules[type(text).__module__]",
    '    names = re.compile("apply_(multimodal_)?rotary_pos_emb")',
    "    name = min(filter(names.fullmatch, dir(module)))",
    "    old = getattr(module, name)",
    "    turn = lambda *args, **more: seen.append((args[:2], old(*args, **more))) or seen[-1][1]",
    "    setattr(module, name, turn)",
    "    model(**inputs, use_cache=False)",
    "    return seen",
)
TURNS_OF_IMAGES: Final = (
    "def turns(model, inputs):  # queries and keys of patches before and after they turn",
    '    tower = next(m for n, m in model.named_modules() if n.endswith("visual"))',
    "    module, seen = sys.modules[type(tower).__module__], []",
    "    old = module.apply_rotary_pos_emb_vision",
    "    turn = lambda *args: seen.append((args, old(*args))) or seen[-1][1]",
    "    module.apply_rotary_pos_emb_vision = turn",
    "    model(**inputs, use_cache=False)",
    "    return seen",
)


@dataclass(frozen=True, slots=True)
class Rope:
    """A decoder's rotation, as its configuration states it.

    Attributes:
        base: of the frequencies.
        pairs: of a head that turn.
        axes: which axis of positions each pair turns with, none where there is one.
        halves: whether pairs lie in two halves; else they are neighbours.
    """

    base: float
    pairs: int
    axes: tuple[int, ...]
    halves: bool


def rope_of(facts: Facts) -> Rope:
    """Read a family's rotation.

    Raises:
        UsageProblem: it is scaled, or of a form that scripts do not have.
    """
    config = facts.family.config
    text: Mapping[str, Any] = config.get("text_config", config)
    table = text.get("rope_parameters") or text.get("rope_scaling") or {}
    kind = table.get("rope_type", table.get("type", "default"))
    known = kind in ("default", "mrope") and "rope_local_base_freq" not in text
    if not known or facts.family.pairs == "neighbours_apart" or facts.axes > 3:
        raise UsageProblem(f"the rotation of {facts.family.name} is not supported in scripts")
    head = text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"]
    part = table.get("partial_rotary_factor", text.get("partial_rotary_factor", 1.0))
    pairs = int(head * part) // 2
    base = table.get("rope_theta", text.get("rope_theta", 10_000.0))
    axes = _axes(pairs, table.get("mrope_section", ()), bool(table.get("mrope_interleaved")))
    return Rope(base, pairs, axes, facts.family.pairs == "halves")


def _axes(pairs: int, sections: Sequence[int], interleaved: bool) -> tuple[int, ...]:
    """Return the axis of each pair: in chunks (arXiv:2409.12191) or by turns (arXiv:2511.21631)."""
    if not interleaved:
        return tuple(axis for axis, count in enumerate(sections) for _ in range(count))
    axes = [0] * pairs
    for axis in (1, 2):
        for n in range(sections[axis]):
            axes[3 * n + axis] = axis
    return tuple(axes)


def text_body(w: Writer) -> Body:
    """Return what is run where queries or keys of the decoder turn by other angles."""
    rope, case, row = rope_of(w.facts), w.saved.case, w.row()
    batch = batch_of(w.facts, case)
    if case.entry != "forward" or feed_of(w.facts, case, batch, split=True).cache:
        raise UsageProblem("text rotation over several calls is not supported in scripts")
    n = rope.pairs
    parts = (f":{n}", f"{n}:{2 * n}") if rope.halves else (f"0:{2 * n}:2", f"1:{2 * n}:2")
    where = f"[{_written(rope.axes)}].permute(1, 2, 0)" if rope.axes else "[..., None]"
    joined = "torch.cat(turned, dim=-1)"
    if not rope.halves:
        joined = "torch.stack(turned, dim=-1).flatten(-2)"
    rule = (
        f"def rule(x, places):  # pair j turns by position * base ** (-j / {n})",
        f"    angle = places{where} * {rope.base:g} ** (-torch.arange({n}.0) / {n})",
        "    cos, sin = angle.cos()[:, None], angle.sin()[:, None]",
        f"    a, b = x[..., {parts[0]}], x[..., {parts[1]}]",
        "    turned = a * cos - b * sin, b * cos + a * sin",
        f"    return torch.cat([{joined}, x[..., {2 * n} :]], dim=-1)",
    )
    w.model()
    w.inputs(case, batch)
    pick = f"[{row}].flatten()" if len(case.rows) > 1 else ".flatten()"
    w.lines += [
        "seen = turns(model, inputs)",
        f"got = torch.cat([x{pick} for _, after in seen for x in after])",
        'places = inputs["position_ids"]',
        f"expected = torch.cat([rule(x, places){pick} for before, _ in seen for x in before])",
    ]
    body = w.body("in a turned query or key", "by the published rule")
    return replace(body, functions=(TURNS, rule), noun="number", plain=True)


def _written(axes: Sequence[int]) -> str:
    parts = [f"[{axis}] * {axes.count(axis)}" for axis in sorted(set(axes))]
    return " + ".join(parts) if list(axes) == sorted(axes) else literal(list(axes))


def images_body(w: Writer) -> Body:
    """Return what is run where queries or keys of the vision tower turn by other angles.

    Raises:
        UsageProblem: the tower turns in a way that scripts do not have.
    """
    family, batch = w.facts.family, batch_of(w.facts, w.saved.case)
    if family.placing != "grid" or (batch.pictures and batch.films):
        raise UsageProblem(f"vision rotation of {family.name} is not supported in scripts")
    vision, m = family.config["vision_config"], geometry_of(family).merge
    width = vision.get("embed_dim") or vision["hidden_size"]
    quarter = width // vision.get("num_heads", vision.get("num_attention_heads")) // 4
    name = "image_grid_thw" if batch.pictures else "video_grid_thw"
    cells = f"for y in range(0, h, {m}) for x in range(0, w, {m})"
    if window := vision.get("window_size"):
        s = window // vision["patch_size"]
        inside = f"for y in range(a, min(a + {s}, h), {m}) for x in range(b, min(b + {s}, w), {m})"
        cells = f"for a in range(0, h, {s}) for b in range(0, w, {s}) {inside}"
    first, last = cells.rsplit(" for ", 1)
    rule = (
        "def rule(x, grids):  # half of the pairs turns with a patch's row, half with its column",
        f"    places = [[y + i, x + j] for t, h, w in grids for _ in range(t) {first}",
        f"        for {last} for i in range({m}) for j in range({m})]",
        f"    frequency = 1e4 ** (-torch.arange({quarter}.0) / {quarter})",
        "    angle = (torch.tensor(places)[..., None] * frequency).flatten(1)[:, None]",
        "    (a, b), cos, sin = x.chunk(2, dim=-1), angle.cos(), angle.sin()",
        "    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)",
    )
    w.model()
    w.inputs(Case(entry="forward-implicit"), batch)
    w.lines += [
        "seen = turns(model, inputs)",
        "got = torch.cat([after.flatten() for _, out in seen for after in out])",
        f'grids = inputs["{name}"].tolist()',
        "both = [x.flatten(0, -3) for before, out in seen for x, _ in zip(before, out)]",
        "expected = torch.cat([rule(x, grids).flatten() for x in both])",
    ]
    body = w.body("in a turned query or key of a patch", "by the published rule")
    return replace(body, functions=(TURNS_OF_IMAGES, rule), noun="number", plain=True)
