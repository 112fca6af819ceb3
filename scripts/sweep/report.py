"""Rows -> results.parquet, three PNG files, and report.html that shows them.

Rules of this room: it draws and writes what the rows hold, nothing else; matplotlib without pyplot,
which keeps figures for the whole process.
"""

from __future__ import annotations

import html
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disk import writing
from model_a.errors import BadInput

from sweep.live import cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sweep.run import Row

# Told apart by people who see red and green alike (Okabe and Ito 2008).
PARTS = {
    "import_seconds": ("import", "#999999"),
    "waited": ("wait for another's build", "#F0E442"),
    "got": ("get-or-build", "#D55E00"),
    "train_seconds": ("train", "#0072B2"),
}
STATES = {"ok": ("#0072B2", "o"), "pruned": ("#E69F00", "x")}
PNG = {"dpi": 130, "metadata": {"Software": None}}  # the same bytes for the same figures
STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:2px 8px;text-align:right}img{max-width:100%}"
)


def write(folder: Path, rows: list[Row], objective: str, count: int) -> None:
    """All of those that have ended of `count` trials; each file written aside, then renamed.

    Raises:
        BadInput: nothing can be written there.
        BadDisk: the disk is full or read-only.
    """
    label = next((row["label"] for row in rows if row["label"]), None)
    said = "" if label is None else f", {label} league"
    pictures = {
        "objective.png": objectives(rows, f"{objective} by trial{said}"),
        "seconds.png": seconds(rows, f"Seconds by trial{said}"),
        "saved.png": saved(rows, f"Seconds of building that trials did not spend{said}"),
    }
    page = text(rows, objective, list(pictures), said, count)
    files = {**pictures, "report.html": page.encode(), "results.parquet": _parquet(rows)}
    with writing(f"outputs: {str(folder)!r}", BadInput):
        for name, data in files.items():
            aside = folder / f"{name}.part"
            aside.write_bytes(data)
            os.replace(aside, folder / name)


def text(rows: list[Row], objective: str, pictures: list[str], said: str, count: int) -> str:
    """The page: totals, pictures, and a line for each trial."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0])
    body = "\n".join(
        f"<tr>{''.join(f'<td>{html.escape(cell(value))}</td>' for value in row.values())}</tr>"
        for row in rows
    )
    ended = f"{count} trials" if len(rows) == count else f"{len(rows)} of {count} trials, so far"
    images = "\n".join(f'<p><img src="{name}" alt="{name}"></p>' for name in pictures)
    return (
        f'<!doctype html>\n<meta charset="utf-8"><title>Sweep</title><style>{STYLE}</style>\n'
        f"<h1>Sweep: {ended}{html.escape(said)}</h1>\n"
        f"<p>{html.escape(totals(rows, objective))}</p>\n{images}\n"
        f"<table><tr>{head}</tr>\n{body}</table>\n"
    )


def totals(rows: list[Row], objective: str) -> str:
    """The sweep in a line: the best trial, and what the cache was worth."""
    reached = [row for row in rows if row["objective"] is not None]
    if reached:
        best = max(reached, key=lambda row: row["objective"])
        said = f"best {objective} {best['objective']:.4f}, trial {best['trial']}"
    else:
        said = f"no trial has a {objective}"
    states = [row["cache"] for row in rows]
    builds = states.count("miss") + states.count("off")
    saved_seconds = sum(row["saved_seconds"] for row in rows)
    spent = sum(row["get_or_build_seconds"] or 0 for row in rows)
    return (
        f"{said}; {builds} builds, {states.count('hit')} hits, {states.count('wait')} waits; "
        f"{spent:.1f} s of get-or-build, {saved_seconds:.1f} s saved"
    )


def objectives(rows: list[Row], title: str) -> bytes:
    """The objective of each trial, and the best so far; PNG."""
    figure, axes = _axes(title, "objective")
    best: list[tuple[int, float]] = []
    for status, (color, marker) in STATES.items():
        name = "objective" if status == "ok" else "last_objective"
        at = [row for row in rows if row["status"] == status and row[name] is not None]
        if at:
            axes.scatter(
                [row["trial"] for row in at],
                [row[name] for row in at],
                color=color,
                marker=marker,
                label=status,
            )
    for row in rows:
        if row["objective"] is not None:
            top = max(row["objective"], best[-1][1]) if best else row["objective"]
            best.append((row["trial"], top))
    if best:
        axes.step(*zip(*best, strict=True), where="post", color="#000000", label="best so far")
        axes.legend(frameon=False)
    return _png(figure)


def seconds(rows: list[Row], title: str) -> bytes:
    """What each trial spent its time on; PNG."""
    figure, axes = _axes(title, "seconds")
    numbers = [row["trial"] for row in rows]
    bottom = [0.0] * len(rows)
    for name, (said, color) in PARTS.items():
        heights = [_part(row, name) for row in rows]
        axes.bar(numbers, heights, bottom=bottom, color=color, label=said)
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return _png(figure)


def saved(rows: list[Row], title: str) -> bytes:
    """Seconds saved up to each trial: the build that it found, less what finding it took; PNG."""
    figure, axes = _axes(title, "seconds saved so far")
    total, line = 0.0, []
    for row in rows:
        total += row["saved_seconds"]
        line.append(total)
    axes.step([row["trial"] for row in rows], line, where="post", color="#009E73")
    return _png(figure)


def _part(row: Row, name: str) -> float:
    got = row["get_or_build_seconds"] or 0.0
    if name in ("waited", "got"):
        return got if (row["cache"] == "wait") == (name == "waited") else 0.0
    return row[name] or 0.0


def _axes(title: str, ylabel: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # half a second, in the end only
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel="trial", ylabel=ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    return figure, axes


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", **PNG)
    return file.getvalue()


def _parquet(rows: list[Row]) -> bytes:
    import pyarrow as pa  # a refused sweep need not pay for it
    import pyarrow.parquet as pq

    columns = {name: _one_type([row[name] for row in rows]) for name in rows[0]}
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def _one_type(values: list[Any]) -> list[Any]:
    """A column has one type: what was chosen as 1 and 0.5 is float, as null and text is text."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2:
        return values
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(value) for value in values]
