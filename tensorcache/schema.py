"""Tables of the index, the text of its views, and HEAD.

Rules of this room: it describes and never connects. The tables are those of the newest revision;
`migrations/` spells each revision out for itself, and a test holds the two together. Times are
UTC without a zone, written `YYYY-MM-DD HH:MM:SS.ffffff`: the text sorts, and SQLite's date
functions understand it. A name that is no table begins with `_`, so that no namespace, which is
also the name of a view, can meet it.

A view shows the entries of one namespace with every input as a column, of a type where all its
values have one. Its text is a pure function of the namespace and of the `Leaf`s found in its
entries' inputs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from tensorcache.key import TAG

HEAD = "0002"
MAX_INPUT_COLUMNS = 200
MAX_NAME_BYTES = 63
MOST_EXACT = 1 << 53  # whole numbers up to it are exact as floats
MAX_INPUT_INDEXES = 12
SHORT_CHARACTERS = 200  # of a text that an index may hold
FIXED_COLUMNS = ("key", "bytes", "created_at", "last_used_at", "build_seconds", "pinned")
# What the values of an input may be cast to, narrow to wide, in words that DuckDB knows as well.
# CHAR: there is none but NULL so far; HUGEINT: a BIGINT that a DOUBLE would round.
_WHOLE, _ROUND = ("CHAR", "BOOLEAN", "BIGINT", "HUGEINT"), ("CHAR", "BOOLEAN", "BIGINT", "DOUBLE")
_KINDS = (_WHOLE, _ROUND, ("CHAR", "VARCHAR", "TEXT"))
_PARTS = re.compile(  # of the text of a view: a place, a kind, a name
    r"""json_extract\(entry\.inputs, '((?:[^']|'')*)'\)| AS ([A-Z]+)\)| AS "(\w+)\"""", re.ASCII
)
INPUT_INDEX = "_input "  # how the names of indexes over an input begin
_NUMBERS = frozenset({"BOOLEAN", "BIGINT", "HUGEINT", "DOUBLE"})
_INDEXED = _NUMBERS | {"VARCHAR"}

metadata = sa.MetaData(naming_convention={"fk": "_%(table_name)s_%(column_0_name)s"})

entry = sa.Table(
    "entry",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("identity", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("inputs", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("build_seconds", sa.Float, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("last_used_at", sa.DateTime),
    sa.Column("uses", sa.Integer, nullable=False),
    sa.Column("pinned", sa.Text),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("tools", sa.Text, nullable=False),
    sa.Column("manifest_bytes", sa.Integer, nullable=False),
    sa.Column("alone_bytes", sa.BigInteger, nullable=False),  # what goes with it alone
    sa.Column("touched_at", sa.DateTime, nullable=False),  # used last, or else made
    sa.Column("warmth", sa.Float, nullable=False),  # of tensorcache/worth.py, as is the next
    sa.Column("worth", sa.Float, nullable=False),
    sa.Index("_entry_namespace", "namespace", "created_at"),
    sa.Index("_entry_created", "created_at"),
    sa.Index("_entry_touched", "touched_at", sqlite_where=sa.text("pinned IS NULL")),
    sa.Index("_entry_worth", "worth", "touched_at", sqlite_where=sa.text("pinned IS NULL")),
    sa.Index(
        "_entry_frees",  # of those with whom more than a manifest comes back
        "worth",
        "touched_at",
        sqlite_where=sa.text("pinned IS NULL AND alone_bytes > manifest_bytes"),
    ),
)

source = sa.Table(
    "source",
    metadata,
    sa.Column("entry", sa.ForeignKey("entry.key", ondelete="CASCADE"), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("path", sa.Text),
    sa.Column("identity", sa.Text),
    sa.Column("size", sa.BigInteger),
    sa.Column("mtime_ns", sa.BigInteger),
)

shard = sa.Table(
    "shard",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

entry_shard = sa.Table(
    "entry_shard",
    metadata,
    sa.Column("entry", sa.ForeignKey("entry.key", ondelete="CASCADE"), primary_key=True),
    sa.Column("shard", sa.ForeignKey("shard.digest", ondelete="RESTRICT"), primary_key=True),
    sa.Index("_entry_shard_holders", "shard"),
)

column = sa.Table(
    "column",
    metadata,
    sa.Column("entry", sa.ForeignKey("entry.key", ondelete="CASCADE"), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("section", sa.Text, nullable=False),
    sa.Column("field", sa.Text, nullable=False),
    sa.Column("dtype", sa.Text, nullable=False),
    sa.Column("shape", sa.Text, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

event = sa.Table(  # no foreign key: what happened stays true when the entry is gone
    "event",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("namespace", sa.Text),
    sa.Column("build_seconds", sa.Float),  # of the entry that was hit, or waited for
    sa.Index("_event_key", "key"),
    sa.Index("_event_at", "at"),
)

total = sa.Table(  # one row: what is held, so that nobody has to add it up
    "_total",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("entries", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),  # manifests, and each piece once
)

hour = sa.Table(  # sums of events; `namespace` is "" where nobody knows it
    "_hour",
    metadata,
    sa.Column("hour", sa.DateTime, primary_key=True),
    sa.Column("namespace", sa.Text, primary_key=True),
    sa.Column("hits", sa.Integer, nullable=False),
    sa.Column("misses", sa.Integer, nullable=False),
    sa.Column("builds", sa.Integer, nullable=False),
    sa.Column("waits", sa.Integer, nullable=False),
    sa.Column("evictions", sa.Integer, nullable=False),
    sa.Column("hit_seconds", sa.Float, nullable=False),
    sa.Column("wait_seconds", sa.Float, nullable=False),
    sa.Column("build_seconds", sa.Float, nullable=False),
    sa.Column("saved_seconds", sa.Float, nullable=False),
    sa.Column("evicted_bytes", sa.BigInteger, nullable=False),
)

size = sa.Table(  # what was held after the last change of each hour, and the limit then
    "_size",
    metadata,
    sa.Column("hour", sa.DateTime, primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("limit_bytes", sa.BigInteger),
)

taken = sa.Table(  # the journals whose uses are counted, so that none is counted twice
    "_taken",
    metadata,
    sa.Column("journal", sa.Text, primary_key=True),
    sa.Column("at", sa.DateTime, nullable=False),
)

_TYPES = (sa.DateTime, "DATETIME"), (sa.Float, "DOUBLE"), (sa.Integer, "BIGINT"), (sa.Text, "TEXT")
TABLE_KINDS = {  # of each table, the kinds of its columns
    table.name: {
        column.name: next(kind for type_, kind in _TYPES if isinstance(column.type, type_))
        for column in table.columns
    }
    for table in metadata.sorted_tables
}


def empty_tables() -> Iterator[str]:
    """The statements that make the tables in SQLite: what an index not yet made looks like."""
    for table in metadata.sorted_tables:
        yield str(CreateTable(table).compile(dialect=sqlite.dialect()))


class Leaf(NamedTuple):
    """Where one plain value lies in the inputs, as the canonical form of `key.py` names it.

    `tag` is the tag under which a value lies that JSON has no type for (`$date`), else "". `kind`
    is its type in SQL; VARCHAR is a short text, and "" is none that a column could have.
    """

    path: tuple[str, ...]
    tag: str = ""
    kind: str = ""


def inputs_text(inputs: dict[str, Any]) -> str:
    r"""The canonical inputs as they lie in `entry.inputs`.

    A quote inside a text is written `\u0022`: SQLite before 3.45 cannot name a key that holds
    `\"` in a path, and every SQLite can name this one.
    """
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return re.sub(r"\\(.)", lambda pair: r"\u0022" if pair[1] == '"' else pair[0], text)


def leaves(inputs: Any, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Every place in canonical `inputs` that holds no dict of further inputs."""
    if not isinstance(inputs, dict) or (path and not inputs):
        yield Leaf(path, "", _kind(inputs))
    elif path and len(inputs) == 1 and TAG.match(name := next(iter(inputs))):
        yield Leaf(path, name, _kind(inputs[name]))
    else:
        for name, value in inputs.items():
            yield from leaves(value, (*path, name))


def _kind(value: Any) -> str:
    if value is None:
        return "CHAR"
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        huge = "HUGEINT" if -(1 << 63) <= value < 1 << 63 else ""
        return "BIGINT" if abs(value) <= MOST_EXACT else huge
    if isinstance(value, float):
        return "DOUBLE"
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return "VARCHAR" if len(text) <= SHORT_CHARACTERS else "TEXT"


def view(namespace: str, found: Iterable[Leaf]) -> str:
    """The text of the view of `namespace`, whose entries' inputs have the leaves `found`.

    A tagged value is shown plain (a date as its text), a list as JSON, true and false as 1 and 0,
    and an input that an entry lacks as NULL. So is a dict where the others are all numbers, or all
    true and false: what it holds has columns of its own.
    """
    return f"CREATE VIEW {quoted(namespace)} AS {selected(namespace, found)}"


def selected(namespace: str, found: Iterable[Leaf], more: Iterable[str] = ()) -> str:
    """The SELECT of that view; with `more` columns of the table `entry`, by name."""
    columns = [f"entry.{name}" for name in (*FIXED_COLUMNS, *more)]
    columns += [
        f"{_value(one, 'entry.inputs')} AS {quoted(name)}" for name, one in _inputs(found).items()
    ]
    return (
        f"SELECT {', '.join(columns)} "  # noqa: S608 - quoted
        f"FROM entry WHERE entry.namespace = {_literal(namespace)}"
    )


def kinds(found: Iterable[Leaf]) -> dict[str, str]:
    """The input columns of the view that has the leaves `found`, and the kind of each."""
    return {name: one.kind.replace("HUGE", "BIG") for name, one in _inputs(found).items()}


def input_indexes(namespace: str, found: Iterable[Leaf]) -> dict[str, str]:
    """The name and text of the index of each of the first top-level inputs that are short.

    It is over the very expression of the view. The namespace, which it is partial by, comes first
    in it, so that SQLite prefers it to the index of the namespace; the time comes last, so that
    what it finds need not be sorted.
    """
    texts: dict[str, str] = {}
    for column, one in _inputs(found).items():
        if len(one.path) == 1 and one.kind in _INDEXED and len(texts) < MAX_INPUT_INDEXES:
            name = f"{INPUT_INDEX}{namespace} {column}"
            if len(name) > MAX_NAME_BYTES:
                name = f"{name[:46]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
            texts[name] = (
                f"CREATE INDEX {quoted(name)} ON entry "
                f"(namespace, {_value(one, 'inputs')}, created_at)"
                f"{input_indexes_end(namespace)}"
            )
    return texts


def input_indexes_end(namespace: str) -> str:
    """How the text of every index over an input of `namespace` ends."""
    return f" WHERE namespace = {_literal(namespace)}"


def leaves_of(text: str) -> set[Leaf]:
    """The leaves that the view of this text shows, so that nobody need read its entries' inputs."""
    shown: set[Leaf] = set()
    places: list[tuple[tuple[str, ...], str]] = []
    kind = ""
    for place, cast, name in _PARTS.findall(text):
        if place:
            # No name holds a quote: see inputs_text.
            steps = [json.loads(step) for step in re.findall(r'"[^"]*"', place.replace("''", "'"))]
            tag = steps.pop() if len(steps) > 1 and TAG.match(steps[-1]) else ""
            places.append((tuple(steps), tag))
        kind = cast or kind
        if name:
            shown.update(Leaf(*one, kind) for one in places)
            places, kind = [], ""
    return shown


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _names(paths: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """A column name for each path, no two alike to SQLite, which does not tell A from a.

    Where names meet, the one that needs no `input_` and the shallower one keeps its own.
    """
    wished = {path: _wish(path) for path in paths}
    ranked = sorted(wished, key=lambda path: (wished[path] != _joined(path), len(path), path))
    taken = set(FIXED_COLUMNS)
    names = {}
    for path in ranked[:MAX_INPUT_COLUMNS]:
        name, number = wished[path][:MAX_NAME_BYTES], 1
        while name.lower() in taken:
            number += 1
            name = f"{wished[path][: MAX_NAME_BYTES - 4]}_{number}"
        taken.add(name.lower())
        names[path] = name
    return dict(sorted(names.items()))


def _wish(path: tuple[str, ...]) -> str:
    name = _joined(path)
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in FIXED_COLUMNS:
        return name
    return "input_" + re.sub(r"[^A-Za-z0-9_]", "_", name)


def _joined(path: tuple[str, ...]) -> str:
    # The canonical form gave a name that begins with $ one more.
    return "__".join(name[1:] if name.startswith("$$") else name for name in path)


class _Input(NamedTuple):
    """An input that is a column; `whole` is the place where others may have a dict, else ""."""

    path: tuple[str, ...]
    places: list[str]
    kind: str
    whole: str


def _inputs(found: Iterable[Leaf]) -> dict[str, _Input]:
    """The name of each input column, with its path, where its value may lie, and its kind."""
    tags: dict[tuple[str, ...], dict[str, set[str]]] = {}
    for leaf in found:
        tags.setdefault(leaf.path, {}).setdefault(leaf.tag, set()).add(leaf.kind)
    dicts = {path[:end] for path in tags for end in range(1, len(path))}
    inputs = {}
    for path, name in _names(tags).items():
        steps = "$" + "".join("." + _step(step) for step in path)
        places = [f"{steps}.{_step(tag)}" for tag in sorted(tags[path].keys() - {""})]
        if "" in tags[path]:
            places.append(steps)
        kind = _widest(set().union(*tags[path].values()))
        inputs[name] = _Input(path, places, kind, steps if path in dicts else "")
    return inputs


def _widest(kinds: set[str]) -> str:
    """The narrowest kind that all of `kinds` fit into, "" if there is none."""
    for chain in _KINDS:
        if kinds.issubset(chain):
            return max(kinds, key=chain.index)
    return ""


def _value(one: _Input, inputs: str) -> str:
    values = []
    for place in map(_literal, one.places):
        values.append(f"json_extract({inputs}, {place})")
        if place == _literal(one.whole) and one.kind in _NUMBERS:  # which a CAST would make 0
            kind = f"lower(json_type({inputs}, {place}))"  # DuckDB writes it in capitals
            values[-1] = f"CASE WHEN {kind} = 'object' THEN NULL ELSE {values[-1]} END"
    value = values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"
    return f"CAST({value} AS {one.kind})" if one.kind else value


def _step(name: str) -> str:
    return inputs_text({name: 0})[1:-3]  # {"name":0} without what is around the quoted name


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
