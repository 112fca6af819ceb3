"""Entries listed: the SELECT of which people write the condition, and name columns and order."""

from __future__ import annotations

from typing import NamedTuple

from tensorcache import schema
from tensorcache.errors import BadQuery
from tensorcache.index import query
from tensorcache.index.file import IndexFile
from tensorcache.index.view import shown_by

_SHOWN = tuple(
    "key namespace version bytes created_at last_used_at build_seconds uses pinned".split()
)


class Listing(NamedTuple):
    """Which columns, in which order, and how many entries at most.

    Without `columns`: those that people look at first, and the inputs of the namespace that is
    named. `sort` is columns, each with whether it falls; the newest first, where they tie.
    """

    columns: tuple[str, ...] = ()
    sort: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    max_rows: int = query.MAX_ROWS


def entries(
    file: IndexFile, where: str, params: query.Params, namespace: str | None, listing: Listing
) -> query.Table:
    """The entries of which the SQL text `where` holds.

    Raises:
        BadQuery: it is no condition, or a name is of no column.
    """
    statement, kinds = asked(file, where, namespace, listing)
    try:
        return query.run(
            file,
            statement,
            params,
            deadline_seconds=query.DEADLINE_SECONDS,
            max_rows=max(listing.max_rows, listing.limit or 0),
            known=kinds,
        )
    except BadQuery as error:
        if namespace is None and "no such column" in str(error):
            raise BadQuery(f"{error}; inputs need a namespace") from error
        raise


def asked(
    file: IndexFile, where: str, namespace: str | None, listing: Listing
) -> tuple[str, dict[str, str]]:
    """The SELECT of those entries, and the columns that it may name, with their kinds."""
    kinds, shown = schema.TABLE_KINDS["entry"], _SHOWN
    if namespace is None:
        return _statement("entry", "rowid", where, listing, shown, kinds), kinds
    with file.reading() as connection:
        leaves = shown_by(connection, namespace)
        columns = connection.exec_driver_sql("SELECT name FROM pragma_table_info('entry')")
        there = set(columns.scalars())  # an older index, which may only be read, has fewer
    inputs = schema.kinds(leaves)
    taken = {*schema.FIXED_COLUMNS, *map(str.lower, inputs)}
    more = [name for name in kinds if name in there and name not in taken]
    # Not the view itself, which shows no version and no uses. No input is named "#".
    inner = schema.selected(namespace, leaves, [*more, 'rowid AS "#"'])
    kinds = {name: kinds[name] for name in (*schema.FIXED_COLUMNS, *more)} | inputs
    shown = (*(name for name in _SHOWN if name not in map(str.lower, inputs)), *inputs)
    return _statement(f"({inner}) AS entry", '"#"', where, listing, shown, kinds), kinds


def _statement(
    selected: str,
    row: str,
    where: str,
    listing: Listing,
    shown: tuple[str, ...],
    kinds: dict[str, str],
) -> str:
    known = {name.lower(): name for name in kinds}
    for name in (*listing.columns, *(name for name, _ in listing.sort)):
        if name.lower() not in known:
            hint = "; inputs need a namespace" if selected == "entry" else ""
            raise BadQuery(f"no column {name!r}: there are {', '.join(kinds)}{hint}")
    names = [schema.quoted(known[name.lower()]) for name in listing.columns or shown]
    condition = f" WHERE ({where}\n)" if where else ""  # the line ends a comment in `where`
    order = [(schema.quoted(known[name.lower()]), falls) for name, falls in listing.sort]
    if '"created_at"' not in dict(order):
        order.append(('"created_at"', True))
    # The row goes the way of the time, so that an index of times gives both without sorting.
    order.append((row, order[-1][1]))
    terms = ", ".join(f"{name} DESC" if falls else name for name, falls in order)
    limit = "" if listing.limit is None else f" LIMIT {int(listing.limit)}"
    return f"SELECT {', '.join(names)} FROM {selected}{condition} ORDER BY {terms}{limit}"  # noqa: S608 - fenced
