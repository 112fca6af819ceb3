"""Shards: files that any safetensors reader opens, aligned, cut, and checked before use."""

from __future__ import annotations

import json
import struct
import threading
import time

import pytest
import torch
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import python
from safetensors import safe_open
from safetensors.torch import load_file

from tensorcache import shard
from tensorcache.column import map_file
from tensorcache.errors import EntryCorrupt


def column(name, dtype="F32", shape=(2, 3), *, pair=False):
    """A column whose bytes count up."""
    size = shard.Column(name, dtype, shape, list).size_bytes
    data = memoryview(bytes(i % 2 for i in range(size)))
    return shard.Column(name, dtype, shape, lambda: [data[: size // 2], data[size // 2 :]], pair)


def written(columns):
    """The bytes of a shard, and what `write` says of it."""
    data = bytearray()
    piece = shard.write(columns, data.extend)
    return bytes(data), piece


def header_of(data):
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), 8 + length


def test_a_shard_is_named_by_the_blake3_of_its_bytes():
    data, piece = written([column("a")])

    assert piece == (blake3(data).hexdigest(), len(data))


def test_what_is_written_is_read():
    columns = [
        column("a"),
        column("b/~1#at", "U8", (0, 4)),
        column("c", "BOOL", ()),
        column("", "I64"),
    ]
    data, piece = written(columns)

    mapped = shard.read(memoryview(data), piece.digest)

    assert list(mapped) == ["a", "b/~1#at", "c", ""]
    for one in columns:
        assert mapped[one.name].dtype == one.dtype
        assert mapped[one.name].shape == one.shape
        assert mapped[one.name].memory == b"".join(one.rows())


def test_every_dtype_is_one_that_safetensors_reads(tmp_path):
    columns = [column(dtype, dtype) for dtype in shard.ITEM_BYTES]
    data, piece = written(columns)
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)

    loaded = load_file(path)

    assert loaded.keys() == shard.ITEM_BYTES.keys()
    for one in columns:
        assert loaded[one.name].view(torch.uint8).numpy().tobytes() == b"".join(one.rows())
    with safe_open(path, framework="np") as file:
        assert file.metadata() is None
        assert file.get_slice("F32").get_shape() == [2, 3]
    assert piece.size_bytes == path.stat().st_size


def test_columns_lie_in_falling_item_size_each_aligned_to_its_items():
    columns = [
        column("bool", "BOOL", (3,)),
        column("complex32", "F16", (3, 2), pair=True),
        column("half", "F16", (3,)),
        column("double", "F64", (3,)),
        column("complex128", "F64", (3, 2), pair=True),
        column("single", "F32", (3,)),
    ]

    [group] = shard.pack(columns)
    table, start = header_of(written(group)[0])

    assert [one.name for one in group] == ("complex128 double complex32 single half bool".split())
    for one in group:
        assert (start + table[one.name]["data_offsets"][0]) % one.item_bytes == 0


@pytest.mark.parametrize("length", range(20))
def test_data_begins_where_the_widest_item_may(length):
    _, start = header_of(written([column("n" * length)])[0])

    assert start % 16 == 0


def test_equal_columns_make_equal_shards():
    assert written([column("a"), column("b")]) == written([column("a"), column("b")])


def test_shards_close_at_their_limit_and_a_larger_column_has_one_of_its_own(monkeypatch):
    monkeypatch.setattr(shard, "SHARD_BYTES", 100)

    def names(*sizes):
        groups = shard.pack([column(f"{i}", "U8", (size,)) for i, size in enumerate(sizes)])
        return [[one.size_bytes for one in group] for group in groups]

    assert names(60, 40, 1) == [[60, 40], [1]]
    assert names(99, 2) == [[99], [2]]
    assert names(500, 60, 60) == [[500], [60], [60]]
    assert names(100, 0, 0) == [[100, 0, 0]]
    assert names(0) == [[0]]
    assert names() == []


def test_no_shard_is_written_that_would_be_refused_when_read(monkeypatch):
    monkeypatch.setattr(shard, "MAX_TENSORS", 10)
    monkeypatch.setattr(shard, "MAX_HEADER_BYTES", 1000)
    columns = [column(f"{i:03}", "U8", (1,)) for i in range(35)]
    columns += [column(f'{"x" * 300}"{i}', "U8", (1,) * 20) for i in range(3)]

    groups = shard.pack(columns)

    assert [one.name for group in groups for one in group] == [one.name for one in columns]
    assert len(groups) > 6
    for group in groups:
        data, piece = written(group)
        assert len(shard.read(memoryview(data), piece.digest)) == len(group)


def test_a_column_that_changes_while_it_is_written_fails():
    short = shard.Column("a", "U8", (4,), lambda: [memoryview(b"abc")])

    with pytest.raises(RuntimeError, match="'a' gave -1 bytes"):
        written([short])


@pytest.fixture
def ahead(monkeypatch):
    """Every shard is written by two threads, as large ones are; none is left behind."""
    monkeypatch.setattr(shard, "AHEAD_BYTES", 0)
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def turned(name, buffers, length=1000):
    """A column that fills two buffers by turns, as `column` makes them."""
    both = bytearray(length), bytearray(length)

    def rows():
        for number in range(buffers):
            both[number % 2][:] = bytes([number % 251]) * length
            yield memoryview(both[number % 2])

    return shard.Column(name, "U8", (buffers, length), rows)


def test_a_shard_that_two_threads_write_has_the_same_bytes(ahead):
    def slowly(data):
        time.sleep(0.001)
        late.extend(data)

    late = bytearray()
    piece = shard.write([turned("a", 30), turned("b", 7)], slowly)

    assert piece == (blake3(late).hexdigest(), len(late))
    mapped = shard.read(memoryview(late), piece.digest)
    assert bytes(mapped["a"].memory) == b"".join(bytes([n]) * 1000 for n in range(30))
    assert bytes(mapped["b"].memory) == b"".join(bytes([n]) * 1000 for n in range(7))


@pytest.mark.parametrize("failing", [1, 2, 5])
def test_a_write_that_fails_in_the_other_thread_fails_the_shard(ahead, failing):
    def sink(_):
        nonlocal written
        written += 1
        if written > failing:
            raise OSError(28, "no space")

    written = 0
    with pytest.raises(OSError, match="no space"):
        shard.write([turned("a", 5)], sink)

    assert written <= failing + 1


def test_a_shard_is_written_where_no_thread_can_begin(ahead, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    data, piece = bytearray(), None
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        piece = shard.write([turned("a", 5)], data.extend)

    assert piece == (blake3(data).hexdigest(), len(data))
    assert (data, piece) == written([turned("a", 5)])


def test_a_shard_is_written_when_the_program_is_at_its_end():
    code = """
import threading, time
from tensorcache import shard
shard.AHEAD_BYTES = 0
def late():
    time.sleep(0.3)
    data = bytearray()
    piece = shard.write([shard.Column("a", "U8", (3,), lambda: [memoryview(b"abc")])], data.extend)
    print(len(data) == piece.size_bytes, flush=True)
threading.Thread(target=late).start()
"""
    assert python(code) == "True\n"


def test_a_column_that_fails_while_another_thread_writes_leaves_none_behind(ahead):
    short = shard.Column("a", "U8", (4,), lambda: [memoryview(b"abc")])

    with pytest.raises(RuntimeError, match="'a' gave -1 bytes"):
        written([turned("b", 3), short])


def test_a_mapped_shard_is_private_memory(tmp_path):
    data, piece = written([column("a", "U8", (4,))])
    path = tmp_path / "x"
    path.write_bytes(data)
    path.chmod(0o444)
    with path.open("rb") as file:
        mapped = shard.read(map_file(file.fileno(), piece.size_bytes), piece.digest)
        again = shard.read(map_file(file.fileno(), piece.size_bytes), piece.digest)

    mapped["a"].memory[0] = 77

    assert mapped["a"].memory[0] == 77
    assert again["a"].memory[0] == 0
    assert path.read_bytes() == data


# What no shard of ours looks like.


def file_of(table, payload=b"", *, length=None):
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + payload


def entry(begin, end, shape=(4,), dtype="U8"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


ENTRY = json.dumps(entry(0, 4)).encode()
BROKEN = {
    "empty": b"",
    "seven bytes": b"\0" * 7,
    "no header": file_of(b""),
    "header beyond the file": file_of({}, length=1000),
    "header of all bits": file_of({}, length=2**64 - 1),
    "no json": file_of(b"{]"),
    "no utf-8": file_of(b'{"\xff":1}'),
    "a list": file_of([]),
    "a blank before": file_of(b" {}"),
    "more after": file_of(b"{}{}"),
    "deep": file_of(b'{"a":' + b"[" * 100_000),
    "a name twice": file_of(b'{"a":%b,"a":%b}' % ((ENTRY,) * 2), b"abcd"),
    "metadata": file_of({"__metadata__": {"a": "b"}}),
    "a hole": file_of({"a": entry(1, 5)}, b"abcde"),
    "an overlap": file_of({"a": entry(0, 4), "b": entry(2, 6)}, b"abcdef"),
    "a shared range": file_of({"a": entry(0, 4), "b": entry(0, 4)}, b"abcd"),
    "a byte more": file_of({"a": entry(0, 4)}, b"abcde"),
    "a byte less": file_of({"a": entry(0, 4)}, b"abc"),
    "end before begin": file_of({"a": entry(4, 0)}, b"abcd"),
    "negative offset": file_of({"a": entry(-4, 0)}, b"abcd"),
    "float offset": file_of({"a": entry(0.0, 4.0)}, b"abcd"),
    "infinite offset": file_of(b'{"a":%b}' % ENTRY.replace(b"[0, 4]", b"[0, 1e400]"), b"abcd"),
    "null offset": file_of({"a": entry(None, 4)}, b"abcd"),
    "three offsets": file_of({"a": entry(0, 4) | {"data_offsets": [0, 4, 4]}}, b"abcd"),
    "shape that overflows": file_of({"a": entry(0, 4, (2**63, 2**63))}, b"abcd"),
    "negative dimensions": file_of({"a": entry(0, 4, (-2, -2))}, b"abcd"),
    "dimension of truth": file_of({"a": entry(0, 1, (True,))}, b"a"),
    "dimension of text": file_of({"a": entry(0, 4, ("4",))}, b"abcd"),
    "too many dimensions": file_of({"a": entry(0, 1, (1,) * 66)}, b"a"),
    "no shape": file_of({"a": {"dtype": "U8", "data_offsets": [0, 4]}}, b"abcd"),
    "unknown dtype": file_of({"a": entry(0, 4, dtype="F4")}, b"abcd"),
    "no dtype": file_of({"a": entry(0, 4) | {"dtype": None}}, b"abcd"),
    "listed dtype": file_of({"a": entry(0, 4) | {"dtype": ["U8"]}}, b"abcd"),
    "no entry": file_of({"a": 1}),
}  # fmt: skip


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_shard_is_corrupt_and_named(data):
    with pytest.raises(EntryCorrupt, match="shard 0123456789abcdef: ") as corrupt:
        shard.read(memoryview(data), "0123456789abcdef0000")

    assert len(str(corrupt.value)) < 400


GOOD, _ = written([column("a"), column("b", "U8", (0, 4)), column("c", "BOOL", ())])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_another_shard_or_corrupt_and_never_another_error(at, change):
    data = bytearray(GOOD)
    data[at] ^= change

    try:
        mapped = shard.read(memoryview(data), "0" * 64)
    except EntryCorrupt:
        return
    assert sum(one.memory.nbytes for one in mapped.values()) == len(data) - header_of(data)[1]
