"""What was identified before, remembered by stat.

Rules of this room: it sees stats and texts, never content. The memory is the caller's (on disk one
small JSON file a name); what it gives back is checked for its form, and what it refuses to keep
costs only time. Two rules make a remembered text as good as a digest:

* a text is taken only for what did not move while it was read: equal stats before and after, the
  reading begun a tick of the kernel's clock after the last change, or the next would not show;
* it is remembered only if every time in those stats lay two seconds before the reading began.
  A change within the tick of a file's clock leaves its stat as it was, so a younger file may
  change again unseen (git calls this racy; coarse filesystems tick once in two seconds).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from tensorcache.errors import UnkeyableValue
from tensorcache.manifest import Part, Parts

# (device, inode, size in bytes, mtime_ns, ctime_ns). ctime cannot be set by those who set mtime.
Stat = tuple[int, int, int, int, int]
Stats = tuple[Stat | None, ...]

_SETTLED_NS = 2_000_000_000
_TICK_NS = 15_000_000  # kernels stamp files in steps of 1 to 10 ms
MAX_PARTS = 1000  # what is remembered of more: none, for every hit reads the memory
_PAUSES_SECONDS = (0.0, 0.05, 0.25)
_TEXT = re.compile(r"[a-z]+(-[a-z]+)*-\d+:blake3:[0-9a-f]{64}")


class Memory(Protocol):
    """Small JSON-able values by name; it may lose or garble them, and keep none."""

    def get(self, name: str, /) -> Any:
        """What was set under `name`, or None."""

    def __setitem__(self, name: str, known: Any, /) -> None: ...


def stat_of(path: str) -> Stat | None:
    """The stat vector of what `path` leads to, or None where nothing is."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def stat_if_any(path: str) -> Stat | None:
    """The stat of what can be looked at; None for all else."""
    try:
        return stat_of(path)
    except OSError:
        return None


class Seen(NamedTuple):
    """What was found: its text, or None for "not now"; its stats; its parts, where known."""

    text: str | None
    stats: Stats
    parts: Parts | None = None


def steady(
    memory: Memory,
    name: str,
    look: Callable[[], Stats],
    digest: Callable[[Stats], str | None],
    schemes: tuple[str, ...],
) -> tuple[str | None, Stats]:
    """`seen`, of what has no parts: the text and the stats."""

    def whole(stats: Stats) -> tuple[str, None] | None:
        text = digest(stats)
        return None if text is None else (text, None)

    return seen(memory, name, look, whole, schemes)[:2]


def seen(
    memory: Memory,
    name: str,
    look: Callable[[], Stats],
    digest: Callable[[Stats], tuple[str, Parts | None] | None],
    schemes: tuple[str, ...],
    *,
    snapshot: bool = False,
) -> Seen:
    """What lies still, remembered or digested anew, and the stats it had.

    `digest` is called with the stats seen before; it gives None for "not now". After a few tries,
    a fraction of a second in all, the text is None. `snapshot`: what `digest` gives was one state,
    whatever moved meanwhile; it is taken, though not remembered.

    Raises:
        UnkeyableValue, OSError: what `digest` raised, if nothing had moved meanwhile.
    """
    before: Stats = ()
    for pause_seconds in _PAUSES_SECONDS:
        if pause_seconds:
            time.sleep(pause_seconds)
        began_ns = time.time_ns()
        before = look()
        known = _recall(memory, name, before, schemes)
        if known is not None:
            return known
        age_ns = began_ns - _youngest_ns(before)
        if 0 <= age_ns < _TICK_NS:
            time.sleep((_TICK_NS - age_ns) / 1e9)
        try:
            found = digest(before)
        except (UnkeyableValue, OSError):
            if look() == before:
                raise
            continue  # half of it was new: what was seen says nothing
        still = look() == before
        if found is not None and (still or snapshot):
            text, parts = found
            if still and settled(before, began_ns):
                _remember(memory, name, Seen(text, before, parts))
            return Seen(text, before, parts)
    return Seen(None, before)


def settled(stats: Stats, began_ns: int) -> bool:
    """Whether all had lain still for two seconds when the reading began."""
    return began_ns - _youngest_ns(stats) >= _SETTLED_NS


def printable(path: str) -> str:
    """`path` as text that every encoding takes: what is no UTF-8 becomes escapes."""
    try:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character, which no file has in its name
        return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _remember(memory: Memory, name: str, found: Seen) -> None:
    learnt: dict[str, Any] = {"stat": _plain(found.stats), "identity": found.text}
    if found.parts is not None and len(found.parts) <= MAX_PARTS:
        learnt["parts"] = {part: list(of) for part, of in found.parts.items()}
    memory[name] = learnt


def _recall(memory: Memory, name: str, stats: Stats, schemes: tuple[str, ...]) -> Seen | None:
    found = memory.get(name)
    if not isinstance(found, dict) or found.get("stat") != _plain(stats):
        return None
    text = found.get("identity")
    if isinstance(text, str) and text.startswith(schemes) and _TEXT.fullmatch(text):
        return Seen(text, stats, _recalled_parts(found.get("parts")))
    return None


def _recalled_parts(parts: Any) -> Parts | None:
    """Garbled, they are none: they explain, and decide nothing."""
    if not isinstance(parts, dict):
        return None
    for part in parts.values():
        if not isinstance(part, list) or [type(x) for x in part] != [int, str]:
            return None
    return {name: Part(*part) for name, part in parts.items()}


def _youngest_ns(stats: Stats) -> int:
    return max((max(stat[3:]) for stat in stats if stat is not None), default=0)


def _plain(stats: Stats) -> list[list[int] | None]:
    return [None if stat is None else list(stat) for stat in stats]  # as JSON gives it back
