"""How far long work has come, for whoever waits for it: a bar on a terminal, else lines of the log.

Rules of this room: nothing is said of work that ends within half a second; rich is imported when a
bar is first drawn, never before. It draws from the thread that works, for a thread of its own would
not survive a fork.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE_SECONDS = 0.5
LINE_SECONDS = 10.0
DRAW_SECONDS = 0.1
_log = logging.getLogger("tensorcache")


@contextmanager
def progress(doing: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Tell of work; the function that it gives takes how many units were done since.

    Args:
        doing: what is done, as in "reading league.sqlite".
        total: how many units there are in all; None where nobody knows.
        unit: "bytes" or "rows".
    """
    shown = _Shown(doing, total, unit)
    try:
        yield shown.advance
    finally:
        shown.end()


class _Shown:
    def __init__(self, doing: str, total: int | None, unit: str) -> None:
        self._doing, self._total, self._unit = doing, total, unit
        self._done = 0
        self._due = time.monotonic() + PATIENCE_SECONDS
        self._bar: Any = None
        self._draws = True

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now < self._due:
            return
        if self._draws and self._safely(self._draw):
            self._due = now + DRAW_SECONDS
        else:
            self._due = now + LINE_SECONDS
            part = f" of {self._total:,}" if self._total else ""
            _log.info("%s: %s%s %s", self._doing, f"{self._done:,}", part, self._unit)

    def end(self) -> None:
        if self._bar is not None:
            self._safely(self._draw)  # how far it came, whenever it was drawn last
            self._safely(self._bar.stop)

    def _draw(self) -> None:
        if not sys.stderr.isatty():
            raise ValueError("nobody looks")
        self._bar = self._bar or _begun_bar(self._doing, self._total, self._unit)
        self._bar.update(self._bar.task_ids[0], completed=self._done)
        self._bar.refresh()

    def _safely(self, do: Callable[[], object]) -> bool:
        """Whether it was drawn; what cannot be is no fault of the work, and not tried again.

        stderr may be no terminal, or one that went away, or whatever a program has put there.
        """
        try:
            do()
        except Exception:  # noqa: BLE001 - see above
            self._draws = False
        return self._draws


def _begun_bar(doing: str, total: int | None, unit: str) -> Any:
    from rich import progress as rich_bar  # 0.1 s, which only long work at a terminal spends
    from rich.console import Console  # the same

    in_bytes = unit == "bytes"
    rows = rich_bar.TextColumn("{task.completed:,} rows")
    bar = rich_bar.Progress(
        rich_bar.TextColumn("{task.description}", markup=False),
        rich_bar.BarColumn(),
        rich_bar.DownloadColumn() if in_bytes else rows,
        rich_bar.TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
    )
    bar.add_task(doing, total=total)
    bar.start()
    return bar
