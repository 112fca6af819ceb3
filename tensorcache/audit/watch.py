"""Watch: what one build read, and which of that its key is made from."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tensorcache.audit.view import Seen, fields_of, is_branch, join, leaves_of, seen_by
from tensorcache.errors import UnkeyableValue, UnkeyedRead
from tensorcache.key import NoKeyNow, canonical

MOST_NAMES = 200  # of each kind in a manifest, and MOST_SAID in a message
MOST_SAID = 10
_NOTHING = object()  # where the configuration has no such field
_log = logging.getLogger("tensorcache")


class Audit(NamedTuple):
    """A view, and the fields read to make inputs of it; None: those that the inputs repeat."""

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
        if not self._audit:  # inputs alone can vouch for nothing
            del found["unkeyed"]
        self.found = {kind: names[:MOST_NAMES] for kind, names in found.items()}
        if unkeyed:
            self._say_unkeyed(what, unkeyed)
        if unread:
            said = "%s: the build never read %s: a change of it is a needless miss"
            _log.info(said, what, _said(unread))
        return payload

    def refuse(self, found: Mapping[str, Any] | None, what: object) -> None:
        """Raise UnkeyedRead with `strict` where a hit may have been built from another value.

        What its build read must have been in the key then, and be in it now: what the inputs repeat
        of a configuration, they may no longer.
        """
        if not self._strict:
            return
        if found is None or "unkeyed" not in found:
            raise UnkeyedRead(
                f"{what} was built without audit=: what it read is not known: build anew with "
                f"refresh=True"
            )
        read = {name for name in found["read"] if not name.startswith("inputs.")}
        unkeyed = {*found["unkeyed"], *(read - _with_branches(self._keyed))}
        if unkeyed:
            raise UnkeyedRead(
                f"{what} was built from what is not in its key: {_said(sorted(unkeyed))}: make "
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
    seen = audit.seen
    if audit.keyed is None:
        return set(_held(inputs, seen, seen.target, seen.path))
    return audit.keyed.union(_held(inputs, seen, _NOTHING, ""))


def _held(inputs: Any, seen: Seen, field: Any, path: str) -> Iterator[str]:
    """The fields given whole in `inputs`, and those that are in `field` what they are there."""
    view = hasattr(type(inputs), "_audited_")
    if view and inputs._audited_.listeners is seen.listeners:
        yield from leaves_of(inputs._audited_.target, inputs._audited_.path)
    elif view or type(inputs) is dict:
        fields = dict(fields_of(field)) if is_branch(field) else {}
        if is_branch(field) and fields.keys() == inputs.keys():
            yield join(path, "*")
        for name, value in inputs.items():
            inner = fields.get(name, getattr(type(field), name, _NOTHING))  # a class's default
            yield from _held(value, seen, inner, join(path, name))
    elif field is not _NOTHING and _is_same(inputs, field):
        yield path


def _is_same(value: Any, field: Any) -> bool:
    """Whether they are the same in a key, where 1, 1.0 and True are three."""
    try:
        one, other = (json.dumps(canonical(one, ""), sort_keys=True) for one in (value, field))
    except (UnkeyableValue, NoKeyNow):
        return False
    return one == other


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
