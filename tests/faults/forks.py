"""Processes that cost little: forks of this one, which has imported everything."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

HOST = socket.gethostname()


class Fork:
    """A child that runs `do(*args)` and ends; `answer` is what that returned.

    It leads a group of its own, so that whatever it leaves behind ends with the block.
    """

    def __init__(self, do: Callable[..., Any], *args: Any) -> None:
        sys.stdout.flush()
        reads, writes = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads: no child needs them
            self.pid = os.fork()
        if self.pid == 0:
            os.close(reads)
            self._run(writes, do, args)
        os.close(writes)
        self._answer = os.fdopen(reads)
        self._exit_code: int | None = None

    def _run(self, writes: int, do: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            os.setsid()
            first = os.getpid()
            answer = do(*args)
            if os.getpid() == first:  # not in a child of the child that came back
                os.write(writes, json.dumps(answer).encode() + b"\n")
        except BaseException:  # noqa: BLE001 - whatever it is, it shall not unwind any further
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.end()
        self._answer.close()

    @property
    def has_children(self) -> bool:
        """Whether anything of its group lives, once it is dead itself."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def end(self) -> int:
        """Wait for its end; its exit code, negative for a signal."""
        if self._exit_code is None:
            self._exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._exit_code

    def kill(self) -> None:
        """Kill it, and nothing that it started."""
        os.kill(self.pid, signal.SIGKILL)
        assert self.end() == -signal.SIGKILL

    @property
    def answer(self) -> Any:
        """What it returned; it must end well."""
        line = self._answer.readline()
        assert self.end() == 0
        return json.loads(line)


def open_below(root: object, wanted: Callable[[str], bool] = lambda _: True) -> list[str]:
    """What this process has open below a root: paths from there, of the kernel's own telling.

    `wanted` is asked with what the kernel says of each descriptor.
    """
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            path = os.readlink(f"/proc/self/fd/{number}")
            if path.startswith(f"{root}/") and wanted(
                Path(f"/proc/self/fdinfo/{number}").read_text()
            ):
                found.append(path.removeprefix(f"{root}/"))
    return sorted(found)


def locks_open(root: object) -> list[str]:
    """Of these, what this process has an exclusive lock on, also one that it inherited."""
    return open_below(root, lambda told: re.search("FLOCK +ADVISORY +WRITE", told) is not None)
