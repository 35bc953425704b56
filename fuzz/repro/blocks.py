"""The functions of a script; each stands in the scripts that call it."""

from __future__ import annotations

from dataclasses import dataclass

from fuzz.repro.facts import Facts
from fuzz.repro.layout import WIDTH, literal

DECODER = 'next(m for m in model.modules() if hasattr(m, "embed_tokens") and hasattr(m, "layers"))'
"""The source that finds a model's decoder, wherever a release has it."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What a script computes in.

    Attributes:
        dtype: of the model: ``float64``, ``float32`` or ``bfloat16``; "" where a script has
            models of several.
        wide: whether everything that asks for float32 gets float64.
        cuda: whether it runs on a GPU.
        gain: factor on every weight matrix, relative to unit fan-in gain.
        experts: whether experts have to be computed one after the other, since the other ways know
            no float64.
        plant: lines that stand for a defect, put into a freshly built ``model``.
        plain: whether the weights are those that the model is built with.
    """

    dtype: str
    wide: bool
    cuda: bool
    gain: float
    experts: bool
    plant: tuple[str, ...] = ()
    plain: bool = False


KNOWN = (
    "def known(function, **more):  # releases differ in what they take",
    "    return {k: v for k, v in more.items() if k in inspect.signature(function).parameters}",
)

WIDEN = (
    "class Widen(torch.overrides.TorchFunctionMode):  # norms and rotary code ask for float32",
    "    def __torch_function__(self, func, types, args=(), kwargs=None):",
    "        func = torch.Tensor.double if func is torch.Tensor.float else func",
    "        swap = lambda x: torch.float64 if x is torch.float32 else x",
    "        return func(*map(swap, args), **{k: swap(v) for k, v in (kwargs or {}).items()})",
)

EMBED = (
    "def embed(model, inputs):  # an image in two pieces goes in as what the decoder gets of it",
    f"    seen, text = {{}}, {DECODER}",
    "    text.register_forward_pre_hook(lambda m, a, more: seen.update(more), with_kwargs=True)",
    "    model(**inputs, use_cache=False)",
    '    return seen["inputs_embeds"]',
)


def build(facts: Facts, lane: Lane, attn: str) -> list[str]:
    """Return the function that builds the model.

    Args:
        facts: of the family.
        lane: what it computes in, and its defect.
        attn: the attention implementation, "" where it is an argument.
    """
    chosen = not attn
    arguments = [] if lane.dtype else ["built", "dtype"]
    arguments += ["attn"] if chosen else []
    lines = [
        f"def build({', '.join(arguments)}):",
        f'    config = transformers.AutoConfig.for_model("{facts.family.kind}", **CONFIG)',
    ]
    more = [f"attn_implementation={'attn' if chosen else literal(attn)}"]
    if not lane.dtype:
        # As loading does it: rotary frequencies stay in float32.
        lines.append('    more = {"dtype" if hasattr(config, "dtype") else "torch_dtype": built}')
        more.append("**more")
    elif lane.experts:
        lines += [
            '    new = hasattr(transformers.PreTrainedModel, "get_correct_experts_implementation")',
            '    more = {"experts_implementation": "eager"} if new else {}',
        ]
        more.append("**more")
    gain = "" if lane.gain == 1 else f"{lane.gain:g} * "
    cls = f"transformers.{facts.family.architecture}"
    whole = f"    model = {cls}._from_config(config, {', '.join(more)})"
    if len(whole) > WIDTH:
        whole = f"    cls = {cls}\n    model = cls._from_config(config, {', '.join(more)})"
    lines += whole.split("\n")
    matrix = f'1 if "embed_tokens" in name else {gain}p[0].numel() ** -0.5'
    std = f"        std = 0.1 if p.ndim < 2 else {matrix}"
    mean = '("norm" in name and "weight" in name)'
    hides = "  # the usual std of 0.02 hides positions"
    if lane.plain:
        lines.insert(1, "    torch.manual_seed(0)")
    elif lane.dtype:
        lines += [
            "    torch.manual_seed(0)",
            f"    for name, p in model.named_parameters():{hides}",
            std,
            f"        p.data.copy_(std * torch.randn(p.shape) + {mean})",
        ]
    else:
        # What rounding does depends on the weights: they are those that it was found with.
        lines += [
            f"    for name, p in model.named_parameters():{hides}",
            '        parts = [x for x in name.split(".") if x not in ("model", "language_model")]',
            '        torch.manual_seed(zlib.crc32(".".join(parts).encode()))',
            std,
            "        new = std * torch.randn(p.shape, dtype=torch.float64)",
            f"        p.data.copy_((new + {mean}).to(dtype))",
        ]
    lines += [f"    {line}" if line else "" for line in lane.plant]
    ends = {
        "float64": "model.double()",
        "bfloat16": "model.bfloat16()",
        "": "(model.to(dtype) if built == torch.float32 else model)",
    }
    return [*lines, f"    return {ends.get(lane.dtype, 'model')}.eval()"]


@dataclass(frozen=True, slots=True)
class Fed:
    """What the calls of a script that use a cache have in common, or differ in.

    Attributes:
        static: whether the cache is a static one.
        rows: source of the number of rows of the inputs.
        room: columns of a static cache beyond what the inputs need.
        linear: whether some layers keep a state in it.
        cut: whether any is in pieces.
        masked: whether inputs have a mask.
        mixed: whether some have none.
        placed: whether they have positions.
        images: whether they have images, which come with the first piece.
        used: whether logits are looked at.
        embeds: whether embeddings are fed, since an image lies in two pieces.
    """

    static: bool
    rows: str
    room: int
    linear: bool
    cut: bool
    masked: bool
    mixed: bool
    placed: bool
    images: bool
    used: bool
    embeds: bool = False


def feed(fed: Fed) -> list[str]:
    """Return the function that feeds inputs through a cache."""
    more = (", cuts" if fed.cut else "") + (", embeds" if fed.embeds else "")
    lines = [f"def feed(model, inputs{more}):"]
    names, values = ["ids"], ['inputs["input_ids"]']
    if fed.cut and fed.used:
        names, values = [*names, "logits"], [*values, "[]"]
    if not fed.static and not fed.linear:
        names, values = [*names, "cache"], [*values, "transformers.DynamicCache()"]
    lines.append(f"    {', '.join(names)} = {', '.join(values)}")
    if fed.linear:
        lines.append("    cache = transformers.DynamicCache(config=model.config.get_text_config())")
    if fed.static:
        room = f" + {fed.room}" if fed.room else ""
        rows = f'"batch_size": {fed.rows}, "max_batch_size": {fed.rows}'
        lines += [
            f'    more = {{{rows}, "device": model.device, "dtype": model.dtype}}',
            "    more = known(transformers.StaticCache.__init__, "
            f"max_cache_len=ids.shape[1]{room}, **more)",
            "    cache = transformers.StaticCache(config=model.config.get_text_config(), **more)",
        ]
    if not fed.cut:
        return [
            *lines,
            "    more = known(model.forward, cache_position=torch.arange(ids.shape[1]))",
            "    return model(**inputs, **more, past_key_values=cache, use_cache=True).logits",
        ]
    fed_in = '"inputs_embeds": embeds[:, a:b]' if fed.embeds else '"input_ids": ids[:, a:b]'
    lines += [
        "    for a, b in zip([0, *cuts], [*cuts, ids.shape[1]]):",
        "        piece = known(model.forward, cache_position=torch.arange(a, b))",
        f'        piece |= {{{fed_in}, "past_key_values": cache, "use_cache": True}}',
    ]
    if fed.mixed:
        lines.append('        if "attention_mask" in inputs:')
    if fed.masked:
        indent = " " * (12 if fed.mixed else 8)
        lines.append(indent + 'piece["attention_mask"] = inputs["attention_mask"][:, :b]')
    if fed.placed:
        lines.append('        piece["position_ids"] = inputs["position_ids"][..., a:b]')
    if fed.images and not fed.embeds:
        lines += [
            "        for k in inputs.keys() - piece.keys() if a == 0 else ():  # images come first",
            '            piece[k] = inputs[k][:, :b] if "type" in k else inputs[k]',
        ]
    if not fed.used:
        return [*lines, "        model(**piece)"]
    return [
        *lines,
        "        logits.append(model(**piece).logits)",
        "    return torch.cat(logits, dim=1)",
    ]


def generate(facts: Facts, lane: Lane) -> list[str]:
    """Return the function that generates greedily, and gives logits and tokens."""
    special = literal(list(facts.special))
    lines = [
        "def generate(model, inputs, **how):",
        '    how |= {"do_sample": False, "return_dict_in_generate": True, "output_logits": True}',
    ]
    if lane.cuda:
        lines += [
            '    if hasattr(model.generation_config, "disable_compile"):',
            '        how["disable_compile"] = True',
        ]
    return [
        *lines,
        f"    out = model.generate(**inputs, **how, suppress_tokens={special})",
        "    return torch.stack(out.logits, dim=1), out.sequences[:, -len(out.logits) :]",
    ]


PROCESSOR = (
    'pil = getattr(transformers, "{name}ImageProcessorPil", None)  # without torchvision',
    "processor = (pil or transformers.{name}ImageProcessor)({settings})",
    'processor(images=[Image.new("RGB", ({width}, {height}))], return_tensors="pt")',
)
