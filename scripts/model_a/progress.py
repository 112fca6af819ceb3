"""What a person sees while models are trained.

Rules of this room: it shows and decides nothing. On a terminal Rich draws one bar for the whole
run; elsewhere each epoch is a plain line, so that a log file stays readable.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Told = Callable[[str, Mapping[str, Any]], None]


@contextmanager
def epochs(fits: int, epochs_each: int, also: Told = lambda *_: None) -> Iterator[Told]:
    """Yield a function that is told of each epoch: of which fit, and what `fit` says of it.

    `also` is told the same.
    """
    if not sys.stdout.isatty():

        def said(name: str, epoch: Mapping[str, Any]) -> None:
            print(line(name, epoch, epochs_each), flush=True)
            also(name, epoch)

        yield said
        return
    from rich.progress import (  # only a terminal needs it
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=fits * epochs_each)
        begun: list[str] = []

        def told(name: str, epoch: Mapping[str, Any]) -> None:
            if name not in begun:  # a fit before it may have stopped early
                begun.append(name)
            done = (len(begun) - 1) * epochs_each + epoch["epoch"] + 1
            progress.update(task, completed=done, description=line(name, epoch, epochs_each))
            also(name, epoch)

        yield told


def line(name: str, epoch: Mapping[str, Any], epochs_each: int) -> str:
    """One epoch of the fit of that name."""
    text = f"{name}: epoch {epoch['epoch'] + 1}/{epochs_each}, loss {epoch['train_loss']:.4g}"
    if "watch_spearman" in epoch:
        text += f", watched {epoch['watch_loss']:.4g}, Spearman {epoch['watch_spearman']:.3f}"
    return text
