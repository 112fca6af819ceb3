"""Functions of SQL that take time by the square of what they are given, made linear.

SQLite looks at its clock between the steps of a statement, not inside a function: one call of its
own `instr` over a few megabytes outlasts any deadline, and keeps a writer waiting.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any

LIKE_CHARACTERS = 66  # a key between two %: all may be compared at every character of a value


def replace_slow_ones(connection: sqlite3.Connection, most_bytes: int) -> None:
    """Let `connection` use these; what they give is at most a little more than `most_bytes`."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LIKE_CHARACTERS)
    connection.create_function("instr", 2, _instr, deterministic=True)
    replace = partial(_replace, most=most_bytes)
    connection.create_function("replace", 3, replace, deterministic=True)
    for name, left, right in (("trim", 1, 1), ("ltrim", 1, 0), ("rtrim", 0, 1)):
        strip = partial(_strip, left=left, right=right)
        connection.create_function(name, -1, strip, deterministic=True)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _instr(value: Any, part: Any) -> int | None:
    if value is None or part is None:
        return None
    if isinstance(value, bytes) and isinstance(part, bytes):
        return value.find(part) + 1
    return _text(value).find(_text(part)) + 1


def _replace(value: Any, old: Any, new: Any, *, most: int) -> str | None:
    if value is None or old is None or new is None:
        return None
    whole, was, now = _text(value), _text(old), _text(new)
    if not was:
        return whole
    if len(whole) + whole.count(was) * (len(now) - len(was)) > most:
        return " " * (most + 1)  # which SQLite refuses as too large
    return whole.replace(was, now)


def _strip(value: Any, characters: Any = " ", *, left: int, right: int) -> str | None:
    if value is None or characters is None:
        return None
    text, stripped = _text(value), set(_text(characters))
    if len(stripped) <= LIKE_CHARACTERS:  # quicker, but by the square of both
        few = "".join(stripped)
        text = text.lstrip(few) if left else text
        return text.rstrip(few) if right else text
    start, end = 0, len(text)
    while left and start < end and text[start] in stripped:
        start += 1
    while right and start < end and text[end - 1] in stripped:
        end -= 1
    return text[start:end]
