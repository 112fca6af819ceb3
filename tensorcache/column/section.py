"""A section, opened: its structure read, its columns mapped; costs O(columns)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch

from tensorcache import tree
from tensorcache.column.form import form_named
from tensorcache.column.rows import Batches, Column, Copies, Field, List, Rows
from tensorcache.errors import EntryCorrupt, TensorCacheError
from tensorcache.shard import Mapped

_NOTHING = memoryview(b"")


class Pieces(Protocol):
    """Where a section's columns and rows come from."""

    def tensor(self, shard: str, name: str) -> Mapped:
        """A tensor of a shard, mapped."""

    def document(self, digest: str) -> memoryview:
        """A document, mapped."""


class OpenSection:
    """One section of an entry. `value` makes what the caller stored, lists lazily."""

    def __init__(self, structure: bytes | memoryview, pieces: Pieces, *, clone: bool) -> None:
        self._clone = clone
        fields = tree.unpack(structure)
        try:
            self._tree: bytes = fields["tree"]
            self._columns = [_column(reference, pieces) for reference in fields["columns"]]
            self._lists = [_list(laid, pieces) for laid in fields["lists"]]
        except TensorCacheError:
            raise
        except (LookupError, TypeError, ValueError) as error:
            raise EntryCorrupt(f"a section's structure is broken: {error!r:.200}") from error

    def value(self, reopen: Callable[[int], Callable[[], tuple[Any, ...]]]) -> Any:
        """The section as a caller meets it; `reopen(n)` makes the pickled form of its n-th list."""
        return self._value(lambda ordinal: self.rows(ordinal, reopen(ordinal)), self._columns)

    def rows(self, ordinal: int, reopen: Callable[[], tuple[Any, ...]]) -> Rows:
        """The n-th laid-out list of the section."""
        return _lazy(self._lists[ordinal], reopen, clone=self._clone)

    def load(self, device: Any, copies: Copies) -> Any:
        """The section in exactly the types that were stored, lists as lists."""
        columns, lists = self._columns, self._lists
        if device is not None:
            device = torch.device(device)
            columns = [column.to(device, copies) for column in columns]
            lists = [laid.to(device, copies) for laid in lists]
        return self._value(
            lambda ordinal: list(_lazy(lists[ordinal], _not_pickled, clone=self._clone)), columns
        )

    def _value(self, elements: Callable[[int], Any], columns: list[Column]) -> Any:
        def place(where: list[int]) -> Any:
            if len(where) == 1:
                return elements(where[0])
            reference, first, rows = where
            return columns[reference].fetch(first, rows, None, clone=self._clone)

        return tree.unpack(self._tree, place)


def _lazy(laid: List, reopen: Callable[[], tuple[Any, ...]], *, clone: bool) -> Rows:
    kind = Batches if laid.fields else Rows
    return kind(laid, reopen, clone=clone)


def _not_pickled() -> tuple[Any, ...]:
    raise TypeError("this list is on its way to a plain one")


def _column(reference: list[Any], pieces: Pieces) -> Column:
    shard, name, leaf, dtype, requires_grad, scalar, shape, *_ = reference
    form = form_named(dtype)
    mapped = pieces.tensor(shard, name)
    pair = (2,) if form.pair else ()
    if mapped.dtype != form.stored or mapped.shape != (*shape, *pair):
        raise EntryCorrupt(
            f"shard {shard[:16]}: {name!r} is {mapped.dtype} {mapped.shape}, "
            f"not {form.stored} {(*shape, *pair)}"
        )
    return Column(_array(mapped, form.numpy, shape), form, leaf, requires_grad, scalar)


def _array(mapped: Mapped, dtype: np.dtype[Any], shape: list[int]) -> np.ndarray[Any, Any]:
    # frombuffer refuses memory of no bytes
    if not mapped.memory.nbytes:
        return np.empty(shape, dtype)
    return np.frombuffer(mapped.memory, dtype).reshape(shape)


def _list(laid: dict[str, Any], pieces: Pieces) -> List:
    fields = tuple(
        Field(
            steps=tuple(field["steps"]),
            columns=_flat([_column(r, pieces) for r in field["columns"]], field["shape"]),
            at=_index(field["at"], pieces),
            shape=_index(field["shape"], pieces) if field["shape"] else None,
        )
        for field in laid["fields"]
    )
    ends = laid["ends"]
    return List(
        length=laid["length"],
        skeleton=laid["skeleton"],
        document=pieces.document(laid["document"]) if laid["document"] else _NOTHING,
        ends=functools.cache(functools.partial(_index, ends, pieces)) if ends else None,
        ordinals=laid["ordinals"],
        fields=fields,
    )


def _flat(columns: list[Column], shape: Any) -> tuple[Column, ...]:
    """Beside `#shape` cells count items, also of columns that have rows."""
    if shape is None:
        return tuple(columns)
    return tuple(column._replace(array=column.array.reshape(-1)) for column in columns)


def _index(where: list[str], pieces: Pieces) -> np.ndarray[Any, Any]:
    mapped = pieces.tensor(*where)
    return _array(mapped, np.dtype(np.int64), list(mapped.shape))
