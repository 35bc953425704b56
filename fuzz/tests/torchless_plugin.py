"""``pytest fuzz -p fuzz.tests.torchless_plugin``: the fuzz on the fake target."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any
from unittest import mock

from fuzz.isolation import supervisor
from fuzz.isolation.told import Ready
from fuzz.verdict import Outcome
from strategies.case import Case, to_json


class Torchless(supervisor.Supervisor):
    """Tells how it was set up, and writes down its cases in the folder that CASES_LOG names."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, worker_module="fuzz.tests.fake_target", **settings)
        deadline = settings["deadline"]
        self._notify = settings["notify"]
        self._notice = (
            f"set up with {deadline.floor:g} to {deadline.ceiling:g} s, "
            f"{settings['memory_limit_mib']} MiB, fresh {settings['fresh_process']}"
        )

    def __enter__(self) -> Torchless:
        self._notify(self._notice)
        return self

    def start(self) -> Ready:
        return dataclasses.replace(super().start(), threads=4)

    def check(
        self, property_id: str, case: Case, guard: bool = False, against: Any = None
    ) -> Outcome:
        with (Path(os.environ["CASES_LOG"]) / property_id).open("a") as log:
            print(to_json(case), file=log)
        return super().check(property_id, case, guard, against)


mock.patch.object(supervisor, "Supervisor", Torchless).start()
