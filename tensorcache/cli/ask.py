"""The commands that ask: `ls` and `sql`, for people, as JSON, as CSV, as Parquet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensorcache.cli import options, text
from tensorcache.cli.options import AsJson, CacheDir

if TYPE_CHECKING:
    from tensorcache.index import Table

_TIMES = ("created_at", "last_used_at")
_SHOWN = ("key", "namespace", "bytes", *_TIMES, "uses", "build_seconds", "pinned")
_TITLES = {
    "bytes": "size",
    "created_at": "created",
    "last_used_at": "used",
    "build_seconds": "build",
}
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]


def ls(
    namespace: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only of this namespace; its inputs are columns too."),
    ] = None,
    where: Annotated[
        str, typer.Option(metavar="SQL", help='Only those, as in "bytes > 1e9 AND uses = 0".')
    ] = "",
    sort: Annotated[
        str,
        typer.Option(metavar="COLUMN[:desc]", help="Sort by it; several are parted by commas."),
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only the first N, the newest unless sorted."),
    ] = None,
    columns: Annotated[
        str, typer.Option(metavar="A,B", help="Show these columns of `entry` or of the namespace.")
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the keys alone.")] = False,
    cache: CacheDir = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List entries, newest first.

    With --namespace, --where, --sort and --columns may name its inputs, nested ones joined by two
    underscores: --where "rolling_windows = '[10,30]'".
    """
    options.refuse_two({"--json": as_json, "--csv": as_csv, "--quiet": quiet})
    # Without a namespace a title stands for its column; with one it may be the name of an input.
    of_titles = {title: name for name, title in _TITLES.items()} if namespace is None else {}
    chosen = [of_titles.get(name, name) for name in _names(columns)]
    order = [(of_titles.get(name, name), falls) for name, falls in _sorted(sort)]
    if quiet:
        shown: Sequence[str] = ("key",)
    else:
        shown = chosen or (() if as_json or as_csv else _SHOWN)
    opened = options.opened(cache)
    found = opened.listed(
        where, namespace=namespace, columns=tuple(shown), sort=tuple(order), limit=limit
    )
    if quiet:
        for (key,) in found.rows:
            print(text.printable(key))
    elif as_json or as_csv:
        rows = [list(map(_for_machines, found.kinds, row)) for row in found.rows]
        _say_to_machines(found.columns, rows, as_csv=as_csv)
    elif found.rows:
        _say(found, {} if chosen else _TITLES)
    else:
        text.remark(_nothing(opened, namespace))
    for warning in found.warnings:
        text.remark(warning)


def sql(
    query: Annotated[str, typer.Argument(metavar="SELECT", help="One SELECT over the index.")],
    parquet: Annotated[
        str, typer.Option(metavar="FILE", help="Write a Parquet file, with types (needs pyarrow).")
    ] = "",
    cache: CacheDir = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Ask the index; each namespace is a view with every input as a column.

    It can only read, ends after 5 seconds, and gives 100,000 rows at most. docs/queries.md has
    questions to begin with.
    """
    options.refuse_two({"--json": as_json, "--csv": as_csv, "--parquet": bool(parquet)})
    opened = options.opened(cache)
    if parquet:
        _write_parquet(opened.sql(query), parquet)
        return
    found = opened.table(query)
    if as_json or as_csv:
        _say_to_machines(found.columns, found.rows, as_csv=as_csv)
    else:
        numbers = [
            name
            for place, name in enumerate(found.columns)
            if all(isinstance(row[place], int | float | None) for row in found.rows)
        ]
        rows = [["NULL" if value is None else value for value in row] for row in found.rows]
        text.table(found.columns, rows, right=numbers)
    for warning in found.warnings:
        text.remark(warning)


def _names(typed: str) -> list[str]:
    return [name.strip() for name in typed.split(",") if name.strip()]


def _sorted(typed: str) -> list[tuple[str, bool]]:
    """The columns to sort by, each with whether it falls."""
    found = []
    for term in _names(typed):
        name, _, way = term.partition(":")
        if way.lower() not in ("", "asc", "desc"):
            raise options.WrongUse(f"--sort {term!r}: write COLUMN, COLUMN:asc or COLUMN:desc")
        found.append((name.strip(), way.lower() == "desc"))
    return found


def _say_to_machines(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, as_csv: bool
) -> None:
    if as_csv:
        text.as_csv(columns, rows)
    else:
        text.as_json(text.objects(columns, rows))


def _for_machines(kind: str, value: Any) -> Any:
    if kind == "DATETIME":
        return text.iso(text.of_index(value))
    return bool(value) if kind == "BOOLEAN" and value is not None else value


def _say(found: Table, titles: dict[str, str]) -> None:
    """Print entries as people read them."""
    columns = [titles.get(name, name) for name in found.columns]
    numbers = [
        title
        for title, kind in zip(columns, found.kinds, strict=True)
        if kind in ("BIGINT", "DOUBLE")
    ]
    rows = [list(map(_for_people, found.columns, found.kinds, row)) for row in found.rows]
    text.table(columns, rows, right=numbers)


def _for_people(name: str, kind: str, value: Any) -> object:
    if name == "pinned":
        return "" if value is None else value or "yes"
    if kind == "DATETIME":
        return text.ago(text.of_index(value))
    if value is None:
        return "NULL"
    if name == "key":
        return value[:16]
    if name.endswith("bytes") and kind == "BIGINT":
        return text.size(value)
    if name == "build_seconds":
        return text.span(value)
    return str(bool(value)).lower() if kind == "BOOLEAN" else value


def _nothing(opened: Any, namespace: str | None) -> str:
    """What to say where there is no entry; a namespace may be misspelt."""
    names = opened.table("SELECT DISTINCT namespace FROM entry ORDER BY namespace").rows
    if namespace is None or not names or (namespace,) in names:
        return "no entries"
    return f"no entries of {namespace!r}: there are {', '.join(name for (name,) in names)}"


def _write_parquet(frame: Any, path: str) -> None:
    """Write a frame; what cannot be written leaves the file as it is."""
    try:
        import pyarrow as pa  # an extra, and 0.2 s that only this needs
    except ImportError as error:
        raise options.WrongUse("--parquet needs pyarrow: pip install pyarrow") from error
    frame.columns = text.unique(frame.columns)
    try:
        written = frame.to_parquet(engine="pyarrow", index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise options.WrongUse(f"--parquet: {said}: CAST the column to one type") from error
    try:
        with open(path, "wb") as file:
            file.write(written)
    except OSError as error:
        raise options.WrongUse(f"--parquet {path!r}: {error.strerror or error}") from error
    text.remark(f"wrote {text.count(len(frame), 'row')} to {os.path.abspath(path)}")
