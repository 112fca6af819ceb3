"""Publication: made aside, then renamed into place under the root lock.

The order is the promise: pieces durable before the manifest, the manifest before any row, the note
before either, so that whoever dies leaves a cache that opens, and the next writer knows what to
take in. A failed fsync is never tried again on its descriptor: the build is discarded.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tensorcache.disk import lock
from tensorcache.disk.held import forget_entry, forget_piece, is_vouched, remember
from tensorcache.disk.memory import Memory
from tensorcache.disk.place import (
    Root,
    create,
    ensure_directory,
    let_group_write,
    manifest_path,
    piece_name,
    piece_path,
    random_name,
    refuse_link,
    sync_directory,
)
from tensorcache.manifest import Manifest, Piece, to_bytes

Sink = Callable[[Any], object]
_SYNC_FILE_RANGE_WRITE = 2  # of linux/fs.h
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
TRIES = 3  # at a directory of one's own
MOST_UNSYNCED = 8  # files open at once on their way to the disk
_FEW, _HELPERS = 512, 3  # pieces that one thread takes away alone; else threads that help it


class Staging:
    """`building/<id>/`, ours while its descriptor is locked."""

    def __init__(self, root: Root, path: str, descriptor: lock.Locked) -> None:
        self._root = root
        self._path = path
        self._descriptor = descriptor
        self._manifest = os.path.join(path, "manifest")
        self._unsynced: list[io.FileIO] = []

    def add(self, kind: str, size_bytes: int, write: Callable[[Sink], Piece]) -> Piece:
        """Write one shard or document, read-only, under the name of its digest.

        It is durable once the manifest is sealed: synced together, files share the journal's work.

        Raises:
            OSError: it could not be written.
        """
        aside = os.path.join(self._path, random_name())
        file = create(aside)
        self._unsynced.append(file)
        _allocate(file.fileno(), size_bytes)
        piece = write(lambda data: _begin_sync(file.fileno(), _write_all(file, data)))
        os.fchmod(file.fileno(), 0o444)
        os.rename(aside, self._staged(kind, piece.digest))
        if len(self._unsynced) == MOST_UNSYNCED:
            self._sync()
        return piece

    def _sync(self) -> None:
        while self._unsynced:
            with self._unsynced.pop(0) as file:
                os.fsync(file.fileno())

    def seal(self, manifest: Manifest) -> None:
        """Write the manifest beside the pieces that it refers to, and make all durable.

        Raises:
            OSError: it could not be.
        """
        file = create(self._manifest)
        self._unsynced.append(file)
        _write_all(file, to_bytes(manifest))
        os.fchmod(file.fileno(), 0o444)
        with contextlib.suppress(OSError):  # without it, who compares reads the file
            os.utime(file.fileno(), ns=(manifest.mtime_ns, manifest.mtime_ns))
        self._sync()

    def publish(self, manifest: Manifest, memory: Memory) -> None:
        """Put all that was sealed in place, the manifest last; the caller holds the root lock.

        Raises:
            OSError: it could not be; then the old generation stands, or none.
        """
        root = self._root
        leave_notes(root, [manifest.key])
        folders, vouched = {root.path}, set()
        for kind, piece in manifest.pieces:
            path = piece_path(root, kind, piece.digest)
            folder = os.path.dirname(path)
            folders |= {folder, os.path.dirname(folder)}
            if is_vouched(root, kind, piece, memory):
                vouched.add(piece)
            else:
                ensure_directory(root, *piece_name(kind, piece.digest).split("/")[:-1], sync=False)
                os.rename(self._staged(kind, piece.digest), path)  # over rot, if it is there
        remember(root, manifest, memory, vouched)
        for folder in folders:
            sync_directory(folder)
        path = manifest_path(root, manifest.key)
        folder = ensure_directory(root, "entries", manifest.key[:2])
        os.rename(self._manifest, path)
        sync_directory(folder)

    def discard(self) -> None:
        """Remove the directory and let go of it."""
        try:
            for file in self._unsynced:
                with contextlib.suppress(OSError):
                    file.close()
            if self._descriptor.is_open:  # a child forked meanwhile has let go of it
                remove_directory(self._path)
        finally:
            self._descriptor.close()

    def _staged(self, kind: str, digest: str) -> str:
        return os.path.join(self._path, f"{kind}-{digest}")


def _allocate(descriptor: int, size_bytes: int) -> None:
    """Ask for all the space at once: a full disk says so before the work, and writing costs less.

    No look at what is free comes before: others write meanwhile, and quotas, reserved blocks and
    limits on the size of files are in no such number. This is an answer, and holds.

    Else ext4 reserves blocks as pages come, which has taken up to eight times as long as the
    writing itself.
    """
    if size_bytes and hasattr(os, "posix_fallocate"):  # macOS has none
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EPERM):
                raise


def _begin_sync(descriptor: int, written_bytes: int) -> None:
    """Have the disk begin with what was just written, so that fsync finds little left to do.

    It waits for nothing, and so takes no error away that fsync shall tell.
    """
    if sync_file_range := _sync_file_range():
        end = os.lseek(descriptor, 0, os.SEEK_CUR)
        sync_file_range(descriptor, end - written_bytes, written_bytes, _SYNC_FILE_RANGE_WRITE)


@functools.cache
def _sync_file_range() -> Any:
    import ctypes  # torch has it by then

    found = getattr(ctypes.CDLL(None), "sync_file_range", None)  # Linux has it
    if found is not None:
        found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return found


def _write_all(file: Any, data: Any) -> int:
    view = memoryview(data).cast("B")
    while view.nbytes:
        view = view[file.write(view) :]
    return memoryview(data).nbytes


def stage(root: Root) -> Staging:
    """A private directory to build in.

    Raises:
        LeaseTimeout, OSError: there can be none now.
    """
    with lock.locked(root):  # so that no vacuum finds it before it is locked
        ensure_directory(root, "building")
        for _ in range(TRIES):
            path = root.join("building", random_name())
            os.mkdir(path)
            let_group_write(root, path, 0o2770)
            descriptor = lock.open_locked(path, os.O_RDONLY | os.O_DIRECTORY)
            if descriptor is not None:
                return Staging(root, path, descriptor)
            os.rmdir(path)  # somebody looks whether it is locked, and may stand still in that
    raise BlockingIOError(f"{path!r} was locked before it was ours")


def remove_directory(path: str) -> None:
    """Remove a directory and all that is in it, as far as that can be; links are not followed.

    Not by shutil.rmtree, which keeps a descriptor where an interrupt meets it.
    """
    with contextlib.suppress(OSError):
        for name in os.listdir(path):
            below = os.path.join(path, name)
            if os.path.isdir(below) and not os.path.islink(below):
                remove_directory(below)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(below)
        os.rmdir(path)


def _note_path(root: Root, key: str) -> str:
    return root.join("building", f"{key}.note")


def leave_notes(root: Root, keys: Iterable[str]) -> None:
    """Say that the rows of these entries may be behind, whatever happens next."""
    folder = ensure_directory(root, "building")
    for key in keys:
        with contextlib.suppress(FileExistsError):
            create(_note_path(root, key)).close()
    sync_directory(folder)


def leave_notes_if_space(root: Root, keys: Iterable[str]) -> bool:
    """`leave_notes` for a removal, which a full disk shall not stop; whether they were left.

    Without them, rows stay behind until what lies in `entries/` is compared with them, as it is
    before every removal.
    """
    try:
        leave_notes(root, keys)
    except OSError as error:
        if error.errno not in FULL:
            raise
        return False
    return True


def notes(root: Root) -> list[str]:
    """The keys whose rows may be behind."""
    try:
        names = os.listdir(root.join("building"))
    except FileNotFoundError:
        return []
    return [name[:64] for name in names if len(name) == 69 and name.endswith(".note")]


def clear_note(root: Root, key: str) -> None:
    """The rows of this key are right."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_note_path(root, key))


def unlink_manifests(
    root: Root, keys: Sequence[str], *, spare_open: bool = False
) -> tuple[list[str], OSError | None]:
    """Take entries away, durably; which went, and what kept those after them from it, if anything.

    `spare_open`: not what any process has open. The caller holds the root lock. What was not there
    counts as gone: only its rows are left.
    """
    noted = leave_notes_if_space(root, keys)
    gone, folders, failed = [], set(), None
    for key in keys:
        try:
            path = manifest_path(root, key)
            if not _unlink_manifest(path, spare_open=spare_open):
                clear_note(root, key)
                continue
            folders.add(os.path.dirname(path))
        except FileNotFoundError:
            pass
        except OSError as error:
            failed = error
            break
        gone.append(key)
    for folder in folders:
        sync_directory(folder)
    if not noted:
        leave_notes_if_space(root, gone)  # there is an inode by now
    for key in gone:
        forget_entry(root, key)
    return gone, failed


def _unlink_manifest(path: str, *, spare_open: bool) -> bool:
    """Whether it went, and was not spared."""
    refuse_link(os.path.dirname(path))
    descriptor = lock.open_locked(path, os.O_RDONLY) if spare_open else None
    if spare_open and descriptor is None:
        return False
    try:
        os.unlink(path)
    finally:
        if descriptor is not None:
            descriptor.close()
    return True


def is_open(root: Root, key: str) -> bool:
    """Whether any process has the entry open, by one try at its lock. Under the root lock."""
    try:
        descriptor = lock.open_locked(manifest_path(root, key), os.O_RDONLY)
    except OSError:  # it is not there, or nobody can tell: then it cannot go either
        return False
    if descriptor is None:
        return True
    descriptor.close()
    return False


def unlink_pieces(root: Root, pieces: Iterable[tuple[str, Piece]]) -> None:
    """Take away shards and documents that no manifest refers to. The caller holds the root lock.

    Many go by several threads, for an unlink waits for the filesystem and not for Python: 100,000
    took 3 s by four, and 7 by one. None of them goes on once this has ended, however it does.

    Raises:
        TensorCacheError, OSError: one could not be removed, nor those after it.
    """
    left, failed = sorted(pieces, reverse=True), list[BaseException]()
    working: list[int] = []

    def help_out() -> None:
        working.append(threading.get_ident())
        try:
            _unlink(root, left)
        except Exception as error:  # noqa: BLE001 - raised below, by whoever asked
            left.clear()
            failed.append(error)
        finally:
            working.remove(threading.get_ident())

    helpers = [threading.Thread(target=help_out) for _ in range(_HELPERS if left[_FEW:] else 0)]
    try:
        with contextlib.suppress(RuntimeError):  # no more threads, or the interpreter ends
            for helper in helpers:
                helper.start()
        _unlink(root, left)
    finally:
        while True:  # an interrupt may come at any call, also a second one: all of them are within
            try:
                left.clear()
                while working:  # no join, which takes a thread for ended where it is interrupted
                    time.sleep(0.001)
                break
            except KeyboardInterrupt as error:
                failed.append(error)
    if failed:
        raise failed[0]


def _unlink(root: Root, left: list[tuple[str, Piece]]) -> None:
    """Take away what is left, from the end, with others who do the same."""
    while left:
        with contextlib.suppress(IndexError):  # another had the last
            kind, piece = left.pop()
            path = piece_path(root, kind, piece.digest)
            refuse_link(os.path.dirname(path))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            forget_piece(root, kind, piece.digest)
