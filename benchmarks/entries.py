"""Very many entries, as publications leave them; and what one fresh process does with them.

    python benchmarks/entries.py make ROOT COUNT      # a root of so many entries
    python benchmarks/entries.py orphans ROOT COUNT   # so many more files that no entry refers to
    python benchmarks/entries.py get ROOT NUMBER key|digits
    python benchmarks/entries.py view ROOT ROUNDS
    python benchmarks/entries.py puts ROOT ROUNDS
    python benchmarks/entries.py plans ROOT NUMBER
    python benchmarks/entries.py faults ROOT [deep]

Each says its result as a line of JSON, its last. Entry `number` is the same in every process.

The first entry of each namespace is built and published by the library. The others are its
manifest with another key, time and build, packed by the library and written where it would write
it, and their rows are those that the library makes of it: through `Index.add`, though all in one
transaction, and with no fsync before the last. All refer to one shard; one in a hundred has a
shard of its own instead, so that there is something to come back when it goes.
"""

from __future__ import annotations

import collections
import contextlib
import io
import itertools
import json
import logging
import os
import re
import sqlite3
import sys
import time

import tensorcache

NAMESPACES = ("bench.batches", "bench.lists", "bench.scores")
OWN = 100  # one in so many has a shard of its own
DAYS = 60.0  # the newest is two hours old: older than any grace
SEEDS = 10_007  # about a hundred entries of a million share one
SLICE = 2_000  # entries that are written, and whose rows are added, at a time
AHEAD = 4  # slices that may wait for their rows
CACHE_KIB = 1 << 20  # of SQLite's pages: rows in the order of time have keys in none
MOST_PUTS = 1_000  # at the limit, if what they let go does not come back before
STATEMENT = "SELECT|WITH|UPDATE|DELETE|INSERT"
VIEW = f'SELECT * FROM "{NAMESPACES[0]}" WHERE seed = ?'


def main():
    what, root, *words = sys.argv[1:]
    print(json.dumps(STEPS[what](os.path.abspath(root), *words)))


def inputs_of(number):
    """What entry `number` was made from."""
    return {
        "seed": number % SEEDS,
        "n_folds": 2 + number % 7,
        "rolling_windows": [10, 10 + number % 31],
        "target": ("rank", "margin", "wins")[number % 11 % 3],
        "training": {"learning_rate": (1 + number % 97) / 1000, "trial": number},
    }


def asked_of(number):
    """What `key` and `get_or_build` are given for it, beside the builder."""
    return {
        "inputs": inputs_of(number),
        "version": "1",
        "sources": {"league": tensorcache.value("2026")},
        "namespace": NAMESPACES[number % len(NAMESPACES)],
    }


def payload_of(number=0):
    """What it holds: most hold the same."""
    import torch  # most processes here do without

    own = number if number % OWN == OWN - 1 else 0
    return {"stats": torch.arange(own, own + 1024, dtype=torch.float32), "label": "a season"}


def make(root, count):
    """A root of `count` entries; how long it took, and how large it is."""
    count, started = int(count), time.perf_counter()
    with tensorcache.open(root, max_size=None) as cache:
        first = [
            cache.get_or_build(build=payload_of, **asked_of(number)).key.digest
            for number in range(len(NAMESPACES))
        ]
        cache.upgrade()  # the index takes in what they left
    if count > len(first):
        _make(root, count, first)
    os.sync()  # nobody who is measured shall wait for it
    seconds, (entries, held) = time.perf_counter() - started, _total(root)
    if entries != count:
        raise ValueError(f"the index tells of {entries} entries, {count} were written")
    index_bytes = os.path.getsize(f"{root}/index.sqlite")
    said = {"namespaces": len(NAMESPACES), "inputs": len(inputs_of(0)), "own": OWN, "days": DAYS}
    return {"seconds": seconds, "bytes": held, "index_bytes": index_bytes} | said


def _total(root):
    """Entries and bytes, as the index sums them up."""
    with contextlib.closing(_index(root)) as index:
        return index.execute("SELECT entries, bytes FROM _total").fetchone()


def _index(root):
    return sqlite3.connect(f"file:{root}/index.sqlite?mode=ro", uri=True)


def _make(path, count, first):
    import concurrent.futures
    import multiprocessing

    from tensorcache import disk, rows
    from tensorcache.progress import progress

    logging.basicConfig(format="%(message)s")  # how far it is, where there is no terminal
    logging.getLogger("tensorcache").setLevel(logging.INFO)
    root = disk.Root(path)
    models = [disk.read_manifest(root, key) for key in first]
    usual = rows.rows_of(root, models[0], None)
    for folder in range(256):
        os.makedirs(root.join("entries", f"{folder:02x}"), exist_ok=True)
    slices = [range(at, min(at + SLICE, count)) for at in range(len(first), count, SLICE)]
    began = time.time() - DAYS * 86_400
    beside = {  # this process adds rows, those write files
        "max_workers": max(1, min(3, len(os.sched_getaffinity(0)) - 1)),
        "mp_context": multiprocessing.get_context("fork"),
        "initializer": _begin,
        "initargs": (root, models, began, (DAYS * 86_400 - 7_200) / count),
    }
    index = _at_once(root.join("index.sqlite"))
    with (
        concurrent.futures.ProcessPoolExecutor(**beside) as pool,
        progress(f"writing {count:,} entries", count, "rows") as done,
        disk.locked(root),
    ):
        written = _in_order(pool, slices)
        first_slice = next(written)  # its processes are forked before the index is open
        with index.at_once():
            for some in itertools.chain([first_slice], written):
                index.add(
                    [
                        usual._replace(manifest=manifest, manifest_bytes=size)
                        if manifest.shards == models[0].shards
                        else rows.rows_of(root, manifest, None)
                        for manifest, size in some
                    ]
                )
                done(len(some))


def _in_order(pool, slices):
    """What is written of each slice, in order; few wait in memory."""
    waiting = collections.deque()
    for some in slices:
        waiting.append(pool.submit(_written, some))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _at_once(path):
    """An index whose every `writing` is part of one transaction."""
    from tensorcache.index import Index

    class AtOnce(Index):
        @contextlib.contextmanager
        def at_once(self):
            with super().writing() as self.connection:
                self.connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE_KIB}")
                yield

        @contextlib.contextmanager
        def writing(self):
            yield self.connection

    return AtOnce(path)


def _begin(*given):
    """What a process that writes manifests knows."""
    global _root, _models, _began, _step, _cache  # noqa: PLW0603 - of this process alone
    _root, _models, _began, _step = given
    _cache = tensorcache.open(_root.path, mode="ro")
    os.umask(0o022)


def _written(numbers):
    """The manifests of these entries and their bytes, once they lie where they belong."""
    return [_write(number) for number in numbers]


def _write(number):
    from tensorcache import disk
    from tensorcache.manifest import to_bytes

    key = _cache.key(**asked_of(number))
    manifest = _models[number % len(NAMESPACES)]._replace(
        key=key.digest,
        identity=key.text,
        created_at=_began + number * _step,
        build_seconds=0.5 + number * 7919 % 10_000 / 25,
    )
    if number % OWN == OWN - 1:
        manifest = manifest._replace(**_laid(number))
    data = to_bytes(manifest)
    path = disk.manifest_path(_root, key.digest)
    _put(path, data)
    os.utime(path, ns=(manifest.mtime_ns, manifest.mtime_ns))  # as a publication does
    return manifest._replace(digest=data[-32:].hex()), len(data)


def _laid(number):
    """The sections and pieces of an entry that shares none, once its pieces are there."""
    from tensorcache import column, disk

    def add(kind, _size_bytes, write):
        data = bytearray()
        piece = write(data.extend)
        path = disk.piece_path(_root, kind, piece.digest)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _put(path, data)
        return piece

    return column.write(column.lay(payload_of(number)), add)._asdict()


def _put(path, data):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    os.write(descriptor, data)
    os.close(descriptor)


def orphans(root, count):
    """Add small files that no entry refers to, 8 bytes each, to a root that may be yet to begin."""
    from blake3 import blake3

    from tensorcache import disk

    tensorcache.open(root)
    os.umask(0o022)
    for folder in range(256):
        os.makedirs(f"{root}/shards/{folder:02x}", exist_ok=True)
    for number in range(int(count)):
        data = number.to_bytes(8, "big")
        _put(disk.piece_path(disk.Root(root), "shard", blake3(data).hexdigest()), data)
    os.sync()
    return len(_shards(root))


def _shards(root):
    return [name for _, _, names in os.walk(f"{root}/shards") for name in names]


def get(root, number, by):
    """Seconds of one `get`, the first of this process, and whether the entry was there."""
    cache = tensorcache.open(root)
    key = cache.key(**asked_of(int(number)))
    path = f"{root}/entries/{key.digest[:2]}"
    if f"{key}.msgpack" in os.listdir(path):  # that the disk answers is no part of it
        with open(f"{path}/{key}.msgpack", "rb") as file:
            file.read()
    asked = key if by == "key" else key.digest
    started = time.perf_counter()
    entry = cache.get(asked)
    return {"seconds": time.perf_counter() - started, "there": entry is not None}


def view(root, rounds):
    """Seconds of a query of a view with one input equal, in turn for others; how many it found."""
    cache = tensorcache.open(root)
    cache.sql("SELECT 1")  # all is imported
    found = []
    for turn in range(int(rounds)):
        started = time.perf_counter()
        frame = cache.sql(VIEW, (turn * 1_009 % SEEDS,))
        found.append({"seconds": time.perf_counter() - started, "rows": len(frame)})
    return found


def puts(root, rounds):
    """Seconds of `put` without a limit and at one in turn, till its room is full; what went."""
    below, payload = tensorcache.open(root, max_size=None), payload_of()
    found = {"below": [], "at": [], "went": []}

    def put(cache, key):
        started = time.perf_counter()
        cache.put(key, payload)
        return time.perf_counter() - started

    put(below, below.key(**asked_of(_new())))  # what is imported by then is no part of it
    limit, own, room = _total(root)[1], 1, 0  # bytes: of one entry, and what is free by now
    while len(found["at"]) < max(int(rounds), min(MOST_PUTS, room // own)):
        for which in ("below", "at")[:: -1 if len(found["at"]) % 2 else 1]:
            key, (entries, held) = below.key(**asked_of(_new())), _total(root)
            cache = below if which == "below" else tensorcache.open(root, max_size=limit)
            found[which].append(put(cache, key))
            left, holds = _total(root)
            if which == "below":  # which raises the limit
                own, limit = holds - held, limit + holds - held
            else:
                found["went"].append(entries + 1 - left)
                room += held + own - holds
    return found


def _new():
    """A number that no entry has."""
    return time.time_ns() // 1000


def plans(root, number):
    """By what is done: every statement that SQLite was given for it, and how it plans that."""
    heard, number = _heard(), int(number)
    cache = tensorcache.open(root, max_size=None)
    done = {
        "a hit": lambda: cache[cache.key(**asked_of(number))],
        "a miss, its build and publication": lambda: cache.get_or_build(
            build=payload_of, **asked_of(_new())
        ),
        "a publication at the limit": lambda: tensorcache.open(root, max_size=_total(root)[1]).put(
            cache.key(**asked_of(_new())), payload_of()
        ),
        "a query of a view with one input equal": lambda: cache.sql(VIEW, (number % SEEDS,)),
        "`tensorcache ls --limit 20`": lambda: _listed(root),
    }
    found = []
    for what, do in done.items():
        heard.clear()
        do()
        found.append({"what": what, "statements": _planned(root, list(heard))})
    return found


def _heard():
    """What SQLite is given from now on, whoever asks: by then a statement has its values."""
    from tensorcache.index.connection import Connection

    heard, begin = [], Connection.__init__

    def begun(connection, *args, **options):
        begin(connection, *args, **options)
        connection.set_trace_callback(heard.append)

    Connection.__init__ = begun
    return heard


def _listed(root):
    from tensorcache.cli import app

    with contextlib.redirect_stdout(io.StringIO()):
        app(["ls", "--limit", "20", "--cache", root], standalone_mode=False)


def _planned(root, heard):
    """Each statement once, and SQLite's plan of it.

    Those that plan nothing are left out, and those about the schema, which is small and read first.
    """
    planned = {}
    with contextlib.closing(_index(root)) as index:
        for sql in heard:
            shape = _shape(sql)
            is_ours = not re.search(r"\b(?:sqlite_master|alembic_version)\b", shape)
            if is_ours and shape not in planned and re.match(STATEMENT, shape):
                plan = index.execute(f"EXPLAIN QUERY PLAN {sql}")
                planned[shape] = [detail for *_, detail in plan]
    return [{"sql": sql, "plan": plan} for sql, plan in planned.items() if plan]


def _shape(sql):
    """A statement without its values."""
    sql = re.sub(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b", "?", " ".join(sql.split()))
    return re.sub(r"\?(?:, ?\?)+", "?, …", sql)


def faults(root, *deep):
    """What is wrong with a root: if `deep` all that there may be, else with its sums alone."""
    if deep:
        return tensorcache.open(root).verify(deep=True)
    rows = "SELECT count(*), sum(manifest_bytes) + (SELECT sum(bytes) FROM shard) FROM entry"
    with contextlib.closing(_index(root)) as index:
        there = index.execute(rows).fetchone()
    files = sum(len(names) for _, _, names in os.walk(f"{root}/entries"))
    told = _total(root)
    is_right = told == there and told[0] == files
    return [] if is_right else [f"{files} files, {there} of rows, {told} of their sums"]


STEPS = {step.__name__: step for step in (make, orphans, get, view, puts, plans, faults)}

if __name__ == "__main__":
    main()
