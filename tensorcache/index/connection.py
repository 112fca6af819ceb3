"""Connection: SQLite's, counted, so that no process forks while another thread has one open.

SQLite guards what its connections share by locks of the process. One that another thread holds at
the moment of a fork stays locked in the child for ever, and so would the child's first question.
"""

from __future__ import annotations

import collections
import os
import sqlite3
import threading
from typing import Any

PATIENCE_SECONDS = 5.0  # of a fork: longer than a question may take

_changed = threading.Condition()
_open: collections.Counter[int] = collections.Counter()  # by thread
_forking = False


class Connection(sqlite3.Connection):
    """It begins while nobody forks; whoever opens one closes it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._thread: int | None = threading.get_ident()
        with _changed:
            _changed.wait_for(lambda: not _forking or self._thread in _open, PATIENCE_SECONDS)
            _open[self._thread] += 1
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

    def _leave(self) -> None:
        with _changed:
            thread, self._thread = self._thread, None
            if thread is not None and thread in _open:  # a forked child has none of its parent's
                _open[thread] -= 1
                if not _open[thread]:
                    del _open[thread]
                _changed.notify_all()


def _before_fork() -> None:
    global _forking  # noqa: PLW0603 - of the process, as forks are
    _changed.acquire()
    _forking = True
    mine = {threading.get_ident()}
    _changed.wait_for(lambda: not _open.keys() - mine, PATIENCE_SECONDS)


def _after_fork() -> None:
    global _forking  # noqa: PLW0603 - of the process, as forks are
    _forking = False
    _changed.notify_all()
    _changed.release()


def _after_fork_in_child() -> None:
    _open.clear()  # their threads are the parent's
    _after_fork()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)
