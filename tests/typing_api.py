"""What a caller's type checker may rely on: this file must pass `mypy --strict`, and is never run.

It uses the public names alone, as people use them; a signature that changes here changes for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, assert_type

import pandas as pd
import torch

import tensorcache
from tensorcache import (
    Batches,
    Cache,
    Entry,
    EntryMissing,
    Key,
    Rows,
    Shadow,
    SweepPlan,
    audited,
    keying,
)


def build() -> dict[str, Any]:
    return {"batches": [{"x": torch.zeros(1, 3)}]}


def opening(directory: Path) -> Iterator[Cache]:
    yield assert_type(tensorcache.open(), Cache)
    yield tensorcache.open("cache")
    yield tensorcache.open(directory, mode="ro", max_size="20GB", verify="once", trust="group")
    yield tensorcache.open(directory, max_size=20_000_000_000, create=False)
    yield tensorcache.open(directory, max_size=None, min_free="5%", policy="lru")
    with tensorcache.open(directory) as cache:
        assert_type(cache, Cache)
        assert_type(cache.root, str)
        assert_type(cache.mode, str)


def building(cache: Cache, inputs: Mapping[str, object]) -> Entry:
    entry = cache.get_or_build(
        inputs,
        build,
        version=tensorcache.code_version(build, "json"),
        sources={
            "db": tensorcache.database(Path("league.sqlite"), level="bytes"),
            "rows": tensorcache.database("postgresql://host/league", tables=["games"]),
            "asked": tensorcache.database("x.duckdb", queries={"a": "SELECT 1"}),
            "logs": tensorcache.files("logs/*.parquet", Path("more")),
            "weights": tensorcache.value(torch.zeros(3)),
        },
        namespace="model_a.batches",
        refresh=False,
        wait=60.0,
        clone=True,
        shadow=0.01,
        shadow_tolerance=1e-6,
    )
    assert_type(entry, Entry)
    assert_type(entry.shadow, Shadow | None)
    return cache.get_or_build({"lr": 0.1}, lambda: [1, 2], version="3", namespace="numbers")


class Config:
    lr: float = 0.1


def auditing(cache: Cache, config: Config) -> Entry:
    config = assert_type(audited(config), Config)
    with keying(config) as audit:
        inputs = {"rate": config.lr}
    with cache.disabled():
        cache.get_or_build(inputs, build, version="1", namespace="numbers", audit=config)
    return cache.get_or_build(
        inputs, build, version="1", namespace="numbers", audit=audit, strict_keys=True
    )


def memoizing(cache: Cache) -> None:
    @cache.memoize(version="1", ignore=("verbose",), namespace="numbers")
    def count(n: int, *, verbose: bool = False) -> list[int]:
        return list(range(n))

    @cache.memoize(
        version=tensorcache.code_version(build),
        sources=lambda path: {"db": tensorcache.database(path)},
    )
    def rows(path: str) -> int:
        return len(path)

    assert_type(count(3, verbose=True), list[int])
    assert_type(count.key(3), Key)
    assert_type(count.cached(n=3), bool)
    assert_type(count.entry(3), Entry)
    assert_type(rows("league.sqlite"), int)
    count("three")  # type: ignore[arg-type]


def staging(cache: Cache, lists: Entry) -> Entry:
    return cache.get_or_build(
        {"lists": lists, "weights": lists.key}, build, version="1", namespace="numbers"
    )


def reading(entry: Entry) -> None:
    assert_type(entry.hit, bool)
    assert_type(entry.published, bool)
    assert_type(entry.why, str)
    assert_type(entry.key, Key | None)
    assert_type(entry.build_seconds, float)
    assert_type(entry.audit, Mapping[str, list[str]] | None)
    assert_type(entry.get("absent", 7), Any)
    assert_type(list(entry), list[str])
    assert_type(len(entry), int)
    mapping: Mapping[str, Any] = entry
    batches: Batches = mapping["batches"]
    assert_type(batches[3], Any)
    assert_type(batches[1:], Batches)
    assert_type(batches.to("cuda"), Batches)
    assert_type(batches.to(torch.device("cuda", 0)), Batches)
    assert_type(batches.at, dict[str, torch.Tensor])
    assert_type(batches.columns, dict[str, tuple[Any, ...]])
    rows: Rows = batches  # whatever takes rows takes batches
    sequence: Sequence[Any] = rows
    assert_type(sequence.index({}), int)
    assert_type(entry.load(), Any)
    assert_type(entry.load(device="cuda"), Any)


def keys(cache: Cache) -> None:
    key = cache.key({"lr": 0.1}, version="3", namespace="numbers")
    assert_type(key, Key)
    assert_type(key.short, str)
    assert_type(key.digest, str)
    assert_type(cache.put(key, build()), Entry)
    assert_type(cache[key], Entry)
    assert_type(cache[key.short], Entry)
    assert_type(key in cache, bool)
    try:
        cache.remove("0123456789abcdef")
    except EntryMissing as missing:
        also_known_as: KeyError = missing
        raise also_known_as from None
    cache.pin(key, note="the paper's run")
    cache.unpin(key.short)
    maybe: Entry | None = cache.get(key)
    assert maybe is None or maybe.hit


def asking(cache: Cache, key: Key) -> None:
    assert_type(cache.entries(), pd.DataFrame)
    assert_type(cache.entries("namespace = ?", ("numbers",)), pd.DataFrame)
    assert_type(cache.sql("SELECT key FROM entry WHERE bytes > ?", [1000]), pd.DataFrame)
    assert_type(cache.stats(since=7 * 86400.0, by="day").hit_rate, float | None)
    assert_type(cache.verify(deep=True, repair=True), list[str])
    assert_type(cache.reindex(), int)
    assert_type(str(cache.explain(key)), str)
    assert_type(cache.explain(key.short).hit, bool)
    assert_type(cache.explain_inputs({"lr": 0.1}, namespace="numbers").keys, tuple[str, ...])
    assert_type(cache.diff(key, key.short).equal, bool)
    ahead = assert_type(cache.plan([key, key.digest]), SweepPlan)
    assert_type(ahead.hits, dict[str, int])
    assert_type(ahead.builds, tuple[str, ...])
    assert_type(ahead.ahead_bytes, int | None)
    assert_type(ahead.ahead_seconds, float | None)
    plan = cache.vacuum(max_bytes=10**9, unused_for_seconds=14 * 86400.0, dry_run=True)
    assert_type(plan.frees_bytes, int)
    cache.vacuum(stale=True, keep_last=3, policy="oldest", grace_seconds=0.0)
    cache.vacuum(namespace="numbers", where="bytes > ?", params=[1000])
    cache.close()


def errors() -> tuple[type[Exception], ...]:
    """Each is also the builtin that a caller already knows."""
    as_types: tuple[type[TypeError], ...] = (
        tensorcache.UnkeyableValue,
        tensorcache.UnstorableValue,
    )
    as_runtime: tuple[type[RuntimeError], ...] = (
        tensorcache.CacheTooNew,
        tensorcache.LeaseRecursion,
    )
    as_lookups: tuple[type[LookupError], ...] = (
        tensorcache.EntryMissing,
        tensorcache.UnkeyedRead,
    )
    as_values: tuple[type[ValueError], ...] = (tensorcache.NotACache, tensorcache.BadQuery)
    as_system: tuple[type[OSError], ...] = (
        tensorcache.CacheFull,
        tensorcache.EntryCorrupt,
        tensorcache.LeaseTimeout,
        tensorcache.ReadOnlyCache,
        tensorcache.SourceMissing,
        tensorcache.UnsafeCache,
    )
    ours: tuple[type[tensorcache.TensorCacheError], ...] = (
        tensorcache.UnkeyableValue,
        tensorcache.EntryMissing,
    )
    return (*as_types, *as_runtime, *as_lookups, *as_values, *as_system, *ours)
