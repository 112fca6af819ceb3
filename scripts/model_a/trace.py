"""What a sweep is told of a run while it goes on: JSON lines, appended to a file of its choice.

Rules of this room: a line is one write, so that nobody reads half of it; a run that was given no
file writes nothing. Each line has `at` (seconds since 1970) and `state`: importing, get-or-build,
training, and in the end done or pruned; how else it ended, its exit code says. The facts beside
them are said once, when they are known.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from disk import writing

from model_a.errors import BadInput

# What a sweep may look for: names of metrics.json, where more is better.
OBJECTIVES = ("spearman", "ndcg@4", "ndcg@8", "ndcg@16", "playoff_spearman")
TERMINATED = 143  # the exit code of who ends at SIGTERM, as shells have it
CACHE_FACTS = ("cache", "key", "get_or_build_seconds", "build_seconds")


class Trace:
    """Appends to `path`, if there is one; `started` is when the run began, by `perf_counter`."""

    def __init__(self, path: str | None, started: float) -> None:
        self._path = path
        self._started = started

    def begin(self) -> None:
        """Say that it has begun; from now on SIGTERM ends the run in order, as Ctrl-C does.

        Raises:
            BadInput: nothing can be written there.
            BadDisk: the disk is full or read-only; so do all that write.
        """
        if self._path is not None:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
            self.say("importing", pid=os.getpid())

    def imported(self) -> None:
        """All code is there, and the batches come next."""
        self.say("get-or-build", import_seconds=time.perf_counter() - self._started)

    def got(self, report: Mapping[str, Any]) -> None:
        """How the batches were come by; training comes next."""
        self.say("training", **{name: report.get(name) for name in CACHE_FACTS})

    def epoch(self, name: str, epoch: Mapping[str, Any]) -> None:
        """An epoch of the fit of that name."""
        self.say("training", fit=name, **epoch)

    def say(self, state: str, **facts: Any) -> None:
        """One line."""
        if self._path is None:
            return
        line = json.dumps({"at": time.time(), "state": state, **facts}, default=str) + "\n"
        with writing(f"--progress: {self._path!r}", BadInput):
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(file, line.encode())
            finally:
                os.close(file)
