"""What two entries hold, side by side: tensors, elements of lists, plain values.

Where both sides name the same columns of the same shards nothing is read. Else elements are
compared by position, as the bytes that they lie in: neither torch nor numpy is needed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from tensorcache import tree
from tensorcache.explain.difference import ABSENT, Difference, shown
from tensorcache.shard import Mapped

_STEP = 1 << 20  # bytes that are compared at once
T = TypeVar("T")
_Steps = tuple[str, ...]
_Cell = tuple[int, int, int, tuple[int, ...]]  # column, first row, rows, shape where it is flat


class Pieces(Protocol):
    """Where columns and rows come from."""

    def tensor(self, shard: str, name: str) -> Mapped:
        """A tensor of a shard, mapped."""

    def document(self, digest: str) -> memoryview:
        """A document, mapped."""


class Side(NamedTuple):
    """One of two entries: the packed structures of its sections, and its pieces."""

    sections: Mapping[str, bytes | memoryview]
    pieces: Pieces


class Compared(NamedTuple):
    """One thing that either entry holds: `field` is its place in the section.

    `kind`: `tensor` (or a field of tensors), `list` (all of its elements but the tensors in them),
    `value`, or `values` (those of a section that are equal). `old` and `new` say what it is on
    either side; None: it is not there. `differing` counts the elements that differ by position,
    those that one side lacks among them; `first` is the position of the first.
    """

    section: str
    field: str
    kind: str
    old: str | None
    new: str | None
    differing: int
    first: int | None = None

    @property
    def equal(self) -> bool:
        """Whether it is the same on both sides."""
        return self.differing == 0


class Diff(NamedTuple):
    """In what two entries differ: what they were made from, and what they hold."""

    old: str
    new: str
    differences: tuple[Difference, ...]
    contents: tuple[Compared, ...]

    @property
    def equal(self) -> bool:
        """Whether they hold the same, whatever they were made from."""
        return all(one.equal for one in self.contents)


def compare(old: Side, new: Side) -> Iterator[Compared]:
    """Everything that two entries hold, section by section.

    Raises:
        EntryCorrupt: a structure or a piece is not as it was written.
    """
    for section in _names(old.sections, new.sections):
        found = list(_walk(_value(old, section), _value(new, section), ()))
        if same := sum(one is None for one in found):
            text = f"{same:,} {'value' if same == 1 else 'values'}"
            yield Compared(section, "", "values", text, text, 0)
        yield from (one._replace(section=section) for one in found if one is not None)


def _names(old: Mapping[T, Any], new: Mapping[T, Any]) -> list[T]:
    return [*old, *(name for name in new if name not in old)]


def _value(side: Side, section: str) -> Any:
    """A section with `_Tensor` and `_List` where columns stand, or ABSENT."""
    if section not in side.sections:
        return ABSENT
    fields = tree.unpack(side.sections[section])

    def place(where: list[int]) -> Any:
        if len(where) == 1:
            return _List(fields["lists"][where[0]], side.pieces)
        reference, first, rows = where
        return _Tensor(_Column(fields["columns"][reference], side.pieces, flat=False), first, rows)

    return tree.unpack(fields["tree"], place)


def _walk(old: Any, new: Any, steps: _Steps) -> Iterator[Compared | None]:
    """What two values hold; None for each plain value that is equal."""
    there = [side for side in (old, new) if side is not ABSENT]
    kinds = set(map(type, there))
    if kinds == {dict} and any(there):
        old, new = (side if side is not ABSENT else {} for side in (old, new))
        for name in _names(old, new):
            yield from _walk(old.get(name, ABSENT), new.get(name, ABSENT), (*steps, str(name)))
    elif kinds in ({list}, {tuple}) and any(map(_holds_columns, there)):
        pairs = itertools.zip_longest(
            *(side if side is not ABSENT else () for side in (old, new)), fillvalue=ABSENT
        )
        for at, (one, other) in enumerate(pairs):
            yield from _walk(one, other, (*steps, f"~{at}"))
    elif kinds == {_List}:
        lists = [None if side is ABSENT else side for side in (old, new)]
        yield from _compare_lists(lists[0], lists[1], steps)
    elif len(kinds) == 2 and any(map(_holds_columns, there)):
        yield from _walk(old, ABSENT, steps)
        yield from _walk(ABSENT, new, steps)
    elif _Tensor not in kinds and _is_same(old, new):
        yield None
    else:
        kind = "tensor" if _Tensor in kinds else "value"
        differing: list[int | None] = [] if _is_same(old, new) else [None]
        yield _compared(steps, kind, _said(old), _said(new), differing)


def _said(value: Any) -> str | None:
    return None if value is ABSENT else str(value) if type(value) is _Tensor else shown(value)


def _holds_columns(value: Any) -> bool:
    if type(value) in (list, tuple):
        return any(map(_holds_columns, value))
    if type(value) is dict:
        return any(map(_holds_columns, value.values()))
    return type(value) in (_List, _Tensor)


def _compared(
    steps: _Steps, kind: str, old: str | None, new: str | None, differing: list[int | None]
) -> Compared:
    first = differing[0] if differing else None
    return Compared("", "/".join(steps), kind, old, new, len(differing), first)


def _is_same(one: Any, other: Any) -> bool:
    """Equal as stored: by exact type and value, at every depth."""
    if type(one) is not type(other):
        return False
    if type(one) is dict:
        alike = list(one) == list(other)
        return alike and all(map(_is_same, (*one, *one.values()), (*other, *other.values())))
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if type(one) is _Tensor:
        return one.is_same(other)
    if type(one) in (set, frozenset):
        return sorted(map(repr, one)) == sorted(map(repr, other))
    return repr(one) == repr(other)  # tells -0.0 from 0.0, and nan is nan


class _Column:
    """A column that a structure refers to; mapped when its bytes are needed."""

    def __init__(self, reference: list[Any], pieces: Pieces, *, flat: bool) -> None:
        shard, name, leaf, dtype, grad, scalar, shape, size_bytes, *_ = reference
        self._where = shard, name
        self._pieces = pieces
        # A flat column's cells count items, others' count rows.
        units = math.prod(shape) if flat else shape[0]
        self._unit = size_bytes // units if units else 0
        self.trailing = None if flat else tuple(shape[1:])
        self.traits = dtype, leaf, grad, scalar, self.trailing

    def view(self, first: int, rows: int) -> memoryview:
        """The bytes of some rows; the pieces know what they have mapped."""
        memory = self._pieces.tensor(*self._where).memory
        return memory[first * self._unit : (first + rows) * self._unit]

    def text(self, rows: object) -> str:
        """As in `float32 (n, 15, 24)`."""
        dtype, leaf, grad, scalar, _ = self.traits
        shape = () if scalar else ("…",) if self.trailing is None else (rows, *self.trailing)
        more = (" numpy" if leaf == "numpy" else "") + (" requires_grad" if grad else "")
        return f"{dtype} ({', '.join(map(str, shape))}){more}"


class _Tensor:
    """A tensor outside of lists."""

    def __init__(self, column: _Column, first: int, rows: int) -> None:
        self._column = column
        self._first = first
        self._rows = rows

    def __str__(self) -> str:
        return self._column.text(self._rows)

    def is_same(self, other: _Tensor) -> bool:
        """Whether both are of one dtype and shape and have the same bytes."""
        return str(self) == str(other) and _same_bytes(
            self._column.view(self._first, self._rows),
            other._column.view(other._first, other._rows),
        )


class _Field:
    """The tensors at one place of a list's elements; `laid` is its part of the structure."""

    def __init__(self, laid: dict[str, Any], pieces: Pieces) -> None:
        self.laid = laid
        self._columns = [
            _Column(reference, pieces, flat=laid["shape"] is not None)
            for reference in laid["columns"]
        ]
        self._at = pieces.tensor(*laid["at"]).memory.cast("q")
        self._shape = pieces.tensor(*laid["shape"]) if laid["shape"] else None
        self.length = len(self._at) // 3

    def __str__(self) -> str:
        return " | ".join(dict.fromkeys(column.text("n") for column in self._columns))

    def cell(self, position: int) -> _Cell | None:
        """Where the tensor of one element lies; None where it has none."""
        if position >= self.length:
            return None
        place, first, rows = self._at[3 * position : 3 * position + 3]
        if place < 0:
            return None
        shape: tuple[int, ...] = ()
        if self._shape is not None:
            most = self._shape.shape[1]
            padded = self._shape.memory.cast("q")[most * position : most * (position + 1)]
            shape = tuple(n for n in padded if n >= 0)
        return place, first, rows, shape

    def view(self, cell: _Cell) -> memoryview:
        """The bytes of a cell."""
        place, first, rows, _ = cell
        return self._columns[place].view(first, rows)

    def traits(self, cell: _Cell) -> tuple[Any, ...]:
        """All of it but its bytes."""
        place, _, *size = cell
        return self._columns[place].traits, size


class _List:
    """A laid-out list; `laid` is its part of the structure."""

    def __init__(self, laid: dict[str, Any], pieces: Pieces) -> None:
        self.laid = laid
        self.length = laid["length"]
        self.fields = {tuple(one["steps"]): _Field(one, pieces) for one in laid["fields"]}
        # What a number in a skeleton means; an ordinal says only that a tensor is there.
        self.numbers = None if laid["ordinals"] else list(self.fields)
        if laid["document"]:
            self._document = pieces.document(laid["document"])
            self._ends = pieces.tensor(*laid["ends"]).memory.cast("q")

    def __str__(self) -> str:
        return f"{self.length:,} {'element' if self.length == 1 else 'elements'}"

    @property
    def where(self) -> list[Any]:
        """What its skeletons follow from."""
        return [self.laid["skeleton"], self.laid["document"], self.laid["ends"], self.numbers]

    def skeleton(self, position: int) -> bytes | None:
        """The packed skeleton of one element; None where there is no such element."""
        if position >= self.length:
            return None
        if self.laid["skeleton"] is not None:
            return bytes(self.laid["skeleton"])
        start = self._ends[position - 1] if position else 0
        return bytes(self._document[start : self._ends[position]])

    def element(self, skeleton: bytes) -> Any:
        """A skeleton with fields named instead of numbered."""
        numbers = self.numbers
        return tree.unpack(skeleton, lambda n: _Place(numbers[n] if numbers else ()))


class _Place(tuple[str | int, ...]):
    """The steps of a field, where its tensor stands in an element."""

    __slots__ = ()


def _compare_lists(old: _List | None, new: _List | None, steps: _Steps) -> Iterator[Compared]:
    yield _compared(steps, "list", _text(old), _text(new), list(_differing_elements(old, new)))
    fields = (old.fields if old else {}), (new.fields if new else {})
    for name in _names(fields[0], fields[1]):
        before, after = fields[0].get(name), fields[1].get(name)
        differing = list(_differing_tensors(before, after))
        at = (step if isinstance(step, str) else f"~{step}" for step in name)
        yield _compared((*steps, *at), "tensor", _text(before), _text(after), differing)


def _text(side: _List | _Field | None) -> str | None:
    return None if side is None else str(side)


def _differing_elements(old: _List | None, new: _List | None) -> Iterator[int | None]:
    if old is None or new is None:
        yield from _all_of(old or new)
        return
    same = min(old.length, new.length) if old.where == new.where else 0
    for position in range(same, max(old.length, new.length)):
        one, other = old.skeleton(position), new.skeleton(position)
        if one is None or other is None:
            yield position
        elif one == other and old.numbers == new.numbers:
            continue
        elif not _is_same(old.element(one), new.element(other)):
            yield position


def _differing_tensors(old: _Field | None, new: _Field | None) -> Iterator[int | None]:
    if old is None or new is None:
        yield from _all_of(old or new)
        return
    if old.laid == new.laid:
        return
    known: dict[Any, bool] = {(None, None): True}
    for position in range(max(old.length, new.length)):
        pair = old.cell(position), new.cell(position)
        if pair not in known:
            known[pair] = _is_same_cell(old, pair[0], new, pair[1])
        if not known[pair]:
            yield position


def _is_same_cell(old: _Field, one: _Cell | None, new: _Field, other: _Cell | None) -> bool:
    if one is None or other is None or old.traits(one) != new.traits(other):
        return False
    return _same_bytes(old.view(one), new.view(other))


def _all_of(side: _List | _Field | None) -> Iterator[int | None]:
    """The elements that one side has and the other lacks; an empty list is something too."""
    yield from range(side.length if side else 0) or [None]


def _same_bytes(one: memoryview, other: memoryview) -> bool:
    """As copies, step by step: views themselves are compared item by item."""
    return len(one) == len(other) and all(
        one[start : start + _STEP].tobytes() == other[start : start + _STEP].tobytes()
        for start in range(0, len(one), _STEP)
    )
