"""Which entries there are, by the names of their manifests."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import compress, islice

from tensorcache.disk.lock import locks_on
from tensorcache.disk.place import Root, generation_of
from tensorcache.errors import EntryMissing

MIN_PREFIX = 6
AT_ONCE = 64  # manifests that are open at once where all are looked at
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def find(root: Root, prefix: str) -> str:
    """The key of the one entry whose digits begin with `prefix`.

    Raises:
        EntryMissing: none does, more than one does, or it is no prefix of 6 digits or more.
    """
    if len(prefix) < MIN_PREFIX or len(prefix) > 64 or set(prefix) - set("0123456789abcdef"):
        raise EntryMissing(f"key {prefix!r:.80}: give {MIN_PREFIX} to 64 hexadecimal digits")
    if len(prefix) == 64:
        keys = _itself(root, prefix)
    else:
        keys = [key for key in keys_in(root, prefix[:2]) if key.startswith(prefix)]
    if not keys:
        raise EntryMissing(f"no entry {prefix!r:.80} in {root.path}: `tensorcache ls` lists them")
    if len(keys) > 1:
        some = ", ".join(sorted(key[:16] for key in keys)[:4])
        raise EntryMissing(f"{len(keys)} entries begin with {prefix!r}: {some}; give more digits")
    return keys[0]


def keys_in(root: Root, folder: str) -> list[str]:
    """The keys of the manifests in one folder of `entries/`; a link is none of ours."""
    try:
        if _is_link(root, folder):
            return []
        names = os.listdir(root.join("entries", folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name[:64] for name in names if len(name) == 72 and name.endswith(".msgpack")]


def _itself(root: Root, key: str) -> list[str]:
    """A key that has a manifest, or none: a folder with thousands of others is not listed."""
    try:
        if not _is_link(root, key[:2]):
            os.lstat(root.join("entries", key[:2], f"{key}.msgpack"))
            return [key]
    except (FileNotFoundError, NotADirectoryError):
        pass
    return []


def _is_link(root: Root, folder: str) -> bool:
    return os.path.islink(root.join("entries", folder))


def keys_of(root: Root) -> list[str]:
    """The keys of all manifests."""
    try:
        folders = os.listdir(root.join("entries"))
    except FileNotFoundError:
        return []
    return [key for folder in sorted(folders) for key in keys_in(root, folder)]


def compared(root: Root, stamps: dict[str, tuple[int, int]]) -> tuple[set[str], list[str]]:
    """The keys whose manifest is not what its stamp says, or that lack one of the two; and doubts.

    A stamp is bytes and mtime in ns; they are used up. Asked of a million: where it is the same, so
    is the manifest, for that has the time of its making (`Staging.seal`) and is never modified. Of
    those with another time, as after a copy, or that cannot be looked at, `unlike` tells.
    """
    found, doubtful = set[str](), list[str]()
    for key in keys_of(root):
        stamp = stamps.pop(key, None)
        if stamp is None:
            found.add(key)
            continue
        try:
            status = os.lstat(f"{root.path}/entries/{key[:2]}/{key}.msgpack")
        except OSError:
            doubtful.append(key)
            continue
        if status.st_size != stamp[0]:
            found.add(key)
        elif status.st_mtime_ns != stamp[1]:
            doubtful.append(key)
    return found.union(stamps), doubtful


def unlike(root: Root, keys: Iterable[str], generations: Mapping[str, str]) -> set[str]:
    """Those of `keys` whose manifest is of another generation, or that cannot be read."""

    def is_other(key: str) -> bool:
        try:
            return generation_of(root, key) != generations.get(key)
        except OSError:
            return True

    return set(filter(is_other, keys))


def opened_among(root: Root, keys: Iterable[str]) -> set[str]:
    """Those of `keys` that a process has open: as `is_open`, asked of a million of them."""
    found, left = set[str](), iter(keys)
    while some := list(islice(left, AT_ONCE)):
        paths = [f"{root.path}/entries/{key[:2]}/{key}.msgpack" for key in some]
        try:
            found.update(compress(some, locks_on(paths, _FLAGS)))
        except OSError:
            if len(some) > 1:  # which of them?
                for key in some:
                    found |= opened_among(root, [key])
    return found
