"""Doctor: how a root, its index and what it stands on are, and what to do about it.

Rules of this room: it looks and changes nothing (one temporary file is locked twice, and goes), and
works on what is broken or may not be written. Facts are gathered as values; a finding is a fact
that wants a deed, with the remedy. Whoever prints decides nothing.
"""

from __future__ import annotations

import os
import platform
import resource
import stat
import time
from collections.abc import Iterator
from typing import NamedTuple

from tensorcache import disk
from tensorcache.disk import health
from tensorcache.errors import (
    CacheTooNew,
    EntryCorrupt,
    LeaseTimeout,
    NotACache,
    TensorCacheError,
)

LOW_BYTES = 256 << 20  # free where the cache lies
LOW_INODES = 1_000
LOW_FILES = 1_024  # that a process may have open
STALE_SECONDS = 60.0  # notes wait for the next writer, which is mostly there at once
PATIENCE_SECONDS = 1.0  # with an index that another program has locked
SETTINGS = ("DIR", "MODE", "MAX_SIZE", "TRUST", "LOG")


class Finding(NamedTuple):
    """What is not as it should be, and what to do."""

    what: str
    remedy: str


class Machine(NamedTuple):
    """What it runs on. `has_wal_bug`: SQLite can corrupt a file in WAL mode, which none is here."""

    python: str
    platform: str
    sqlite: str
    has_wal_bug: bool
    open_files: int


class Place(NamedTuple):
    """The directory, and the filesystem that it is on; None is what nobody can tell.

    `locks_exclude`: a second lock was kept out, as it was tried.
    """

    root: str
    format: int | None
    owner: int
    mode: str
    writable: bool
    filesystem: str
    is_local: bool
    locks_exclude: bool | None
    free_bytes: int
    free_inodes: int | None


class IndexState(NamedTuple):
    """The index; `problem` is empty if SQLite finds nothing wrong with it."""

    revision: str | None
    head: str
    size_bytes: int
    problem: str


class Contents(NamedTuple):
    """What lies in the root."""

    entries: int
    pieces: int
    size_bytes: int
    pinned: int
    notes: int
    leases: tuple[health.HeldLease, ...]
    leftovers: int
    leftover_bytes: int
    quarantined: int
    quarantined_bytes: int


class Examination(NamedTuple):
    """All of it. `contents` is None where the directory cannot be listed."""

    machine: Machine
    place: Place
    index: IndexState  # type: ignore[assignment]  # in place of a method that nobody calls
    contents: Contents | None
    settings: dict[str, str]
    findings: tuple[Finding, ...]


def examine(root: disk.Root) -> Examination:
    """Look at a root, in whatever state it is.

    Raises:
        NotACache: it is none, or cannot be entered.
    """
    place = _place(root)
    machine = _machine()
    index, index_finding = _index(root)
    findings = [*_dangers(root), *_of_place(place), *_of_machine(machine)]
    findings += [index_finding] if index_finding else []
    contents = None
    try:
        contents = _contents(root)
        findings += _of_notes(root)
    except OSError as error:
        what = f"{root.path!r} cannot be listed: {error.strerror or error}"
        findings.append(Finding(what, "check its permissions, and the disk"))
    names = (f"TENSORCACHE_{name}" for name in SETTINGS)
    settings = {name: os.environ[name] for name in names if name in os.environ}
    return Examination(machine, place, index, contents, settings, tuple(findings))


def _place(root: disk.Root) -> Place:
    try:
        status = os.stat(root.path)
        version = disk.format_of(root)
    except FileNotFoundError:
        raise NotACache(f"no cache at {root.path!r}: check the path, or build something") from None
    except NotADirectoryError:
        raise NotACache(f"{root.path!r} is no directory: check the path") from None
    except PermissionError:
        if not os.path.isdir(root.path):
            raise NotACache(f"{root.path!r} cannot be entered: check its permissions") from None
        version = None  # it may be one: nobody lets us look
    else:
        if version is None:
            raise disk.no_marker(root)
    space = os.statvfs(root.path)
    kind = disk.filesystem(root.path)
    writable = os.access(root.path, os.W_OK | os.X_OK)
    return Place(
        root=root.path,
        format=version,
        owner=status.st_uid,
        mode=f"{stat.S_IMODE(status.st_mode):04o}",
        writable=writable,
        filesystem=kind,
        is_local=not disk.is_shared(kind),
        locks_exclude=health.excludes(root) if writable else None,
        free_bytes=space.f_bavail * space.f_frsize,
        free_inodes=space.f_favail if space.f_files else None,  # btrfs counts none
    )


def _machine() -> Machine:
    from tensorcache.index import SQLITE  # sqlalchemy: only who asks needs it

    return Machine(
        python=platform.python_version(),
        platform=platform.platform(),
        sqlite=".".join(map(str, SQLITE)),
        has_wal_bug=not has_wal_fix(SQLITE),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )


def has_wal_fix(sqlite: tuple[int, int, int]) -> bool:
    """Whether two writers in WAL mode are safe with this SQLite (https://sqlite.org/wal.html)."""
    fixed_in = {(3, 50): 7, (3, 44): 6}.get(sqlite[:2])
    back_ported = fixed_in is not None and sqlite[2] >= fixed_in
    return sqlite < (3, 7) or sqlite >= (3, 51, 3) or back_ported


def _index(root: disk.Root) -> tuple[IndexState, Finding | None]:
    from tensorcache import schema  # sqlalchemy: only who asks needs it
    from tensorcache.index import Index

    path = root.join("index.sqlite")
    index = Index(path, read_only=True, patience_seconds=PATIENCE_SECONDS)
    size_bytes = os.path.getsize(path) if os.path.isfile(path) else 0
    state = IndexState(None, schema.HEAD, size_bytes, "")
    remedy = "run tensorcache reindex"
    try:
        state = state._replace(revision=index.revision())
        index.refuse_newer()
        problem = "; ".join(index.quick_check()[:3])
    except CacheTooNew as error:
        problem, remedy = _without_remedy(error), "upgrade tensorcache"
    except LeaseTimeout as error:
        problem, remedy = _without_remedy(error), "end the program that holds it: `fuser` names it"
    except EntryCorrupt as error:
        problem = _without_remedy(error)
    except TensorCacheError as error:
        problem, _, remedy = str(error).rpartition(": ")
    if not problem:
        return state, None
    return state._replace(problem=problem), Finding(f"the index is not well: {problem}", remedy)


def _without_remedy(error: TensorCacheError) -> str:
    return str(error).rpartition(": ")[0]


def _contents(root: disk.Root) -> Contents:
    listing = disk.listing(root)
    return Contents(
        entries=len(listing.entries),
        pieces=len(listing.pieces),
        size_bytes=sum(listing.entries.values()) + sum(listing.pieces.values()),
        pinned=len(disk.read_pins(root).keys() & listing.entries.keys()),
        notes=len(listing.behind),
        leases=tuple(health.leases(root)),
        leftovers=len(listing.building),
        leftover_bytes=sum(leftover.size_bytes for leftover in listing.building),
        quarantined=len(listing.quarantine),
        quarantined_bytes=sum(leftover.size_bytes for leftover in listing.quarantine),
    )


def _dangers(root: disk.Root) -> Iterator[Finding]:
    for what, remedy in disk.dangers(root, write=True):
        yield Finding(what, remedy)


def _of_place(place: Place) -> Iterator[Finding]:
    if place.format is None:
        yield Finding(f"{place.root!r} may not be read", "check its permissions")
    elif place.format > disk.ROOT_FORMAT:
        yield Finding(
            f"the root has format {place.format}, this tensorcache knows {disk.ROOT_FORMAT}",
            "upgrade tensorcache",
        )
    if not place.writable and os.environ.get("TENSORCACHE_MODE") not in ("ro", "off"):
        yield Finding(
            f"{place.root!r} may not be written: what is built is not kept",
            "check its permissions and its mount, or say so: TENSORCACHE_MODE=ro",
        )
    if place.locks_exclude is False:
        yield Finding(
            f"locks on {place.filesystem or 'this filesystem'} keep nobody out",
            "use a local directory, or mode='ro'",
        )
    if place.free_bytes < LOW_BYTES:
        yield Finding(
            f"{place.free_bytes:,} bytes are free where the cache lies",
            "free some space: tensorcache vacuum --max-size",
        )
    if place.free_inodes is not None and place.free_inodes < LOW_INODES:
        yield Finding(
            f"{place.free_inodes:,} inodes are free where the cache lies",
            "remove files: tensorcache vacuum --max-size",
        )


def _of_machine(machine: Machine) -> Iterator[Finding]:
    if 0 <= machine.open_files < LOW_FILES:
        yield Finding(
            f"a process may have {machine.open_files} files open",
            f"ulimit -n {4 * LOW_FILES}, so that many entries stay open at once",
        )


def _of_notes(root: disk.Root) -> Iterator[Finding]:
    waited = health.oldest_note_seconds(root)
    if waited is not None and waited > STALE_SECONDS:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() - waited))
        yield Finding(
            f"since {since} an entry has waited for its rows",
            "run tensorcache db upgrade, which says why it cannot be",
        )
