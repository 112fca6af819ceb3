"""A payload in three parts: trees, layouts, tensors.

A section's *tree* is its plain values with a hole for each tensor. A *layout* is a list of many
elements: each element is a skeleton whose tensors are numbered fields. The tensors themselves are
only collected here; `column` lays them end to end.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgpack

from tensorcache.tree.collector import collector_paused
from tensorcache.tree.value import (
    EXT_PLACE,
    MAX_DEPTH,
    Odd,
    Path,
    Root,
    check_depth,
    check_str,
    depth_of,
    lower,
    lower_dict,
    pack,
    pack_at,
    pack_plain,
    written,
)

MAX_FIELDS = 256
LAID_OUT_FROM = 32  # elements, for a list that is not itself a section
RUN = 64  # elements of a list that are looked at together
IsLeaf = Callable[[Any, Path], bool]
AreLeaves = Callable[[Sequence[Any]], bool]
Steps = tuple[str | int, ...]  # a str key, or the position of anything else


class Hole:
    """Where a tensor outside of layouts stood; `place` is filled once it lies in a column."""

    __slots__ = ("leaf", "path", "place")

    def __init__(self, leaf: Any, path: Path) -> None:
        self.leaf = leaf
        self.path = path
        self.place: tuple[int, int, int] | None = None


class Field(NamedTuple):
    """The tensors at one place of a layout's elements: `leaves[i]` is of element `which[i]`."""

    steps: Steps
    path: Path
    which: array[int]
    leaves: list[Any]


class Layout(NamedTuple):
    """A laid-out list of `length` elements: their packed skeletons, and the fields.

    `skeleton`: the one that all have; else they lie end to end in `document`, each until its
    place in `ends`. `ordinals`: more than 256 fields, so one field holds all tensors and the
    numbers in the skeletons are ordinals into it.
    """

    steps: Steps
    length: int
    skeleton: bytes | None
    document: bytearray
    ends: array[int]
    fields: list[Field]
    ordinals: bool

    @property
    def has_rows(self) -> bool:
        """Whether its elements' skeletons differ, and so lie in a document."""
        return self.length > 0 and self.skeleton is None


class _Leaves(NamedTuple):
    """What a tensor is: of one value, and of many at once."""

    is_leaf: IsLeaf
    are_leaves: AreLeaves


class Section(NamedTuple):
    """One top-level name of a payload, split."""

    name: str
    tree: Any
    holes: list[Hole]
    layouts: list[Layout]


def split(payload: Any, is_leaf: IsLeaf, are_leaves: AreLeaves) -> tuple[bool, list[Section]]:
    """Whether the payload is a dict of sections, and its sections in payload order.

    `is_leaf(value, path)` says what a tensor is, and may refuse one; `are_leaves(values)` says it
    of many at once, and False where it is to be asked one by one.

    Raises:
        UnstorableValue: something in it cannot be stored exactly; the message leads to it.
    """
    is_dict = type(payload) is dict and all(type(name) is str for name in payload)
    if not is_dict:
        payload = {"": payload}
    leaves = _Leaves(is_leaf, are_leaves)
    sections = []
    with collector_paused():
        for name, value in payload.items():
            root = Root(f"payload[{name!r}]" if is_dict else "payload")
            check_str(name, root)
            section = Section(name, None, [], [])
            tree = _lower(value, root, 1, section, leaves)
            sections.append(section._replace(tree=tree))
    return is_dict, sections


def _lower(value: Any, path: Path, depth: int, into: Section, leaves: _Leaves) -> Any:
    """Down through dicts, looking for lists to lay out; all else is lowered plainly."""
    if type(value) is dict:
        return lower_dict(value, path, depth, lambda v, at: _lower(v, at, depth + 1, into, leaves))
    if type(value) is list and (
        isinstance(path, Root)
        or (len(value) >= LAID_OUT_FROM and _holds_leaf(value, path, depth, leaves.is_leaf))
    ):
        into.layouts.append(_lay_out(value, path, leaves))
        return msgpack.ExtType(EXT_PLACE, pack([len(into.layouts) - 1]))

    def place(leaf: Any, at: Path) -> Hole | None:
        if not leaves.is_leaf(leaf, at):
            return None
        into.holes.append(Hole(leaf, at))
        return into.holes[-1]

    return lower(value, path, depth, place)


class _Skeletons:
    """Packed elements, end to end."""

    def __init__(self) -> None:
        self.document = bytearray()
        self.ends = array("q")
        self._first: bytes | None = None
        self._alike = True

    def add(self, run: list[bytes]) -> None:
        """The next elements."""
        if self._first is None:
            self._first = run[0]
        self._alike = self._alike and run.count(self._first) == len(run)
        ends = itertools.accumulate(map(len, run), initial=len(self.document))
        self.ends.extend(itertools.islice(ends, 1, None))
        self.document += b"".join(run)

    def layout(self, path: Path, fields: list[Field], *, ordinals: bool) -> Layout:
        """The list that they are of."""
        one = self._first if self._alike else None
        return Layout(
            steps_of(path), len(self.ends), one, self.document, self.ends, fields, ordinals
        )


def _lay_out(elements: list[Any], path: Path, leaves: _Leaves) -> Layout:
    """The skeletons and fields of a list, run by run: most runs are of one kind throughout.

    Raises:
        UnstorableValue: as `split`.
    """
    root = Root(written(path))
    depth = depth_of(path) + 2
    by_path: dict[Path, tuple[Field, Any]] = {}

    def place(leaf: Any, at: Path) -> Any:
        if not leaves.is_leaf(leaf, at):
            return None
        known = by_path.get(at)
        if known is None:
            field = Field(steps_of(at), at, array("q"), [])
            known = by_path[at] = field, msgpack.ExtType(EXT_PLACE, pack(len(by_path)))
        known[0].which.append(root.element)  # type: ignore[arg-type]
        known[0].leaves.append(leaf)
        return known[1]

    skeletons = _Skeletons()
    for start in range(0, len(elements), RUN):
        run = elements[start : start + RUN]
        plain = pack_plain(run, depth)
        if plain is not None:
            skeletons.add(plain)
            continue
        alike = _leaves_alone(run, root, depth, leaves.are_leaves)
        for root.element, element in enumerate(run[:1] if alike else run, start):
            skeleton = pack_at(lower(element, root, depth, place), root)
            skeletons.add([skeleton])
            if len(by_path) > MAX_FIELDS:
                return _lay_out_by_ordinal(elements, path, root, leaves.is_leaf)
        if alike:  # to the first, which has just been taken
            for at, found in alike.items():
                by_path[at][0].which.extend(range(start + 1, start + len(run)))
                by_path[at][0].leaves.extend(found[1:])
            skeletons.add([skeleton] * (len(run) - 1))
    return skeletons.layout(path, [field for field, _ in by_path.values()], ordinals=False)


def _leaves_alone(
    values: Sequence[Any], path: Path, depth: int, are_leaves: AreLeaves
) -> dict[Path, Sequence[Any]] | None:
    """By path the tensors of values that are dicts of the same form and hold tensors alone."""
    if are_leaves(values):
        return {path: values}
    if depth > MAX_DEPTH or set(map(type, values)) != {dict}:
        return None
    names = tuple(values[0])
    if not names or set(map(tuple, values)) != {names}:
        return None
    if set(map(type, itertools.chain.from_iterable(values))) != {str}:
        return None
    found: dict[Path, Sequence[Any]] = {}
    for name, inner in zip(names, zip(*map(dict.values, values), strict=True), strict=True):
        tensors = _leaves_alone(inner, (path, name), depth + 1, are_leaves)
        if tensors is None:
            return None
        found |= tensors
    return found


def _lay_out_by_ordinal(elements: list[Any], path: Path, root: Root, is_leaf: IsLeaf) -> Layout:
    field = Field((), root, array("q"), [])

    def place(leaf: Any, at: Path) -> Any:
        if not is_leaf(leaf, at):
            return None
        field.which.append(len(field.leaves))
        field.leaves.append(leaf)
        return msgpack.ExtType(EXT_PLACE, pack(len(field.leaves) - 1))

    depth = depth_of(path) + 2
    skeletons = _Skeletons()
    for root.element, element in enumerate(elements):
        skeletons.add([pack_at(lower(element, root, depth, place), root)])
    return skeletons.layout(path, [field], ordinals=True)


def steps_of(path: Path) -> Steps:
    """The steps of a path from its root, odd ones by position."""
    steps: list[str | int] = []
    while not isinstance(path, Root):
        path, step = path
        steps.append(int(step) if isinstance(step, Odd) else step)
    return tuple(reversed(steps))


def _holds_leaf(value: Any, path: Path, depth: int, is_leaf: IsLeaf) -> bool:
    """Whether a tensor lies anywhere in `value`."""
    kind = type(value)
    if kind in (dict, list, tuple):
        check_depth(path, depth)
        inner = value.values() if kind is dict else value
        return any(_holds_leaf(v, path, depth + 1, is_leaf) for v in inner)
    return kind not in _NEVER_LEAVES and is_leaf(value, path)


_NEVER_LEAVES = frozenset({type(None), bool, int, float, str, bytes})
