"""Whose pages pass: the tables of a SQLite image, told from its pages while they are digested.

Rules of this room: it explains and decides nothing, so whatever is odd makes no parts, never an
error; and it may cost the digest little. Nothing is read twice but the pages of the schema, and,
where any page is none of a b-tree, the first 256 MiB of leaves, for where long values go on. The
format: https://www.sqlite.org/fileformat2.html, sections 1.5 to 2.6.

A table's rows are the cells of its leaf pages; its digest is over those pages, in the order of its
b-tree, each with the overflow pages of its long values. Inner pages of a table hold no content and
do not count, nor do indexes. A table WITHOUT ROWID is an index: all of its pages count, and of its
long values only what lies in them.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from blake3 import blake3

from tensorcache.manifest import Part, Parts
from tensorcache.source.content import BLOCK_BYTES, LOCK_BYTE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_PAGES = 1 << 22  # 16 GiB of the usual 4 KiB; 30 bytes of memory each
_MAX_DEPTH = 20
_MAX_LOOK_BYTES = 256 << 20
_LOOK_PAGES = 256  # at once
_INNER, _LEAF = (2, 5), (10, 13)  # of indexes, of tables
_HEADERS = 100, 0  # where the header of page 1, and of any other, begins
_ENCODINGS = {1: "utf-8", 2: "utf-16-le", 3: "utf-16-be"}
_ODD = (ValueError, IndexError, KeyError, struct.error, OverflowError)


class Pages:
    """The pages of an image of `count` pages, as they pass; `head` is its first 100 bytes."""

    def __init__(self, head: bytes, page_bytes: int, count: int) -> None:
        import numpy as np

        self._page_bytes, self._count = page_bytes, count
        self._usable = page_bytes - head[20]
        self._encoding = _ENCODINGS.get(head[59], "utf-8")
        self._is_odd = count > _MAX_PAGES
        places = 0 if self._is_odd else count + 1  # by page number, from 1
        self._kinds = np.zeros(places, np.uint8)
        self._cells = np.zeros(places, np.uint16)
        self._digests = np.zeros(places, "<u8")
        self._next = np.zeros(places, np.uint32)  # of an overflow page; of others it says nothing
        self._children: dict[int, NDArray[np.int64]] = {}
        self._looks = _MAX_LOOK_BYTES // page_bytes
        self._slices = [slice(at, at + page_bytes) for at in range(0, BLOCK_BYTES, page_bytes)]

    def take(self, block: memoryview, first: int) -> None:
        """Whole pages, `first` the number of the first one."""
        if self._is_odd:
            return
        try:
            self._take(block, first)
        except _ODD:
            self._is_odd = True

    def parts(self, page: Callable[[int], bytes]) -> Parts | None:
        """(rows, digest) by table, and `sqlite_schema` itself; None if anything was odd.

        `page` reads one page again.
        """
        if self._is_odd or not self._count:
            return None
        try:
            parts = {"sqlite_schema": self._part(1, page)}
            parts |= {name: self._part(root, page) for name, root in self._schema(page)}
        except _ODD:
            return None
        return parts

    def _take(self, block: memoryview, first: int) -> None:
        import numpy as np
        from xxhash import xxh3_64_digest, xxh3_64_intdigest

        size = self._page_bytes
        pages = np.frombuffer(block, np.uint8).reshape(-1, size)
        here = slice(first, first + len(pages))
        heads = pages[:, :8].copy()  # a page is one line of the processor's cache here, not five
        if first == 1:  # its first 100 bytes are of the file, and change with every commit
            heads[0] = pages[0, 100:108]
        digests = b"".join(map(xxh3_64_digest, map(block.__getitem__, self._slices[: len(pages)])))
        self._digests[here] = np.frombuffer(digests, ">u8")
        if first == 1:
            self._digests[1] = xxh3_64_intdigest(block[100:size])
        self._kinds[here] = heads[:, 0]
        self._cells[here] = heads[:, 3:5].copy().view(">u2")[:, 0]
        self._next[here] = heads[:, :4].copy().view(">u4")[:, 0]
        for place in ((heads[:, 0] == 2) | (heads[:, 0] == 5)).nonzero()[0].tolist():
            header = _HEADERS[min(first + place, 2) - 1]
            with contextlib.suppress(*_ODD):  # what is free or no b-tree may look like one
                self._children[first + place] = _children(pages[place], header)

    def _part(self, root: int, page: Callable[[int], bytes]) -> Part:
        """The table whose b-tree begins at page `root`."""
        import numpy as np

        inner, level = [np.zeros(0, np.int64)], np.array([root])
        while not np.isin(self._kinds[level], _LEAF).all():
            if len(inner) > _MAX_DEPTH or not np.isin(self._kinds[level], _INNER).all():
                raise ValueError("no b-tree")
            inner.append(level)
            level = np.concatenate([self._children[number] for number in level.tolist()])
            if len(level) > self._count or level.min() < 1:
                raise ValueError("no tree")
        if (self._kinds[level] == 13).all():
            chained = self._chained(level, page)
        else:  # without rowid: the inner pages of an index hold rows as well
            level, chained = np.concatenate([*inner, level]), b""
        digest = blake3(self._digests[level].tobytes() + chained)
        return Part(int(self._cells[level].sum(dtype=np.int64)), digest.hexdigest())

    def _chained(self, leaves: NDArray[np.int64], page: Callable[[int], bytes]) -> bytes:
        """The digests of the overflow pages of `leaves`: all first ones, all second ones, …"""
        import numpy as np

        others = (~np.isin(self._kinds[1:], _INNER + _LEAF)).sum()
        if others <= (self._count * self._page_bytes > LOCK_BYTE):  # whose page is always empty
            return b""
        leaves = leaves[leaves > 1][: self._looks]
        self._looks -= len(leaves)
        found = []
        for at in range(0, len(leaves), _LOOK_PAGES):
            some = leaves[at : at + _LOOK_PAGES]
            data = np.frombuffer(b"".join(map(page, some.tolist())), np.uint8)
            found.append(_overflows(data.reshape(len(some), -1), self._cells[some], self._usable))
        pages = np.concatenate([*found, np.zeros(0, np.int64)])
        chained, left = [], self._count
        while len(pages):
            left -= len(pages)
            if left < 0:
                raise ValueError("a circle of pages")
            chained.append(self._digests[pages].tobytes())
            pages = self._next[pages].astype(np.int64)
            pages = pages[pages != 0]
        return b"".join(chained)

    def _schema(self, page: Callable[[int], bytes]) -> Iterator[tuple[str, int]]:
        """The (name, root page) of each table."""
        numbers = [1]
        while numbers:
            number = numbers.pop()
            if self._kinds[number] == 5:
                numbers += self._children[number].tolist()
                continue
            data, header = page(number), _HEADERS[min(number, 2) - 1]
            for place in range(int(self._cells[number])):
                (at,) = struct.unpack_from(">H", data, header + 8 + 2 * place)
                kind, name, root = _schema_row(data, at, self._encoding)
                if kind == "table" and root:  # a virtual one has none
                    yield name, root


def _children(page: NDArray[np.uint8], header: int) -> NDArray[np.int64]:
    """The pages below an inner page, in order: one a cell, and the rightmost."""
    import numpy as np

    cells = int(page[header + 3]) << 8 | int(page[header + 4])
    places = np.empty(cells + 1, np.int64)
    places[:cells] = np.frombuffer(page, ">u2", cells, header + 12)
    places[cells] = header + 8
    return _uint32(page, places)


def _uint32(data: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.int64]:
    import numpy as np

    four = data[places[:, None] + np.arange(4)]  # a copy, end to end
    numbers: NDArray[np.int64] = four.view(">u4")[:, 0].astype(np.int64)
    return numbers


def _overflows(
    pages: NDArray[np.uint8], cells: NDArray[np.uint16], usable: int
) -> NDArray[np.int64]:
    """The first overflow page of each cell that goes on there, of leaves of a table."""
    import numpy as np

    size, most = pages.shape[1], int(cells.max())
    pointers = np.ascontiguousarray(pages[:, 8 : 8 + 2 * most]).view(">u2")
    starts = np.arange(len(pages))[:, None] * size
    places = (starts + pointers)[np.arange(most) < cells[:, None]]
    data = pages.reshape(-1)
    # A cell begins with the length of its payload; by two bytes most are known to fit the page.
    high, low = data[places].astype(np.int32), data[places + 1]
    longest = usable - 35
    places = places[(high > 127) & ((low > 127) | (((high & 127) << 7) + low > longest))]
    payload, at = _varints(data, places)
    _, at = _varints(data, at)  # the rowid
    payload, at = payload[payload > longest], at[payload > longest]
    shortest = (usable - 12) * 32 // 255 - 23
    local = shortest + (payload - shortest) % (usable - 4)
    at += np.where(local > longest, shortest, local)
    return _uint32(data, at)


def _varints(
    data: NDArray[np.uint8], places: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The variable-length integers at `places`, and where they end."""
    import numpy as np

    value, at = np.zeros(len(places), np.int64), places.copy()
    going = np.ones(len(places), bool)
    for nth in range(9):
        byte = data[at[going]].astype(np.int64)
        bits, mask = (7, 127) if nth < 8 else (8, 255)
        value[going] = value[going] << bits | byte & mask
        at[going] += 1
        going[going] = byte > 127
        if not going.any():
            break
    return value, at


def _schema_row(data: bytes, at: int, encoding: str) -> tuple[str, str, int]:
    """The type, name and root page of a cell of `sqlite_schema`."""
    for _ in range(2):  # the payload's length, the rowid
        _, at = _varint(data, at)
    end, header = _varint(data, at)
    at += end
    values: list[bytes] = []
    for _ in range(4):  # type, name, table's name, root page; its SQL may be long, and comes last
        kind, header = _varint(data, header)
        length = (kind - 12) // 2 if kind > 11 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind]
        values.append(b"\1" if kind == 9 else data[at : at + length])
        at += length
    return (
        values[0].decode(encoding),
        values[1].decode(encoding),
        int.from_bytes(values[3], "big"),
    )


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for end in range(at, at + 8):
        value = value << 7 | data[end] & 127
        if data[end] < 128:
            return value, end + 1
    return value << 8 | data[at + 8], at + 9
