"""The command line: prints, never decides.

Rules of this room: a command asks the cache, and says what it answers; it never begins a cache.
Answers go to stdout, questions and remarks to stderr. What came from outside (inputs, notes, paths)
is made printable before a person sees it, and JSON is ASCII. Errors become exit codes here and
nowhere else: 0 done; 1 a check found something; 2 wrong use (option, key, query, directory); 3 the
cache cannot be used now (corrupt, busy, full, too new); 130 interrupted. `commands` has the
commands, `ask` those that ask, `checks` those that look for what is wrong, `stats` the one that
counts, with its `plot`; `options` what they share, `entry`, `plan` and `differences` what `show`,
`vacuum`, `explain` and `diff` say, `text` how it is said. Heavy rooms are imported by the commands
that need them, so that help comes at once.
"""

from __future__ import annotations

import gc
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence

import typer

from tensorcache.cli import text
from tensorcache.cli.commands import app
from tensorcache.cli.options import WrongUse
from tensorcache.errors import BadQuery, EntryMissing, NotACache, TensorCacheError, UnsafeCache

__all__ = ["app", "main", "run"]

_OURS_TO_MEND = (WrongUse, NotACache, UnsafeCache, EntryMissing, BadQuery)
# Typer carries click within itself or beside it, as its version has it: the base of BadParameter.
_UsageError = typer.BadParameter.__mro__[1]


def main() -> None:
    """The console's way in."""
    gc.disable()  # a command lives for a moment: to comb through what it imports costs 40 ms
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `tensorcache ls | head` ends like any `ls`
    # At once: a cache survives any death, and an exception could be lost in a callback of SQLite.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: the next file to be opened would stand in for it
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for good
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError as error:
        if code != 3:  # else it was said
            text.remark(str(error))
        code = 3
        # Python flushes once more when it ends, and would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(words: Sequence[str]) -> int:
    """Do what the command line `words` say; the exit code."""
    log, lines = logging.getLogger("tensorcache"), logging.StreamHandler(_Stderr())
    log.addHandler(lines)
    try:
        return int(app(list(words), prog_name="tensorcache", standalone_mode=False) or 0)
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user
        code, message = _judged(error)
        text.remark(message)
        return code
    finally:
        log.removeHandler(lines)


def _judged(error: Exception) -> tuple[int, str]:
    if isinstance(error, _UsageError):
        message = error.format_message().removesuffix(".")  # type: ignore[attr-defined]
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "tensorcache"
        return 2, f"{message[:1].lower()}{message[1:]} (see {command} --help)"
    if isinstance(error, _OURS_TO_MEND):
        return 2, str(error)
    if isinstance(error, TensorCacheError | OSError):
        return 3, str(error)
    return 3, f"{type(error).__name__}: {error}: this is a bug: please report it"


class _Stderr:
    """Where the library's warnings go: a line each, printable."""

    def write(self, line: str) -> None:
        if line.strip():
            text.remark(line.rstrip("\n"))
