"""A program: Qwen2-VL with flash_attention_2 against eager, in float64, told as JSON.

Run by test_install.py in a process of its own, since flash-attn has to be put in place before
transformers' models are imported: ``python -m fuzz.worker.flash.tests.agreement``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from strategies.case import Case, Image, Text

THIN = Image(150, 29)
SCENARIOS = {
    "image 150x29": Case(rows=((Text(3), THIN, Text(4)),)),
    "image 150x29, positions left to the model": Case(
        rows=((Text(3), THIN, Text(4)),), entry="forward-implicit", attention_mask=False
    ),
    "text only": Case(rows=((Text(9),),)),
    "text only, no mask": Case(rows=((Text(9),),), attention_mask=False),
    "one token": Case(rows=((Text(1),),)),
    "left-padded batch with images": Case(
        rows=((Text(2), Image(56, 56), Text(3), THIN, Text(1)), (Text(5),), (THIN, Text(2))),
        extra_padding=2,
    ),
    "right-padded batch with images": Case(
        rows=((Text(2), THIN, Text(3)), (Text(5),)), side="right", extra_padding=1
    ),
    "decode steps after an image": Case(rows=((Text(3), THIN, Text(8)),), decode=5),
    "decode steps of a left-padded batch": Case(
        rows=((Text(2), THIN, Text(6)), (Text(9),)), decode=4, extra_padding=1
    ),
    "chunks and decode steps": Case(rows=((Text(4), THIN, Text(9)),), chunks=(5, 3), decode=2),
    "static cache": Case(
        rows=((Text(4), THIN, Text(9)),), cache="static", cache_room=3, chunks=(7,), decode=3
    ),
    "generate from a left-padded batch": Case(
        rows=((Text(2), THIN, Text(6)), (Text(9),)), entry="generate", decode=5
    ),
}
# Each control is run on the scenario that it is bound to show in; a window, which this model has
# none of, in `ropefuzz bench flash`.
CONTROLS = {
    "causal dropped": "text only",
    "scale x 1.01": "text only",
    "boundaries ignored": "left-padded batch with images",
    "boundaries shifted": "left-padded batch with images",
    "boundaries of images ignored": "left-padded batch with images",
}


def main() -> None:
    """Install, compare, tell."""
    from fuzz.worker.flash.install import FUNCTIONS, install

    installed = install("cpu")
    import torch
    import transformers

    from fuzz.target import Target
    from fuzz.worker import calls
    from fuzz.worker.compare import distance
    from fuzz.worker.exact import lane
    from fuzz.worker.flash.controls import in_place
    from fuzz.worker.subject import make_subject, model_of

    torch.set_num_threads(1)
    subject = make_subject(Target(attn="flash_attention_2"), lambda _: None)
    images = subject.config.vision_config.num_heads
    module: Any = sys.modules["flash_attn_2_cuda"]
    guarded = {name: getattr(module, name) for name in FUNCTIONS}
    counts: Counter[str] = Counter()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            counts[f"{'vision' if args[0].shape[-2] == images else 'text'} {name}"] += 1
            return function(*args)

        return call

    def compare(case: Case) -> float:
        with lane("exact"):
            batch = calls.batch_of(subject, case)
            flash = calls.run(subject, model_of(subject), case, batch)
            eager = calls.run(subject, model_of(subject, "eager"), case, batch)
            pairs = calls.comparable(flash, eager)
        gaps = [distance(a, b) for a, b in pairs]
        assert all(a.dtype == torch.float64 for a, _ in pairs)
        return max(gaps) if all(g == g for g in gaps) else float("nan")

    for name, function in guarded.items():
        setattr(module, name, counted(name, function))
    scenarios = {}
    for name, case in SCENARIOS.items():
        counts.clear()
        scenarios[name] = {"distance": compare(case), "calls": dict(counts)}
    for name, function in guarded.items():
        setattr(module, name, function)
    controls = {}
    for control, scenario in CONTROLS.items():
        with in_place(control, images):
            controls[control] = compare(SCENARIOS[scenario])
    report = {
        "installed": asdict(installed),
        "transformers": transformers.__version__,
        "scenarios": scenarios,
        "controls": controls,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
