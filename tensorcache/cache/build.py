"""Builds: a hit, a wait for another's build, or a build of our own, published or kept in memory."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorcache import disk, source
from tensorcache.cache.wait import Wait
from tensorcache.cache.warning import Warnings
from tensorcache.entry import Entry, of_held
from tensorcache.errors import (
    CacheTooNew,
    EntryCorrupt,
    LeaseRecursion,
    TensorCacheError,
    UnkeyableValue,
    UnstorableValue,
)
from tensorcache.key import Key
from tensorcache.limits import Limits
from tensorcache.manifest import Manifest, Parts, Piece, Provenance

if TYPE_CHECKING:
    from tensorcache.audit import Watch
    from tensorcache.cache.shadow import Sample

_log = logging.getLogger("tensorcache")


class Asked(NamedTuple):
    """What a caller asks for; `key` is None, and `why` says so, where a source cannot be told.

    `watch` hears what the build reads, where an audit was asked for; `sample` says which hits are
    built again.
    """

    key: Key | None
    version: str | source.CodeVersion
    code: source.Version  # what the version was when the key was made
    sources: Mapping[str, source.Source]
    identities: Mapping[str, source.Identity]
    why: str
    watch: Watch | None = None
    sample: Sample | None = None

    @property
    def audit(self) -> dict[str, Any] | None:
        """What was heard, once it is built."""
        return self.watch.found if self.watch else None

    @property
    def parts(self) -> dict[str, Parts | None]:
        """What is known of the parts of sources and version, by their place in a `Difference`."""
        known = {f"sources.{name}": identity.parts for name, identity in self.identities.items()}
        return {**known, "version": self.code.parts}


class _Building(threading.local):
    """What this thread builds: in a forked child, nothing of what other threads did."""

    def __init__(self) -> None:
        self.keys: set[tuple[str, str]] = set()  # (root, key)


_building = _Building()


class NewerEntry(CacheTooNew):
    """The entry was written by a newer tensorcache; told apart from what a builder may raise."""


class Builds:
    """The ways to an Entry of one root. `cannot` says why nothing can be read or written."""

    def __init__(
        self, root: disk.Root, memory: disk.Memory, verify: str, limits: Limits, cannot: str
    ) -> None:
        self._root = root
        self._memory = memory
        self._verify = verify
        self._limits = limits
        self.cannot = cannot
        self._warnings = Warnings()

    @property
    def memory(self) -> disk.Memory:
        """What is remembered of files by their stat."""
        return self._memory

    def hit(self, key: Key | str, started: float, *, clone: bool) -> Entry | None:
        """The entry, if it is there; its use is one appended line."""
        held = self._hold(key)
        if held is None:
            return None
        entry = of_held(held, hit=True, key=key if isinstance(key, Key) else None, clone=clone)
        self._note("hit", key, time.perf_counter() - started, held.manifest)
        return entry

    def wait_or_build(
        self,
        asked: Asked,
        build: Callable[[], Any],
        why: Callable[[Key], str],
        *,
        refresh: bool,
        wait: float | None,
        clone: bool,
    ) -> Entry:
        """Another's result, once it is there; else ours, and `why` is asked for it.

        Raises:
            LeaseTimeout, LeaseRecursion, UnstorableValue, and what `build` raises.
        """
        key = _known(asked)
        mine = os.path.realpath(self._root.path), key.digest
        if mine in _building.keys:
            raise LeaseRecursion(
                f"the build of {key.namespace!r} {key.short} asks for itself: give what it needs "
                f"a key of its own"
            )
        lease = None
        try:
            _building.keys.add(mine)
            waiting = Wait(self._root, key, wait, refresh=refresh)
            entry, lease = self._entry_or_lease(waiting, refresh=refresh, clone=clone)
            if entry is not None:
                return entry
            # Asked by whoever builds, for it takes the root lock: a crowd waits for none of it.
            reason = "refreshed" if refresh else why(key)
            reason = ": ".join(filter(None, (waiting.why_taken, reason)))
            _log.info("miss: %s %s: %s", key.namespace, key.short, reason)
            self._note("miss", key)
            payload, seconds = _built(asked, build)
            return self.publish(asked, payload, seconds, reason, clone=clone)
        finally:
            try:
                if lease is not None:
                    lease.release()
            finally:
                _building.keys.discard(mine)

    def _entry_or_lease(
        self, waiting: Wait, *, refresh: bool, clone: bool
    ) -> tuple[Entry | None, disk.Lease | None]:
        """Whichever comes first; neither where there can be no leases."""
        key = waiting.key
        while True:
            try:
                lease = disk.claim(self._root, key.digest)
            except (OSError, TensorCacheError) as error:
                # No warning: what keeps us from it keeps us from publishing, which says so.
                _log.debug("%s is built without a lease: %s", key.short, error)
                return None, None
            try:
                held = None if refresh else self._hold(key, again=True)
            except BaseException:
                if lease is not None:
                    lease.release()
                raise
            if held is not None:
                if lease is not None:
                    lease.release()
                self._note("wait", key, waiting.seconds, held.manifest)
                return of_held(held, hit=True, why=waiting.why_found, key=key, clone=clone), None
            if lease is not None:
                return None, lease
            waiting.turn()

    def publish(
        self, asked: Asked, payload: Any, seconds: float, why: str, *, clone: bool
    ) -> Entry:
        """Publish a payload, and open it; in memory, with one warning, where it cannot be."""
        from tensorcache import column  # torch: a hit meets it at its first section, if at all

        key = _known(asked)
        manifest = _manifest(key, seconds, asked)
        laid = column.lay(payload)
        moved = self._moved(asked)
        if moved:
            self.warn(moved)
            return _kept(laid, manifest, None, moved, clone=clone)  # the result of no key
        try:
            held = self._publish(laid, key, manifest)
        except UnstorableValue:
            raise
        except (OSError, TensorCacheError) as error:
            ours = isinstance(error, TensorCacheError)
            place = "" if ours else f"{self._root.path!r} cannot be written: "
            failed = f"not published: {place}{error}"
            self.warn(f"{key.namespace!r} {key.short} is {failed}")
            return _kept(column.lay(payload), manifest, key, failed, clone=clone)
        return of_held(held, hit=False, why=why, key=key, clone=clone)

    def put(self, key: Key, payload: Any) -> Entry:
        """Publish a payload that somebody has; raises where it cannot be."""
        from tensorcache import column  # torch: a hit meets it at its first section, if at all

        held = self._publish(column.lay(payload), key, _manifest(key, 0.0))
        return of_held(held, hit=False, key=key)

    def in_memory(self, asked: Asked, build: Callable[[], Any], mode: str, *, clone: bool) -> Entry:
        """Build, and publish nothing."""
        from tensorcache import column  # torch: a hit meets it at its first section, if at all

        why = asked.why or self.cannot or f"not published: the cache is open with mode={mode!r}"
        if mode not in ("ro", "off"):
            self.warn(why)
        payload, seconds = _built(asked, build)
        manifest = _manifest(asked.key, seconds, asked)
        return _kept(column.lay(payload), manifest, asked.key, why, clone=clone)

    def _publish(self, laid: Any, key: Key, manifest: Manifest) -> disk.Held:
        from tensorcache import column, retention  # only a miss publishes

        staging = disk.stage(self._root)
        try:
            manifest = manifest._replace(
                is_dict=laid.is_dict, **column.write(laid, staging.add)._asdict()
            )
            staging.seal(manifest)
            with disk.locked(self._root):
                self._refuse_newer(manifest.key)
                staging.publish(manifest, self._memory)
                held = disk.hold(self._root, manifest.key, self._memory, "size")
                if held is None:
                    raise FileNotFoundError(f"{self._root.path!r} was emptied under our hands")
                # Under the lock, for whoever takes the journal in then has it: no build is lost.
                self._note("build", key, manifest.build_seconds, manifest)
                # The entry stands, whatever becomes of its rows: its note says that they are due.
                limits = self._limits
                self.best_effort(lambda: retention.follow(self._root, limits, manifest, self.warn))
        finally:
            staging.discard()
        return held

    def _refuse_newer(self, key: str) -> None:
        with contextlib.suppress(EntryCorrupt):
            disk.read_manifest(self._root, key)  # raises CacheTooNew: never replaced by us

    def _moved(self, asked: Asked) -> str:
        """Why the result may belong to no state of its sources or code; "" if they stood still."""
        try:
            code = source.version_of(asked.version, self._memory)
        except (OSError, TensorCacheError) as error:
            return f"not published: the version cannot be told again: {error}"
        if code.text != asked.code.text:
            return "not published: the code of the builder changed while it ran, or waited to"
        for name, one in asked.sources.items():
            try:
                after = identify({name: one}, self._memory)[name]
            except (OSError, TensorCacheError) as error:
                return f"not published: the source {name!r} cannot be read again: {error}"
            if after.text != asked.identities[name].text:
                return f"not published: the source {name!r} changed while it was read"
        return ""

    def _hold(self, key: Key | str, *, again: bool = False) -> disk.Held | None:
        """The entry held open; what is broken is set aside, what cannot be read is a miss.

        `again`: whatever is wrong has been said.
        """
        if self.cannot:
            return None
        say = _log.debug if again else self.warn
        try:
            return disk.hold(self._root, key, self._memory, self._verify)
        except CacheTooNew as error:
            raise NewerEntry(str(error)) from error
        except EntryCorrupt as error:
            say(f"entry {str(key)[:16]} is broken and counts as a miss: {error}")
            blamed = error.piece
            if not again:
                self.best_effort(lambda: self._set_aside(str(key), blamed))
        except OSError as error:  # EIO, EMFILE, EACCES are no evidence of rot
            say(f"entry {str(key)[:16]} cannot be read and counts as a miss: {error}")
        return None

    def _set_aside(self, key: str, piece: tuple[str, str] | None) -> None:
        if self._memory.writes:
            with disk.locked(self._root):
                if disk.set_aside(self._root, key, piece):
                    self._note("quarantine", key)

    def _note(
        self, kind: str, key: Key | str, seconds: float = 0.0, manifest: Manifest | None = None
    ) -> None:
        if self._memory.writes:
            # Of digits alone the namespace would have to be read: the index knows it of entries.
            namespace = key.namespace if isinstance(key, Key) else None
            size_bytes = manifest.size_bytes if manifest else 0
            saved = manifest.build_seconds if manifest and kind != "build" else None
            use = (time.time(), kind, str(key), seconds, size_bytes, namespace, saved)
            disk.append_use(self._root, use)

    def best_effort(self, do: Callable[[], object]) -> None:
        """Do what is good to have; a failure is one warning."""
        try:
            do()
        except Exception as error:  # noqa: BLE001 - whatever it is, it takes nobody's result away
            self.warn(str(error) or repr(error))

    def warn(self, message: str) -> None:
        """Say it once."""
        self._warnings.say(message)


def identify(
    sources: Mapping[str, source.Source], memory: disk.Memory
) -> dict[str, source.Identity]:
    """What each source is now, by name.

    Raises:
        UnkeyableValue, SourceMissing: one of them is none, or cannot be told at all.
    """
    if type(sources) is not dict and not isinstance(sources, Mapping):
        raise UnkeyableValue(
            f"sources: {sources!r:.60} is no mapping: name them, sources={{'db': database(path)}}"
        )

    def leaf_digest(value: Any) -> str | None:
        from tensorcache.column import leaf_digest  # torch: only a value as a source needs it

        return leaf_digest(value)

    return {
        name: source.identify(one, memory, leaf_digest=leaf_digest) for name, one in sources.items()
    }


def _manifest(key: Key | None, seconds: float, asked: Asked | None = None) -> Manifest:
    """The manifest of nothing yet; without `asked`, of what somebody had."""
    return Manifest(
        key=key.digest if key else "",
        identity=key.text if key else "",
        is_dict=False,
        sections={},
        shards=(),
        documents=(),
        sources=tuple(
            Provenance(name, identity.kind, identity.path, identity.stat, identity.parts)
            for name, identity in (asked.identities if asked else {}).items()
        ),
        created_at=time.time(),
        build_seconds=seconds,
        host=socket.gethostname(),
        tools=_tools(),
        code=asked.code.parts if asked else None,
        audit=asked.audit if asked else None,
    )


def _kept(laid: Any, manifest: Manifest, key: Key | None, why: str, *, clone: bool) -> Entry:
    """The same columns in memory: an Entry like any other, for this process alone."""
    from tensorcache import column  # imported by whoever laid them out

    pieces: dict[str, memoryview] = {}

    def add(_kind: str, _size_bytes: int, write: Callable[[column.Sink], Piece]) -> Piece:
        data = bytearray()
        piece = write(data.extend)
        pieces[piece.digest] = memoryview(data)
        return piece

    contents = column.write(laid, add)
    manifest = manifest._replace(is_dict=laid.is_dict, **contents._asdict())
    return Entry(manifest, pieces.__getitem__, key=key, hit=False, why=why, clone=clone)


def _built(asked: Asked, build: Callable[[], Any]) -> tuple[Any, float]:
    """The payload, and the seconds that it took."""
    began = time.perf_counter()
    what = f"{asked.key.namespace!r} {asked.key.short}" if asked.key else "no key"
    payload = asked.watch.build(build, what) if asked.watch else build()
    return payload, time.perf_counter() - began


def _known(asked: Asked) -> Key:
    if asked.key is None:
        raise ValueError(asked.why)
    return asked.key


def _tools() -> dict[str, str]:
    """The versions that built it, as far as they were imported: provenance, never in the key."""
    versions = {"python": platform.python_version()}
    for name in ("numpy", "torch"):
        module = sys.modules.get(name)
        if module is not None:
            versions[name] = str(module.__version__)
    return versions
