"""The commands of `tensorcache`; a docstring is what `--help` says."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from tensorcache import disk
from tensorcache.cli import ask, checks, entry, options, plan, stats, text
from tensorcache.cli.options import AsJson, CacheDir, KeyDigits, Yes
from tensorcache.errors import UnkeyableValue

_SETTINGS: dict[str, Any] = {
    "rich_markup_mode": None,  # plain help: the same everywhere, and 0.1 s sooner
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, **_SETTINGS)
db = typer.Typer(help="The index: the SQL database that answers questions.", **_SETTINGS)
app.add_typer(db, name="db")


@app.callback(invoke_without_command=True)
def _tensorcache(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """See, ask, check and clean a cache of ML build results."""
    if version:
        typer.echo(f"tensorcache {options.version()}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
    else:
        return
    raise typer.Exit


app.command()(ask.ls)


@app.command()
def show(key: KeyDigits, cache: CacheDir = None, as_json: AsJson = False) -> None:
    """Show what made an entry, and what it holds."""
    opened = options.opened(cache)
    described = entry.described(opened, options.manifest_of(opened, key))
    if as_json:
        text.as_json(described)
    else:
        entry.say(described)


app.command()(ask.sql)


@app.command()
def explain(
    key: Annotated[str, typer.Argument(metavar="KEY", help="6 or more digits of a key.")] = "",
    inputs: Annotated[
        str, typer.Option(metavar="FILE", help="Inputs as JSON (or YAML), in place of a key.")
    ] = "",
    namespace: Annotated[
        str, typer.Option(metavar="NAME", help="The namespace that --inputs are of.")
    ] = "",
    cache: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Say in what an entry differs from the nearest one before it: why it was a miss.

    With --inputs: which entries have the nearest inputs, and which fields differ. Sources and
    version are taken as those entries have them.
    """
    from tensorcache.cli import differences  # only here

    if bool(key) == bool(inputs) or bool(inputs) != bool(namespace):
        raise options.WrongUse("explain: name a KEY, or --inputs FILE with its --namespace NAME")
    opened = options.opened(cache)
    found: Any
    if inputs:
        asked = differences.read_inputs(inputs)
        try:
            found = opened.explain_inputs(asked, namespace=namespace)
        except UnkeyableValue as error:
            raise options.WrongUse(str(error)) from error
        sides = (found.keys[0] if found.keys else "", "--inputs")
    else:
        found = opened.explain(options.key_of(opened, key))
        sides = (found.nearest or "", found.key)
    if as_json:
        told = {"differences": differences.described(found.differences)}
        text.as_json({**found._asdict(), **told})
    elif found.differences:
        differences.say(found.differences, *(side[:16] for side in sides))
    else:
        print(text.printable(found))


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="6 or more digits of a key.")],
    new: Annotated[str, typer.Argument(metavar="B", help="6 or more digits of another.")],
    cache: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare two entries, tensor by tensor.

    Also says in which inputs, sources and version they differ. The exit code is 1 if they hold
    something else, whatever they were made from. Elements of lists are compared by position.
    """
    from tensorcache.cli import differences  # only here

    opened = options.opened(cache)
    found = opened.diff(*(options.key_of(opened, key) for key in (old, new)))
    sides = found.old[:16], found.new[:16]
    if as_json:
        told = {
            "differences": differences.described(found.differences),
            "contents": [{**one._asdict(), "equal": one.equal} for one in found.contents],
        }
        text.as_json({**found._asdict(), **told, "equal": found.equal})
    else:
        if found.differences:
            differences.say(found.differences, *sides)
            print()
        differences.say_contents(found.contents, *sides)
    if not found.equal:
        raise typer.Exit(1)


for _command in (stats.stats, checks.verify, checks.reindex, checks.doctor):
    app.command()(_command)


app.command()(plan.vacuum)
for _alias in ("prune", "gc"):
    app.command(_alias, hidden=True)(plan.vacuum)


@app.command()
def rm(
    keys: Annotated[list[str], typer.Argument(metavar="KEY", help="6 or more digits of each key.")],
    yes: Yes = False,
    cache: CacheDir = None,
) -> None:
    """Remove entries, pinned or not."""
    options.check_can_ask(yes=yes)
    opened = options.opened(cache, changes=True)
    found = sorted({options.key_of(opened, key) for key in keys})
    shown = ", ".join(key[:16] for key in found[:4]) + (", …" if len(found) > 4 else "")
    if options.agreed(f"Remove {text.count(len(found), 'entry', 'entries')} ({shown})?", yes=yes):
        opened.remove(*found)
        text.remark(f"removed {text.count(len(found), 'entry', 'entries')}")


@app.command()
def clear(yes: Yes = False, cache: CacheDir = None) -> None:
    """Remove all entries, pinned or not."""
    options.check_can_ask(yes=yes)
    opened = options.opened(cache, changes=True)
    root = disk.Root(opened.root)
    keys = disk.keys_of(root)
    counted = text.count(len(keys), "entry", "entries")
    pinned = len(disk.read_pins(root).keys() & set(keys))
    question = f"Remove all {counted} ({pinned} pinned) of {text.printable(repr(opened.root))}?"
    if keys and not options.agreed(question, yes=yes):
        return
    opened.remove(*keys)
    text.remark(f"removed {counted}")


@app.command()
def pin(
    key: KeyDigits,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why, for people.")] = "",
    cache: CacheDir = None,
) -> None:
    """Keep an entry from being vacuumed."""
    opened = options.opened(cache, changes=True)
    found = options.key_of(opened, key)
    opened.pin(found, note)
    text.remark(f"pinned {found[:16]}")


@app.command()
def unpin(key: KeyDigits, cache: CacheDir = None) -> None:
    """Let an entry be vacuumed again."""
    opened = options.opened(cache, changes=True)
    found = options.key_of(opened, key)
    opened.unpin(found)
    text.remark(f"unpinned {found[:16]}")


@db.command()
def info(cache: CacheDir = None, as_json: AsJson = False) -> None:
    """Say where the index is, at which revision, and how large; it is changed in nothing."""
    from tensorcache import schema  # the index: most commands need none
    from tensorcache.index import Index

    path = os.path.join(options.opened(cache).root, "index.sqlite")
    index = Index(path, read_only=True, patience_seconds=2.0)  # it waits for nobody
    facts: dict[str, Any] = {
        "path": path,
        "revision": index.revision(),
        "head": schema.HEAD,
        "sqlite": index.query("SELECT sqlite_version()").rows[0][0],
        "bytes": os.path.getsize(path) if os.path.exists(path) else 0,
    }
    with index.reading() as connection:  # what people ask may not say PRAGMA
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        facts["journal_mode"] = "wal" if mode == "wal" else "rollback"
    names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    facts["rows"] = {
        name: index.query(f"SELECT count(*) FROM {schema.quoted(name)}").rows[0][0]  # noqa: S608 - quoted
        for (name,) in index.query(f"{names} ORDER BY name").rows
    }
    if as_json:
        text.as_json(facts)
        return
    rows = facts.pop("rows")
    facts["revision"] = facts["revision"] or "not yet made"
    facts["bytes"] = text.size(facts["bytes"])
    named = [(name.replace("_", " "), fact) for name, fact in facts.items()]
    text.table((), named + [(f"rows of {name}", number) for name, number in rows.items()])


@db.command()
def upgrade(cache: CacheDir = None) -> None:
    """Make the index, or bring it up to what this version of tensorcache needs."""
    opened = options.opened(cache, changes=True)
    opened.upgrade()
    (head,) = opened.table("SELECT version_num FROM alembic_version").rows[0]
    text.remark(f"the index is at revision {head}")


@app.command("dir")
def directory(cache: CacheDir = None) -> None:
    """Print the cache's directory, whether or not it is there yet."""
    path = os.fsencode(options.directory_of(cache))
    sys.stdout.buffer.write(path + b"\n")  # the very bytes: for `cd "$(tensorcache dir)"`
