"""The root: what lies where, who may write it, and how it begins."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import json
import os
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple

from tensorcache.disk.descriptor import Descriptor
from tensorcache.disk.filesystem import filesystem, is_shared
from tensorcache.errors import CacheTooNew, EntryCorrupt, NotACache, UnsafeCache

ROOT_FORMAT = 1
MARKER = "tensorcache.json"
TEMPORARY = ".tensorcache-"  # the beginning of temporary names
DIGEST_BYTES = 32  # what a manifest ends with, in every format
_DIGEST = re.compile("[0-9a-f]{64}")
_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This directory is a cache of tensorcache; backup programs may leave it out.
# See https://bford.info/cachedir/
"""
FOLDERS = ("entries", "shards", "documents", "building", "pins", "sources", "journal", "quarantine")
_PIECES = {"shard": ("shards", "safetensors"), "document": ("documents", "msgpack")}


class Root(NamedTuple):
    """A cache's directory, and whether its group is trusted with it."""

    path: str
    group: bool = False

    def join(self, *names: str) -> str:
        """A path below the root."""
        return os.path.join(self.path, *names)


def default_root() -> str:
    """`TENSORCACHE_DIR`, else `tensorcache` in the user's cache directory (XDG)."""
    chosen = os.environ.get("TENSORCACHE_DIR")
    if chosen:
        return chosen
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(caches, "tensorcache")


def manifest_path(root: Root, key: str) -> str:
    """Where the manifest of a key lies.

    Raises:
        EntryCorrupt: it is no key, and could lead anywhere.
    """
    return root.join("entries", key[:2], f"{_checked(key)}.msgpack")


def generation_of(root: Root, key: str) -> str:
    """The digest that the manifest of a key ends with, whatever comes before it.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    with open_regular(manifest_path(root, key)) as number:
        end = os.fstat(number).st_size
        return os.pread(number, DIGEST_BYTES, max(0, end - DIGEST_BYTES)).hex()


def piece_path(root: Root, kind: str, digest: str) -> str:
    """Where a shard or document lies: derived from its digest, never read from an index.

    Raises:
        EntryCorrupt: it is no digest, and could lead anywhere.
    """
    return root.join(piece_name(kind, digest))


@functools.lru_cache(maxsize=1024)  # every open asks for it two or three times
def piece_name(kind: str, digest: str) -> str:
    """The path of a shard or document below the root.

    Raises:
        EntryCorrupt: it is no digest.
    """
    folder, suffix = _PIECES[kind]
    return f"{folder}/{digest[:2]}/{_checked(digest)}.{suffix}"


def _checked(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise EntryCorrupt(f"{digest!r:.80} is no digest of 64 hexadecimal digits")
    return digest


def prepare(root: Root, *, write: bool) -> None:
    """Make sure that `root` is a cache which we may use; for writing, begin one where none is.

    Raises:
        NotACache: it is something else, or (for reading) nothing.
        UnsafeCache: others could write into it; the message has the chmod line.
        CacheTooNew: a newer tensorcache made it.
        OSError: it cannot be created.
    """
    if not _is_directory(root.path):
        if write:
            _make(root)
        elif not os.path.lexists(root.path):
            raise NotACache(f"no cache at {root.path!r}: check the path, or build something first")
        if not _is_directory(root.path):  # asked again: another may have made it meanwhile
            raise NotACache(f"{root.path!r} is no directory: choose another place for the cache")
    if danger := next(dangers(root, write=write), None):
        raise UnsafeCache(": ".join(danger))
    version = format_of(root)
    if version is None:
        if not write:
            raise no_marker(root)
        _begin(root)
    elif version > ROOT_FORMAT:
        raise CacheTooNew(
            f"{root.path!r} has format {version}, this tensorcache knows {ROOT_FORMAT}: upgrade it"
        )


def format_of(root: Root) -> int | None:
    """The format of a root, None if it has not begun.

    Raises:
        NotACache: its marker does not tell.
    """
    try:
        return int(json.loads(read_file(root.join(MARKER)))["format"])
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, EntryCorrupt) as error:
        raise NotACache(
            f"{root.join(MARKER)!r} tells no format: if this is a cache, write "
            f'{{"format": {ROOT_FORMAT}}} into it'
        ) from error


def _make(root: Root) -> None:
    """Make the directory, and durable each that it took: else a power cut takes the whole cache."""
    above = os.path.dirname(os.path.abspath(root.path))
    there = above
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    os.makedirs(above, exist_ok=True)
    _mkdir(root.path, 0o2770 if root.group else 0o700)
    while True:
        with contextlib.suppress(PermissionError):  # one that we may pass, and not read
            sync_directory(above)
        if above == there:
            return
        above = os.path.dirname(above)


def _is_directory(path: str) -> bool:
    """What cannot be told (EIO, no permission) is an error: it may well be one."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def no_marker(root: Root) -> NotACache:
    """Why a directory without its marker is no cache, and what to do."""
    if os.path.isdir(root.join("entries")):
        return NotACache(
            f"{root.path!r} has entries and no {MARKER}: if this is a cache, make a file of that "
            f'name with the line {{"format": {ROOT_FORMAT}}}'
        )
    return NotACache(
        f"{root.path!r} is no cache, it has no {MARKER}: check the path, or build something into "
        f"it first"
    )


def begin_again(root: Root) -> None:
    """Begin anew where a cache was emptied while it was open; one that is gone stays gone.

    Raises:
        NotACache, UnsafeCache: something else is there by now.
        OSError: it cannot be begun.
    """
    if not is_begun(root) and os.path.isdir(root.path):
        prepare(root, write=True)


def is_begun(root: Root) -> bool:
    """Whether its marker is there."""
    return os.path.exists(root.join(MARKER))


def _begin(root: Root) -> None:
    from tensorcache.disk.lock import flocked  # which needs to know where the lock lies

    _refuse_foreign(root)
    with flocked(root):
        if not is_begun(root):
            write_aside(root, root.join("CACHEDIR.TAG"), _TAG)
            marker = json.dumps({"format": ROOT_FORMAT}).encode() + b"\n"
            write_aside(root, root.join(MARKER), marker)


def _refuse_foreign(root: Root) -> None:
    foreign = [name for name in os.listdir(root.path) if not _is_ours(name)]
    # What has a marker by now was begun, and perhaps used, since we looked for one.
    if foreign and not is_begun(root):
        if os.path.isdir(root.join("entries")):
            raise no_marker(root)
        raise NotACache(
            f"{root.path!r} is no cache and has {len(foreign)} other files "
            f"({min(foreign)!r:.60}, …): choose an empty directory"
        )


def _is_ours(name: str) -> bool:
    return name in ("lock", "CACHEDIR.TAG", MARKER) or name.startswith(TEMPORARY)


def dangers(root: Root, *, write: bool) -> Iterator[tuple[str, str]]:
    """Why the directory is not safe to read, or to write, each with its remedy."""
    status = os.stat(root.path)
    loose = stat.S_IWOTH | (0 if root.group else stat.S_IWGRP)
    if status.st_mode & loose:
        whom, hint = "anybody", ""
        if not status.st_mode & stat.S_IWOTH:
            whom, hint = "its group", ", or trust it: trust='group', TENSORCACHE_TRUST=group"
        yield f"{whom} may write into {root.path!r}", f"chmod go-w {root.path}{hint}"
    if not write:
        return
    if status.st_uid != os.geteuid() and not root.group:
        yield (
            f"{root.path!r} belongs to user {status.st_uid}",
            "open it with mode='ro', or use a cache of your own",
        )
    yield from (_link_danger(path) for path in map(root.join, FOLDERS) if os.path.islink(path))
    kind = filesystem(root.path)
    if is_shared(kind):
        yield (
            f"{root.path!r} is on {kind}, whose locks may not cross hosts",
            "use a local directory, or mode='ro'",
        )


def refuse_links(root: Root) -> None:
    """Refuse to change anything where a folder of ours leads elsewhere.

    Raises:
        UnsafeCache: one does.
    """
    for name in FOLDERS:
        refuse_link(root.join(name))


def refuse_link(folder: str) -> None:
    """Refuse to change what lies in a folder that is a link.

    Raises:
        UnsafeCache: it is one.
    """
    if os.path.islink(folder):
        raise UnsafeCache(": ".join(_link_danger(folder)))


def _link_danger(folder: str) -> tuple[str, str]:
    return f"{folder!r} is a link, and leads out of the cache", "remove it"


def write_aside(root: Root, path: str, data: bytes, *, durable: bool = True) -> None:
    """Put `data` at `path` whole: written beside it, then renamed.

    Raises:
        OSError: it could not be; nothing is left behind.
    """
    aside = temporary(os.path.dirname(path))
    try:
        with io.BufferedWriter(create(aside)) as file:
            file.write(data)
            file.flush()
            let_group_write(root, file.fileno())
            if durable:
                os.fsync(file.fileno())
        os.rename(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):  # an interrupt may come right after the rename
            os.unlink(aside)
        raise
    if durable:
        sync_directory(os.path.dirname(path))


def temporary(folder: str) -> str:
    """A path for what is made aside and then renamed; what stays there is a leftover."""
    return os.path.join(folder, f"{TEMPORARY}{random_name()}")


def random_name() -> str:
    """A name that nobody can foresee."""
    return os.urandom(16).hex()


def read_file(path: str) -> bytes:
    """What is in a plain file.

    Raises:
        EntryCorrupt: it is something else.
        OSError: it is not there, or cannot be read.
    """
    with open_regular(path) as number:
        return b"".join(iter(lambda: os.read(number, 1 << 16), b""))


def open_regular(path: str) -> Descriptor:
    """Open for reading what must be a plain file: no link, no pipe that would wait for ever.

    Raises:
        EntryCorrupt: it is something else.
        OSError: it is not there, or cannot be read.
    """
    try:
        descriptor = Descriptor(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a device that is not there
            raise EntryCorrupt(f"{path!r} is no plain file") from error
        if error.errno == errno.ELOOP:
            raise EntryCorrupt(f"{path!r} is a link, not a file of ours") from error
        raise
    try:
        if not stat.S_ISREG(descriptor.status.st_mode):
            raise EntryCorrupt(f"{path!r} is no plain file")
    except BaseException:
        descriptor.close()
        raise
    return descriptor


def create(path: str) -> io.FileIO:
    """A new file, open for writing; never through a link, never one that is there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    # In one call, so that no interrupt finds it open and nobody's.
    return next(map(io.FileIO, map(os.open, (path,), (flags,), (0o666,)), ("rb+",)))


def ensure_directory(root: Root, *names: str, sync: bool = True) -> str:
    """A directory below the root, made and (by `sync`) made durable where it is missing.

    Raises:
        UnsafeCache: it is a link.
        OSError: it cannot be made; also where the cache was emptied, for what is not begun anew
            first would be no cache to anybody.
    """
    path = root.path
    for name in names:
        parent, path = path, os.path.join(path, name)
        refuse_link(path)
        if not os.path.isdir(path):
            if parent == root.path and not is_begun(root):
                raise FileNotFoundError(errno.ENOENT, "the cache was emptied or removed", parent)
            _mkdir(path, 0o2770 if root.group else None)
            if sync:
                sync_directory(parent)
    return path


def _mkdir(path: str, mode: int | None) -> None:
    try:
        os.mkdir(path, 0o777 if mode is None else 0o700)
    except FileExistsError:
        return  # somebody else was first
    if mode is not None:
        os.chmod(path, mode)  # whatever the umask says


def let_group_write(root: Root, file: int | str, mode: int = 0o660) -> None:
    """Open what we made to the group that the root trusts, whatever the umask says."""
    if root.group:
        with contextlib.suppress(PermissionError):  # another made it, and has done so
            os.chmod(file, mode)


def sync_directory(path: str) -> None:
    """Make renames and unlinks in a directory durable."""
    with Descriptor(path, os.O_RDONLY | os.O_DIRECTORY) as number:
        os.fsync(number)
