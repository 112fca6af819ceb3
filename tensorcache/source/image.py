"""The committed image of a database file, digested: what a reader who opens it now would find.

Rules of this room: no SQLite, no locks, nothing written; bounded memory. The image is the main file
with the committed frames of `-wal` laid over it, byte for byte what `Connection.serialize()` gives,
so that a checkpoint changes nothing and a commit that lies in the `-wal` alone does. The formats:
https://www.sqlite.org/fileformat2.html, sections 1.3 (header) and 3 (journal), and `wal.py`.
DuckDB's `.wal` is digested as it lies, after the main file.
"""

from __future__ import annotations

import os
import struct

from blake3 import blake3

from tensorcache.errors import UnkeyableValue
from tensorcache.manifest import Parts
from tensorcache.progress import progress
from tensorcache.source.content import (
    BLOCK_BYTES,
    DUCKDB_MAGIC,
    LOCK_BYTE,
    SQLITE_MAGIC,
    aligned,
    feed,
    fill,
    reading,
    size_bytes,
)
from tensorcache.source.memory import Stat, Stats, printable, stat_of
from tensorcache.source.pages import Pages
from tensorcache.source.wal import Overlay, committed, is_page_size

_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")


def kind_of(path: str) -> str:
    """`sqlite` or `duckdb`, by its first bytes; an empty file is an empty SQLite database.

    Raises:
        UnkeyableValue: it is neither.
    """
    if not size_bytes(path):
        return "sqlite"  # not opened: its first table may be in the making
    with reading(path) as file:
        head = os.pread(file, 100, 0)
    if head.startswith(SQLITE_MAGIC) and _page_bytes(head):
        return "sqlite"
    if head[8:12] == DUCKDB_MAGIC:
        return "duckdb"
    raise UnkeyableValue(f"database {path!r}: neither SQLite nor DuckDB: use files(path)")


def bytes_text(kind: str, path: str, main: Stat, beside: Stats) -> tuple[str, Parts | None] | None:
    """The identity of the committed content and its tables; None while a journal is hot.

    `main` is the file's stat, `beside` those of its `-wal`, `.wal` and `-journal`.

    Raises:
        UnkeyableValue: damaged, or with a WAL of a later format.
    """
    wal, duckdb_wal, journal = beside
    hasher = blake3()
    parts = None
    if kind == "duckdb":
        with reading(path) as file:
            feed(hasher, file, printable(path))
        if duckdb_wal is not None and duckdb_wal[2]:
            hasher.update(duckdb_wal[2].to_bytes(8, "little"))
            with reading(f"{path}.wal") as file:
                feed(hasher, file, printable(path))
    elif is_hot(path, journal):
        return None
    elif main[2]:  # an empty file is an empty database, whatever WAL lies beside it
        with reading(path) as file:
            if wal is None or not wal[2]:
                parts = _feed_image(hasher, path, file, None)
            else:
                with reading(f"{path}-wal") as wal_file:
                    parts = _feed_image(hasher, path, file, wal_file)
    return f"{kind}-bytes-1:blake3:{hasher.hexdigest()}", parts


def stat_text(kind: str, path: str, main: Stat, beside: Stats) -> str | None:
    """The identity of the stats alone, an empty WAL being none; None while a journal is hot."""
    wal, duckdb_wal, journal = beside
    if kind == "duckdb":
        wal = duckdb_wal
    elif is_hot(path, journal):
        return None
    # Not the WAL's ctime: SQLite, run by root, sets the owner of a WAL that it opens to read.
    vectors = [main, wal[:4] if wal is not None and wal[2] else ()]
    return f"stat-1:blake3:{blake3(repr(vectors).encode('ascii')).hexdigest()}"


def why_not(path: str) -> str:
    """Why a database has no identity now."""
    if is_hot(path, stat_of(f"{path}-journal")):
        return (
            f"{printable(path)}-journal is hot: a transaction is under way or died there; "
            "opening the database once with SQLite rolls it back"
        )
    return f"{printable(path)} is being written"


def is_hot(path: str, journal: Stat | None) -> bool:
    """Whether SQLite would play a rollback journal back: the main file is no committed state."""
    if journal is None or not journal[2]:
        return False
    with reading(f"{path}-journal") as file:
        return os.pread(file, 8, 0) == _JOURNAL_MAGIC


def _feed_image(hasher: blake3, path: str, main: int, wal: int | None) -> Parts | None:
    """Digest the image; its tables, if they can be told."""
    overlay = None if wal is None else committed(path, wal)
    head = memoryview(bytearray(100))
    fill(main, head, 0)
    if overlay is not None and wal is not None and overlay.pages[0] == 1:
        fill(wal, head, int(overlay.offsets[0]))
    page_bytes = _page_bytes(head)
    if not page_bytes or (overlay is not None and overlay.page_bytes != page_bytes):
        raise UnkeyableValue(
            f"database {path!r}: its header or -wal is damaged: restore it from a copy"
        )
    page_count = _page_count(head, page_bytes, main, overlay)

    def read(block: memoryview, start: int) -> None:
        fill(main, block, start)
        if overlay is not None and wal is not None:
            _overlaid(block, start // page_bytes + 1, wal, overlay)
        lock = LOCK_BYTE // page_bytes * page_bytes - start
        if 0 <= lock < len(block):
            block[lock : lock + page_bytes] = bytes(page_bytes)

    def page(number: int) -> bytes:
        read(view[:page_bytes], (number - 1) * page_bytes)
        return bytes(view[:page_bytes])

    pages = Pages(bytes(head), page_bytes, page_count)
    view = aligned(BLOCK_BYTES)  # a whole number of pages, whatever their size
    image_bytes = page_count * page_bytes
    with progress(f"digesting {printable(path)}", image_bytes, "bytes") as advance:
        for start in range(0, image_bytes, BLOCK_BYTES):
            block = view[: min(BLOCK_BYTES, image_bytes - start)]
            read(block, start)
            hasher.update(block)
            pages.take(block, start // page_bytes + 1)
            advance(len(block))
    return pages.parts(page)


def _overlaid(block: memoryview, first: int, wal: int, overlay: Overlay) -> None:
    """Lay the frames of the WAL over the pages in `block`, of which `first` is the first."""
    page_bytes = overlay.page_bytes
    low, high = overlay.pages.searchsorted([first, first + len(block) // page_bytes])
    for page, offset in zip(
        overlay.pages[low:high].tolist(), overlay.offsets[low:high].tolist(), strict=True
    ):
        at = (page - first) * page_bytes
        fill(wal, block[at : at + page_bytes], offset)


def _page_bytes(head: bytes | memoryview) -> int:
    """The page size that a header states, 0 if it cannot be one."""
    (size,) = struct.unpack_from(">H", head, 16) if len(head) == 100 else (0,)
    return 65536 if size == 1 else size if is_page_size(size) else 0


def _page_count(head: memoryview, page_bytes: int, main: int, overlay: Overlay | None) -> int:
    """How many pages the database has: the header's count is good if its writer knew of it."""
    there = overlay.page_count if overlay is not None else -(-os.fstat(main).st_size // page_bytes)
    (stated,) = struct.unpack_from(">I", head, 28)
    return min(stated, there) if stated and head[24:28] == head[92:96] else there
