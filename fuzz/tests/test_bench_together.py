"""A benchmark on all cores ends when it is told to, with all that it started."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from fuzz.bench.together import on_all_cores

WAITING = """
import sys, time
from functools import partial
from fuzz.bench.together import on_all_cores
from fuzz.interrupts import handled

def job(seconds):
    print("begun\\n", end="", flush=True)
    time.sleep(seconds)

with handled():
    try:
        with on_all_cores([partial(job, 60)] * 9) as found:
            list(found)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""

# The first job is at work for a while before the others are handed over.
HANDED_OVER_SLOWLY = """
import concurrent.futures, time
submit = concurrent.futures.ProcessPoolExecutor.submit

def slowly(*args):
    future = submit(*args)
    time.sleep(0.5)
    return future

concurrent.futures.ProcessPoolExecutor.submit = slowly
"""


def test_results_come_as_jobs_end():
    with on_all_cores([partial(pow, n, 2) for n in range(5)]) as found:
        assert sorted(found) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("script", [WAITING, HANDED_OVER_SLOWLY + WAITING])
def test_after_ctrl_c_no_job_is_waited_for_and_none_is_left(script):
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    # The pipe ends once nobody holds it: the jobs are gone, too.
    assert process.stdout.read().splitlines()[-1] == "stopped"
    assert process.wait() == 0
    assert time.monotonic() - began < 30
