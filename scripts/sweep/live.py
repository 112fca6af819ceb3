"""What a person sees of a sweep: a live table on a terminal, plain lines elsewhere.

Rules of this room: it shows, and decides nothing.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from sweep.run import Row, Running

SHOWN_SECONDS = 0.25  # between two drawings
SAID_SECONDS = 30.0  # between two lines of what runs, where nothing is drawn
SHOWN_ROWS = 12  # of trials that have ended
ALWAYS_SHOWN = ("trial", "status", "cache", "objective", "seconds")
HEAD = ("trial", "state", "cache", "import s", "get-or-build s", "epoch", "objective", "s")
SECONDS = ("import_seconds", "get_or_build_seconds")


@contextlib.contextmanager
def board(count: int, objective: str) -> Iterator[Board]:
    """Show a sweep of `count` trials while the block runs."""
    if not sys.stdout.isatty():
        yield Board(count, objective, None)
        return
    from rich.live import Live  # only a terminal needs it

    with Live(auto_refresh=False, transient=True) as live:
        yield Board(count, objective, live)


class Board:
    """What is told of a sweep, shown `live`, or in lines without."""

    def __init__(self, count: int, objective: str, live: Live | None) -> None:
        self._count = count
        self._objective = objective
        self._live = live
        self._rows: list[Row] = []
        self._shown = 0.0 if live else time.monotonic()  # drawn at once, said after a while

    def ended(self, row: Row) -> None:
        """A trial has ended, now or before."""
        self._rows.append(row)
        if not self._live:
            print(line(row, len(self._rows), self._count, self._objective), flush=True)

    def show(self, running: Iterable[Running]) -> None:
        """What runs, as it stands."""
        if time.monotonic() - self._shown < (SHOWN_SECONDS if self._live else SAID_SECONDS):
            return
        self._shown = time.monotonic()
        if self._live:
            self._live.update(self._table(running), refresh=True)
        else:
            for one in running:
                print(running_line(one, self._objective), flush=True)

    def _table(self, running: Iterable[Running]) -> Table:
        from rich.table import Table  # only a terminal needs it

        best = max((row["objective"] for row in self._rows if row["objective"]), default=None)
        said = f"{len(self._rows)} of {self._count} trials ended"
        if best is not None:
            said += f", best {self._objective} {best:.4f}"
        table = Table(*HEAD, caption=said)
        for row in self._rows[-SHOWN_ROWS:]:
            table.add_row(*ended_cells(row), style="dim")
        for one in running:
            table.add_row(*running_cells(one))
        return table


def running_cells(one: Running) -> list[str]:
    """A trial that runs, as a line of the live table."""
    facts = one.seen.facts
    seconds = time.monotonic() - one.started
    state = "ending" if one.asked_to_end else facts.get("state", "starting")
    epoch = f"{facts['fit']}: {facts['epoch'] + 1}" if "fit" in facts else ""
    said = [cell(facts.get(name)) for name in ("cache", *SECONDS)]
    return [str(one.trial.number), state, *said, epoch, cell(one.seen.mean()), f"{seconds:.1f}"]


def ended_cells(row: Row) -> list[str]:
    """A trial that has ended, as a line of the live table."""
    value = row["last_objective"] if row["status"] == "pruned" else row["objective"]
    said = [cell(row[name]) for name in ("trial", "status", "cache", *SECONDS)]
    return [*said, "", cell(value), f"{row['seconds']:.1f}"]


def running_line(one: Running, objective: str) -> str:
    """One line for a trial that runs."""
    _, state, *_, epoch, value, seconds = running_cells(one)
    said = f"trial {one.trial.number}: {state}, {seconds} s"
    if epoch:
        said += f", epoch {epoch}"
    return f"{said}, {objective} {value}" if value else said


def line(row: Mapping[str, Any], done: int, of: int, objective: str) -> str:
    """One line for a trial that ended."""
    said = row["error"] if row["status"] == "failed" else f"cache {row['cache']}"
    if row["objective"] is not None:
        said += f", {objective} {row['objective']:.4f}"
    return f"[{done}/{of}] trial {row['trial']}: {row['status']}, {row['seconds']:.1f} s, {said}"


def results(rows: list[Row]) -> None:
    """All rows as a table, without what is the same in all: drawn on a terminal, else tabs."""
    names = [
        name for name in rows[0] if name in ALWAYS_SHOWN or len({row[name] for row in rows}) > 1
    ]
    cells = [
        [cell(row[name])[:16] if name == "key" else cell(row[name]) for name in names]
        for row in rows
    ]
    if not sys.stdout.isatty():
        print("\n".join("\t".join(one) for one in [names, *cells]))
        return
    from rich.console import Console  # only a terminal needs it
    from rich.table import Table

    table = Table(*(name.rpartition(".")[2].replace("_", " ") for name in names))
    for one in cells:
        table.add_row(*one)
    Console().print(table)


def cell(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
