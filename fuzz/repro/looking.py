"""visibility and image_independence: what a token, or an image, leaves in others."""

from __future__ import annotations

import re
from dataclasses import replace

from fuzz.errors import UsageProblem
from fuzz.repro import calls
from fuzz.repro.blocks import DECODER
from fuzz.repro.facts import geometry_of
from fuzz.repro.layout import literal
from fuzz.repro.prompts import Prompt, batch_of, collate, prompt_of, tokens_of
from fuzz.repro.writer import Body, Writer
from strategies.case import Case, Text, Video

COOL = 0.3
"""Gain of the weights that ``visibility`` looks at, whatever a case says."""

FIRST_LAYER = (
    "def look(model, inputs):  # what attention of the first layer gives",
    "    seen = []",
    f"    text = {DECODER}",
    "    text.layers[0].self_attn.register_forward_hook(lambda m, a, out: seen.append(out[0]))",
    "    model(**inputs, use_cache=False)",
    '    return seen[0].reshape(len(inputs["input_ids"][0]), -1)',
)


def visibility_body(w: Writer) -> Body:
    """Return what is run for a finding of ``visibility``.

    Raises:
        UsageProblem: the message names no token.
    """
    facts, saved = w.facts, w.saved
    case = Case(entry="forward-implicit", gain=COOL)
    prompt = prompt_of(facts, saved.case.rows[0], saved.case.seed)
    said = re.search(
        r"(text token|(?:frame (\d+) of )?image) (\d+) changed, and the (\w+) of token (\d+)",
        saved.message,
    )
    if saved.signature.verdict != "fail":
        w.model()
        batch = collate(facts, [prompt])
        w.inputs(case, batch)
        w.call(case, batch, split=False)
        return w.body()
    if said is None:
        raise UsageProblem(f"visibility of {saved.signature.what} is not supported in scripts")
    changed, token = int(said[3]), int(said[5])
    w.model()
    w.inputs(case, collate(facts, [prompt]))
    if said[1] == "text token":
        ids = list(prompt.ids)
        ids[changed] = (ids[changed] + 1) % facts.limit
        w.lines.append(f'changed = {{**inputs, "input_ids": torch.tensor([{literal(ids)}])}}')
    else:
        w.lines += _other_pixels(w, prompt, changed, int(said[2]) if said[2] else None)
    first = said[4] == "attention"
    pick = f"[{token}:{token + 1}]"
    for into, name in (("expected", "inputs"), ("got", "changed")):
        w.model()
        call = f"look(model, {name})" if first else f"model(**{name}, use_cache=False).logits[0]"
        w.lines.append(f"{into} = {call}{pick}")
    what = f"of token {token} with another {said[1]} {changed}"
    return replace(
        w.body(what, "before the change"),
        functions=(FIRST_LAYER,) if first else (),
        noun="value" if first else "logit",
        moves="did not move" in saved.message,
        plain=True,
    )


def _other_pixels(w: Writer, prompt: Prompt, number: int, frame: int | None) -> list[str]:
    """Return lines that draw an image, or a frame of a video, anew into other inputs."""
    kinds = [bool(visual.films) for visual in prompt.visuals]
    films = kinds[number]
    drawn = prompt.films if films else prompt.pictures
    at = kinds[:number].count(films)
    rows = [p.shape[0] for p in drawn]
    span = f"{sum(rows[:at])}:{sum(rows[: at + 1])}"
    name = "pixel_values_videos" if films else "pixel_values"
    lines = [f'other = inputs["{name}"].clone()']
    if w.facts.family.placing == "crossing":
        lines.append(f"other[:, {number}] *= -1")
    elif frame is None:
        lines.append(f"other[{span}] *= -1")
    else:
        t, h, v = drawn[at].grid
        deep = geometry_of(w.facts.family).temporal_patch
        video = [s for s in w.saved.case.rows[0] if not isinstance(s, Text)][number]
        # The last frame fills up its temporal patch.
        last = isinstance(video, Video) and frame == video.frames - 1
        place = f"{frame // deep}, :, :, {frame % deep}{':' if last else ''}"
        lines += [
            f"frames = other[{span}].view({t}, {h * v}, 3, {deep}, -1)",
            f"frames[{place}] *= -1",
        ]
    return [*lines, f'changed = {{**inputs, "{name}": other}}']


def image_body(w: Writer) -> Body:
    """Return what is run for a finding of ``image_independence``.

    Raises:
        UsageProblem: the message names no image.
    """
    facts, saved = w.facts, w.saved
    case = Case(entry="forward-implicit", gain=saved.case.gain)
    w.again = True
    together = batch_of(facts, replace(saved.case, extra_padding=0, side="left"))
    # The tower is called for the images first, then for the videos.
    alone = [visual for prompt in together.prompts for visual in prompt.visuals]
    order = sorted(range(len(alone)), key=lambda n: bool(alone[n].films))
    found = re.search(
        r"features of (?:image|video) (\d+) of \d+(?:, temporal patch (\d+))?", saved.message
    )
    if w.compares and found is None:
        raise UsageProblem(f"comparing {saved.signature.what} is not supported in scripts")
    number = int(found[1]) if found else 0
    kind = "video" if alone[number].films else "image"
    w.model()
    if found is not None and found[2]:
        return _step(w, alone[number], int(found[2]))
    w.inputs(case, together)
    start = sum(_features_of(w, alone[n]) for n in order[: order.index(number)])
    end = start + _features_of(w, alone[number])
    w.lines.append(f"got = features(model, inputs)[{start}:{end}]")
    w.model()
    w.inputs(case, collate(facts, [alone[number]]), "alone")
    w.lines.append("expected = features(model, alone)")
    return replace(
        w.body(f"of {kind} {number} beside others", f"of the {kind} alone"),
        functions=(_features(w),),
        noun="feature",
        plain=True,
    )


def _features_of(w: Writer, visual: Prompt) -> int:
    """Return how many features leave the tower for an image or a video."""
    (picture,) = (*visual.pictures, *visual.films)
    if not visual.films:
        return picture.cells
    t, h, v = picture.grid
    return int(t * h * v // geometry_of(w.facts.family).merge ** 2)


def _step(w: Writer, video: Prompt, step: int) -> Body:
    """Return what is run where a temporal patch of a video differs from the same one alone."""
    (film,) = video.films
    case = Case(entry="forward-implicit", gain=w.saved.case.gain)
    rows, t = film.shape[0] // film.grid[0], film.grid[0]
    w.inputs(case, collate(w.facts, [video]))
    w.lines.append(f"got = features(model, inputs).chunk({t})[{step}]")
    one = replace(film, shape=(rows, *film.shape[1:]), grid=(1, *film.grid[1:]))
    ids, types = tokens_of(w.facts, replace(one, cells=film.cells // t))
    alone = Prompt(tuple(ids), films=(one,), types=tuple(types), spans=((0, len(ids)),))
    pixels = f"frames[{step * rows}:{(step + 1) * rows}]"
    w.model()
    w.lines += calls.inputs_of(w.facts, collate(w.facts, [alone]), "alone", "", pixels)
    w.lines.append("expected = features(model, alone)")
    return replace(
        w.body(f"of temporal patch {step} of a video", "of that patch alone"),
        functions=(_features(w),),
        noun="feature",
        plain=True,
    )


def _features(w: Writer) -> tuple[str, ...]:
    """Return the function that gives what leaves the vision tower, image after image."""
    if w.facts.family.placing == "grid":
        find = 'n.endswith("visual.merger")'
    elif w.facts.family.placing.startswith("grid"):
        find = 'hasattr(m, "patch_merger")'
    else:
        find = 'n.endswith("multi_modal_projector")'
    return (
        "def features(model, inputs):  # what leaves the vision tower",
        "    seen = []",
        f"    merger = next(m for n, m in model.named_modules() if {find})",
        '    note = lambda m, a, x: seen.append(getattr(x, "pooler_output", x))',
        "    merger.register_forward_hook(note)",
        "    model(**inputs, use_cache=False)",
        "    return torch.cat(seen).flatten(0, -2)",
    )
