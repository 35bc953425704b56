"""What reports say: the summary of a CI job word for word, and a page that is safe and whole."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fuzz.events import Event, Found, PropertyDone, RunEnded, RunStarted
from fuzz.reports.html import page
from fuzz.reports.lines import written
from fuzz.reports.markdown import markdown
from fuzz.reports.runs import gather
from fuzz.reports.tests.events import EVENTS, FAILED, FLAKY, GATED
from fuzz.target import Target
from fuzz.tests.builders import finding
from fuzz.verdict import Signature

GOLDEN = """\
## ropefuzz: qwen2\\_vl (eager, exact, cpu, planted: mask-dropped), transformers 5.23.0

**1 saved failure replayed: 1 KNOWN, 80 cases, 1 new finding, 1 flaky, 1 known failure met, 1 could not be judged.**

<details open>
<summary>finding: no\\_crash (error): index 0 passed a table of 0 rows: one text token, no image</summary>

```
FINDING no_crash (error): index 0 passed a table of 0 rows
  claim               a valid case runs: no exception, no dead process, only finite numbers
  smallest case       one text token, no image
  begins at           layer 0 | <b>
  first seen with     2 rows, right-padded; row 1: 12 text tokens, image 200x90; row 2: 3 text tokens; seed 2
  minimized in        17 attempts
  confirmed           3 of 3 fresh processes
  saved               saves/x.json
  see it again        ropefuzz replay saves/x.json --plant mask-dropped
  map                 fails exactly where text tokens <= 2; 40 runs
```

</details>

<details open>
<summary>flaky: causality (fail): logits differ by 0.5: image 4x1</summary>

```
FLAKY causality (fail): logits differ by 0.5
  claim               a later token never moves an earlier logit
  smallest case       image 4x1
  first seen with     2 rows, right-padded; row 1: 12 text tokens, image 200x90; row 2: 3 text tokens; seed 2
  minimized in        17 attempts
  confirmed           1 of 3 fresh processes
  not saved           could not be saved: full
  the case            {"rows":[[{"image":[4,1]}]]}
```

</details>

| property | cases | verdicts | known |
|---|---|---|---|
| no\\_crash | 40 | 30 pass, 10 error | 2 |
| causality | 40 | 38 pass, 1 fail, 1 broken | 0 |

### Saved failures

- KNOWN saves/y.json: known-images: r

### Could not be judged

- no answer

### Known failures met

- known-images: r (https://github.com/huggingface/transformers/issues/1)

### Not applicable

- image\\_independence: the target takes no images

### Notes

- flash\\_attention\\_2 is not compared: flash-attn is not there

torch 2.9.0, transformers 5.23.0; seed 7

The same cases again:

```
ropefuzz run --seed 7
```
"""  # noqa: E501 - lines of a report are as long as they are


GATE = """\
## BLOCKED: transformers 5.0.0 -> 5.1.0: 1 regressed

9 fresh cases: 8 same, 1 regressed.

Changed code: 3 of 4 statements ran.

| change | property | what | smallest case | file |
|---|---|---|---|---|
| regressed | no\\_crash | index 0 passed a table of 0 rows | one text token, no image | saves/x.json |

### Could not be judged

- qwen2\\_vl: &lt;no answer>

"""  # noqa: E501 - as above


def test_a_gate_word_for_word():
    text = markdown([], [GATED])
    assert text.startswith(GATE)
    assert "| qwen2\\_vl | no\\_crash | " in text
    assert "- **regressed**: " in text
    assert text.endswith(f"```\n{GATED.again}\n```\n")


def test_the_summary_word_for_word():
    assert markdown(gather(EVENTS)) == GOLDEN


def test_a_text_with_a_fence_in_it_gets_a_longer_one():
    found = replace(FAILED, finding=finding(message="```js"))
    assert "\n````\nFINDING" in markdown(gather([EVENTS[1], found]))


CUT_OFF = [e for e in EVENTS if not isinstance(e, RunEnded)]


def test_a_run_that_was_cut_off_says_so():
    assert "the run was cut off" in markdown(gather(CUT_OFF))
    assert "the run was cut off" in page(gather(CUT_OFF))


class Reader(HTMLParser):
    """Reads a page as a browser would: what is open, what is linked, what is shown."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.ids += [v for k, v in attrs if k == "id" and v]
        self.links += [v for k, v in attrs if k == "href" and v]
        self.loads += [v for k, v in attrs if k in ("src", "srcset", "data") and v]
        assert not any(name.startswith("on") for name in given)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def read(text: str) -> Reader:
    """Read a page and hold it to what every page must be."""
    reader = Reader(text)
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    for link in reader.links:
        assert link.startswith("https://") or link.removeprefix("#") in reader.ids
    assert all(source.startswith("data:") for source in reader.loads)
    assert not {"script", "iframe", "link", "object"} & set(reader.tags)
    assert "url(" not in text
    text.encode()
    return reader


def test_the_page_has_everything_and_asks_nobody_for_anything():
    reader = read(page(gather(EVENTS)))
    for text in (
        "80 cases, 1 new finding, 1 flaky",
        "fails exactly where text tokens <= 2; 40 runs",
        "text tokens 0 to 24 (to the right), first chunk in tokens 0 to 24 (down)",
        "ropefuzz map saves/x.json --plant mask-dropped",
        "ropefuzz repro saves/x.json --issue",
        "KNOWN saves/y.json",
        "smallest case",
        "one text token, no image",
        "layer 0 | <b>",
        "ropefuzz replay saves/x.json --plant mask-dropped",
        "the target takes no images",
        "known-images: r",
        "no answer",
        "30 pass, 10 error, 2 of them known",
        "ropefuzz run --seed 7",
    ):
        assert text in reader.text
    # What a process has printed is text, and no tag of ours.
    assert reader.tags.count("b") == 1
    assert reader.tags.count("rect") == 6 + 4  # runs of signs, and what they mean
    assert "#finding-1" in reader.links
    assert "https://github.com/huggingface/transformers/issues/1" in reader.links


def test_the_page_of_a_gate_shows_its_findings_and_counts():
    reader = read(page([], [GATED]))
    for text in (
        GATED.verdict,
        "Changed code: 3 of 4 statements ran.",
        "Finding: no_crash (error): index 0 passed a table of 0 rows",
        "smallest case",
        "8 same",
        "qwen2_vl: <no answer>",
        GATED.again,
    ):
        assert text in reader.text
    assert "h2" in reader.tags
    assert "Properties" not in reader.text


def test_a_gate_and_runs_stand_on_one_page():
    assert len(read(page(gather(EVENTS), [GATED])).ids) > 3


def test_whatever_a_dying_process_printed_is_harmless():
    nasty = "<script>alert(1)</script>\x00\x1b[31m\udcff</pre>&\"'"
    said = finding(
        message=nasty,
        said=((nasty, nasty),),
        details=nasty,
        signature=Signature("no_crash", "crash", "SIGSEGV"),
        target=Target(model=nasty),
    )
    reader = read(page(gather([EVENTS[1], Found(said, None, nasty)])))
    assert "<script>alert(1)</script>" in reader.text
    assert "\x1b" not in reader.text


def test_several_runs_stand_in_one_table_with_what_each_left_out():
    second = RunStarted(Target(family="llama"), {"transformers": "5.0.0"}, 1, 1.0)
    done = PropertyDone("padding_invariance", {"pass": 5}, 0, 5, 1.0)
    text = page(gather([*EVENTS, second, done]))
    reader = read(text)
    assert "llama (sdpa, exact, cpu), transformers 5.0.0" in reader.text
    assert text.count('<td class="none">not run</td>') == 4  # of two runs and four properties
    assert "1 flaky" in reader.text


def test_a_map_beside_the_findings_file_is_in_the_page(tmp_path: Path):
    found = replace(FAILED, path=tmp_path / "x.json")
    assert "img" not in read(page(gather([EVENTS[1], found]))).tags
    (tmp_path / "x.map.svg").write_text("<svg/>")
    assert read(page(gather([EVENTS[1], found]))).loads == ["data:image/svg+xml;base64,PHN2Zy8+"]


def many() -> list[Event]:
    events: list[Event] = [EVENTS[1]]
    for n in range(200):
        details = "\n".join(f"  File x.py, line {n}, in f" for _ in range(150))
        found = finding(message=f"number {n}", details=details)
        events += [Found(found, Path(f"saves/{n}.json"))] + [EVENTS[0]] * 49
    return events


def test_ten_thousand_events_and_two_hundred_findings_take_five_megabytes_and_five_seconds():
    events = many()
    assert len(events) > 10_000
    began = time.process_time()  # 0.1 s where it was written
    text = page(gather(events))
    assert time.process_time() - began < 5
    assert len(text.encode()) < 5_000_000
    assert read(text).text.count("number 199") == 1
    assert len(markdown(gather(events))) < 1_000_000
    assert all(written(e).endswith("\n") for e in events[:3])


BROWSERS = tuple(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))


@dataclass(frozen=True)
class Shown:
    """What a browser did with a page: its complaints, its requests of a network, its text."""

    complaints: tuple[str, ...]
    requests: frozenset[str]
    size: int


def opened(folder: Path, text: str) -> Shown:
    """Open a page in a headless browser that may ask for whatever it likes."""
    (folder / "x.html").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            BROWSERS[0],
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--enable-logging=stderr",
            f"--user-data-dir={folder}/profile",
            f"--log-net-log={folder}/net.json",
            f"--screenshot={folder}/x.png",
            (folder / "x.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    # The browser itself asks for its clock and its updates; those requests have no initiator.
    log = json.loads((folder / "net.json").read_text(encoding="utf-8"))
    asked = [e["params"] for e in log["events"] if "url" in e.get("params", {})]
    ours = {p["url"] for p in asked if p.get("initiator", OWN) != OWN}
    return Shown(
        complaints=tuple(line for line in done.stderr.splitlines() if "CONSOLE" in line),
        requests=frozenset(u for u in ours if u.startswith(("http", "ws", "ftp"))),
        size=(folder / "x.png").stat().st_size,
    )


OWN = "not an origin"


@pytest.mark.skipif(not BROWSERS, reason="there is no Chromium on this machine")
def test_a_browser_shows_the_page_without_a_complaint_or_a_request(tmp_path: Path):
    shown = opened(tmp_path, page(gather([*EVENTS, FLAKY]), [GATED]))
    assert shown.complaints == ()
    assert shown.requests == frozenset()
    assert shown.size > 10_000


@pytest.mark.skipif(not BROWSERS, reason="there is no Chromium on this machine")
def test_the_browser_above_would_tell_of_a_complaint_and_of_a_request(tmp_path: Path):
    bad = '<img src="http://127.0.0.1:9/x.png"><script>console.error("no")</script>'
    shown = opened(tmp_path, page(gather(EVENTS)).replace("</body>", bad))
    assert any("no" in line for line in shown.complaints)
    assert shown.requests == {"http://127.0.0.1:9/x.png"}
