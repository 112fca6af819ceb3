"""The entry that is nearest to what is asked for, and how it differs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorcache.explain.difference import Difference, cut, differences
from tensorcache.key import Key

if TYPE_CHECKING:  # the index costs 0.2 s of import, and nothing of it is called here
    from tensorcache.index import Candidate

_FIELDS = ("inputs", "sources", "version")
_MOST = 8  # differences in one line


class Explanation(NamedTuple):
    """Why `key` has no entry: how it differs from `nearest`, the key of the nearest one if any.

    `hit`: there is an entry of the key itself; then `nearest` is of those that were there before.
    """

    key: str
    namespace: str
    nearest: str | None
    differences: tuple[Difference, ...]
    hit: bool = False

    def __str__(self) -> str:
        if self.nearest is None:
            others = "earlier" if self.hit else "other"
            return f"no {others} entry of {self.namespace!r}" + " yet" * (not self.hit)
        return f"nearest entry {self.nearest[:16]} differs in {_line(self.differences)}"


class Alike(NamedTuple):
    """The entries that are nearest by inputs alone, newest first: their inputs are all the same.

    `differences` are those of the inputs that were asked for; none, if they are these very ones.
    """

    namespace: str
    keys: tuple[str, ...]
    differences: tuple[Difference, ...]

    def __str__(self) -> str:
        if not self.keys:
            return f"no entry of {self.namespace!r} yet"
        found = cut([key[:16] for key in self.keys], _MOST, ", ")
        if not self.differences:
            return f"these inputs have {found}"
        return f"nearest inputs have {found}; they differ in {_line(self.differences)}"


def explain(key: Key, candidates: Iterable[Candidate]) -> Explanation:
    """How `key` differs from the nearest of `candidates`, the key itself left out.

    Nearest has the fewest differing inputs, then the fewest differing sources and version, then
    is the newest.
    """
    others = [candidate for candidate in candidates if candidate.key != key.digest]
    nearest: Candidate | None = None
    found: tuple[Difference, ...] = ()
    best = (float("inf"), 0.0, 0.0)
    for candidate, all_found in _compared(json.loads(key.text), others, _FIELDS):
        inputs = sum(difference.place.startswith("inputs.") for difference in all_found)
        rank = (inputs, len(all_found) - inputs, -candidate.created_at)
        if rank < best:
            nearest, found, best = candidate, all_found, rank
    return Explanation(key.digest, key.namespace, nearest and nearest.key, found)


def explain_inputs(
    inputs: dict[str, Any], namespace: str, candidates: Iterable[Candidate]
) -> Alike:
    """Which of `candidates` have the nearest inputs, whatever their sources and version.

    `inputs` as the identity text has them.
    """
    newest = sorted(candidates, key=lambda candidate: -candidate.created_at)
    compared = list(_compared({"inputs": inputs}, newest, ("inputs",)))
    if not compared:
        return Alike(namespace, (), ())
    nearest, found = min(compared, key=lambda one: len(one[1]))
    its_text = _inputs_text(nearest)
    keys = tuple(candidate.key for candidate, _ in compared if _inputs_text(candidate) == its_text)
    return Alike(namespace, keys, found)


def _inputs_text(candidate: Candidate) -> str:
    return json.dumps(json.loads(candidate.identity).get("inputs"), sort_keys=True)


def _compared(
    new: dict[str, Any], candidates: Sequence[Candidate], fields: Sequence[str]
) -> Iterator[tuple[Candidate, tuple[Difference, ...]]]:
    for candidate in candidates:
        old = None
        with contextlib.suppress(ValueError, RecursionError):
            old = json.loads(candidate.identity)
        if isinstance(old, dict):  # a rotten row explains nothing, and is no reason to fail
            yield candidate, differences(old, new, fields)


def _line(found: Sequence[Difference]) -> str:
    return cut(list(map(str, found)), _MOST, "; ")
