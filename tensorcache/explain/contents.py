"""What two entries hold, side by side: tensors, elements of lists, plain values.

Where both sides name the same columns of the same shards nothing is read. Else elements are
compared by position, as the bytes that they lie in: neither torch nor numpy is needed, unless
whoever asks brings a `Measure` of numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from tensorcache import tree
from tensorcache.explain.difference import ABSENT, Difference, shown
from tensorcache.explain.same import is_same
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
    those that one side lacks among them; `first` is the position of the first, `of` how many there
    are. What stands alone is one element, but a tensor as many as a `Measure` counts.
    """

    section: str
    field: str
    kind: str
    old: str | None
    new: str | None
    differing: int
    first: int | None = None
    of: int = 1

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


class Measure(NamedTuple):
    """When two things are no more the same.

    `apart` counts the numbers of a dtype that differ between two memories, and of how many;
    `tolerance` is by how much floats outside of tensors may, None: in no bit.
    """

    apart: Callable[[str, memoryview, memoryview], tuple[int, int]]
    tolerance: float | None = None


_EXACT = Measure(lambda _, one, other: (int(not _same_bytes(one, other)), 1))


def compare(old: Side, new: Side, measure: Measure = _EXACT) -> Iterator[Compared]:
    """Everything that two entries hold, section by section.

    Raises:
        EntryCorrupt: a structure or a piece is not as it was written.
    """
    yield from _order(old.sections, new.sections, "", "sections")
    for section in _names(old.sections, new.sections):
        found = list(_walk(_value(old, section), _value(new, section), (), measure))
        if same := sum(one is None for one in found):
            text = f"{same:,} {'value' if same == 1 else 'values'}"
            yield Compared(section, "", "values", text, text, 0)
        yield from (one._replace(section=section) for one in found if one is not None)


def _order(old: Mapping[T, Any], new: Mapping[T, Any], field: str, what: str) -> Iterator[Compared]:
    """Where both have the same names, and have them in another order."""
    if old.keys() == new.keys() and list(old) != list(new):
        before, after = (f"{what} {shown(list(side))}" for side in (old, new))
        yield Compared("", field, "value", before, after, 1)


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


def _walk(old: Any, new: Any, steps: _Steps, measure: Measure) -> Iterator[Compared | None]:
    """What two values hold; None for each plain value that is equal."""
    there = [side for side in (old, new) if side is not ABSENT]
    kinds = set(map(type, there))
    if kinds == {dict} and any(there):
        old, new = (side if side is not ABSENT else {} for side in (old, new))
        yield from _order(old, new, "/".join(steps), "keys")
        for name in _names(old, new):
            sides = old.get(name, ABSENT), new.get(name, ABSENT)
            yield from _walk(*sides, (*steps, str(name)), measure)
    elif kinds in ({list}, {tuple}) and any(map(_holds_columns, there)):
        pairs = itertools.zip_longest(
            *(side if side is not ABSENT else () for side in (old, new)), fillvalue=ABSENT
        )
        for at, (one, other) in enumerate(pairs):
            yield from _walk(one, other, (*steps, f"~{at}"), measure)
    elif kinds == {_List}:
        lists = [None if side is ABSENT else side for side in (old, new)]
        yield from _compare_lists(lists[0], lists[1], steps, measure)
    elif len(kinds) == 2 and any(map(_holds_columns, there)):
        yield from _walk(old, ABSENT, steps, measure)
        yield from _walk(ABSENT, new, steps, measure)
    elif _Tensor in kinds:
        apart, of = _apart(old, new, measure)
        yield Compared("", "/".join(steps), "tensor", _said(old), _said(new), apart, of=of)
    elif is_same(old, new, measure.tolerance):
        yield None
    else:
        yield Compared("", "/".join(steps), "value", _said(old), _said(new), 1)


def _said(value: Any) -> str | None:
    return None if value is ABSENT else str(value) if type(value) is _Tensor else shown(value)


def _holds_columns(value: Any) -> bool:
    if type(value) in (list, tuple):
        return any(map(_holds_columns, value))
    if type(value) is dict:
        return any(map(_holds_columns, value.values()))
    return type(value) in (_List, _Tensor)


def _compared(
    steps: _Steps,
    kind: str,
    sides: tuple[_List | _Field | None, _List | _Field | None],
    differing: list[int | None],
) -> Compared:
    first = differing[0] if differing else None
    old, new = (None if side is None else str(side) for side in sides)
    of = max(side.length for side in sides if side is not None) or 1
    return Compared("", "/".join(steps), kind, old, new, len(differing), first, of)


def _apart(old: Any, new: Any, measure: Measure) -> tuple[int, int]:
    """How many numbers of two tensors differ, of how many; 1 of 1 where they are not of a kind."""
    if type(old) is not _Tensor or type(new) is not _Tensor or str(old) != str(new):
        return 1, 1
    return measure.apart(old.dtype, old.view(), new.view())


class _Column:
    """A column that a structure refers to; mapped when its bytes are needed."""

    def __init__(self, reference: list[Any], pieces: Pieces, *, flat: bool) -> None:
        shard, name, leaf, dtype, grad, scalar, shape, size_bytes, *_ = reference
        self._where = shard, name
        self.dtype: str = dtype
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

    @property
    def dtype(self) -> str:
        """As structures name it."""
        return self._column.dtype

    def view(self) -> memoryview:
        """Its bytes."""
        return self._column.view(self._first, self._rows)


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


def _compare_lists(
    old: _List | None, new: _List | None, steps: _Steps, measure: Measure
) -> Iterator[Compared]:
    elements = list(_differing_elements(old, new, measure.tolerance))
    yield _compared(steps, "list", (old, new), elements)
    fields = (old.fields if old else {}), (new.fields if new else {})
    for name in _names(fields[0], fields[1]):
        before, after = fields[0].get(name), fields[1].get(name)
        differing = list(_differing_tensors(before, after, measure))
        at = (step if isinstance(step, str) else f"~{step}" for step in name)
        yield _compared((*steps, *at), "tensor", (before, after), differing)


def _differing_elements(
    old: _List | None, new: _List | None, tolerance: float | None
) -> Iterator[int | None]:
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
        elif not is_same(old.element(one), new.element(other), tolerance):
            yield position


def _differing_tensors(
    old: _Field | None, new: _Field | None, measure: Measure
) -> Iterator[int | None]:
    if old is None or new is None:
        yield from _all_of(old or new)
        return
    if old.laid == new.laid:
        return
    known: dict[Any, bool] = {(None, None): True}
    for position in range(max(old.length, new.length)):
        pair = old.cell(position), new.cell(position)
        if pair not in known:
            known[pair] = _is_same_cell(old, pair[0], new, pair[1], measure)
        if not known[pair]:
            yield position


def _is_same_cell(
    old: _Field, one: _Cell | None, new: _Field, other: _Cell | None, measure: Measure
) -> bool:
    if one is None or other is None or old.traits(one) != new.traits(other):
        return False
    dtype, views = old.traits(one)[0][0], (old.view(one), new.view(other))
    return _same_bytes(*views) or not measure.apart(dtype, *views)[0]


def _all_of(side: _List | _Field | None) -> Iterator[int | None]:
    """The elements that one side has and the other lacks; an empty list is something too."""
    yield from range(side.length if side else 0) or [None]


def _same_bytes(one: memoryview, other: memoryview) -> bool:
    """As copies, step by step: views themselves are compared item by item."""
    return len(one) == len(other) and all(
        one[start : start + _STEP].tobytes() == other[start : start + _STEP].tobytes()
        for start in range(0, len(one), _STEP)
    )
