"""Watch: what one build read, and which of that its key is made from."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tensorcache.audit.view import Seen, fields_of, is_branch, join, leaves_of, seen_by
from tensorcache.errors import UnkeyedRead

MOST_NAMES = 200  # of each kind in a manifest, and MOST_SAID in a message
MOST_SAID = 10
_log = logging.getLogger("tensorcache")


class Audit(NamedTuple):
    """A view, and the fields read to make inputs of it; None: those that the inputs name."""

    seen: Seen
    keyed: set[str] | None


@contextlib.contextmanager
def keying(view: Any) -> Iterator[Audit]:
    """While inputs and sources are made: what this thread reads of `view` is in the key.

    What it gives is the `audit` of `get_or_build` with these inputs.

    Raises:
        TypeError: it is no view.
    """
    keyed: set[str] = set()
    audit = Audit(seen_by(view), keyed)
    with audit.seen.listeners.hearing(keyed, threading.get_ident()):
        yield audit


class Watch:
    """Listens to one build. `found` is what the manifest says of it, once it was built."""

    def __init__(self, audit: Any, inputs: Mapping[str, Any], *, strict: bool) -> None:
        seen: Seen | None = getattr(inputs, "_audited_", None)
        self._inputs = seen
        if strict and audit is None:
            raise TypeError("strict_keys=True without audit=: pass tensorcache.audited(config)")
        if audit is not None and not isinstance(audit, Audit):
            audit = Audit(seen_by(audit), None)
        self._audit: Audit | None = audit
        self._strict = strict
        self._keyed = _keyed(audit, inputs) if audit else set()
        self.found: dict[str, list[str]] | None = None

    def build(self, build: Callable[[], Any], what: str) -> Any:
        """The payload of `build`; what it read that is not in the key is one warning.

        Raises:
            UnkeyedRead: with `strict`, instead of the warning.
        """
        read: set[str] = set()
        inputs_read: set[str] = set()
        with contextlib.ExitStack() as stack:
            if self._audit:
                stack.enter_context(self._audit.seen.listeners.hearing(read))
            if self._inputs:
                stack.enter_context(self._inputs.listeners.hearing(inputs_read))
            payload = build()
        unkeyed = _ends(read - _with_branches(self._keyed))
        unread = self._unread(read, inputs_read)
        shown = _ends(read) + [f"inputs.{name}" for name in _ends(inputs_read)]
        found = {"read": shown, "unkeyed": unkeyed, "unread": unread}
        self.found = {kind: names[:MOST_NAMES] for kind, names in found.items()}
        if unkeyed:
            self._say_unkeyed(what, unkeyed)
        if unread:
            said = "%s: the build never read %s: a change of it is a needless miss"
            _log.info(said, what, _said(unread))
        return payload

    def refuse(self, found: Mapping[str, Any] | None, what: object) -> None:
        """Raise UnkeyedRead with `strict` where the build of a hit read what is not in the key."""
        if self._strict and found and found.get("unkeyed"):
            raise UnkeyedRead(
                f"{what} was built from what is not in its key: {_said(found['unkeyed'])}: make "
                f"it part of the inputs, or build anew with refresh=True"
            )

    def _unread(self, read: set[str], inputs_read: set[str]) -> list[str]:
        if self._inputs:
            names = set(leaves_of(self._inputs.target, self._inputs.path))
            return [f"inputs.{name}" for name in _fields(names - inputs_read)]
        return _fields(set(_ends(self._keyed)) - _with_branches(read))

    def _say_unkeyed(self, what: str, unkeyed: list[str]) -> None:
        message = (
            f"{what}: the build read what is not in the key: {_said(unkeyed)}: a change of it "
            f"would be a stale hit: make it part of the inputs, or do not read it there"
        )
        if self._strict:
            raise UnkeyedRead(message)
        _log.warning("%s", message)


def _keyed(audit: Audit, inputs: Mapping[str, Any]) -> set[str]:
    """The fields of the audited configuration that are in the key."""
    keyed = set(audit.keyed or ())
    if audit.keyed is None:
        keyed.update(_named(inputs, audit.seen.target, ""))
    for seen in _branches_in(inputs):  # given whole
        if seen.listeners is audit.seen.listeners:
            keyed.update(leaves_of(seen.target, seen.path))
    return keyed


def _named(inputs: Any, branch: Any, path: str) -> Iterator[str]:
    """The fields of `branch` that `inputs` have under the same path."""
    fields = dict(fields_of(branch)) if is_branch(branch) else {}
    if fields.keys() <= inputs.keys():
        yield join(path, "*")
    for name, value in inputs.items():
        inner = join(path, name)
        yield inner
        if type(value) is dict or hasattr(type(value), "_audited_"):  # no entry, which is lazy
            yield from _named(value, fields.get(name), inner)


def _branches_in(inputs: Any) -> Iterator[Seen]:
    if hasattr(type(inputs), "_audited_"):
        yield inputs._audited_
    elif type(inputs) is dict:
        for value in inputs.values():
            yield from _branches_in(value)


def _with_branches(paths: set[str]) -> set[str]:
    """`paths`, and the branches that they lie in: who reads a field knows that those are there."""
    found = set(paths)
    for path in paths:
        while (path := path.rpartition(".")[0]) and path not in found:
            found.add(path)
    return found


def _ends(paths: set[str]) -> list[str]:
    """`paths` without the branches that others of them lie in."""
    branches = {path.rpartition(".")[0] for path in _with_branches(paths)}
    return sorted(path for path in paths if path not in branches)


def _fields(paths: set[str]) -> list[str]:
    return [path for path in _ends(paths) if path.rpartition(".")[2] != "*"]


def _said(names: list[str]) -> str:
    more = f" and {len(names) - MOST_SAID} more" if len(names) > MOST_SAID else ""
    return ", ".join(names[:MOST_SAID]) + more
