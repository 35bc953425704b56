"""Finds what planted defects break, and runs the scripts of it: python -I run_found.py SPECS SITE.

SPECS is JSON: by name the property, the case, the target and the defect. Each is judged as a
worker judges a replay, with the defect and without it; what fails with it becomes a script, which
is run with the defect, and where nothing of ropefuzz can be imported without it.
Prints one line of JSON: by name what each of the four gave, and the script.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import run_scripts  # type: ignore[import-not-found]  # beside this file, run on its own

HANGS = 15
JUDGED = 12
"""Seconds for a check, which takes one where nothing else runs."""


def judged(spec: dict[str, Any], plants: list[str]) -> dict[str, Any]:
    """Judge a case in a process of its own, as a worker does; one that dies or hangs is told."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        from fuzz.verdict import outcome_to_plain
        from fuzz.worker import serve
        from strategies.case import from_plain

        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        target = {**spec["target"], "plants": plants}
        serve.load(target)
        serve.prepare(target)
        import signal

        signal.alarm(JUDGED)
        outcome = serve.judge(spec["property"], from_plain(spec["case"]))
        with os.fdopen(write, "w") as told:
            json.dump(outcome_to_plain(outcome), told)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        text = told.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if text:
        gave: dict[str, Any] = json.loads(text)
        return gave
    hung = code == -14
    signature = {"property": "no_crash", "verdict": "hang" if hung else "crash", "what": str(code)}
    return {"verdict": signature["verdict"], "message": f"died: {code}", "signature": signature}


def script_of(spec: dict[str, Any], outcome: dict[str, Any]) -> str:
    """Return the script of a finding whose defect someone else plants."""
    from fuzz.regression import Regression
    from fuzz.repro import script
    from fuzz.target import target_from_plain
    from fuzz.verdict import Signature
    from strategies.case import from_plain

    saved = Regression(
        path=Path("found.json"),
        property=spec["property"],
        case=from_plain(spec["case"]),
        signature=Signature(**outcome["signature"]),
        message=outcome["message"],
        target=target_from_plain({**spec["target"], "plants": []}),
        versions={"transformers": "5.23.0"},
    )
    return script.script_of(saved)


def main(specs: dict[str, Any], site: str) -> None:
    """Run everything and print it."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.meta_path.insert(0, run_scripts.Blocked())
    import torch
    import torch._dynamo
    import transformers

    torch.set_num_threads(1)

    def look() -> dict[str, Any]:
        from fuzz.worker import serve

        found = {}
        for spec in specs.values():
            serve.load({**spec["target"], "plants": []})  # imported once, before any fork
        for name, spec in specs.items():
            affected = judged(spec, [spec["plant"]])
            sound = judged(spec, [])
            failed = affected.get("signature") is not None
            text = script_of(spec, affected) if failed else ""
            found[name] = {"affected": affected, "sound": sound, "script": text}
        return found

    # Before transformers' models are imported here: it asks for flash-attn once.
    found = run_scripts.with_ours(look, site)
    for name in ("LlamaForCausalLM", "Qwen2VLForConditionalGeneration"):
        getattr(transformers, name)
    with tempfile.TemporaryDirectory() as folder:
        clean, planted = Path(folder, "clean"), Path(folder, "planted")
        for place in (clean, planted):
            place.mkdir()
        for name, spec in specs.items():
            # What hangs need not do so for long to be seen.
            text = found[name]["script"].replace("signal.alarm(60)", f"signal.alarm({HANGS})")
            (clean / f"{name}.py").write_text(text, encoding="utf-8")
            (planted / f"{name} @ {spec['plant']}.py").write_text(text, encoding="utf-8")
        gone = run_scripts.run_all(clean)
        wrong = run_scripts.with_ours(lambda: run_scripts.planted(planted), site)
    for name, spec in specs.items():
        found[name] |= {"gone": gone[name], "wrong": wrong[f"{name} @ {spec['plant']}"]}
    print(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.argv[2])
