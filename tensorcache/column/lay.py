"""A payload laid into columns.

`lay` refuses what cannot be stored, before a byte is written; `lay_section` refuses nothing. Equal
tensors (dtype, shape and bytes; a fast hash finds, a comparison makes sure) lie once, in the
section that first uses them; later sections refer to it. Names of tensors come from the path
alone, never from a namespace or key, so that equal columns make equal shards.
"""

from __future__ import annotations

import math
import operator
from array import array
from typing import Any, NamedTuple

import numpy as np
import xxhash

from tensorcache import tree
from tensorcache.column import memory
from tensorcache.column.form import Form, are_leaves, form_of, is_leaf

MAX_TRAILING_SHAPES = 16
LARGE_BYTES = 64 << 10
RUN = 256  # leaves that are looked at together

_PLAIN_STEP = frozenset(map(chr, range(0x20, 0x7F))) - frozenset("/#%~")


class LaidColumn:
    """A column in the making: `leaves` end to end are its rows."""

    def __init__(self, owner: _Field, name: str, form: Form, trailing: tuple[int, ...]) -> None:
        self.owner = owner
        self.name = name
        self.form = form
        self.trailing = trailing
        self.leaves: list[Any] = []
        self.lengths = array("q")  # rows of each leaf
        self.rows = 0
        self.shard = ""

    def take(self, leaf: Any, rows: int, *, lies: bool) -> _Spot:
        """Lay a leaf behind those that are there."""
        spot = self, self.rows, leaf, lies
        self.leaves.append(leaf)
        self.lengths.append(rows)
        self.rows += rows
        return spot


class Reference(NamedTuple):
    """A column, and as what its rows come back."""

    column: LaidColumn
    leaf: str
    requires_grad: bool
    scalar: bool


class _Field:
    """References to columns, in order of first use, and a cell (reference, first, rows) a leaf."""

    def __init__(self, base: str, *, flat: bool) -> None:
        self.base = base
        self.flat = flat  # more than 16 trailing shapes: one 1-d column per dtype
        self.references: dict[Reference, int] = {}
        self.own: dict[tuple[str, tuple[int, ...]], LaidColumn] = {}
        self.cells = array("q")

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
    """A payload that can no longer be refused: `write` takes it."""

    is_dict: bool
    sections: list[tree.Section]


def lay(payload: Any) -> Laid:
    """Part a payload into plain values, which are packed, and tensors.

    Raises:
        UnstorableValue: something in it cannot be stored exactly; the message leads to it.
    """
    return Laid(*tree.split(payload, is_leaf, are_leaves))


def lay_section(section: tree.Section, seen: Seen) -> LaidSection:
    """Lay the tensors of a section into columns; those that were `seen` lie there already."""
    base = _escaped(section.name)
    columns: list[LaidColumn] = []
    references: dict[Reference, int] = {}
    for hole in section.holes:
        field = _Field(base + _name(tree.steps_of(hole.path)), flat=False)
        _place([hole.leaf], field, seen)
        _, first, rows = field.cells
        (reference,) = field.references
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
        if layout.has_rows:
            ends = Index(f"{list_base}#ends", np.array(layout.ends, np.int64))
        lists.append(LaidList(layout, fields, ends))
    return LaidSection(section.name, section.tree, list(references), columns, lists)


def _lay_field(
    field: tree.Field, list_base: str, length: int, seen: Seen, columns: list[LaidColumn]
) -> LaidField:
    shapes = set(map(operator.attrgetter("shape"), field.leaves))
    flat = len({shape[1:] for shape in shapes}) > MAX_TRAILING_SHAPES
    laid = _Field(list_base + _name(field.steps), flat=flat)
    _place(field.leaves, laid, seen)
    columns.extend(laid.own.values())
    references, cells = laid.ordered()
    at = np.empty((length, 3), np.int64)
    at[:] = (-1, 0, 0)
    which = np.frombuffer(field.which, np.int64)
    at[which] = cells
    shape = None
    if flat:
        padded = np.full((length, max(map(len, shapes))), -1, np.int64)
        for row, leaf in zip(which, field.leaves, strict=True):
            padded[row, : leaf.ndim] = leaf.shape
        shape = Index(f"{laid.base}#shape", padded)
    return LaidField(field.steps, references, Index(f"{laid.base}#at", at), shape)


# The distinct tensors of a payload by dtype, shape, trailing shape of their column, and hash:
# in which column each lies, at which row, and whether it lies end to end in memory.
_Spot = tuple[LaidColumn, int, Any, bool]
Seen = dict[tuple[str, tuple[int, ...], tuple[int, ...]], dict[int, _Spot]]


class _Lane:
    """The leaves of a field that may differ in their bytes alone."""

    def __init__(self, leaf: Any, field: _Field, seen: Seen) -> None:
        shape = tuple(leaf.shape)
        self.form = form_of(leaf)
        self.trailing = () if field.flat else shape[1:]
        self.rows = math.prod(shape) if field.flat else (shape[0] if shape else 1)
        self.is_large = leaf.nbytes > LARGE_BYTES
        self.own = seen.setdefault((self.form.name, shape, self.trailing), {})
        # A flat field can also refer to columns that have rows; the other way round is no way.
        self.in_rows = seen.get((self.form.name, shape, shape[1:]), {}) if field.flat else {}
        kind, grad = ("numpy", False) if type(leaf) is np.ndarray else ("torch", leaf.requires_grad)
        self._comes_back_as = kind, grad, not shape and not field.flat
        self._field = field
        self.references: dict[LaidColumn, int] = {}

    def refer(self, column: LaidColumn) -> int:
        """The number of its reference to a column, from the first leaf there on."""
        references = self._field.references
        reference = Reference(column, *self._comes_back_as)
        self.references[column] = references.setdefault(reference, len(references))
        return self.references[column]


def _place(leaves: list[Any], field: _Field, seen: Seen) -> None:
    """Give each leaf a cell of the field: in a column that has its bytes, else in a new row.

    The one loop that sees every tensor: it costs 4 µs for each, and a quarter of a put. Run by run,
    for what was just looked at is still at hand.
    """
    lanes: dict[memory.Traits, _Lane] = {}
    large: dict[int, tuple[int, int, int]] = {}  # cells by id: to hash one again would be dear
    for start in range(0, len(leaves), RUN):
        run = leaves[start : start + RUN]
        where: list[Any] = [None] * len(run)
        for traits, positions in memory.alike(run).items():
            some = [run[position] for position in positions]
            lane = lanes.get(traits)
            if lane is None:
                lane = lanes[traits] = _Lane(some[0], field, seen)
            for position, address in zip(positions, memory.addresses(some), strict=True):
                where[position] = lane, address
        for leaf, (lane, address) in zip(run, where, strict=True):
            if lane.is_large and id(leaf) in large:
                field.cells.extend(large[id(leaf)])
                continue
            cell = _cell(leaf, lane, address, field)
            field.cells.extend(cell)
            if lane.is_large:
                large[id(leaf)] = cell


def _cell(leaf: Any, lane: _Lane, address: int, field: _Field) -> tuple[int, int, int]:
    found = xxhash.xxh3_64_intdigest(memory.bytes_at(leaf, address))
    spot = lane.own.get(found) or lane.in_rows.get(found)
    if spot is None or not (
        spot[2] is leaf or memory.same_bytes(leaf, address, spot[2], other_lies=spot[3])
    ):
        spot = field.column(lane.form, lane.trailing).take(leaf, lane.rows, lies=bool(address))
        lane.own.setdefault(found, spot)  # of two with one hash the first stays
    column, first, *_ = spot
    if field.flat:  # whose cells count items, also in a column that has rows
        first *= math.prod(column.trailing)
    number = lane.references.get(column)
    return lane.refer(column) if number is None else number, first, lane.rows


def _name(steps: tree.Steps) -> str:
    return "".join(
        "/" + (_escaped(step) if isinstance(step, str) else f"~{step}") for step in steps
    )


def _escaped(text: str) -> str:
    return "".join(
        c if c in _PLAIN_STEP else "".join(f"%{byte:02X}" for byte in c.encode()) for c in text
    )
