"""Explanation: the nearest entry to a key, and the fields in which the two differ.

Rules of this room: pure, standard library only; whoever asks brings the candidates. Values are
compared as JSON text, so that 1, 1.0 and true differ here as they do in the key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorcache.key import TAG, Key

if TYPE_CHECKING:  # the index costs 0.2 s of import, and nothing of it is called here
    from tensorcache.index import Candidate

_SHOWN = 60  # characters of a value in one line


class _Absent(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent("absent")  # stands for a field that one side lacks; null is a value


class Difference(NamedTuple):
    """One field: `place` is `inputs.n_folds`, `sources.db` or `version`; either may be ABSENT."""

    place: str
    old: Any
    new: Any

    def __str__(self) -> str:
        if self.place.startswith("sources.") and ABSENT not in (self.old, self.new):
            return f"{self.place}: changed"
        return f"{self.place}: {_shown(self.old)} -> {_shown(self.new)}"


class Explanation(NamedTuple):
    """Why `key` has no entry: how it differs from `nearest`, the key of the nearest one if any."""

    key: str
    namespace: str
    nearest: str | None
    differences: tuple[Difference, ...]

    def __str__(self) -> str:
        if self.nearest is None:
            return f"no other entry of {self.namespace!r} yet"
        differences = "; ".join(map(str, self.differences))
        return f"nearest entry {self.nearest[:16]} differs in {differences}"


def explain(key: Key, candidates: Iterable[Candidate]) -> Explanation:
    """How `key` differs from the nearest of `candidates`, the key itself left out.

    Nearest has the fewest differing inputs, then the fewest differing sources and version, then
    is the newest. Nested inputs are compared field by field, a list as a whole.
    """
    nearest: Candidate | None = None
    differences: tuple[Difference, ...] = ()
    best = (float("inf"), 0.0, 0.0)
    new = json.loads(key.text)
    for candidate in candidates:
        if candidate.key == key.digest:
            continue
        try:
            old = json.loads(candidate.identity)
        except ValueError:  # a rotten row explains nothing, and is no reason for a miss to fail
            continue
        found = tuple(_differences_of_keys(old, new))
        inputs = sum(difference.place.startswith("inputs.") for difference in found)
        rank = (inputs, len(found) - inputs, -candidate.created_at)
        if rank < best:
            nearest, differences, best = candidate, found, rank
    return Explanation(key.digest, key.namespace, nearest and nearest.key, differences)


def _differences_of_keys(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Difference]:
    for part in ("inputs", "sources", "version"):
        yield from _differences(part, old.get(part, ABSENT), new.get(part, ABSENT))


def _differences(place: str, old: Any, new: Any) -> Iterator[Difference]:
    if _is_nested(old, new) or _is_nested(new, old):
        old = old if isinstance(old, dict) else {}
        new = new if isinstance(new, dict) else {}
        for name in sorted(old.keys() | new.keys()):
            plain = name[1:] if name.startswith("$$") else name  # the key's text has one $ more
            yield from _differences(
                f"{place}.{plain}", old.get(name, ABSENT), new.get(name, ABSENT)
            )
    elif _text(old) != _text(new):
        yield Difference(place, old, new)


def _is_nested(value: Any, other: Any) -> bool:
    """Whether to look into `value`: a dict of fields beside another, or beside nothing at all."""
    if not isinstance(value, dict) or not (isinstance(other, dict) or other is ABSENT):
        return False
    return not _is_tagged(value) and not _is_tagged(other) and bool(value)


def _is_tagged(value: Any) -> bool:
    """Whether it stands for one value that JSON has no type for, such as `{"$date": …}`."""
    return isinstance(value, dict) and len(value) == 1 and TAG.match(next(iter(value))) is not None


def _text(value: Any) -> str:
    return repr(value) if value is ABSENT else json.dumps(value, sort_keys=True)


def _shown(value: Any) -> str:
    """`value` for a line of text: a tagged one plain, digests and what is long cut short."""
    if _is_tagged(value):
        ((tag, value),) = value.items()
        return f"{value[:8]}…" if tag == "$key" else str(value)
    text = re.sub(r"[0-9a-f]{16,}", lambda digest: digest[0][:8], repr(value))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
