"""A payload laid into columns.

`lay` decides everything and writes nothing, so what cannot be stored is refused before a byte
is written. Equal tensors (dtype, shape and bytes; a fast hash finds, a comparison makes sure) lie
once, in the section that first uses them; later sections refer to it. Names of tensors come from
the path alone, never from a namespace or key, so that equal columns make equal shards.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import xxhash

from tensorcache import tree
from tensorcache.column.form import Form, array_of, bytes_of, form_of, is_leaf

MAX_TRAILING_SHAPES = 16

_PLAIN_STEP = frozenset(map(chr, range(0x20, 0x7F))) - frozenset("/#%~")


class LaidColumn:
    """A column in the making: `leaves` end to end are its rows."""

    def __init__(self, owner: _Field, name: str, form: Form, trailing: tuple[int, ...]) -> None:
        self.owner = owner
        self.name = name
        self.form = form
        self.trailing = trailing
        self.leaves: list[Any] = []
        self.rows = 0
        self.shard = ""

    def extend(self, leaf: Any, rows: int) -> int:
        """Add a leaf; the row where it begins."""
        first, self.rows = self.rows, self.rows + rows
        self.leaves.append(leaf)
        return first


class Reference(NamedTuple):
    """A column, and as what its rows come back."""

    column: LaidColumn
    leaf: str
    requires_grad: bool
    scalar: bool


class _Field:
    """References to columns, in order of first use, and one cell per leaf."""

    def __init__(self, base: str, *, flat: bool) -> None:
        self.base = base
        self.flat = flat  # more than 16 trailing shapes: one 1-d column per dtype
        self.references: dict[Reference, int] = {}
        self.own: dict[tuple[str, tuple[int, ...]], LaidColumn] = {}
        self.cells: list[tuple[int, int, int]] = []

    def column(self, form: Form, trailing: tuple[int, ...]) -> LaidColumn:
        """The field's own column of this dtype and trailing shape."""
        column = self.own.get((form.name, trailing))
        if column is None:
            column = LaidColumn(self, f"{self.base}#{len(self.own)}", form, trailing)
            self.own[form.name, trailing] = column
        return column

    def ordered(self) -> tuple[list[Reference], np.ndarray[Any, Any]]:
        """The references, own columns first, and the cells (leaf, 3) renumbered to that order."""
        references = sorted(self.references, key=lambda ref: ref.column.owner is not self)
        places = np.empty(len(references) + 1, np.int64)
        for place, reference in enumerate(references):
            places[self.references[reference]] = place
        cells = np.array(self.cells, np.int64).reshape(-1, 3)
        cells[:, 0] = places[cells[:, 0]]
        return references, cells


class Index(NamedTuple):
    """An int64 tensor beside columns: `#at`, `#shape`, `#ends`."""

    name: str
    array: np.ndarray[Any, Any]


class LaidField(NamedTuple):
    """A field of a list: its columns, and the index tensors beside them."""

    steps: tree.Steps
    references: list[Reference]
    at: Index
    shape: Index | None


class LaidList(NamedTuple):
    """A list, and where the rows of its document end, if it has one."""

    layout: tree.Layout
    fields: list[LaidField]
    ends: Index | None


class LaidSection(NamedTuple):
    """A section: its tree, the columns that it owns, and those that its holes refer to."""

    name: str
    tree: Any
    references: list[Reference]
    columns: list[LaidColumn]
    lists: list[LaidList]


class Laid(NamedTuple):
    """A payload, laid out: `write` takes it, and it can no longer be refused."""

    is_dict: bool
    sections: list[LaidSection]


def lay(payload: Any) -> Laid:
    """Lay a payload into columns, in memory.

    Raises:
        UnstorableValue: something in it cannot be stored exactly; the message leads to it.
    """
    is_dict, sections = tree.split(payload, is_leaf)
    seen = _Seen()
    return Laid(is_dict, [_lay_section(section, seen) for section in sections])


def _lay_section(section: tree.Section, seen: _Seen) -> LaidSection:
    base = _escaped(section.name)
    columns: list[LaidColumn] = []
    references: dict[Reference, int] = {}
    for hole in section.holes:
        field = _Field(base + _name(tree.steps_of(hole.path)), flat=False)
        reference, first, rows = seen.place(hole.leaf, field)
        hole.place = references.setdefault(reference, len(references)), first, rows
        columns.extend(field.own.values())
    lists = []
    for layout in section.layouts:
        list_base = base + _name(layout.steps)
        fields = []
        for field_of in layout.fields:
            length = len(field_of.leaves) if layout.ordinals else layout.length
            fields.append(_lay_field(field_of, list_base, length, seen, columns))
        ends = None
        if len(layout.skeletons) > 1:
            sizes = np.fromiter(map(len, layout.skeletons), np.int64, len(layout.skeletons))
            ends = Index(f"{list_base}#ends", np.cumsum(sizes))
        lists.append(LaidList(layout, fields, ends))
    return LaidSection(section.name, section.tree, list(references), columns, lists)


def _lay_field(
    field: tree.Field, list_base: str, length: int, seen: _Seen, columns: list[LaidColumn]
) -> LaidField:
    shapes = [tuple(leaf.shape) for leaf in field.leaves]
    flat = len({shape[1:] for shape in shapes}) > MAX_TRAILING_SHAPES
    laid = _Field(list_base + _name(field.steps), flat=flat)
    for leaf in field.leaves:
        reference, first, rows = seen.place(leaf, laid)
        place = laid.references.setdefault(reference, len(laid.references))
        laid.cells.append((place, first, rows))
    columns.extend(laid.own.values())
    references, cells = laid.ordered()
    at = np.empty((length, 3), np.int64)
    at[:] = (-1, 0, 0)
    which = np.frombuffer(field.which, np.int64)
    at[which] = cells
    shape = None
    if flat:
        padded = np.full((length, max(map(len, shapes))), -1, np.int64)
        for row, dims in zip(which, shapes, strict=True):
            padded[row, : len(dims)] = dims
        shape = Index(f"{laid.base}#shape", padded)
    return LaidField(field.steps, references, Index(f"{laid.base}#at", at), shape)


class _Spot(NamedTuple):
    """Where a leaf lies: its first row in a column."""

    column: LaidColumn
    first: int
    leaf: Any


class _Seen:
    """The distinct tensors of a payload, and where they lie."""

    def __init__(self) -> None:
        self._by_object: dict[int, list[_Spot]] = {}
        self._by_bytes: dict[tuple[str, tuple[int, ...], bytes], list[_Spot]] = {}

    def place(self, leaf: Any, field: _Field) -> tuple[Reference, int, int]:
        """Where `leaf` lies: in a column that has it already, else at the end of the field's."""
        shape = tuple(leaf.shape)
        trailing = () if field.flat else shape[1:]
        rows = math.prod(shape) if field.flat else (shape[0] if shape else 1)
        spot = self._spot(leaf, shape, trailing, rows, field)
        # A flat field counts items, also in a column that has rows.
        first = spot.first * math.prod(spot.column.trailing) if field.flat else spot.first
        kind = "numpy" if isinstance(leaf, np.ndarray) else "torch"
        grad = kind == "torch" and leaf.requires_grad
        scalar = not shape and not field.flat
        return Reference(spot.column, kind, grad, scalar), first, rows

    def _spot(
        self,
        leaf: Any,
        shape: tuple[int, ...],
        trailing: tuple[int, ...],
        rows: int,
        field: _Field,
    ) -> _Spot:
        def fits(spot: _Spot) -> bool:
            return field.flat or spot.column.trailing == trailing

        of_object = self._by_object.setdefault(id(leaf), [])
        spot = next(filter(fits, of_object), None)
        if spot is not None:
            return spot
        array = array_of(leaf)
        form = form_of(leaf)
        equal = self._by_bytes.setdefault((form.name, shape, _hash(array)), [])
        for spot in filter(fits, equal):
            if _same_bytes(array, array_of(spot.leaf)):
                break
        else:
            column = field.column(form, trailing)
            spot = _Spot(column, column.extend(leaf, rows), leaf)
            equal.append(spot)
        of_object.append(spot)
        return spot


def _hash(array: np.ndarray[Any, Any]) -> bytes:
    return xxhash.xxh3_128_digest(bytes_of(array).data)


def _same_bytes(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """The same dtype and shape are known; compared by the widest ints that fit."""
    wide = np.dtype(f"u{math.gcd(one.nbytes, 8)}") if one.nbytes else np.dtype("u1")
    return bool((bytes_of(one).view(wide) == bytes_of(other).view(wide)).all())


def _name(steps: tree.Steps) -> str:
    return "".join(
        "/" + (_escaped(step) if isinstance(step, str) else f"~{step}") for step in steps
    )


def _escaped(text: str) -> str:
    return "".join(
        c if c in _PLAIN_STEP else "".join(f"%{byte:02X}" for byte in c.encode()) for c in text
    )
