"""`verify`, `reindex` and `doctor`: what is wrong, and what is done about it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensorcache import disk
from tensorcache.cli import options, text
from tensorcache.cli.options import AsJson, CacheDir
from tensorcache.errors import TensorCacheError

if TYPE_CHECKING:
    from tensorcache.disk.health import HeldLease
    from tensorcache.doctor import Contents, Examination


def verify(
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte of every file.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set aside what is broken, write rows anew.")
    ] = False,
    cache: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Look for what is broken: each fault is a line, and the exit code is 1.

    With --repair what is broken moves to quarantine/, and the index is brought in step or made
    anew; each line says what was done. An entry whose file is broken or missing stays a miss until
    it is built again, or removed.
    """
    opened = options.opened(cache, changes=repair)
    faults = opened.verify(deep=deep, repair=repair)
    keys, shards = _counted(disk.Root(opened.root))
    if as_json:
        text.as_json({"faults": faults, "entries": keys, "shards": shards})
    elif faults:
        for fault in faults:
            print(text.printable(fault, 2 * text.CELL_CHARACTERS))
    else:
        print(f"ok: {text.count(keys, 'entry', 'entries')}, {text.count(shards, 'shard')}")
    if faults:
        raise typer.Exit(1)


def _counted(root: disk.Root) -> tuple[int, int]:
    """How many entries there are, and how many shards they refer to."""
    keys: list[str] = []
    shards = set()
    with contextlib.suppress(OSError):  # what cannot be read is among the faults
        keys = disk.keys_of(root)
    for key in keys:
        with contextlib.suppress(TensorCacheError, OSError):
            manifest = disk.read_manifest(root, key)
            shards |= {shard.digest for shard in manifest.shards} if manifest else set()
    return len(keys), len(shards)


def reindex(cache: CacheDir = None) -> None:
    """Make the index anew from what lies on disk.

    Entries come from their manifests and pins; uses and events are taken over as far as the old
    index can be read, and it moves to quarantine/.
    """
    count = options.opened(cache, changes=True).reindex()
    print(f"the index is made anew: {text.count(count, 'entry', 'entries')}")


def doctor(cache: CacheDir = None, as_json: AsJson = False) -> None:
    """Say how the cache and what it stands on are, and what to do about it.

    It changes nothing, and works on a cache that is broken or may not be written. It opens no
    entry: what is broken or missing within one, `verify` finds. The exit code is 1 if there is
    anything to do.
    """
    from tensorcache.doctor import examine  # most commands need none of it

    found = examine(options.root_of(cache))
    if as_json:
        text.as_json({"tensorcache": options.version(), **_plain(found)})
    else:
        text.table((), list(_facts(found)))
        if found.findings:
            print()
        for finding in found.findings:
            print(text.printable(f"{finding.what}: {finding.remedy}", 2 * text.CELL_CHARACTERS))
    if found.findings:
        raise typer.Exit(1)


def _plain(value: Any) -> Any:
    """Named tuples as JSON has them."""
    if hasattr(value, "_asdict"):
        return {name: _plain(inner) for name, inner in value._asdict().items()}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return value


def _facts(found: Examination) -> Iterator[tuple[str, object]]:
    """What `doctor` tells, a line each."""
    machine, place, index = found.machine, found.place, found.index
    yield "tensorcache", options.version()
    yield "python", f"{machine.python} on {machine.platform}"
    bug = ", whose WAL mode can corrupt a file: none is in WAL mode here"
    yield "sqlite", machine.sqlite + bug * machine.has_wal_bug
    yield "open files", f"{machine.open_files} at most"
    yield "root", place.root
    yield "format", "not known" if place.format is None else place.format
    writable = "" if place.writable else ", not ours to write"
    yield "owner", f"user {place.owner}, mode {place.mode}{writable}"
    hosts = "local" if place.is_local else "shared by hosts"
    yield "filesystem", f"{place.filesystem or 'not known'}, {hosts}"
    tried = {True: "keep a second one out", False: "keep nobody out", None: "not tried"}
    yield "locks", tried[place.locks_exclude]
    inodes = "" if place.free_inodes is None else f", {place.free_inodes:,} inodes"
    yield "free", text.size(place.free_bytes) + inodes
    revision = index.revision or ("not known" if index.problem else "not yet made")
    yield "index", f"revision {revision}, {text.size(index.size_bytes)}, {index.problem or 'well'}"
    if found.contents is not None:
        yield from _facts_within(found.contents)
    yield from found.settings.items()


def _facts_within(contents: Contents) -> Iterator[tuple[str, str]]:
    entries = f"{text.count(contents.entries, 'entry', 'entries')} ({contents.pinned} pinned)"
    pieces = text.count(contents.pieces, "file")
    yield "contents", f"{entries}, {pieces}, {text.size(contents.size_bytes)}"
    yield "notes", f"{text.count(contents.notes, 'entry', 'entries')} to be taken into the index"
    for lease in contents.leases:
        yield "building", _builder(lease)
    left = text.size(contents.leftover_bytes)
    yield "leftovers", f"{contents.leftovers}, {left}: tensorcache vacuum removes them"
    aside = text.size(contents.quarantined_bytes)
    yield "quarantine", f"{contents.quarantined}, {aside}: each goes a week after it came"


def _builder(lease: HeldLease) -> str:
    if lease.pid is None or lease.started_at is None:
        return f"{lease.key[:16]} by a process that has not said who it is"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(lease.started_at))
    return f"{lease.key[:16]} by process {lease.pid} on {lease.host} since {since}"
