"""What was laid out, written: shards, documents, structures.

Shards are streamed through one small buffer, so a publication costs no copy of the payload. A
structure names the columns of its section by shard digest and tensor name, so that the structure
of equal sections is equal too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from blake3 import blake3

from tensorcache import shard, tree
from tensorcache.column.form import array_of, bytes_of, tensor_of
from tensorcache.column.lay import (
    Index,
    Laid,
    LaidColumn,
    LaidSection,
    Reference,
    Seen,
    lay_section,
)
from tensorcache.manifest import Piece

MAX_STRUCTURE_BYTES = 64 << 10  # a section's structure above this is a document
BUFFER_BYTES = 1 << 21
MOST_ITEMS = 32_767  # torch shares larger copies among threads, whose pool hangs in a forked child
Sink = Callable[[Any], object]
Add = Callable[[str, int, Callable[[Sink], Piece]], Piece]


class Contents(NamedTuple):
    """What `write` wrote: packed structures (or their documents), shards, documents."""

    sections: dict[str, bytes | str]
    shards: tuple[Piece, ...]
    documents: tuple[Piece, ...]


def _stored(column: LaidColumn) -> shard.Column:
    form = column.form
    shape = (column.rows, *column.trailing, *((2,) if form.pair else ()))
    return shard.Column(column.name, form.stored, shape, lambda: _buffers(column), form.pair)


def _stored_index(index: Index) -> shard.Column:
    return shard.Column(index.name, "I64", index.array.shape, lambda: [bytes_of(index.array)])


def _packed(reference: Reference) -> list[Any]:
    column = reference.column
    return [
        column.shard,
        column.name,
        reference.leaf,
        column.form.name,
        reference.requires_grad,
        reference.scalar,
        [column.rows, *column.trailing],
        _stored(column).size_bytes,
    ]


def _buffers(column: LaidColumn) -> Iterator[np.ndarray[Any, Any]]:
    """The rows of a column end to end, without a copy of the whole: two buffers by turns."""
    row_items = max(1, math.prod(column.trailing))
    most = BUFFER_BYTES // (row_items * column.form.numpy.itemsize)
    buffer, other = (np.empty((most, *column.trailing), column.form.numpy) for _ in range(2))
    filled = 0
    for leaves, rows in _groups(column, min(most, MOST_ITEMS // row_items)):
        if filled + rows > most:
            yield bytes_of(buffer[:filled])
            buffer, other, filled = other, buffer, 0
        if rows > most:
            yield bytes_of(array_of(leaves[0]))
            continue
        _copy(leaves, buffer[filled : filled + rows], column)
        filled += rows
    yield bytes_of(buffer[:filled])


def _groups(column: LaidColumn, most: int) -> Iterator[tuple[list[Any], int]]:
    """Leaves and their rows: together no more than `most`, but for a leaf that alone has more."""
    some: list[Any] = []
    rows = 0
    for leaf, length in zip(column.leaves, column.lengths, strict=True):
        if some and rows + length > most:
            yield some, rows
            some, rows = [], 0
        some.append(leaf)
        rows += length
    if some:
        yield some, rows


def _copy(leaves: list[Any], rows: np.ndarray[Any, Any], column: LaidColumn) -> None:
    """Copy leaves to where their rows shall lie; torch does it without an array for each."""
    if rows.size <= MOST_ITEMS and not column.owner.flat:
        try:
            torch.cat(leaves, out=tensor_of(rows, column.form))
        except (RuntimeError, TypeError, ValueError):
            pass  # arrays, 0-d, of a graph, on a device, or of a dtype that torch or `cat` lacks
        else:
            return
    np.concatenate([array_of(leaf) for leaf in leaves], axis=None, out=rows.reshape(-1))


def write(laid: Laid, add: Add) -> Contents:
    """Write the rows, and let go of them (so `laid` is written once); then the shards.

    `add(kind, size_bytes, write)` makes one piece of `kind` ("shard" or "document"): it calls
    `write` with a sink and returns the piece that this made.
    """
    sections: dict[str, bytes | str] = {}
    shards: dict[str, Piece] = {}
    documents: dict[str, Piece] = {}

    def document(data: bytes | bytearray) -> Piece:
        def write_data(sink: Sink) -> Piece:
            sink(data)
            return Piece(blake3(data).hexdigest(), len(data))

        return add("document", len(data), write_data)

    rows: dict[str, dict[tree.Steps, Piece]] = {}
    for section in laid.sections:
        rows[section.name] = {}
        for layout in section.layouts:
            if layout.has_rows:
                rows[section.name][layout.steps] = document(layout.document)
            layout.document.clear()
    seen: Seen = {}
    for section in laid.sections:
        with tree.collector_paused():
            laid_section = lay_section(section, seen)
        in_shard = _write_shards(laid_section, add, shards)
        documents |= {piece.digest: piece for piece in rows[section.name].values()}
        structure = tree.pack(_structure(laid_section, in_shard, rows[section.name]))
        sections[section.name] = structure
        if len(structure) > MAX_STRUCTURE_BYTES:
            piece = document(structure)
            documents[piece.digest] = piece
            sections[section.name] = piece.digest
    return Contents(sections, tuple(shards.values()), tuple(documents.values()))


def _write_shards(section: LaidSection, add: Add, shards: dict[str, Piece]) -> dict[str, str]:
    """Write the section's own columns; which shard each tensor name is in."""
    columns = {column.name: column for column in section.columns}
    stored = [_stored(column) for column in section.columns]
    for laid in section.lists:
        stored.extend(_stored_index(field.at) for field in laid.fields)
        stored.extend(_stored_index(field.shape) for field in laid.fields if field.shape)
        if laid.ends:
            stored.append(_stored_index(laid.ends))
    in_shard: dict[str, str] = {}
    for group in shard.pack(stored):
        size = shard.size_bytes(group)
        piece = add("shard", size, lambda sink, group=group: shard.write(group, sink))  # type: ignore[misc]
        shards[piece.digest] = piece
        for column in group:
            in_shard[column.name] = piece.digest
            if column.name in columns:
                columns[column.name].shard = piece.digest
    return in_shard


def _structure(
    section: LaidSection, in_shard: dict[str, str], rows: dict[tree.Steps, Piece]
) -> dict[str, Any]:
    def where(index: Index | None) -> list[str] | None:
        return [in_shard[index.name], index.name] if index else None

    lists = []
    for layout, fields, ends in section.lists:
        lists.append(
            {
                "length": layout.length,
                "skeleton": layout.skeleton,
                "document": rows[layout.steps].digest if ends else None,
                "ends": where(ends),
                "ordinals": layout.ordinals,
                "fields": [
                    {
                        "steps": list(field.steps),
                        "columns": [_packed(reference) for reference in field.references],
                        "at": where(field.at),
                        "shape": where(field.shape),
                    }
                    for field in fields
                ],
            }
        )
    return {
        "tree": tree.pack(section.tree),
        "columns": [_packed(reference) for reference in section.references],
        "lists": lists,
    }
