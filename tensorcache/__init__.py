"""A cache for what ML builds produce: memory-mapped tensors, keyed by inputs and database state.

    cache = tensorcache.open("data/cache")
    entry = cache.get_or_build(inputs, build, version="1", namespace="my.batches")

`Cache` and `Entry` are what people hold; `database`, `files`, `value` and `code_version` describe
what a build depends on and touch nothing; `audited` and `keying` find what it reads beside that;
errors derive from `TensorCacheError` and from the builtin that a caller already knows. Importing
this package imports neither torch nor sqlalchemy.
"""

from typing import TYPE_CHECKING, Any

from tensorcache.cache import Cache
from tensorcache.cache import open_cache as open  # noqa: A004 - read as tensorcache.open
from tensorcache.entry import Entry
from tensorcache.errors import (
    BadQuery,
    CacheFull,
    CacheTooNew,
    EntryCorrupt,
    EntryMissing,
    LeaseRecursion,
    LeaseTimeout,
    NotACache,
    ReadOnlyCache,
    SourceMissing,
    TensorCacheError,
    UnkeyableValue,
    UnkeyedRead,
    UnsafeCache,
    UnstorableValue,
)
from tensorcache.key import Key
from tensorcache.source import code_version, database, files, value

if TYPE_CHECKING:
    from tensorcache.audit import audited, keying
    from tensorcache.column import Batches, Rows
    from tensorcache.explain import Shadow
    from tensorcache.plan import SweepPlan

__all__ = [
    "BadQuery",
    "Batches",
    "Cache",
    "CacheFull",
    "CacheTooNew",
    "Entry",
    "EntryCorrupt",
    "EntryMissing",
    "Key",
    "LeaseRecursion",
    "LeaseTimeout",
    "NotACache",
    "ReadOnlyCache",
    "Rows",
    "Shadow",
    "SourceMissing",
    "SweepPlan",
    "TensorCacheError",
    "UnkeyableValue",
    "UnkeyedRead",
    "UnsafeCache",
    "UnstorableValue",
    "audited",
    "code_version",
    "database",
    "files",
    "keying",
    "open",
    "value",
]


def __getattr__(name: str) -> Any:
    """What comes with torch, or is needed by few, comes when it is asked for."""
    if name in ("Batches", "Rows"):
        from tensorcache import column  # torch

        return getattr(column, name)
    if name in ("audited", "keying"):
        from tensorcache import audit  # a hit without one pays nothing for it

        return getattr(audit, name)
    if name == "SweepPlan":
        from tensorcache import plan  # nor for a plan

        return plan.SweepPlan
    if name == "Shadow":
        from tensorcache import explain  # nor for a shadow

        return explain.Shadow
    raise AttributeError(f"module 'tensorcache' has no attribute {name!r}")
