"""Write what follows from code and results: `cli.md`, `queries.md`, …, `migrations/head.sql`.

    python docs/generate.py            # write them
    python docs/generate.py --check    # exit 1 if they are not what would be written

What a table or a column means is said here, once: a column without a sentence is an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from tensorcache import schema
from tensorcache.cli import app
from tensorcache.index import revisions
from tensorcache.index.connection import engine_of, in_memory
from tensorcache.index.view import SCHEMA

DOCS = Path(__file__).parent
REPO = DOCS.parent
# Their tables, and the results of benchmarks.
sys.path += [str(REPO / name) for name in ("tests", "tests/faults", "scripts", "benchmarks")]
WIDTH = 88
PROMISES_BEGIN = "<!-- promises: docs/generate.py writes what is between these lines -->\n"
PROMISES_END = "<!-- end of promises -->"
HEAD = "-- What the revisions make of an empty file. Written by docs/generate.py: do not edit.\n"

TABLES = {
    "entry": (
        "One row for each entry.",
        {
            "key": "The SHA-256 of the identity text: 64 hex digits.",
            "namespace": "The kind of thing; also the name of its view.",
            "identity": "The identity text: inputs, sources, version and namespace as JSON.",
            "digest": "The blake3 of the manifest: which generation of the entry this is.",
            "inputs": 'The inputs as JSON; what JSON cannot say is tagged, as in `{"$date": …}`.',
            "version": "Which code built it, with its scheme: `code-2:…` or `hand:…`.",
            "format": "The format of its manifest.",
            "bytes": "What it refers to; pieces that entries share count in each of them.",
            "build_seconds": "How long its build took.",
            "created_at": "When it was published.",
            "last_used_at": "The last hit or wait, or NULL.",
            "uses": "How many hits and waits there were.",
            "pinned": "The note of its pin (it may be empty), or NULL: not pinned.",
            "host": "The machine that built it.",
            "tools": "The versions that built it, as JSON: Python, numpy, torch.",
            "manifest_bytes": "The size of its manifest.",
            "alone_bytes": "What its removal frees: its manifest, and what no other refers to.",
            "touched_at": "When it was used last or made, whichever is later.",
            "warmth": "Log2 of its uses, each worth half as much for every 7 days that it is old.",
            "worth": "Log2 of build seconds times uses over `alone_bytes`; the lowest goes first.",
        },
    ),
    "source": (
        "One row for each source of an entry: what the build read from outside.",
        {
            "entry": "The key of the entry.",
            "place": "Its place among the entry's sources.",
            "name": "What the caller names it.",
            "kind": "What it is: `sqlite`, `duckdb`, `files` or `value`.",
            "path": "Where it was, or NULL. Provenance: it is no part of the key.",
            "identity": "The digest of its content, with its scheme.",
            "size": "Its bytes, or NULL where it is no single file.",
            "mtime_ns": "When it was last modified, in ns since 1970, or NULL.",
        },
    ),
    "shard": (
        "One row for each file that an entry refers to.",
        {
            "digest": "The blake3 of its bytes: its name.",
            "kind": "`shard` (columns, as safetensors) or `document` (rows, as msgpack).",
            "path": "Where it lies below the cache's directory. For people.",
            "bytes": "Its size.",
        },
    ),
    "entry_shard": (
        "Which entry refers to which file; entries share files of equal content.",
        {"entry": "The key of the entry.", "shard": "The digest of the file."},
    ),
    "column": (
        "One row for each column of an entry: the catalogue of tensors.",
        {
            "entry": "The key of the entry.",
            "place": "Its place among the entry's columns.",
            "section": "The section that refers to it.",
            "field": "The path of the field inside the section's elements.",
            "dtype": "The type of its numbers.",
            "shape": "Its shape as JSON; the first number counts its distinct rows.",
            "bytes": "Its size.",
        },
    ),
    "event": (
        "What happened, kept when the entry is gone. These are statistics: they may be lost.",
        {
            "id": "A number.",
            "at": "When.",
            "kind": "`hit`, `miss`, `build`, `wait`, `evict` or `quarantine`.",
            "key": "The key that it was about.",
            "seconds": "How long it took.",
            "bytes": "How much it was about.",
            "namespace": "The namespace of that entry, or NULL where nobody knew it.",
            "build_seconds": "For a hit or a wait: how long the build of that entry took.",
        },
    ),
    "_total": (
        "One row: what is held now, kept with every change so that nobody has to add it up.",
        {
            "id": "Always 1.",
            "entries": "How many entries there are.",
            "bytes": "The bytes of their manifests, and of every file that they refer to once.",
        },
    ),
    "_hour": (
        "Events added up by the hour, for two years: the newest events alone are kept singly.",
        {
            "hour": "When that hour began.",
            "namespace": "Of which entries, or an empty text where nobody knew.",
            "hits": "How many hits.",
            "misses": "How many misses.",
            "builds": "How many builds.",
            "waits": "How many waits for the build of another process.",
            "evictions": "How many entries were removed to make room.",
            "hit_seconds": "How long the hits took.",
            "wait_seconds": "How long the waits took.",
            "build_seconds": "How long the builds took.",
            "saved_seconds": "For each hit and wait, what the build took beyond it.",
            "evicted_bytes": "What the evictions freed.",
        },
    ),
    "_size": (
        "What was held after the last change of each hour, for two years.",
        {
            "hour": "When that hour began.",
            "bytes": "The bytes held.",
            "limit_bytes": "The limit then, or NULL: none.",
        },
    ),
    "_taken": (
        "The journals of uses that were counted, the newest 10,000, so that none counts twice.",
        {"journal": "Which.", "at": "When."},
    ),
}

VIEW_COLUMNS = "`" + "`, `".join(schema.FIXED_COLUMNS) + "`"
EXAMPLE = (
    schema.Leaf(("n_folds",), kind="BIGINT"),
    schema.Leaf(("training", "rolling_windows"), kind="VARCHAR"),
)

CLI_HEAD = """\
# The command line

Generated by `docs/generate.py` from the commands themselves.

Every command takes `--cache DIR`; without it the cache is the one in `TENSORCACHE_DIR`, else
`~/.cache/tensorcache`. No command begins a cache. A `KEY` is any 6 or more digits that tell the key
apart. What removes asks on a terminal, and wants `--yes` elsewhere. `prune` and `gc` are `vacuum`.
On a terminal tables fit its width; elsewhere every row is one line, and nothing is cut but texts of
more than 200 characters. `--json` cuts nothing and is ASCII.

| exit code | it means |
| --- | --- |
| 0 | done |
| 1 | a check found something (`verify`, `doctor`), or two entries hold something else (`diff`) |
| 2 | wrong use: an option, a key, a query, a directory; one line on stderr says what to do |
| 3 | the cache cannot be used now: corrupt, busy, full, read-only, or made by a newer version |
| 130 | interrupted |
"""

SCHEMA_HEAD = f"""\
# The index

Generated by `docs/generate.py` from `tensorcache/schema.py`. Revision {schema.HEAD}.

`index.sqlite` answers questions about entries: with `tensorcache sql`, `Cache.sql`, plain `sqlite3`
or Datasette. Everything in it is derived from manifests and pins, or is statistics that may be
lost. Times are UTC, as `YYYY-MM-DD HH:MM:SS.ffffff`. Write nothing into it.
"""


def cli_page() -> str:
    """The help of every command."""
    parts = [CLI_HEAD]
    for name, text in helps():
        parts.append(f"## {name}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def helps() -> Iterator[tuple[str, str]]:
    """The name and the help of every command that is not hidden, at a width of its own."""

    def walk(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
        context = command.make_context(
            name.rpartition(" ")[2],
            [],
            parent=parent,
            terminal_width=WIDTH,
            max_content_width=WIDTH,
            resilient_parsing=True,
        )
        yield name, "\n".join(line.rstrip() for line in context.get_help().splitlines())
        for inner_name, inner in getattr(command, "commands", {}).items():
            if not inner.hidden:
                yield from walk(inner, f"{name} {inner_name}", context)

    return walk(typer.main.get_command(app), "tensorcache", None)


def schema_page() -> str:
    """Every table and every column with a sentence, and how a view is made."""
    parts = [SCHEMA_HEAD, views_part()]
    order = list(TABLES)  # one that is not there is an error
    for table in sorted(schema.metadata.sorted_tables, key=lambda table: order.index(table.name)):
        about, sentences = TABLES[table.name]
        lines = [
            f"## {table.name}\n\n{about}\n",
            "| column | type | it is |",
            "| --- | --- | --- |",
        ]
        for column in table.columns:
            kind = str(column.type) + ("" if column.nullable else " not null")
            lines.append(f"| `{column.name}` | {kind.lower()} | {sentences[column.name]} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def views_part() -> str:
    """What a view is, with one as it is made."""
    text = schema.view("my.batches", EXAMPLE).replace(" FROM ", "\nFROM ")
    text = text.replace(", entry.", ",\n  entry.").replace(", CAST", ",\n  CAST")
    return f"""\
## Views

Each namespace is a view that shows its entries with every input as a column. First come
{VIEW_COLUMNS},
then the inputs, nested ones joined by `__`. A name that is no identifier, or is one of the first,
is `input_<name>`. Lists are JSON, true and false are 1 and 0, dates are text, and an input that an
entry lacks is NULL. A view has at most {schema.MAX_INPUT_COLUMNS} inputs. An
input that is a number, true or false in one entry and a dict in another is NULL for the other,
whose dict has columns of its own.

A column is cast to the narrowest type that holds all its values: `BOOLEAN`, `BIGINT`, `DOUBLE`
(for whole numbers and others together, too), `HUGEINT` (for whole numbers where one is beyond
2^53, which a float would round), `VARCHAR` (texts and lists of up to
{schema.SHORT_CHARACTERS} characters), `TEXT` (longer ones), `CHAR` (nothing but NULL so far); of
numbers and texts together it has no type. Views follow the inputs of new entries, and of those that
are left: where more than 1,000 newer ones would have to be read for that, a view goes on showing
what nobody has any more.
The indexes of a long namespace are told of in [queries.md](queries.md).

    tensorcache sql 'SELECT key, bytes FROM "my.batches" WHERE n_folds = 5'

```sql
{text}
```
"""  # noqa: S608 - prose, and nobody runs it


def queries_page() -> str:
    """Questions, and what a small cache answers."""
    from queries_page import page  # the tests' own, as are its queries

    return page()


def scenarios_page() -> str:
    """What the next start finds, by what was done before it."""
    from scenarios.page import page  # the tests' own tables

    return page()


def durability_page() -> str:
    """The page as it is, with the table of promises between its two marks."""
    from promises import last_results, table  # the tests' own

    text = (DOCS / "durability.md").read_text("utf-8")
    head, begin, rest = text.partition(PROMISES_BEGIN)
    _, end, tail = rest.partition(PROMISES_END)
    return f"{head}{begin}\n{table(last_results())}{end}{tail}"


def million_page() -> str:
    """What is asked of a million entries, and how long it took."""
    from million_page import page  # of benchmarks/

    return page()


def head_sql(location: str = "") -> str:
    """The tables of an index, as all revisions at `location` leave them in an empty file."""
    with engine_of(in_memory).begin() as connection:
        revisions.upgrade(connection, location or revisions.migrations())
        texts = [f"{text};\n" for _, _, text in connection.exec_driver_sql(SCHEMA)]
    return "\n".join([HEAD, *texts])


PAGES = {
    "migrations/head.sql": head_sql,  # first: who makes an index for a page needs it
    "docs/cli.md": cli_page,
    "docs/durability.md": durability_page,
    "docs/million.md": million_page,
    "docs/queries.md": queries_page,
    "docs/scenarios.md": scenarios_page,
    "docs/schema.md": schema_page,
}


def main() -> int:
    """Write the pages, or check them; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if stale")
    check = parser.parse_args().check
    stale = False
    for name, page in PAGES.items():
        path, text = REPO / name, page()
        if not path.exists() or path.read_text("utf-8") != text:
            stale = True
            if check:
                print(f"{name} is stale: run make docs", file=sys.stderr)
            else:
                path.write_text(text, "utf-8")
    return int(check and stale)


if __name__ == "__main__":
    sys.exit(main())
