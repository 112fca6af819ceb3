"""Columns -> the lazy lists that stand for the stored ones.

`Rows` is a list of plain values, `Batches` one whose elements hold tensors. Neither keeps what it
made: an element is built when it is asked for, as fresh containers around views of the columns.
A fetched tensor owns a storage of exactly its own bytes, so that saving or sending it never drags
its column along; equal tensors of one entry share memory (`clone=True` parts them).
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Self, overload

import numpy as np
import torch

from tensorcache import tree
from tensorcache.column.form import Form, array_of, bytes_of, tensor_of

# What is on a device by now, by place in memory: columns that many fields refer to go there once.
Copies = dict[tuple[int, tuple[int, ...], str], torch.Tensor]


TOGETHER = 16  # elements whose tensors are made at once when a list is walked through
# Bytes of rows that are decoded in one go: few at first, so that the first row comes soon; then
# what a processor's own memory holds.
FIRST_BYTES, STEP_BYTES = 4 << 10, 1 << 20
WHOLE_BYTES = 128 << 10  # a document no larger is decoded whole, which needs none of its ends


class Column(NamedTuple):
    """A mapped column: `array` is (rows, *trailing) of the form's numpy dtype.

    `tensor` stands instead of slices of `array` where the rows live on a device.
    """

    array: np.ndarray[Any, Any]
    form: Form
    leaf: str
    requires_grad: bool
    scalar: bool
    tensor: torch.Tensor | None = None

    def __str__(self) -> str:
        """As in `float32 (n, 15, 24)`, where n is what elements may differ in."""
        shape = () if self.scalar else ("n", *self.array.shape[1:])
        return f"{self.form.name} ({', '.join(map(str, shape))})"

    @property
    def is_plain(self) -> bool:
        """Whether a slice of `array`, as a tensor, is all there is to a fetch."""
        torch_like = self.leaf == "torch" and self.form.torch is None and self.tensor is None
        return torch_like and not (self.scalar or self.requires_grad)

    def whole(self) -> Any:
        """All rows as one tensor (or array, where arrays were stored)."""
        if self.leaf == "numpy":
            return self.array
        return tensor_of(self.array, self.form) if self.tensor is None else self.tensor

    def fetch(self, first: int, rows: int, shape: tuple[int, ...] | None, *, clone: bool) -> Any:
        """Some rows, as they were stored; a flat column's items take `shape`."""
        source: Any = self.array if self.tensor is None else self.tensor
        part = source[first : first + rows]
        if self.scalar:
            part = part.reshape(())
        elif shape is not None:
            part = part.reshape(shape)
        if self.leaf == "numpy":
            return part.copy() if clone else part
        if self.tensor is None:
            part = tensor_of(part, self.form)
        if clone:
            part = part.clone()
        return part.requires_grad_() if self.requires_grad else part

    def to(self, device: torch.device, copies: Copies) -> Self:
        """The column on a device: one copy, pinned on the way to CUDA. Arrays stay as they are."""
        if self.leaf == "numpy":
            return self
        place = self.array.ctypes.data, self.array.shape, self.form.name
        if place not in copies:
            whole = self.whole()
            if device.type == "cuda":
                whole = whole.pin_memory()
            copies[place] = whole.to(device, non_blocking=device.type == "cuda")
        return self._replace(tensor=copies[place])


class Field(NamedTuple):
    """One field of a list: `at` (n, 3) says place in `columns`, first row, rows; -1 is absent.

    `shape` (n, largest ndim) stands beside flat columns, padded with -1.
    """

    steps: tree.Steps
    columns: tuple[Column, ...]
    at: np.ndarray[Any, Any]
    shape: np.ndarray[Any, Any] | None

    @property
    def name(self) -> str:
        """Its steps: dict keys, and `~n` for a position; "" where elements are tensors themselves.

        `%`, `/` and `~` in a key are written in percent, so that no two fields share a name.
        """
        return "/".join(
            f"~{step}" if isinstance(step, int) else _quoted(step) for step in self.steps
        )

    def fetch(self, position: int, *, clone: bool) -> Any:
        """The tensor of one element."""
        place, first, rows = self.at[position].tolist()
        shape = None
        if self.shape is not None:
            shape = tuple(n for n in self.shape[position].tolist() if n >= 0)
        return self.columns[place].fetch(first, rows, shape, clone=clone)

    def to(self, device: torch.device, copies: Copies) -> Self:
        """The field with its columns on a device."""
        return self._replace(columns=tuple(column.to(device, copies) for column in self.columns))


def _quoted(key: str) -> str:
    return key.replace("%", "%25").replace("/", "%2F").replace("~", "%7E")


class _Number(int):
    """A field's number, where its tensor will be."""


class List(NamedTuple):
    """A laid-out list as it lies: one `skeleton`, or rows of a document that end at `ends()`.

    Whoever walks through a short one needs no ends, and so they are mapped when first asked for.
    """

    length: int
    skeleton: bytes | None
    document: memoryview
    ends: Callable[[], np.ndarray[Any, Any]] | None
    ordinals: bool
    fields: tuple[Field, ...]

    @property
    def names(self) -> dict[str, int] | None:
        """Field numbers by name, where every element is a dict of tensors and of nothing else."""
        if self.skeleton is None or self.ordinals:
            return None
        element = tree.unpack(self.skeleton, _Number)
        flat = type(element) is dict and all(type(value) is _Number for value in element.values())
        return element if flat else None

    def to(self, device: torch.device, copies: Copies) -> Self:
        """The list with its columns on a device."""
        return self._replace(fields=tuple(field.to(device, copies) for field in self.fields))

    def row(self, position: int) -> Any:
        """The packed skeleton of one element."""
        if self.skeleton is not None:
            return self.skeleton
        assert self.ends is not None  # one skeleton or many
        ends = self.ends()
        start = int(ends[position - 1]) if position else 0
        return self.document[start : int(ends[position])]

    def reach(self, start: int, size_bytes: int) -> int:
        """Up to where rows from `start` on take so many bytes; one row is never too much."""
        if self.ends is None:
            return start + TOGETHER
        if not start and self.document.nbytes <= WHOLE_BYTES:
            return self.length
        ends = self.ends()
        begin = int(ends[start - 1]) if start else 0
        return max(start + 1, bisect.bisect_right(ends, begin + size_bytes))

    def rows(self, start: int, stop: int) -> list[Any]:
        """The elements of a list without tensors, decoded in one go."""
        if self.skeleton is not None:
            return [tree.unpack(self.skeleton) for _ in range(start, stop)]
        assert self.ends is not None  # one skeleton or many
        rows = self.document
        if start or stop < self.length:
            ends = self.ends()
            begin = int(ends[start - 1]) if start else 0
            rows = rows[begin : int(ends[stop - 1])]
        if rows.nbytes <= FIRST_BYTES:
            return tree.unpack_rows(rows, stop - start)
        with tree.collector_spared():
            return tree.unpack_rows(rows, stop - start)


class Rows(Sequence[Any]):
    """A stored list, read lazily; equal to the list it stands for.

    Picklable as a handle (entry, section, range), a few hundred bytes. Elements are built anew at
    each access: changing one changes nothing here.
    """

    def __init__(
        self,
        laid: List,
        reopen: Callable[[], tuple[Any, ...]],
        span: range | None = None,
        *,
        clone: bool = False,
    ) -> None:
        self._list = laid
        self._reopen = reopen
        self._span = range(laid.length) if span is None else span
        self._clone = clone

    def __len__(self) -> int:
        return len(self._span)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        span = self._span[index]  # raises what a list raises
        return self.spanning(span) if isinstance(span, range) else self._element(span)

    def __iter__(self) -> Iterator[Any]:
        span = self._span
        if span.step != 1:
            yield from map(self._element, span)
            return
        start, size_bytes = span.start, FIRST_BYTES
        while start < span.stop:
            stop = min(self._reach(start, size_bytes), span.stop)
            yield from self._elements(start, stop)
            start, size_bytes = stop, STEP_BYTES

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | Rows):
            return NotImplemented
        return len(self) == len(other) and all(map(same, self, other))

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} elements)"

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, handle = self._reopen()
        span = self._span
        return rebuild, (*handle, (span.start, span.stop, span.step))

    def spanning(self, span: range) -> Self:
        """The elements at these positions of the stored list, as a list of the same kind."""
        return type(self)(self._list, self._reopen, span, clone=self._clone)

    def to(self, device: Any) -> Self:  # noqa: ARG002 - the same call serves lists of both kinds
        """Itself: there is nothing to move."""
        return self

    def _element(self, position: int) -> Any:
        return tree.unpack(self._list.row(position))

    def _reach(self, start: int, size_bytes: int) -> int:
        """Up to where elements are decoded together when the list is walked through."""
        return self._list.reach(start, size_bytes)

    def _elements(self, start: int, stop: int) -> Iterator[Any]:
        return iter(self._list.rows(start, stop))


class Batches(Rows):
    """A stored list whose elements hold tensors; also a map-style `Dataset`.

    `columns` and `at` are for people who batch by themselves.
    """

    _found: list[_Plain] | None = None  # what `_plain` gave

    @property
    def columns(self) -> dict[str, tuple[Any, ...]]:
        """For each field its columns: tensors (rows, *trailing), one per dtype and trailing shape.

        Rows are distinct; other sections' columns stand after the field's own. They are those of
        the whole stored list, also in a slice of it, whose `at` says which rows are its own.
        """
        return {f.name: tuple(column.whole() for column in f.columns) for f in self._list.fields}

    @property
    def at(self) -> dict[str, torch.Tensor]:
        """For each field int64 (n, 3): place in `columns`, first row, rows; (-1, 0, 0) is absent.

        Where elements have more than 256 fields there is one, and n counts its tensors.
        """
        span = self._span
        whole = self._list.ordinals or span == range(self._list.length)
        return {
            field.name: torch.from_numpy(field.at if whole else field.at[np.asarray(span)])
            for field in self._list.fields
        }

    def to(self, device: Any) -> Self:
        """The same list with its columns on `device`: one copy per column, none per element.

        Columns go whole, also those of a slice; what is there already is not copied. Pickled, it
        is the list in the file again: another process has devices of its own.
        """
        laid = self._list.to(torch.device(device), {})
        return type(self)(laid, self._reopen, self._span, clone=self._clone)

    def __repr__(self) -> str:
        fields = ", ".join(
            f"{f.name} {' | '.join(map(str, f.columns))}".strip()
            for f in self._list.fields[:8]
            if f.columns
        )
        return f"Batches({len(self)} elements: {fields})"

    @property
    def _plain(self) -> list[_Plain]:
        """Its fields, where every element is a dict of plain tensors and of nothing else."""
        # No cached_property: until Python 3.12 it has a lock, which a fork would find locked.
        if self._found is None:
            self._found = self._find_plain()
        return self._found

    def _find_plain(self) -> list[_Plain]:
        names = self._list.names
        if not names or self._clone:
            return []
        fields = [(name, self._list.fields[number]) for name, number in names.items()]
        if any(f.shape is not None or not all(c.is_plain for c in f.columns) for _, f in fields):
            return []
        return [(name, f.at, [column.array for column in f.columns]) for name, f in fields]

    def _element(self, position: int) -> Any:
        if plain := self._plain:
            element = {}
            for name, at, arrays in plain:
                place, first, rows = at[position].tolist()
                element[name] = torch.from_numpy(arrays[place][first : first + rows])
            return element
        fields = self._list.fields
        if self._list.ordinals:
            only = fields[0]
            return self._unpack(position, lambda ordinal: only.fetch(ordinal, clone=self._clone))
        return self._unpack(
            position, lambda number: fields[number].fetch(position, clone=self._clone)
        )

    def _unpack(self, position: int, place: Callable[[int], Any]) -> Any:
        return tree.unpack(self._list.row(position), place)

    def _reach(self, start: int, size_bytes: int) -> int:  # noqa: ARG002 - tensors lie elsewhere
        return start + TOGETHER

    def _elements(self, start: int, stop: int) -> Iterator[Any]:
        plain = self._plain
        if not plain:
            return map(self._element, range(start, stop))
        view = torch.from_numpy
        names = [name for name, _, _ in plain]
        tensors = [
            [
                view(arrays[place][first : first + rows])
                for place, first, rows in at[start:stop].tolist()
            ]
            for _, at, arrays in plain
        ]
        return (dict(zip(names, row, strict=True)) for row in zip(*tensors, strict=True))


# A name, and a field's cells and columns.
_Plain = tuple[str, np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]
_TENSORS = (torch.Tensor, np.ndarray)


def same(one: Any, other: Any) -> bool:
    """Equal as stored: types, structure, and tensors by dtype, shape and bytes."""
    if isinstance(one, _TENSORS) or isinstance(other, _TENSORS):
        return type(one) is type(other) and _same_tensor(one, other)
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(same(v, other[k]) for k, v in one.items())
        )
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)  # noqa: PLR0124 - NaN


def _same_tensor(one: Any, other: Any) -> bool:
    return (
        one.dtype == other.dtype
        and tuple(one.shape) == tuple(other.shape)
        and np.array_equal(bytes_of(array_of(one)), bytes_of(array_of(other)))
    )
