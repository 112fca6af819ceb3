"""The index made, upgraded, brought up to date, and made anew where it is broken."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from tensorcache import disk, schema
from tensorcache.errors import CacheFull, CacheTooNew, LeaseTimeout, TensorCacheError
from tensorcache.index import SIDES, Index, IndexCorrupt, Use, carry_over
from tensorcache.rows.follow import follow, told
from tensorcache.rows.pieces import Marks, apart, vouch

_log = logging.getLogger("tensorcache")
T = TypeVar("T")


def bring_up(root: disk.Root, index: Index) -> None:
    """Make or upgrade the index, and take in what notes and journals hold.

    Raises:
        CacheTooNew: a newer tensorcache made it.
        TensorCacheError: it cannot be written now.
    """
    mended(root, index, lambda: _bring_up(root, index))


def _bring_up(root: disk.Root, index: Index) -> None:
    if index.revision() is None:  # who dies while filling it leaves the rest to the next writer
        disk.leave_notes(root, disk.keys_of(root))
    if index.prepare():
        disk.let_group_write(root, _path(root))
        vouch(root, index)  # what it does not know has a note
    follow(root, index, disk.notes(root))
    with contextlib.suppress(CacheFull):  # statistics can wait in their journal
        for name, uses in disk.take_uses(root).items():
            index.take([Use(*use) for use in uses], journal=name)
            disk.forget_uses(root, name)


def _path(root: disk.Root) -> str:
    return root.join("index.sqlite")


def mended(
    root: disk.Root, index: Index, do: Callable[[], T], *, anew: Callable[[], T] | None = None
) -> T:
    """What `do` gives; where it finds the index broken, that is made anew, and it is done again.

    `anew`: what is done then instead.
    """
    index.marks = Marks(root)
    with contextlib.suppress(IndexCorrupt):
        return do()
    try:
        return do()  # SQLite calls a file malformed also when a read failed (EIO)
    except IndexCorrupt as error:
        # Its words alone: who keeps the error keeps the frames, and what is open in them.
        broken = str(error)
    try:
        reindex(root, index)
    except CacheFull:
        _quarantine(root)  # whoever comes to make room must not fail by it
        raise
    _log.warning("%s; it was set aside and made anew", broken)
    return (anew or do)()


def reindex(root: disk.Root, index: Index) -> int:
    """Make the index anew from manifests and pins; how many entries it has.

    Uses and events are taken over as far as they can be read, and the old file goes to quarantine.
    The new one is made aside and then renamed into place: whoever dies on the way leaves the old
    one, the new one, or none, which is made anew by the next writer.

    Raises:
        CacheTooNew: a newer tensorcache made the one that is there; it stays as it is.
        LeaseTimeout: another program has it locked; it stays as it is.
        TensorCacheError, OSError: there is no space or no right to make another.
    """
    try:
        index.refuse_newer()
        if index.revision() is not None:
            index.prepare()  # its statistics are taken over as this revision has them
    except (CacheTooNew, LeaseTimeout):
        raise
    except TensorCacheError as error:
        _log.debug("the old index is taken over as far as it can be read: %s", error)
    aside = disk.temporary(root.path)  # left behind, it is a leftover to vacuum
    fresh = Index(aside)
    fresh.limit_bytes = index.limit_bytes
    try:
        fresh.prepare()
        disk.let_group_write(root, aside)
        for some in told(root, disk.keys_of(root)):
            if some.rows:
                fresh.add(some.rows)
        _swap(root, aside, whole=_is_there(_path(root)) and carry_over(index, fresh))
    finally:
        for ending in ("", *SIDES):
            with contextlib.suppress(OSError):
                os.unlink(aside + ending)
    _bring_up(root, index)
    return len(index.generations())


def _swap(root: disk.Root, aside: str, *, whole: bool) -> None:
    path = _path(root)
    if whole and not _is_there(path + "-wal"):  # nor is there a journal to be played back
        disk.quarantine(root, path, keep=True)  # so that there is an index at every moment
    else:
        _quarantine(root)
    os.rename(aside, path)
    disk.sync_directory(root.path)


def _quarantine(root: disk.Root) -> None:
    """Set the index aside, before what SQLite would play back into the next one of that name."""
    for ending in ("", *SIDES):
        if _is_there(_path(root) + ending):
            disk.quarantine(root, _path(root) + ending)


def _is_there(path: str) -> bool:
    """Whether something has that name, as far as that can be told: nothing is lost by a doubt."""
    try:
        os.lstat(path)
    except OSError as error:
        return not isinstance(error, FileNotFoundError)
    return True


def reconcile(root: disk.Root, index: Index) -> set[str]:
    """Compare what is in `entries/` with the rows; mend every difference, if there is space.

    Whoever reconciles is about to remove something, and so to make some. What comes back are the
    keys of which the rows do not tell: where there was none, or only a newer version can.
    """

    def do() -> set[str]:
        _bring_up(root, index)
        unsettled = follow(root, index, apart(root, index))
        if disk.leave_notes_if_space(root, unsettled):
            vouch(root, index)
        return unsettled

    try:
        return mended(root, index, do)
    except OSError as error:
        if not is_full(error):
            raise
    if is_behind(index):
        return set(disk.keys_of(root))
    return apart(root, index).union(disk.notes(root))


def is_behind(index: Index) -> bool:
    """Whether it is of an older revision, which only its upgrade brings up to date."""
    revision = index.revision()
    return revision is not None and revision < schema.HEAD


@contextlib.contextmanager
def unless_full() -> Iterator[None]:
    """Do it, or let it be where no space is left: whoever comes to make room shall not fail."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise


def is_full(error: OSError) -> bool:
    """Whether it says that no space is left."""
    return isinstance(error, CacheFull) or error.errno in disk.FULL
