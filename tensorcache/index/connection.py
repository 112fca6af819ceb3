"""Connection: SQLite's, counted, so that no process forks while another thread has one open.

SQLite guards what its connections share by locks of the process. One that another thread holds at
the moment of a fork stays locked in the child for ever, and so would the child's first question.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

PATIENCE_SECONDS = 5.0  # of a fork: longer than a question may take
STEP_SECONDS = 0.01

_changed = threading.Condition()
_open: dict[int, int] = {}  # the thread of each connection, by its id
_forking: list[int] = []  # the threads that fork just now


class Connection(sqlite3.Connection):
    """It begins while nobody forks; whoever opens one closes it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        mine = threading.get_ident()
        with _changed:
            _wait_until(lambda: not set(_forking) - {mine} or mine in _threads())
            _open[id(self)] = mine
        try:
            super().__init__(*args, **options)
        except BaseException:
            self._leave()
            raise

    def close(self) -> None:
        """Close it, and let others fork."""
        try:
            super().close()
        finally:
            self._leave()

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if ending():
            return
        try:
            super().close()
        except sqlite3.Error:
            pass  # never begun, or another thread's: closed as it is freed, in a moment
        finally:
            _open.pop(id(self), None)  # finalizers run anywhere, so they wait for nothing

    def _leave(self) -> None:
        with _changed:
            _open.pop(id(self), None)
            _changed.notify_all()


def _threads() -> set[int]:
    return set(_open.copy().values())  # a finalizer may take one away meanwhile


def _wait_until(is_so: Callable[[], bool]) -> None:
    """Wait, for no longer than a fork may; in steps, for finalizers tell nobody."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not is_so() and time.monotonic() < ends:
        _changed.wait(STEP_SECONDS)


def _before_fork() -> None:
    mine = threading.get_ident()
    _changed.acquire()
    _forking.append(mine)
    _wait_until(lambda: not _threads() - {mine})


def _after_fork() -> None:
    with contextlib.suppress(ValueError):  # interrupted before it was there
        _forking.remove(threading.get_ident())
    _changed.notify_all()
    _changed.release()


def _after_fork_in_child() -> None:
    _open.clear()  # their threads are the parent's
    # Not this thread's own, for a signal's handler may fork while its thread does.
    _forking[:] = [thread for thread in _forking if thread == threading.get_ident()]
    _after_fork()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)


def in_memory() -> sqlite3.Connection:
    """A connection to an index of its own, gone with it."""
    return sqlite3.connect(":memory:", isolation_level=None, factory=Connection)


def engine_of(
    creator: Callable[[], sqlite3.Connection], begin: str = "BEGIN IMMEDIATE"
) -> sa.Engine:
    """An engine whose connections come from `creator`, and whose transactions begin as said."""
    engine = sa.create_engine("sqlite://", creator=creator, poolclass=sa.pool.NullPool)
    # Python's driver would begin late, or not at all before DDL; we say it ourselves.
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin) and None)
    return engine


def interrupt_behind(error: Exception, handled: BaseException | None) -> BaseException | None:
    """The Ctrl-C that left SQLAlchemy half of a thing, if `error` is what then failed on it.

    `handled`: what the caller is in the midst of handling, which is no news.
    """
    cut: BaseException | None = error
    while isinstance(cut, Exception) and cut is not handled:
        cut = cut.__context__
    return None if cut is handled else cut
