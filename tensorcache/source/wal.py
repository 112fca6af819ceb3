"""The committed frames of a SQLite write-ahead log.

Rules of this room: it reads one descriptor and gives page numbers with the places of their data;
what of a WAL counts is decided here alone, as SQLite decides it when it recovers one. The format:
https://www.sqlite.org/fileformat2.html, section 4. numpy is imported where it is needed, because a
remembered database, and so a hit, needs none of this.
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from tensorcache.errors import UnkeyableValue
from tensorcache.source.content import BLOCK_BYTES, aligned, fill

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAGIC = 0x377F0682  # its last bit says in which byte order checksums read the file
_VERSION = 3_007_000
_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24


class Overlay(NamedTuple):
    """The committed frames of a WAL.

    `pages` are the page numbers from 1, ascending; `offsets` where in the WAL the last frame of
    each has its data; `page_count` the pages of the database after the last commit.
    """

    page_bytes: int
    page_count: int
    pages: NDArray[np.int64]
    offsets: NDArray[np.int64]


def is_page_size(size: int) -> bool:
    """Whether SQLite has pages of `size` bytes."""
    return 512 <= size <= 65536 and size & (size - 1) == 0


def committed(path: str, wal: int) -> Overlay | None:
    """The frames up to the last commit of the WAL's valid prefix; None if there are none.

    A frame is valid when it carries the header's salts and its checksum, which continues that of
    the frame before. What follows the first frame that is not (torn, rolled back and partly
    written over, or left from before a reset) does not count.
    """
    import numpy as np

    header = os.pread(wal, _HEADER_BYTES, 0)
    if len(header) < _HEADER_BYTES:
        return None
    magic, version, page_bytes = struct.unpack_from(">3I", header)
    words = ">u4" if magic & 1 else "<u4"
    sums = np.frombuffer(header, ">u4", 2, 24).astype(np.uint32)
    data = np.frombuffer(header, words, 6).astype(np.uint32)
    begun = _chained(data[None], np.zeros((1, 2), np.uint32), *_weights(6), words=6)[0]
    if magic & ~1 != _MAGIC or not is_page_size(page_bytes) or (begun != sums).any():
        return None
    if version != _VERSION:
        raise UnkeyableValue(
            f"database {path!r}: its -wal has the format {version}, this tensorcache reads "
            f"{_VERSION}: upgrade tensorcache, or checkpoint the database"
        )
    pages, count = _frames(wal, header, words, page_bytes, sums)
    if not len(pages):
        return None
    # The last frame of a page wins: the first one, seen from the end.
    numbers, from_end = np.unique(pages[::-1], return_index=True)
    frame_bytes = _FRAME_HEADER_BYTES + page_bytes
    frames = len(pages) - 1 - from_end
    offsets = _HEADER_BYTES + _FRAME_HEADER_BYTES + frames * frame_bytes
    return Overlay(page_bytes, count, numbers, offsets)


def _frames(
    wal: int, header: bytes, words: str, page_bytes: int, sums: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], int]:
    """The page number of each committed frame in order, and the last commit's page count."""
    import numpy as np

    frame_bytes = _FRAME_HEADER_BYTES + page_bytes
    salts = np.frombuffer(header, ">u4", 2, 16)
    view = aligned(BLOCK_BYTES // frame_bytes * frame_bytes)
    data_words = 2 + page_bytes // 4
    # A checksum covers the page number, the commit size and the page, not salts and checksums.
    weights = [np.insert(weight, [2] * 4, 0) for weight in _weights(data_words)]
    offset, valid = _HEADER_BYTES, True
    seen, committed, count = [np.zeros(0, np.int64)], 0, 0
    while valid and (size := fill(wal, view, offset) // frame_bytes * frame_bytes):
        offset += size
        frames = np.frombuffer(view[:size], words).reshape(-1, frame_bytes // 4)
        heads = np.frombuffer(view[:size], ">u4").reshape(frames.shape)[:, :6].astype(np.uint32)
        stated = heads[:, 4:6]
        before = np.concatenate([sums[None], stated[:-1]])
        chained = _chained(frames.astype(np.uint32, copy=False), before, *weights, words=data_words)
        good = (chained == stated).all(1) & (heads[:, 2:4] == salts).all(1) & (heads[:, 0] != 0)
        valid = bool(good.all())
        heads = heads if valid else heads[: good.argmin()]
        commits = heads[:, 1].nonzero()[0]
        if len(commits):
            committed = sum(map(len, seen)) + int(commits[-1]) + 1
            count = int(heads[commits[-1], 1])
        seen.append(heads[:, 0].astype(np.int64))
        sums = stated[-1]
    return np.concatenate(seen)[:committed], count


def _chained(
    data: NDArray[np.uint32],
    before: NDArray[np.uint32],
    to_first: NDArray[np.uint32],
    to_second: NDArray[np.uint32],
    *,
    words: int,
) -> NDArray[np.uint32]:
    """The WAL checksums (n, 2) after each row of `data` (n, words), from those before it.

    SQLite's loop (fileformat2, section 4.2, "Checksum Algorithm") takes two words at a time:

        s0 += x[i] + s1;  s1 += x[i+1] + s0    (modulo 2^32)

    which is one sequence t[i] = t[i-2] + t[i-1] + x[i], with t[-2] = s0 and t[-1] = s1 before.
    With Fibonacci numbers F, F(0) = 0 and F(1) = 1, and n words that gives

        s1' = t[n-1] = F(n) s0 + F(n+1) s1 + sum of F(n-i) x[i]
        s0' = t[n-2] = F(n-1) s0 + F(n) s1 + sum of F(n-1-i) x[i]

    a dot product a frame. A frame's own checksum is stated beside it, so that all frames can be
    checked at once: each against what the one before states.
    """
    import numpy as np

    fibonacci = _fibonacci(words + 2)
    low, middle, high = fibonacci[words - 1], fibonacci[words], fibonacci[words + 1]
    first, second = before[:, 0], before[:, 1]
    return np.stack(
        [
            np.einsum("ij,j->i", data, to_first) + low * first + middle * second,
            np.einsum("ij,j->i", data, to_second) + middle * first + high * second,
        ],
        axis=1,
    )


def _weights(words: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """What each of `words` words counts for in the first and in the second sum."""
    fibonacci = _fibonacci(words + 2)
    return fibonacci[:words][::-1], fibonacci[1 : words + 1][::-1]


@lru_cache(maxsize=4)
def _fibonacci(count: int) -> NDArray[np.uint32]:
    import numpy as np

    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append((numbers[-1] + numbers[-2]) % 2**32)
    return np.array(numbers, np.uint32)
