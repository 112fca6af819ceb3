"""The `progress.jsonl` of a trial that runs -> what is known of it so far.

Rules of this room: it reads and adds up; what follows from that, others decide. Lines are those of
scripts/model_a/trace.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

STEPS_A_FIT = 1000  # epochs of a later fit come after all of an earlier one, whoever stopped early


class Point(NamedTuple):
    """The objective as it stands at a step: trials are compared where their steps are equal."""

    step: int
    value: float


class Seen:
    """What a trial has said; `facts` are the latest of each name."""

    def __init__(self, path: Path) -> None:
        self.facts: dict[str, Any] = {}
        self._path = path
        self._read = 0
        self._fits: dict[str, dict[str, Any]] = {}

    def look(self) -> list[Point]:
        """Read what was appended since the last look; a point for each epoch of a fold."""
        points = []
        for line in self._lines():
            self.facts |= line
            if "fit" not in line:
                continue
            fits = list(self._fits | {line["fit"]: line})
            self._fits[line["fit"]] = line
            value = self.mean()
            if line.get("objective") is not None and value is not None:
                step = STEPS_A_FIT * fits.index(line["fit"]) + line["epoch"]
                points.append(Point(step, value))
        return points

    def mean(self) -> float | None:
        """The objective of the folds so far, each list counting once; None before there is one."""
        folds: dict[str, list[float]] = {}
        lists: dict[str, int] = {}
        for name, epoch in self._fits.items():
            if epoch.get("objective") is not None:
                fold = name.partition(",")[0]
                folds.setdefault(fold, []).append(epoch["objective"])
                lists[fold] = epoch["n_lists"]
        if not folds:
            return None
        total = sum(lists[fold] * sum(each) / len(each) for fold, each in folds.items())
        return float(total / sum(lists.values()))

    def _lines(self) -> list[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]  # the rest of the last line is still to come
        self._read += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
