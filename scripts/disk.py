"""What a disk says no to, told in one line with the place and the remedy.

Rules of this room: a disk that is full or read-only is the environment's fault (`BadDisk`, exit 3);
any other place that cannot be written is one wrongly named, and the caller's own error (exit 2).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

FULL = {errno.ENOSPC, errno.EDQUOT}


class BadDisk(Exception):
    """A disk that is full or read-only: what was written there, and the remedy."""


@contextlib.contextmanager
def writing(what: str, wrong: type[Exception]) -> Iterator[None]:
    """Tell of any `OSError` of the body as one of writing `what`.

    Raises:
        BadDisk: the disk is full or read-only.
        wrong: nothing can be written there for another reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise BadDisk(f"{what}: the disk is full: make room, or name another") from error
        if error.errno == errno.EROFS:
            raise BadDisk(f"{what}: the disk is read-only: name another") from error
        exists = error.errno == errno.EEXIST
        reason = "not a directory" if exists else os.strerror(error.errno or errno.EIO)
        raise wrong(f"{what} cannot be written: {reason}: name another") from error
