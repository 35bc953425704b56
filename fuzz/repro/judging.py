"""How a script tells what it saw: 1 it happens, 0 it is gone, 2 it cannot be told here."""

from __future__ import annotations

from typing import Final

from fuzz.regression import Regression
from fuzz.repro.layout import indented, literal
from fuzz.repro.planted import PLANTED
from fuzz.repro.writer import Body
from strategies.validity import is_generate

SURE: Final = 12
"""Letters of a message that are enough to know it again."""

CANNOT: Final = (
    "except Exception as error:",
    '    print(f"cannot tell: {type(error).__name__}: {error}")',
    "    sys.exit(2)",
)
HANGS: Final = 60
"""Seconds after which a case that takes milliseconds hangs."""
MEMORY: Final = "16 << 30"
"""Bytes of addresses that a process may have; torch alone takes a few GiB of them."""
ALIVE: Final = 93
"""The exit code of a process that got to its end; no other end of it gives this."""

REFUSALS: Final = ("ValueError", "TypeError", "NotImplementedError")


def judge_failure(saved: Regression, body: Body) -> list[str]:
    """Return what runs a body and tells whether it dies, or runs where it must be refused."""
    rejects = saved.property == "clean_rejection"
    lines = ["try:", *indented(body.lines)]
    dies = saved.signature.verdict != "fail"
    should = "this has to be refused in words" if rejects else "this has to run"
    if rejects:
        types = [name for name in REFUSALS if not (dies and name == saved.signature.what)]
        lines += [
            f"except ({', '.join(types)}) as error:",
            '    print(f"gone: it is refused in words: {error}")',
            "    sys.exit(0)",
        ]
    if dies:
        lines += [
            "except Exception as error:",
            *(f"    {line}" for line in _recognized(saved)),
            f'    print("WRONG: {should}, but" if wrong else "cannot tell:", repr(error))',
            "    sys.exit(1 if wrong else 2)",
        ]
    else:
        lines += CANNOT
    if rejects:
        return [*lines, f'print("WRONG: {should}, and it runs without an error")', "sys.exit(1)"]
    return [*lines, 'print("gone: it runs")']


def _recognized(saved: Regression) -> list[str]:
    """Return lines that tell whether ``error`` is the exception of the finding."""
    signature = saved.signature
    frames = "str(traceback.extract_tb(error.__traceback__))"
    if signature.what.startswith("ContractError"):
        # On a GPU the kernel's own check raises it.
        return [
            f'seen = "flash_attn" in {frames}',
            "wrong = seen and isinstance(error, RuntimeError)",
        ]
    kept = max(signature.message.split("#"), key=len)
    sure = signature.what != "IndexError" and len(kept.strip()) >= SURE
    text, where = (literal(kept), "str(error)") if sure else (_frame(saved), frames)
    return [
        f"seen = {text} in {where}",
        f'wrong = seen and type(error).__name__ == "{signature.what}"',
    ]


def _frame(saved: Regression) -> str:
    """Return what a traceback says of the function that raises it."""
    planted = (PLANTED[name].function for name in saved.target.plants)
    name = next(filter(None, planted), saved.signature.where.rpartition(".")[2])
    return literal(f" in {name}>")


def judge_difference(saved: Regression, body: Body, relative: str, *, wide: bool) -> list[str]:
    """Return what runs a body and tells whether its two results differ.

    Args:
        saved: the finding.
        body: what is run and compared.
        relative: how far apart they may be, relative to 1 plus the largest logit.
        wide: whether everything is computed in float64.
    """
    run = ["with Widen():", *indented(body.lines)] if wide else list(body.lines)
    lines = ["try:", *indented(run), *CANNOT]
    if is_generate(saved.case.entry) and not body.plain and saved.signature.what != "finite":
        lines += [
            "same = (got[1] == expected[1]).cumprod(1).roll(1, 1)  # until they go apart",
            "same[:, 0] = 1",
            "got, expected = got[0][same.bool()], expected[0][same.bool()]",
        ]
    if body.equal:
        return [
            *lines,
            "gone = torch.equal(got, expected)",
            'print("gone:" if gone else "WRONG:", f"the position {body.got} is {got.tolist()},",'
            f' f"expected {{expected.tolist()}} {body.expected}")'.replace("{body.got}", body.got),
            "sys.exit(0 if gone else 1)",
        ]
    if body.moves:
        return [
            *lines,
            "gap = float((got - expected).abs().max())",
            "gone = gap > 1e-13 * (1 + float(expected.abs().max()))",
            f'print("gone:" if gone else "WRONG:", f"the {body.noun}s {body.got} move by '
            '{gap:.2g},", "expected: some change")',
            "sys.exit(0 if gone else 1)",
        ]
    allowed = relative + (f" + {body.slack:.1g}" if body.slack else "")
    allowed = f"({allowed})" if body.slack else allowed
    return [
        *lines,
        "gap = (got - expected).abs()",
        f"at, allowed = int(gap.argmax()), {allowed} * (1 + float(expected.abs().max()))",
        "gone = bool(gap.max() <= allowed)  # false for NaN",
        f'print("gone:" if gone else "WRONG:", f"a {body.noun} is {{got.flatten()[at]:.6g}} '
        f'{body.got},", f"expected {{expected.flatten()[at]:.6g}} as {body.expected} '
        '(rounding < {allowed:.0e})")',
        "sys.exit(0 if gone else 1)",
    ]


def judge_death(saved: Regression, body: Body) -> list[str]:
    """Return what runs a body in a process of its own, and tells whether that dies or hangs.

    It is forked before anything is computed, and killed if it hangs.
    """
    signature = saved.signature
    child = []
    if signature.verdict == "oom":
        child.append(f"resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))")
    words = {"device error": "cuda error"}.get(signature.what, "memory")
    raised = signature.verdict == "oom" or signature.what == "device error"
    code = f'1 if "{words}" in f"{{type(error).__name__}} {{error}}".lower() else 2'
    child += [
        "try:",
        *indented(body.lines),
        "except Exception as error:",
        '    print(f"it raises {type(error).__name__}: {error}", flush=True)',
        f"    os._exit({code if raised else 2})",
        f"os._exit({ALIVE})",
    ]
    return [
        "child, hung = os.fork(), []  # before anything is computed",
        "if child == 0:",
        *indented(child),
        "signal.signal(signal.SIGALRM, lambda *_: hung.append(os.kill(child, signal.SIGKILL)))",
        f"signal.alarm({HANGS})",
        "code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])",
        f"if code in (2, {ALIVE}):",
        f'    print("gone: it runs" if code == {ALIVE} else "cannot tell")',
        f"    sys.exit(0 if code == {ALIVE} else 2)",
        'how = f"died by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"',
        f'print("WRONG: this has to run, but its process", "hung for {HANGS} s" if hung else how)',
        "sys.exit(1)",
    ]


def judge_budget(body: Body, dtype: str) -> list[str]:
    """Return what runs a body and holds its two results against float64."""
    return [
        "try:",
        *indented(body.lines),
        *CANNOT,
        "off = [float((x.double() - truth).abs().max()) for x in (got, expected)]",
        f"floor = 4 * torch.finfo(torch.{dtype}).eps * (1 + float(truth.abs().max()))",
        "gone = max(off) <= 8 * min(off) + floor and max(off) == max(off)",
        f'print("gone:" if gone else "WRONG:", f"{body.got} is off float64 by {{off[0]:.2g}},", '
        f'f"{body.expected} by {{off[1]:.2g}};", '
        'f"expected: at most 8 times the other and {floor:.1g}")',
        "sys.exit(0 if gone else 1)",
    ]
