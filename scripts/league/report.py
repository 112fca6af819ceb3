"""What a person sees: steps, tables and refusals.

Rules of this room: it prints and decides nothing. On a terminal Rich draws; elsewhere come plain
lines, so that a log file stays readable.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pandas as pd
from disk import BadDisk
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from league.download import NoAnswer
from league.layout import BadLeague

SHOWN_ROWS = 5


@contextmanager
def steps(title: str, total: int, *, told: bool = False) -> Iterator[Callable[[str], None]]:
    """Yield a function that is told each of `total` steps before it begins.

    Elsewhere than on a terminal only the title is printed; where steps are `told`, so is each.
    """
    if not sys.stdout.isatty():
        print(title, flush=True)
        yield lambda name: print(f"  {name}", flush=True) if told else None
        return
    # Not as the format of a column: a path may hold braces and brackets.
    columns = (
        TextColumn("{task.fields[title]}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=total, title=title)

        def step(name: str) -> None:
            progress.update(task, description=name, advance=1)

        yield step


def table(frame: pd.DataFrame, title: str) -> None:
    """Print a small frame."""
    if not sys.stdout.isatty():
        print(f"{title}\n{frame.to_string(index=False)}", flush=True)
        return
    drawn = Table(*frame.columns.astype(str), title=title)
    for row in frame.astype(str).itertuples(index=False):
        drawn.add_row(*row)
    Console().print(drawn)


def refuse(error: BadLeague | BadDisk | NoAnswer | OSError) -> int:
    """Say on stderr what is wrong in one line, and show the first of the wrong rows.

    Returns the exit code: 3 for a disk that is full or read-only, or a site that does not answer;
    2 for wrong use.
    """
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    rows = getattr(error, "rows", None)
    if rows is not None:
        print(rows.head(SHOWN_ROWS).to_string(index=False), file=sys.stderr)
        if len(rows) > SHOWN_ROWS:
            print(f"... and {len(rows) - SHOWN_ROWS} more rows", file=sys.stderr)
    return 3 if isinstance(error, BadDisk | NoAnswer) else 2
