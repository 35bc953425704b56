"""generation_agreement: what ``generate`` chose by, held against one forward."""

from __future__ import annotations

from fuzz.errors import UsageProblem
from fuzz.repro.layout import literal
from fuzz.repro.prompts import batch_of, collate, prompt_of
from fuzz.repro.writer import Body, Writer
from strategies.case import GUESSING, Case, Image, has_turn, has_videos

COPIES = 2
BEAMS = 3
GUESSED = 2

ONE_FORWARD = (
    "def one_forward(model, inputs, new):  # the logits that new tokens are chosen by, no cache",
    '    more = {"input_ids": new, "attention_mask": new * 0 + 1}',
    "    longer = lambda k, v: torch.cat([v, more.get(k, new * 0)[None]], dim=1)",
    '    tokens = {k: longer(k, v) for k, v in inputs.items() if k.endswith(("ids", "mask"))}',
    "    return model(**{**inputs, **tokens}, use_cache=False).logits[0, -1 - len(new) : -1]",
)


def generation_body(w: Writer) -> Body:
    """Return what is run for a finding of ``generation_agreement``."""
    case, facts = w.saved.case, w.facts
    w.again = True
    batch = batch_of(facts, case)
    steps = max(1, case.decode)
    w.lines.append(
        f'how = {{"max_new_tokens": {steps}, "suppress_tokens": {literal(list(facts.special))}, '
        '"return_dict_in_generate": True, "output_logits": True}'
    )
    w.model()
    w.inputs(case, batch)
    names = ["inputs"]
    if len(batch.prompts) > 1 or batch.padded or not batch.masked or "embeds" in case.entry:
        names = [f"prompt_{n}" for n in range(1, len(batch.prompts) + 1)]
        for name, prompt in zip(names, batch.prompts, strict=True):
            w.inputs(Case(entry="generate"), collate(facts, [prompt]), name)
    if case.how == "samples":
        w.lines.append(f"torch.manual_seed({case.seed})")
    if case.how == "assisted":
        w.lines += [
            f'assistant = build("{w.saved.target.attn}")  # guesses right often, not always',
            "for p in assistant.parameters():",
            "    p.data *= 1 if p.ndim < 2 else 1 / 3",
            f'told = {{"num_assistant_tokens": {GUESSED}, "assistant_confidence_threshold": 0.0}}',
            'assistant.generation_config.update(**told, num_assistant_tokens_schedule="constant")',
        ]
    w.lines.append(f"out = model.generate(**inputs, **how{_more(case)})")
    second = "second turn" in w.saved.signature.what or not w.compares
    if has_turn(case) and second:
        return _second_turn(w, names[0], len(batch.prompts[0].ids), steps)
    w.lines.append(f"new = out.sequences[:, -{steps}:]")
    build = f'build("{w.saved.target.attn}")'
    if case.how in GUESSING:
        w.lines += [
            f"expected = one_forward({build}, {names[0]}, new[0])",
            "got = expected.gather(1, new[0][:, None])[:, 0]",
            'expected[:, how["suppress_tokens"]] = -torch.inf',
            "expected = expected.max(dim=1).values",
        ]
        return _body(w, "of the token that generate() chose", "of the best one")
    which = names[0]
    each = "for x in new"
    if len(names) > 1:
        copies = COPIES if case.how in ("samples", "beams") else 1
        which = f"({', '.join(names)})[n{f' // {copies}' if copies > 1 else ''}]"
        each = "for n, x in enumerate(new)"
    told = f"one_forward({build}, {which}, x)"
    if case.how == "beams":
        w.lines.append("got = out.sequences_scores")
        told += ".log_softmax(-1).gather(1, x[:, None]).sum()"
        w.lines.append(f"expected = torch.stack([{told} {each}])")
        return _body(w, "as generate() scores it", "one forward gives")
    w.lines.append("got = torch.stack(out.logits, dim=1).flatten(0, 1)")
    w.lines.append(f"expected = torch.cat([{told} {each}])")
    return _body(w, "in generate()", "in one forward")


def _more(case: Case) -> str:
    if case.how == "samples":
        return f", do_sample=True, num_return_sequences={COPIES}"
    more = ", do_sample=False"
    if case.how == "beams":
        scored = "length_penalty=0.0, output_scores=True"  # a sum of log-probabilities
        return f"{more}, num_beams={BEAMS}, num_return_sequences={COPIES}, {scored}"
    if case.how == "chunked":
        return f"{more}, prefill_chunk_size={case.chunks[0]}"
    if case.how == "assisted":
        return f"{more}, assistant_model=assistant"
    return f"{more}, prompt_lookup_num_tokens={GUESSED}" if case.how == "lookup" else more


def _second_turn(w: Writer, prompt: str, length: int, steps: int) -> Body:
    case = w.saved.case
    said = [(7 * n + case.seed) % w.facts.limit for n in range(case.turn)]
    if case.turn_image is not None:
        return _turn_with_image(w, case.turn_image, prompt, said, steps)
    w.lines += [
        f"ids = torch.cat([out.sequences, torch.tensor([{said}])], dim=1)",
        'more = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}',
        "out = model.generate(**more, **how, do_sample=False, past_key_values=out.past_key_values)",
        "got = torch.stack(out.logits, dim=1)[0]",
        f'told = one_forward(build("{w.saved.target.attn}"), {prompt}, '
        f"out.sequences[0, {length}:])",
        f"expected = told[-{steps}:]",
    ]
    return _body(w, "in a second turn from the cache", "in one forward")


def _turn_with_image(w: Writer, image: Image, prompt: str, said: list[int], steps: int) -> Body:
    """Write a second turn that begins with an image; the cache has seen what came before it.

    Raises:
        UsageProblem: there is a video before it.
    """
    case, facts = w.saved.case, w.facts
    if has_videos(case):
        raise UsageProblem("an image after an answer to a video is not supported in scripts")
    shown = prompt_of(facts, (image,), case.seed * 101 + len(case.rows))
    (picture,) = shown.pictures
    new = f'"pixel_values": {w.pixels(shown.pictures)}'
    if picture.grid:
        new += f', "image_grid_thw": torch.tensor([{list(picture.grid)}])'
    types = f"(ids == {facts.image}).long()"
    told = f'"token_type_ids": {types}'
    if not facts.family.told_of_tokens:
        told = f"**known(model.forward, mm_token_type_ids={types})"
    w.lines += [
        f"ids = torch.cat([out.sequences, torch.tensor([{literal([*shown.ids, *said])}])], dim=1)",
        f'text = {{"input_ids": ids, "attention_mask": ids * 0 + 1, {told}}}',
        f"new = {{{new}}}  # the cache has seen the rest",
        "more = {**text, **new, **how}",
        "out = model.generate(**more, do_sample=False, past_key_values=out.past_key_values)",
    ]
    if not w.compares:
        return w.body()
    w.lines += [
        f"both = {{k: torch.cat([{prompt}.get(k, v[:0]), v]) for k, v in new.items()}}",
        f'model = build("{w.saved.target.attn}")',
        f"expected = one_forward(model, {{**text, **both}}, out.sequences[0, -{steps}:])",
        "got = torch.stack(out.logits, dim=1)[0]",
    ]
    return _body(w, "in a second turn from the cache", "in one forward")


def _body(w: Writer, got: str, expected: str) -> Body:
    body = w.body(got, expected)
    return Body(body.lines, got, expected, functions=(ONE_FORWARD,), plain=True)
