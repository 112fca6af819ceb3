"""What people and machines read: tables, sizes, times, JSON."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import sys
from collections.abc import Collection, Sequence
from typing import Any

CELL_CHARACTERS = 200
_MESSAGE_CHARACTERS = 2000
_GAP = "  "
_LAST_SECOND = 253_402_128_000.0  # two days before the end of the year 9999: any zone has it


def printable(value: object, characters: int = CELL_CHARACTERS) -> str:
    """`value` as one line of text that cannot steer a terminal, cut to so many characters."""
    text = str(value)
    if len(text) > characters:
        text = text[: characters - 1] + "…"
    if text.isprintable():
        return text
    # Neither controls nor bidi marks, line ends or lone surrogates are printable to Python.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], right: Collection[str] = ()
) -> None:
    """Print a table, whose `right` columns are set flush right; without columns, rows alone.

    On a terminal Rich fits it to the width; elsewhere nothing is cut, and every row is a line.
    """
    cells = [[printable(value) for value in row] for row in rows]
    names = [printable(name) for name in columns] or [""] * len(cells[0] if cells else ())
    if sys.stdout.isatty():
        _rich_table(names, cells, right)
        return
    lines = [names, *cells] if columns else cells
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(names, line, widths, strict=True)
        ]
        print(_GAP.join(padded).rstrip())


def _rich_table(names: list[str], cells: list[list[str]], right: Collection[str]) -> None:
    from rich.console import Console  # 40 ms that only a terminal spends
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=any(names), padding=(0, len(_GAP), 0, 0))
    for name in names:
        justify = "right" if name in right else "left"
        table.add_column(Text(name), justify=justify, overflow="fold", no_wrap=name == "key")  # type: ignore[arg-type]
    for row in cells:
        table.add_row(*map(Text, row))  # Text, so that [brackets] are no markup
    Console().print(table)


def as_json(value: Any) -> None:
    """Print `value` as ASCII JSON; what JSON cannot say becomes text (bytes as hex digits)."""
    print(json.dumps(_jsonable(value), indent=2, ensure_ascii=True, allow_nan=False))


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _jsonable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as CSV below their names; NULL is nothing, bytes are hex digits."""
    lines = csv.writer(sys.stdout, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(
        [value.hex() if isinstance(value, bytes) else value for value in row] for row in rows
    )


def objects(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Rows as objects; a name that comes again gets a number, so that no value is lost."""
    names = unique(columns)
    return [dict(zip(names, row, strict=True)) for row in rows]


def unique(columns: Sequence[str]) -> list[str]:
    """The names, each with a number where it came before."""
    names: list[str] = []
    for name in columns:
        number, one = 1, name
        while one in names:
            number += 1
            one = f"{name}_{number}"
        names.append(one)
    return names


def size(size_bytes: int) -> str:
    """`12.3 MB`."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= length:
            return f"{size_bytes / length:.1f} {unit}"
    return f"{size_bytes} B"


def span(seconds: float) -> str:
    """`1.5 h`: in the largest unit of which there is one."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 0.1 or not seconds else f"{1000 * seconds:.1f} ms"


def count(number: int, one: str, many: str = "") -> str:
    """`1 entry`, `2 entries`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def at(seconds: float) -> dt.datetime:
    """A time since 1970 as UTC; what no calendar has becomes the nearest that it has."""
    return dt.datetime.fromtimestamp(max(0.0, min(seconds, _LAST_SECOND)), dt.UTC)


def of_index(text: str | None) -> dt.datetime | None:
    """A time as the index writes it, which is UTC."""
    return None if text is None else dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def iso(time: dt.datetime | None) -> str | None:
    """A time for machines: `2026-11-22T14:03:05.000000Z`."""
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def local(time: str) -> str:
    """A time as `iso` writes it for people, on their clock."""
    return dt.datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(time: dt.datetime | None) -> str:
    """`2 h ago`; `never` for None."""
    if time is None:
        return "never"
    seconds = max(0.0, (dt.datetime.now(dt.UTC) - time).total_seconds())
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def remark(message: str) -> None:
    """Print a line beside the answer: to stderr."""
    print(f"tensorcache: {printable(message, _MESSAGE_CHARACTERS)}", file=sys.stderr)
