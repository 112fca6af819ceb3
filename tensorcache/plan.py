"""SweepPlan: what a list of keys will ask of a cache: hits, builds, and what they take.

Rules of this room: decide purely, then look. `plan` takes keys, what is there and what is usual,
and touches nothing; `look` finds these out. Nothing is written, not even that something was asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from tensorcache import disk
from tensorcache.errors import CacheTooNew, UnkeyableValue
from tensorcache.key import Key

PATIENCE_SECONDS = 2.0  # for an index that somebody has locked
_DIGITS = re.compile("[0-9a-f]{64}")


class Usual(NamedTuple):
    """What a build of a namespace usually takes, and the bytes of its pieces; None: not known."""

    seconds: float | None
    size_bytes: int | None


class SweepPlan(NamedTuple):
    """What keys would ask of the cache, one after the other.

    `states` has one for each: `hit` (it is there), `build`, or `same` (a build earlier in the list
    makes it a hit). `hits` are the distinct keys that are there, with the bytes of their pieces;
    `builds` those to be built. `ahead_bytes` and `ahead_seconds` are what all builds usually leave
    and take, by the newest entries of their namespaces; None where that is not known of each.
    """

    keys: tuple[str, ...]
    states: tuple[str, ...]
    hits: dict[str, int]
    builds: tuple[str, ...]
    ahead_bytes: int | None
    ahead_seconds: float | None

    @property
    def distinct(self) -> int:
        """How many keys there are, each counted once."""
        return len(set(self.keys))

    @property
    def same(self) -> int:
        """How many asks are hits thanks to a build earlier in the list."""
        return self.states.count("same")


def plan(
    asked: Iterable[Key | str],
    there: Mapping[str, int],
    usual: Callable[[str], Usual],
    *,
    keeps: bool = True,
) -> SweepPlan:
    """What `asked` comes to where `there` (bytes by key) is there and a build is as is `usual`.

    Of the namespace of digits alone nothing is known. Without `keeps` (a cache that is off, or
    builds everything anew) nothing is a hit, and nothing is built only once.
    """
    asked = list(asked)
    namespaces = {str(key): key.namespace for key in asked if isinstance(key, Key)}
    keys = tuple(map(str, asked))
    hits = {key: there[key] for key in dict.fromkeys(keys) if keeps and key in there}
    states: list[str] = []
    builds: list[str] = []
    seen: set[str] = set()
    for key in keys:
        states.append("hit" if key in hits else "same" if keeps and key in seen else "build")
        seen.add(key)
        if states[-1] == "build":
            builds.append(key)
    unknown = Usual(None, None)
    costs = [usual(namespaces[key]) if key in namespaces else unknown for key in builds]
    seconds = [cost.seconds for cost in costs if cost.seconds is not None]
    sizes = [cost.size_bytes for cost in costs if cost.size_bytes is not None]
    return SweepPlan(
        keys,
        tuple(states),
        hits,
        tuple(builds),
        sum(sizes) if len(sizes) == len(builds) else None,
        sum(seconds, 0.0) if len(seconds) == len(builds) else None,
    )


def look(root: disk.Root, asked: Iterable[Key | str], *, keeps: bool) -> SweepPlan:
    """The plan of `asked`, by the manifests of a root and what its index says is usual.

    Raises:
        UnkeyableValue: one of them is no key.
    """
    asked = [_checked(key) for key in asked]
    there = {str(key): size for key in dict.fromkeys(asked) if (size := _size(root, key)) >= 0}
    known: dict[str, Usual] = {}

    def usual(namespace: str) -> Usual:
        if namespace not in known:
            known[namespace] = _usual(root.join("index.sqlite"), namespace)
        return known[namespace]

    return plan(asked, there, usual, keeps=keeps)


def _checked(key: Key | str) -> Key | str:
    if not isinstance(key, Key | str) or not _DIGITS.fullmatch(str(key)):
        raise UnkeyableValue(f"plan([{key!r:.80}]): no key: pass cache.key(…), or all 64 digits")
    return key


def _size(root: disk.Root, key: Key | str) -> int:
    """The bytes of an entry's pieces; -1 where there is none that would be a hit."""
    try:
        held = disk.hold(root, key, disk.Memory(root, write=False), "size")
    except (CacheTooNew, OSError):  # what is broken or cannot be read is built, as if not there
        return -1
    if held is None:
        return -1
    held.close()
    return held.manifest.size_bytes


def _usual(path: str, namespace: str) -> Usual:
    from tensorcache.index import usual_bytes, usual_seconds  # sqlalchemy: hits need none

    asked = path, namespace, PATIENCE_SECONDS
    return Usual(usual_seconds(*asked), usual_bytes(*asked))
