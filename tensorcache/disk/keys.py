"""Which entries there are, by the names of their manifests."""

from __future__ import annotations

import os

from tensorcache.disk.descriptor import Descriptor
from tensorcache.disk.place import DIGEST_BYTES, Root
from tensorcache.errors import EntryMissing

MIN_PREFIX = 6


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


def ends_with(root: Root, key: str, digest: str, size_bytes: int) -> bool:
    """Whether the manifest of a key has so many bytes, of which the last are `digest` (hex).

    Asked of a million of them: one open, one read, and nothing else.
    """
    path = f"{root.path}/entries/{key[:2]}/{key}.msgpack"
    try:
        with Descriptor(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) as number:
            # One byte more than there is: it is not longer either.
            return os.pread(number, DIGEST_BYTES + 1, size_bytes - DIGEST_BYTES).hex() == digest
    except OSError:
        return False
