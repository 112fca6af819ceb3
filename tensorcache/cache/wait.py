"""Waiting for a lease: who builds, since when, and how long that usually takes.

Rules of this room: nothing here decides who builds; it looks at notes, speaks, and pauses. What it
says is best effort, for people, and never a reason to wait longer.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import NamedTuple

from tensorcache import disk
from tensorcache.errors import LeaseTimeout
from tensorcache.key import Key

POLL_SECONDS = 0.05  # between two tries
TELLING_SECONDS = 0.25  # a wait that is shorter is over before anybody reads of it
LOOK_SECONDS = 0.01  # between two looks for a manifest, which cost next to nothing
_log = logging.getLogger("tensorcache")


class Builder(NamedTuple):
    """Who has a lease, as its note says."""

    pid: int
    host: str
    started_at: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def since(self) -> str:
        """When it began, on the clock of whoever reads this."""
        return time.strftime("%H:%M:%S", time.localtime(self.started_at))

    @property
    def seconds(self) -> float:
        """How long it has been building, as far as clocks agree."""
        return max(0.0, time.time() - self.started_at)

    @property
    def has_ended(self) -> bool:
        """Whether it is dead for sure: its note is old, or what it started has the lease."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False  # another user's
        return False


class Wait:
    """One caller's wait for the lease of one key; without `patience_seconds` it has no end.

    `refresh`: the result of whoever has the lease will not do, so that nothing is said of it.
    """

    def __init__(
        self, root: disk.Root, key: Key, patience_seconds: float | None, *, refresh: bool
    ) -> None:
        self.key = key
        self._root = root
        self._patience_seconds = patience_seconds
        self._refresh = refresh
        self._began = time.monotonic()
        self._turns = 0
        self._builder: Builder | None = None  # the last one that was seen alive
        self._dead: Builder | None = None  # whose note it is that another has not yet replaced
        self._said: Builder | None = None  # of whom something was told
        self._told = False
        self._usually: str | None = None

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return time.monotonic() - self._began

    @property
    def why_found(self) -> str:
        """Why there is a result now; "" where there was nobody to wait for."""
        if not self._turns:
            return ""
        return f"waited {self.seconds:.1f} s for {self._builder or 'another process'}"

    @property
    def why_taken(self) -> str:
        """Why the lease is ours now; "" where it was nobody's, or any result is built anew."""
        return f"{self._ended}; built here" if self._turns and not self._refresh else ""

    def turn(self) -> None:
        """Another has the lease: say so, and pause.

        Raises:
            LeaseTimeout: it has had it for as long as we may wait.
        """
        self._turns += 1
        self._look()
        if self._patience_seconds is not None and self.seconds >= self._patience_seconds:
            raise LeaseTimeout(
                f"{self.key.namespace!r} {self.key.short} is still being built after "
                f"{self._patience_seconds:g} s, by {self._who}{self._lasting}: wait longer, or end "
                f"that process"
            )
        if self.seconds >= TELLING_SECONDS and (self._said is not self._builder or not self._told):
            self._tell()
        self._pause()

    def _tell(self) -> None:
        self._told, self._said = True, self._builder
        # What is usual costs an import and a question: not where nobody reads it.
        if _log.isEnabledFor(logging.INFO):
            self._say(f"is being built by {self._who}{self._lasting}")

    def _pause(self) -> None:
        """Until it is time for another try, or the manifest is another."""
        end = time.monotonic() + POLL_SECONDS
        before = self._generation()
        while time.monotonic() < end and self._generation() == before:
            time.sleep(LOOK_SECONDS)

    def _generation(self) -> int | None:
        try:
            return os.stat(disk.manifest_path(self._root, self.key.digest)).st_ino
        except OSError:
            return None

    def _look(self) -> None:
        """See who has it; who had it before left nothing, else there were no need to wait."""
        note = disk.holder(self._root, self.key.digest)
        builder = Builder(**note) if note else None
        self._dead = builder if builder and builder.has_ended else None
        if builder is None or self._dead or builder == self._builder:
            return  # whoever has it may not have written its name yet
        if self._builder is not None and not self._refresh:
            self._say(f"is not built yet: {self._ended}")
        self._builder = builder

    def _say(self, what: str) -> None:
        _log.info("wait: %s %s %s", self.key.namespace, self.key.short, what)

    @property
    def _who(self) -> str:
        if self._dead:  # what it started has its lease, perhaps
            return f"another process (the note names {self._dead}, which has ended)"
        if self._builder is None:
            return "another process"
        return f"{self._builder} since {self._builder.since}"

    @property
    def _lasting(self) -> str:
        """` (12 s); builds of a.b usually take 34 s`."""
        known = self._builder if not self._dead else None
        so_far = f" ({_span(known.seconds)})" if known else ""
        if self._usually is None:
            self._usually = _usually(self._root, self.key.namespace)
        return f"{so_far}; {self._usually}" if self._usually else so_far

    @property
    def _ended(self) -> str:
        if self._builder is None:
            return "another process ended its build without a result"
        took = _span(self._builder.seconds)
        return f"{self._builder} ended its build without a result after {took}"


def _usually(root: disk.Root, namespace: str) -> str:
    """`builds of a.b usually take 34 s`; "" where that cannot be told at once."""
    from tensorcache.index import usual_seconds  # sqlalchemy: only who waits spends it

    try:
        seconds = usual_seconds(root.join("index.sqlite"), namespace)
    except Exception as error:  # noqa: BLE001 - a guess is never a reason to fail
        _log.debug("it is not known how long builds of %s take: %r", namespace, error)
        return ""
    return "" if seconds is None else f"builds of {namespace} usually take {_span(seconds)}"


def _span(seconds: float) -> str:
    for unit, length in (("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
