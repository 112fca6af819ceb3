"""Answers as pandas has them, each column of the type that it has in the index."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tensorcache.schema import MOST_EXACT

if TYPE_CHECKING:
    import pandas as pd

    from tensorcache.index import Table

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", re.ASCII)  # as the index writes it
_MADE_OF: dict[str, tuple[type, ...]] = {
    "BIGINT": (int,),
    "BOOLEAN": (int,),
    "DATETIME": (str,),
    "DOUBLE": (float,),
    "TEXT": (str,),
    "VARCHAR": (str,),
}


def frame(table: Table) -> pd.DataFrame:
    """Counts and bytes are int64, times UTC, true and false bool; with NULLs: Int64 and boolean.

    What is no column of a table or view, as a sum, is what its values are. A result that is only
    named like a column has its type where all its values could be of it.
    """
    import pandas as pd  # 0.4 s that only a question spends

    kinds = table.kinds or ("",) * len(table.columns)
    values = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    columns = [_column(*one) for one in zip(values, kinds, strict=True)]
    made = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    made.columns = pd.Index(table.columns, dtype=object if not columns else None)
    return made


def _column(values: Sequence[Any], kind: str) -> pd.Series[Any]:
    import pandas as pd  # as above

    there = [value for value in values if value is not None]
    if not all(_can_be(kind, value) for value in there):
        kind = ""  # not what the column should hold
    kind = kind or _kind_of(there)
    lacks = len(there) < len(values)
    series = pd.Series(values, dtype=object)
    if kind == "DATETIME":
        times = pd.to_datetime(series, utc=True, format="ISO8601", errors="coerce")
        if times.count() == len(there):
            return times.astype("datetime64[us, UTC]")
        kind = "TEXT"  # of no such day
    if kind == "BIGINT":
        return series.astype("Int64" if lacks else "int64")
    if kind == "BOOLEAN":
        return series.astype("boolean" if lacks else "bool")
    if kind == "DOUBLE":
        return series.astype("float64")
    if kind in ("TEXT", "VARCHAR"):
        return series.astype(pd.Series(["text"]).dtype)  # object, or since pandas 3 str
    return series


def _can_be(kind: str, value: Any) -> bool:
    if not isinstance(value, _MADE_OF.get(kind, ())):
        return False
    if kind == "DATETIME":
        return _TIME.fullmatch(str(value)) is not None
    return kind != "BOOLEAN" or value in (0, 1)


def _kind_of(values: Sequence[Any]) -> str:
    """What a column that holds these would be."""
    types = set(map(type, values))
    if types == {int}:
        return "BIGINT"
    if types and types <= {int, float}:
        is_exact = all(abs(value) <= MOST_EXACT for value in values if type(value) is int)
        return "DOUBLE" if is_exact else ""
    if types == {str}:
        return "DATETIME" if all(map(_TIME.fullmatch, values)) else "TEXT"
    return ""
