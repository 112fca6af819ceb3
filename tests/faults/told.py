"""A deed in which a call fails, and what its process tells of it afterwards.

What is told goes out by `writev`, a call that no fault is put into.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deeds import code_of
from roots import same

import tensorcache


class Told(NamedTuple):
    """How a deed went.

    `error` is the name of what it raised, "" for nothing, and `text` its message. `is_clear`: a
    caller can know it, for it is an error of the library or of the system, and says something.
    `published`: so said the entry that it gave, which had the value that it should. `warnings` are
    what was logged from WARNING on, `silent` what Python could only print, and `left` the
    descriptors that are open and were not before.
    """

    error: str = ""
    text: str = ""
    is_clear: bool = True
    published: bool = False
    warnings: Sequence[str] = ()
    silent: Sequence[str] = ()
    left: int = 0


def code_that_tells(deed: str, root: Path, report: Path, value: int | None) -> str:
    """Code for a child that does the deed, which gives an entry of `value` if that is a number."""
    *before, last = code_of(deed, root).rsplit("; ", 1)
    if not before:
        *before, last = code_of(deed, root).rsplit("\n", 1)
    code = "\n".join([*before, f"result = {last.removesuffix('.load()')}"])  # `same` loads
    return f"from told import tell\ntell({str(report)!r}, {code!r}, {value})"


def read(report: Path) -> Told:
    """What was told."""
    return Told(**json.loads(report.read_bytes()))


def tell(report: str, code: str, value: int | None) -> None:
    """Run `code`, and tell how it went."""
    descriptor = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    warnings: list[str] = []
    silent: list[str] = []
    log = logging.getLogger("tensorcache")
    log.addHandler(_Kept(warnings))
    sys.unraisablehook = lambda raised: silent.append(repr(raised.exc_value))
    before = _descriptors()
    told = _run(code, value)
    gc.collect()
    told = told._replace(warnings=warnings, silent=silent, left=_descriptors() - before)
    os.writev(descriptor, [json.dumps(told._asdict()).encode()])


def _run(code: str, value: int | None) -> Told:
    names: dict[str, Any] = {}
    try:
        exec(code, names)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        known = isinstance(error, tensorcache.TensorCacheError | OSError)
        return Told(type(error).__name__, str(error), known and len(str(error)) > 20)
    entry = names["result"]
    if value is None:
        return Told()
    same(entry, value)
    return Told(published=entry.published)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class _Kept(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage() + (" (with a traceback)" * bool(record.exc_info)))
