"""Safetensors files <-> {name: dtype, shape, memory}.

Rules of this room: it owns the safetensors format and knows neither torch nor numpy. A shard has
few tensors (columns), each as large as its data: what makes opening slow in a file of many small
tensors is their number, not their bytes. It is written as a stream, its digest taken on the way,
and mapped privately, so that a change made to a loaded tensor never reaches the file. There is no
`__metadata__`, and tensors lie in falling item size, so that each is aligned to its items.

The format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import contextlib
import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from blake3 import blake3

from tensorcache.errors import EntryCorrupt
from tensorcache.manifest import Piece

if TYPE_CHECKING:
    from concurrent.futures import Future

MAX_HEADER_BYTES = 16 << 20
MAX_TENSORS = 100_000
MAX_RANK = 65  # 64 of a tensor, and the two halves of an item (complex128)
AHEAD_BYTES = 8 << 20  # below it a thread has no time to gain any
SHARD_BYTES = 1 << 30  # a shard closes here; a larger column has one of its own
# Item sizes of what every safetensors reader knows. Rarer dtypes are stored as one of these.
ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
_ALIGN = 16  # torch reads complex128 by instructions that fault elsewhere
_LENGTH = struct.Struct("<Q")


class Column(NamedTuple):
    """A tensor to be written: `rows()` yields its bytes in order, in buffers of any size.

    A buffer stays as it is until the next but one is asked for.

    `pair`: its items are two of `dtype`, side by side in a last dimension of 2.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    rows: Callable[[], Iterable[Any]]
    pair: bool = False

    @property
    def item_bytes(self) -> int:
        """The bytes of an item, which is also what it is aligned to."""
        return ITEM_BYTES[self.dtype] << self.pair

    @property
    def size_bytes(self) -> int:
        """The bytes of its data."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]

    @property
    def header_bytes(self) -> int:
        """No less than it takes in a header."""
        return 128 + 2 * len(self.name) + 21 * len(self.shape)


class Mapped(NamedTuple):
    """A tensor of a shard, mapped: writable memory that is private to this process."""

    dtype: str
    shape: tuple[int, ...]
    memory: memoryview


def pack(columns: Iterable[Column]) -> list[list[Column]]:
    """Columns in falling item size, cut where a shard would pass a limit."""
    shards: list[list[Column]] = []
    room = header_room = 0
    for column in sorted(columns, key=lambda column: -column.item_bytes):
        is_full = column.size_bytes > room or column.header_bytes > header_room
        if not shards or is_full or len(shards[-1]) == MAX_TENSORS:
            shards.append([])
            room, header_room = SHARD_BYTES, MAX_HEADER_BYTES
        shards[-1].append(column)
        room -= column.size_bytes
        header_room -= column.header_bytes
    return shards


def size_bytes(columns: Sequence[Column]) -> int:
    """The bytes of a shard of these columns."""
    return len(_header(columns)) + sum(column.size_bytes for column in columns)


def write(columns: Sequence[Column], sink: Callable[[Any], object]) -> Piece:
    """Write one shard into `sink` (which takes bytes-like buffers); its digest and size."""
    head = _header(columns)
    digest = blake3(head)  # one thread: the pool of many would hang in a forked child
    sink(head)
    size = len(head)
    with _ahead(sink, size_bytes(columns)) as write_out:
        for column in columns:
            end = size + column.size_bytes
            for rows in column.rows():
                if rows.nbytes:
                    write_out(rows)
                    digest.update(rows)
                    size += rows.nbytes
            if size != end:  # a tensor that changed meanwhile would shift all that follow
                raise RuntimeError(f"column {column.name!r} gave {size - end:+} bytes too many")
    return Piece(digest.hexdigest(), size)


@contextlib.contextmanager
def _ahead(sink: Callable[[Any], object], size_bytes: int) -> Iterator[Callable[[Any], object]]:
    """`sink`; where much is to be written, in a second thread, one buffer at a time.

    So a buffer is written while its digest is taken, and the next one is filled.
    """
    if size_bytes < AHEAD_BYTES:
        yield sink
        return
    try:
        from concurrent.futures import ThreadPoolExecutor  # a hit writes nothing
    except RuntimeError:  # the program is at its end, and has never had one
        yield sink
        return
    with ThreadPoolExecutor(1) as writer:
        under_way: list[Future[object]] = []

        def write_out(rows: Any) -> None:
            if under_way:
                under_way.pop().result()
            try:
                under_way.append(writer.submit(sink, rows))
            except RuntimeError:  # no thread can begin: too many, or the program is at its end
                sink(rows)

        yield write_out
        if under_way:
            under_way.pop().result()


def _header(columns: Sequence[Column]) -> bytes:
    table: dict[str, Any] = {}
    end = 0
    for column in columns:
        begin, end = end, end + column.size_bytes
        table[column.name] = {
            "dtype": column.dtype,
            "shape": list(column.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(table, separators=(",", ":")).encode("ascii")
    text += b" " * (-(_LENGTH.size + len(text)) % _ALIGN)
    return _LENGTH.pack(len(text)) + text


def read(memory: memoryview, digest: str) -> dict[str, Mapped]:
    """The tensors of a shard whose bytes are `memory`; costs its header, not its data.

    Raises:
        EntryCorrupt: it is not a shard as `write` makes them; `digest` names it in the message.
    """
    try:
        table, start = _table(memory)
        mapped = {}
        end = 0
        for name, entry in table.items():
            dtype, shape, (begin, end_of) = entry["dtype"], entry["shape"], entry["data_offsets"]
            size = ITEM_BYTES[dtype]
            if len(shape) > MAX_RANK:
                raise ValueError(f"{len(shape)} dimensions of {name!r:.80}")
            for length in shape:
                if type(length) is not int or length < 0:
                    raise ValueError(f"shape {shape!r:.80} of {name!r:.80}")
                size *= length
            if begin != end or end_of != begin + size:
                raise ValueError(f"offsets of {name!r:.80}")
            end = end_of
            mapped[name] = Mapped(dtype, tuple(shape), memory[start + begin : start + end])
        if start + end != len(memory):
            raise ValueError(f"{len(memory)} bytes for {start + end}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EntryCorrupt(f"shard {digest[:16]}: {error!r:.200}") from error
    return mapped


def _table(memory: memoryview) -> tuple[dict[str, Any], int]:
    length = _LENGTH.unpack(memory[:8])[0] if len(memory) >= 8 else 0
    if not 0 < length <= min(MAX_HEADER_BYTES, len(memory) - 8):
        raise ValueError(f"a header of {length} bytes in {len(memory)}")
    text = bytes(memory[8 : 8 + length])
    if text[:1] != b"{":
        raise ValueError("the header is no object")
    table = _DECODER.decode(text.decode())
    if len(table) > MAX_TENSORS:
        raise ValueError(f"{len(table)} tensors, more than {MAX_TENSORS}")
    return table, 8 + length


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name stands twice")
    return table


_DECODER = json.JSONDecoder(object_pairs_hook=_once)
