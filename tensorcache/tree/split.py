"""A payload in three parts: trees, layouts, tensors.

A section's *tree* is its plain values with a hole for each tensor. A *layout* is a list of many
elements: each element is a skeleton whose tensors are numbered fields. The tensors themselves are
only collected here; `column` lays them end to end.
"""

from __future__ import annotations

import contextlib
import gc
from array import array
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgpack

from tensorcache.tree.value import (
    EXT_PLACE,
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
    written,
)

MAX_FIELDS = 256
LAID_OUT_FROM = 32  # elements, for a list that is not itself a section
IsLeaf = Callable[[Any, Path], bool]
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
    """A laid-out list of `length` elements: packed skeletons (one, when all are equal), fields.

    `ordinals`: more than 256 fields, so one field holds all tensors and the numbers in the
    skeletons are ordinals into it.
    """

    steps: Steps
    length: int
    skeletons: list[bytes]
    fields: list[Field]
    ordinals: bool


class Section(NamedTuple):
    """One top-level name of a payload, split."""

    name: str
    tree: Any
    holes: list[Hole]
    layouts: list[Layout]


def split(payload: Any, is_leaf: IsLeaf) -> tuple[bool, list[Section]]:
    """Whether the payload is a dict of sections, and its sections in payload order.

    `is_leaf(value, path)` says what a tensor is, and may refuse one.

    Raises:
        UnstorableValue: something in it cannot be stored exactly; the message leads to it.
    """
    is_dict = type(payload) is dict and all(type(name) is str for name in payload)
    if not is_dict:
        payload = {"": payload}
    sections = []
    with collector_paused():
        for name, value in payload.items():
            root = Root(f"payload[{name!r}]" if is_dict else "payload")
            check_str(name, root)
            section = Section(name, None, [], [])
            tree = _lower(value, root, 1, section, is_leaf)
            sections.append(section._replace(tree=tree))
    return is_dict, sections


def _lower(value: Any, path: Path, depth: int, into: Section, is_leaf: IsLeaf) -> Any:
    """Down through dicts, looking for lists to lay out; all else is lowered plainly."""
    if type(value) is dict:
        return lower_dict(value, path, depth, lambda v, at: _lower(v, at, depth + 1, into, is_leaf))
    if type(value) is list and (
        isinstance(path, Root)
        or (len(value) >= LAID_OUT_FROM and _holds_leaf(value, path, depth, is_leaf))
    ):
        into.layouts.append(lay_out(value, path, is_leaf))
        return msgpack.ExtType(EXT_PLACE, pack([len(into.layouts) - 1]))

    def place(leaf: Any, at: Path) -> Hole | None:
        if not is_leaf(leaf, at):
            return None
        into.holes.append(Hole(leaf, at))
        return into.holes[-1]

    return lower(value, path, depth, place)


def lay_out(elements: list[Any], path: Path, is_leaf: IsLeaf) -> Layout:
    """The skeletons and fields of a list.

    Raises:
        UnstorableValue: as `split`.
    """
    root = Root(written(path))
    depth = depth_of(path) + 2
    by_path: dict[Path, tuple[Field, Any]] = {}

    def place(leaf: Any, at: Path) -> Any:
        if not is_leaf(leaf, at):
            return None
        known = by_path.get(at)
        if known is None:
            field = Field(steps_of(at), at, array("q"), [])
            known = by_path[at] = field, msgpack.ExtType(EXT_PLACE, pack(len(by_path)))
        known[0].which.append(root.element)  # type: ignore[arg-type]
        known[0].leaves.append(leaf)
        return known[1]

    skeletons: list[bytes] = []
    names: tuple[str, ...] = ()  # of the element before, if it is a dict of tensors alone
    alike: list[Field] = []
    for root.element, element in enumerate(elements):
        # Most lists are of one kind: what the element before was found to be, this one is too.
        if names and _is_alike(element, names, alike, is_leaf):
            for field, leaf in zip(alike, element.values(), strict=True):
                field.which.append(root.element)
                field.leaves.append(leaf)
            skeletons.append(skeletons[-1])
            continue
        lowered = lower(element, root, depth, place)
        skeletons.append(pack_at(lowered, root))
        if len(by_path) > MAX_FIELDS:
            return _lay_out_by_ordinal(elements, path, root, is_leaf)
        alike = _fields_alone(lowered, root, by_path)
        names = tuple(lowered) if alike else ()
    fields = [field for field, _ in by_path.values()]
    return Layout(steps_of(path), len(elements), _distinct(skeletons), fields, ordinals=False)


def _fields_alone(lowered: Any, root: Root, by_path: dict[Path, tuple[Field, Any]]) -> list[Field]:
    """The fields of a dict of tensors and of nothing else, in its order; none of anything else."""
    if type(lowered) is not dict:
        return []
    fields = [by_path.get((root, name)) for name in lowered]
    stands_in = [
        known is not None and lowered[name] is known[1]
        for name, known in zip(lowered, fields, strict=True)
    ]
    return [known[0] for known in fields if known] if all(stands_in) else []


def _is_alike(element: Any, names: tuple[str, ...], fields: list[Field], is_leaf: IsLeaf) -> bool:
    """Whether it is a dict of the same names in the same order, all of them tensors."""
    return (
        type(element) is dict
        and tuple(element) == names
        and set(map(type, element)) == {str}
        and all(map(is_leaf, element.values(), (field.path for field in fields)))
    )


def _lay_out_by_ordinal(elements: list[Any], path: Path, root: Root, is_leaf: IsLeaf) -> Layout:
    field = Field((), root, array("q"), [])

    def place(leaf: Any, at: Path) -> Any:
        if not is_leaf(leaf, at):
            return None
        field.which.append(len(field.leaves))
        field.leaves.append(leaf)
        return msgpack.ExtType(EXT_PLACE, pack(len(field.leaves) - 1))

    depth = depth_of(path) + 2
    skeletons = [
        pack_at(lower(element, root, depth, place), root)
        for root.element, element in enumerate(elements)
    ]
    return Layout(steps_of(path), len(elements), _distinct(skeletons), [field], ordinals=True)


def _distinct(skeletons: list[bytes]) -> list[bytes]:
    same = all(skeleton == skeletons[0] for skeleton in skeletons)
    return skeletons[:1] if same else skeletons


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


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Thousands of small objects, all of which survive: collecting costs more than the work."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
