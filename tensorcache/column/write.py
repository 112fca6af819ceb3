"""What was laid out, written: shards, documents, structures.

Shards are streamed through one small buffer, so a publication costs no copy of the payload. A
structure names the columns of its section by shard digest and tensor name, so that the structure
of equal sections is equal too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from blake3 import blake3

from tensorcache import shard, tree
from tensorcache.column.form import array_of, bytes_of
from tensorcache.column.lay import Index, Laid, LaidColumn, LaidSection, Reference
from tensorcache.manifest import Piece

MAX_STRUCTURE_BYTES = 64 << 10  # a section's structure above this is a document
BUFFER_BYTES = 1 << 22
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
    """The rows of a column end to end, in few buffers, without a copy of the whole."""
    buffer = np.empty(BUFFER_BYTES // column.form.numpy.itemsize, column.form.numpy)
    some: list[np.ndarray[Any, Any]] = []
    filled = 0
    for leaf in column.leaves:
        rows = array_of(leaf)
        if filled + rows.size > buffer.size:
            yield from _together(some, buffer[:filled])
            some, filled = [], 0
        if rows.size > buffer.size:
            yield bytes_of(rows)
            continue
        some.append(rows)
        filled += rows.size
    yield from _together(some, buffer[:filled])


def _together(
    arrays: list[np.ndarray[Any, Any]], buffer: np.ndarray[Any, Any]
) -> Iterator[np.ndarray[Any, Any]]:
    if buffer.size:
        np.concatenate(arrays, axis=None, out=buffer)
        yield bytes_of(buffer)


def write(laid: Laid, add: Add) -> Contents:
    """Write shards and documents, section by section.

    `add(kind, size_bytes, write)` makes one piece of `kind` ("shard" or "document"): it calls
    `write` with a sink and returns the piece that this made.
    """
    sections: dict[str, bytes | str] = {}
    shards: dict[str, Piece] = {}
    documents: dict[str, Piece] = {}

    def document(rows: bytes | bytearray) -> str:
        def write_rows(sink: Sink) -> Piece:
            sink(rows)
            return Piece(blake3(rows).hexdigest(), len(rows))

        piece = add("document", len(rows), write_rows)
        documents[piece.digest] = piece
        return piece.digest

    for section in laid.sections:
        in_shard = _write_shards(section, add, shards)
        structure = tree.pack(_structure(section, in_shard, document))
        if len(structure) > MAX_STRUCTURE_BYTES:
            sections[section.name] = document(structure)
        else:
            sections[section.name] = structure
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
    section: LaidSection, in_shard: dict[str, str], document: Callable[[bytearray], str]
) -> dict[str, Any]:
    def where(index: Index | None) -> list[str] | None:
        return [in_shard[index.name], index.name] if index else None

    lists = []
    for layout, fields, ends in section.lists:
        lists.append(
            {
                "length": layout.length,
                "skeleton": layout.skeleton,
                "document": document(layout.document) if ends else None,
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
