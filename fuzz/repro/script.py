"""A finding as a script of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from fuzz import ledger
from fuzz.claims import sentence_of
from fuzz.errors import UsageProblem
from fuzz.families import family_of
from fuzz.finding import takes_two
from fuzz.plants import PLANTS
from fuzz.regression import Regression
from fuzz.repro import blocks, judging
from fuzz.repro.blocks import Fed, Lane
from fuzz.repro.facts import Facts, config_of, facts_of, has_experts
from fuzz.repro.layout import WIDEST, WIDTH, broken, comment, literal
from fuzz.repro.legs import body_of
from fuzz.repro.looking import COOL
from fuzz.repro.low import low_body
from fuzz.repro.planted import PLANTED
from fuzz.repro.writer import Body, Writer, compares, needs_flash, of_processor
from fuzz.target import LOW
from strategies.case import has_audio, has_visuals, visuals_of
from strategies.words import describe

MOST: Final = 60
"""Lines that no script should have."""

SHOWN: Final = 1e-2
"""A difference from which on it shows although norms and rotary code compute in float32."""

SAMPLES_FLOAT32: Final = ("glm4v", "glm4v_moe", "glm46v")
"""Families whose vision tower interpolates its positions in float32, whatever its weights are."""

STANDARD: Final = (
    *("functools", "inspect", "os", "re", "resource", "signal", "sys", "traceback", "zlib"),
)
"""What scripts may import beside torch, transformers and Pillow."""

DEATHS: Final = ("crash", "hang", "oom")
"""Verdicts that a script lives to tell of only where the case has a process of its own."""


def script_of(saved: Regression, entry: ledger.Entry | None = None) -> str:
    """Return the script of a finding.

    Args:
        saved: the finding.
        entry: what the ledger says of it.

    Raises:
        UsageProblem: it cannot be made a script; the message says what is not supported.
    """
    _refuse(saved)
    facts = facts_of(family_of(saved.target.family))
    low = _low(saved)
    lane = _lane(saved, facts, low)
    writer = Writer(facts, saved)
    body, attn = _with_one(low_body(writer, low) if low else body_of(facts, saved))
    if low:
        end = judging.judge_budget(body, low)
    elif compares(saved):
        end = judging.judge_difference(saved, body, _allowed(lane), wide=lane.wide)
    elif saved.signature.verdict in DEATHS:
        end = judging.judge_death(saved, body)
    else:
        end = judging.judge_failure(saved, body)
    functions = [] if of_processor(saved) else _functions(saved, facts, lane, body, attn)
    text = "\n".join(line for block in (*functions, end) for line in block)
    settings = _settings(saved, facts, lane, text)
    parts = (settings, *functions, end)
    # Where lines are short, it is set tighter; then what the script says itself is left out.
    wholes = (
        _laid_out(saved, entry, parts, words, blank)
        for words, blank in (("all", 2), ("all", 1), ("some", 1), ("few", 1), ("few", 0))
    )
    whole: list[str] = []
    for whole in wholes:
        if len(whole) < MOST:
            break
    return "\n".join(whole) + "\n"


def _laid_out(
    saved: Regression,
    entry: ledger.Entry | None,
    parts: Sequence[Sequence[str]],
    words: str,
    blank: int,
) -> list[str]:
    """Return a script's lines, with so many blank ones between functions; few make others long."""
    settings, *functions = parts
    width = WIDTH if blank == 2 else WIDEST
    between = [""] * blank
    text = "\n".join(line for part in parts for line in part)
    imports = _imports(text, [""] if blank == 2 else [])
    lines = [*imports, "", *settings]
    for block in functions:
        lines += [*between, *block] if lines[-1] else ["", *block]
    code = [part for line in lines for part in broken(line, width)]
    return [*_comment(saved, entry, words, width), *code]


def _refuse(saved: Regression) -> None:
    """Refuse what no script can show."""
    signature = saved.signature
    if takes_two(saved.property, signature):
        raise UsageProblem("it compares two releases, which a script cannot")
    if has_audio(saved.case):
        raise UsageProblem("audio is not supported in scripts")
    if saved.target.model:
        raise UsageProblem(
            f"it was found with the config of {saved.target.model}, which scripts do not write out"
        )
    for name in saved.target.plants:
        if name not in PLANTED:
            raise UsageProblem(f"the planted defect {name!r} takes more lines than a script has")
        if PLANTED[name].once and (compares(saved) or saved.case.history):
            raise UsageProblem(f"{name!r} in more than one call is not supported in scripts")
    unchecked = "the kernel checks this itself" not in saved.message
    if signature.what.startswith("ContractError") and unchecked:
        raise UsageProblem("flash-attn does not check what it is given here, so nothing would tell")
    if signature.what.startswith("flash-attn"):
        raise UsageProblem("a single call of flash-attn's kernel is not supported in scripts")


def _low(saved: Regression) -> str:
    """Return the low dtype whose error budget decides, "" where a tolerance does."""
    if saved.property != "low_precision":
        if saved.target.dtype in LOW:
            raise UsageProblem(f"a target in {saved.target.dtype} is not supported in scripts")
        return ""
    found = next((d for d in LOW if re.search(rf"\b{d}\b", saved.signature.what)), "")
    if not found or not compares(saved):
        raise UsageProblem("a call that dies in low precision is not supported in scripts")
    return found


def _lane(saved: Regression, facts: Facts, low: str) -> Lane:
    flash = needs_flash(saved)
    wide = compares(saved) and _needs_wide(saved)
    native = "float64" if saved.target.dtype == "exact" else "float32"
    if facts.family.kind in SAMPLES_FLOAT32 and _any_image(saved) and not wide:
        native = "float32"
    # Patches turn far enough, whatever they are.
    plain = saved.signature.what == "vision rotation"
    native = "float32" if plain else native
    dtype = "" if low else "bfloat16" if flash else native
    return Lane(
        dtype=dtype,
        wide=wide and dtype == "float64",
        cuda=flash or saved.target.device != "cpu",
        gain=COOL if saved.property == "visibility" else saved.case.gain,
        experts=dtype == "float64" and has_experts(facts.family),
        plain=plain,
        plant=tuple(line for name in saved.target.plants for line in PLANTED[name].lines),
    )


def _any_image(saved: Regression) -> bool:
    case = saved.case
    return has_visuals(case) or any(visuals_of(call.row) for call in case.history)


def _needs_wide(saved: Regression) -> bool:
    """Tell whether float32 within float64 would hide a difference, or bring one about.

    Eager attention casts its scores to float32, where the smallest float64 of a mask is -inf.
    """
    what = saved.signature.what
    if what.startswith("position ids"):
        return False  # whole numbers
    eager = "eager" in (saved.target.attn, *re.findall(r"\w+", what))
    fine = saved.property in ("rotary_reference", "visibility") and "rotation" not in what
    return eager or fine or _difference(saved) < SHOWN


def _difference(saved: Regression) -> float:
    """Return by how much two results differ as the message says, 0 where it does not."""
    found = re.search(r"differs? by ([0-9.]+(?:e[+-]?\d+)?)", saved.message)
    return float(found[1]) if found else 0.0


def _allowed(lane: Lane) -> str:
    if lane.dtype == "bfloat16":
        return "0.1"
    return "1e-9" if lane.wide else "1e-4"


def _with_one(body: Body) -> tuple[Body, str]:
    """Leave the attention implementation out of calls where it is one alone, and return it."""
    attns = {a for line in body.lines for a in re.findall(r'build\(.*?"(\w+)"\)', line)}
    if len(attns) != 1:
        return body, ""
    attn = attns.pop()
    bare = (re.sub(rf'build\((.*?)(, )?"{attn}"\)', r"build(\1)", line) for line in body.lines)
    return replace(body, lines=tuple(bare)), attn


def _functions(
    saved: Regression, facts: Facts, lane: Lane, body: Body, attn: str
) -> list[list[str]]:
    """Return the functions that the body calls, each after those that it calls itself."""
    text = "\n".join(body.lines)
    made = [list(blocks.WIDEN)] if lane.wide else []
    made.append(blocks.build(facts, lane, attn))
    made += [list(function) for function in body.functions]
    if "embed(" in text:
        made.append(list(blocks.EMBED))
    if "feed(" in text:
        made.append(blocks.feed(_fed(saved, facts, body)))
    if re.search(r"(?<![.\w])generate\(", text):
        made.append(blocks.generate(facts, lane))
    if "known(" in text or any("known(" in line for block in made for line in block):
        made.insert(0, list(blocks.KNOWN))
    return made


def _fed(saved: Regression, facts: Facts, body: Body) -> Fed:
    """Look at what the calls that use a cache are given."""
    lines = [line.strip() for line in body.lines]
    calls = [line for line in lines if "feed(" in line]
    names = {name for line in calls for name in re.findall(_FED, line)}
    made = [line for line in lines if any(re.match(rf"{n}\b", line) for n in names)]
    first = [line for line in made if "input_ids" in line and "= {" in line]
    masks = ["attention_mask" in line for line in first]
    embedded = [", embed(" in line for line in calls]
    if len(set(embedded)) > 1:
        raise UsageProblem("an image in two pieces in one of two calls is not supported in scripts")
    return Fed(
        static=saved.case.cache == "static",
        rows="1" if len(saved.case.rows) == 1 else "len(ids)",
        room=saved.case.cache_room,
        linear=facts.linear,
        cut=any(re.search(r", \[[^\]]*\](\)|, embed)", line) for line in calls),
        masked=any(masks),
        mixed=any(masks) and not all(masks),
        placed=any("position_ids" in line for line in made),
        images=any("pixel_values" in line for line in made),
        used=compares(saved),
        embeds=embedded[0],
    )


_FED: Final = r"feed\((?:model|build\(.*?\)), (\w+)"


def _settings(saved: Regression, facts: Facts, lane: Lane, text: str) -> list[str]:
    lines = []
    if lane.cuda:
        flash = needs_flash(saved)
        there = "transformers.utils.is_flash_attn_2_available()" if flash else ""
        needed = "a CUDA device" + (" and flash-attn" if flash else "")
        lines += [
            f"if not {there or 'torch.cuda.is_available()'}:",
            f'    print("cannot tell: it takes {needed}")',
            "    sys.exit(2)",
            'torch.set_default_device("cuda")',
        ]
    if of_processor(saved):
        return lines
    if lane.dtype == "float64":
        lines.append("torch.set_default_dtype(torch.float64)")
    if saved.case.mode == "eval":
        lines.append("torch.set_grad_enabled(False)")
    if "flex_attention" in text and not lane.cuda:
        lines.append('torch.compiler.set_stance("force_eager")  # no compiler needed')
    images = "pixel_values" in text
    if images:
        lines.append("torch.manual_seed(0)")  # else each run would draw other pixels
    config = config_of(
        *(facts.family,),
        all_experts=not lane.dtype,
        images=images,
        videos="pixel_values_videos" in text,
    )
    return [*lines, f"CONFIG = {literal(config)}"]


def _imports(text: str, between: Sequence[str]) -> list[str]:
    used = [name for name in STANDARD if re.search(rf"\b{re.escape(name)}\.", text)]
    lines = [f"import {', '.join(used)}", *between]
    lines += ["import torch"] if "torch." in text else []
    lines += ["import transformers"]
    if "Image." in text:
        lines.append("from PIL import Image")
    return lines


def what_of(saved: Regression, entry: ledger.Entry | None) -> str:
    """Return what is wrong, in one sentence without its full stop."""
    if saved.target.plants:
        return "; ".join(PLANTS[name].sentence for name in saved.target.plants)
    return entry.reason if entry else saved.message


def seen_on(saved: Regression) -> str:
    """Return the versions that the finding was seen with."""
    names = ["transformers", "torch", *(["flash-attn"] if needs_flash(saved) else []), "python"]
    return ", ".join(f"{n} {saved.versions[n]}" for n in names if n in saved.versions)


def _comment(saved: Regression, entry: ledger.Entry | None, words: str, width: int) -> list[str]:
    told = f" Claim: {sentence_of(saved.property)}." if words == "all" else ""
    what = what_of(saved, entry)
    what = what.partition(" (tolerance")[0] if words == "few" else what
    paragraphs = [
        f"{family_of(saved.target.family).title}: {what}.",
        f"Smallest case: {describe(saved.case)}.{told}",
    ]
    if saved.target.plants:
        stand = dict.fromkeys(PLANTED[name].stands for name in saved.target.plants)
        paragraphs.append(
            f"No release on PyPI has it: it is planted here and {'; '.join(stand)}. With the "
            'argument "mended" it is left out, and this exits with 0.'
        )
    known = f"; affects {entry.affects}" if entry else ""
    url = f"; {entry.url}" if entry and entry.url else ""
    exits = "Exits with 1: it happens, 0: gone, 2: cannot tell"
    seen = f"Seen with {seen_on(saved)}{known}{url}."
    paragraphs.append(seen if words == "few" else f"{seen} {exits}.")
    return comment([" ".join(paragraphs)], width)
