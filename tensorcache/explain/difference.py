"""Two identity texts, field by field; sources and versions part by part, where parts are known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tensorcache.key import TAG
from tensorcache.manifest import Part, Parts

_SHOWN = 60  # characters of a value in one line
_MOST = 4  # parts in one line
_PLAIN = frozenset({str, int, bool, type(None)})  # equal where their text is; 0.0 is not -0.0
_DIGEST = re.compile(r"[0-9a-f]{64}")
# What is known of parts, by the place of a `Difference`: `sources.db`, `version`.
PartsOf = Mapping[str, Parts | None]


class _Absent(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent("absent")  # stands for a field that one side lacks; null is a value


class Change(NamedTuple):
    """One part (a table, file, module or package) that differs; None on the side that lacks it."""

    name: str
    old: Part | None
    new: Part | None


class Difference(NamedTuple):
    """One field: `place` is `inputs.n_folds`, `sources.db` or `version`; either may be ABSENT.

    `parts` are those that differ in a source or version; None where they are not known.
    """

    place: str
    old: Any
    new: Any
    parts: tuple[Change, ...] | None = None

    def __str__(self) -> str:
        if self.parts:
            texts = [change_text(change, self.unit) for change in self.parts]
            hint = ", or only moved, as by VACUUM" if self._may_be_moved else ""
            return f"{self.place}: {cut(texts, _MOST, ', ')}{hint}"
        if not self.place.startswith("sources.") or ABSENT in (self.old, self.new):
            return f"{self.place}: {shown(self.old)} -> {shown(self.new)}"
        if not self.is_like:
            return f"{self.place}: {_scheme(self.old)} -> {_scheme(self.new)}"
        if self.parts is None or not self._of_pages:
            return f"{self.place}: changed"
        return f"{self.place}: changed, but no row of any table (VACUUM moves pages so)"

    @property
    def unit(self) -> str:
        """What the size of a part counts: rows of a table, bytes of a file; "" for a module."""
        if self.place == "version":
            return ""
        return "bytes" if str(self.new).startswith("files-") else "rows"

    @property
    def is_like(self) -> bool:
        """Whether both sides were told by the same scheme, so that their parts can be compared."""
        return ABSENT not in (self.old, self.new) and _scheme(self.old) == _scheme(self.new)

    @property
    def _of_pages(self) -> bool:
        """Whether the digests are of a database's pages, which may change where no row does."""
        return "-bytes-" in _scheme(self.new)

    @property
    def _may_be_moved(self) -> bool:
        return self._of_pages and all(
            one.old and one.new and one.old.size == one.new.size for one in self.parts or ()
        )


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], fields: Iterable[str]
) -> tuple[Difference, ...]:
    """In what two identities differ; nested inputs field by field, a list as a whole.

    `fields` of the identity texts (as JSON objects): `inputs`, `sources`, `version`, `namespace`.
    """
    return tuple(
        difference
        for field in fields
        for difference in _differences(field, old.get(field, ABSENT), new.get(field, ABSENT))
    )


def with_parts(found: Iterable[Difference], old: PartsOf, new: PartsOf) -> tuple[Difference, ...]:
    """The same differences, those of sources and version with the parts that differ."""
    detailed = []
    for difference in found:
        before, after = old.get(difference.place), new.get(difference.place)
        if before is not None and after is not None and difference.is_like:
            difference = difference._replace(parts=tuple(_changes(before, after)))  # noqa: PLW2901
        detailed.append(difference)
    return tuple(detailed)


def _changes(old: Parts, new: Parts) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Change(name, old.get(name), new.get(name))


def change_text(change: Change, unit: str) -> str:
    """As in `games 14,124 -> 14,125 rows`, `module a.b changed`, `torch 2.12.0 -> 2.13.0`."""
    name = change.name if change.name.isprintable() else repr(change.name)
    old, new = change.old, change.new
    if not unit:
        of_package = [part.digest for part in (old, new) if part and not _DIGEST.match(part.digest)]
        if len(of_package) == 2:
            return f"{name} {' -> '.join(of_package)}"
        name = f"{name} {of_package[0]}" if of_package else f"module {name}"
    if old is None or new is None:
        return f"{name} {'added' if old is None else 'removed'}"
    if not unit:
        return f"{name} changed"
    if old.size == new.size:
        return f"{name} changed ({new.size:,} {unit})"
    return f"{name} {old.size:,} -> {new.size:,} {unit}"


def cut(texts: list[str], most: int, between: str) -> str:
    """The first few of `texts` in one line, and how many more there are."""
    if len(texts) <= most:
        return between.join(texts)
    return f"{between.join(texts[: most - 1])} and {len(texts) - most + 1} more"


def _differences(place: str, old: Any, new: Any) -> Iterator[Difference]:
    if _is_nested(old, new) or _is_nested(new, old):
        old = old if isinstance(old, dict) else {}
        new = new if isinstance(new, dict) else {}
        for name in sorted(old.keys() | new.keys()):
            plain = name[1:] if name.startswith("$$") else name  # the key's text has one $ more
            yield from _differences(
                f"{place}.{plain}", old.get(name, ABSENT), new.get(name, ABSENT)
            )
    elif not _is_same(old, new):
        yield Difference(place, old, new)


def _is_nested(value: Any, other: Any) -> bool:
    """Whether to look into `value`: a dict of fields beside another, or beside nothing at all."""
    if not isinstance(value, dict) or not (isinstance(other, dict) or other is ABSENT):
        return False
    return not _is_tagged(value) and not _is_tagged(other) and bool(value)


def _is_tagged(value: Any) -> bool:
    """Whether it stands for one value that JSON has no type for, such as `{"$date": …}`."""
    return isinstance(value, dict) and len(value) == 1 and TAG.match(next(iter(value))) is not None


def _is_same(old: Any, new: Any) -> bool:
    if type(old) is type(new) and type(old) in _PLAIN:  # most are, and text costs three times that
        return bool(old == new)
    return _text(old) == _text(new)


def _text(value: Any) -> str:
    return repr(value) if value is ABSENT else json.dumps(value, sort_keys=True)


def _scheme(identity: Any) -> str:
    return str(identity).partition(":")[0]


def shown(value: Any) -> str:
    """`value` for a line of text: a tagged one plain, digests and what is long cut short."""
    if _is_tagged(value):
        ((tag, value),) = value.items()
        return f"{value[:8]}…" if tag == "$key" else str(value)
    text = re.sub(r"[0-9a-f]{16,}", lambda digest: digest[0][:8], repr(value))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
